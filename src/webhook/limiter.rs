//! A rate limiter: a number of permits per window of time, first come, first served.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::process::fork::generation;

/// The delay per place with which waiters of the same window check again, so that they proceed in order.
const STAGGER: Duration = Duration::from_micros(100);
/// A waiter lets the waiters before it go first for at most this fraction of a window.
const GRACE: u32 = 10;

/// Grants up to `limit` permits in each window of `interval`. Thread-safe.
///
/// A window begins with the first permit after the previous window's end. The limiter never blocks: to wait for a
/// permit, draw a ticket with [`join`](Self::join), and call [`wait`](Self::wait) for how long to wait.
///
/// ```
/// use std::time::{Duration, Instant};
/// use simple_connect_core::webhook::limiter::Limiter;
///
/// let second = Duration::from_secs(1);
/// let (limiter, now) = (Limiter::new(1, second), Instant::now());
/// assert!(limiter.try_acquire(now));
/// assert!(!limiter.try_acquire(now));
/// let ticket = limiter.join(now, None).unwrap();
/// assert_eq!(limiter.wait(ticket, now), Some(second));
/// assert_eq!(limiter.wait(ticket, now + second), None);
/// ```
pub struct Limiter {
    limit: u64,
    interval: Duration,
    state: Mutex<State>,
}

/// A place in the queue of a [`Limiter`].
pub type Ticket = u64;

#[derive(Default)]
struct State {
    /// The generation of the process that the waiters belong to.
    generation: u64,
    /// When the current window began; None if the limiter is idle.
    window: Option<Instant>,
    /// The current window's number.
    present: u64,
    /// The first window without taken permits; none of the later windows has any, either.
    untouched: u64,
    /// The permits left in each window before `untouched`. Used-up windows are removed, so a search visits no more
    /// windows than there are waiters.
    left: BTreeMap<u64, u64>,
    /// The waiters' tickets, in order.
    waiting: VecDeque<Ticket>,
    drawn: Ticket,
}

impl Limiter {
    /// A limiter with `limit` permits per window, and at least one.
    pub fn new(limit: u64, interval: Duration) -> Self {
        Self { limit: limit.max(1), interval: interval.max(Duration::from_nanos(1)), state: Mutex::default() }
    }

    /// Takes a permit if one is left after all waiters, and returns whether it did.
    pub fn try_acquire(&self, now: Instant) -> bool {
        let mut state = self.state(now);
        let window = self.window_of(&state, state.waiting.len());
        let free = window == state.present;
        if free {
            self.book(&mut state, window, now);
        }
        free
    }

    /// Takes a permit after all waiters, and returns the time until it is valid. A reservation cannot be cancelled.
    pub fn reserve(&self, now: Instant) -> Duration {
        let mut state = self.state(now);
        let window = self.window_of(&state, state.waiting.len());
        self.book(&mut state, window, now);
        self.until(&state, window, now)
    }

    /// The time until a permit that was taken now would be valid.
    pub fn delay(&self, now: Instant) -> Duration {
        let state = self.state(now);
        self.until(&state, self.window_of(&state, state.waiting.len()), now)
    }

    /// Joins the queue; None if no permit will be valid within `timeout`.
    pub fn join(&self, now: Instant, timeout: Option<Duration>) -> Option<Ticket> {
        let mut state = self.state(now);
        let window = self.window_of(&state, state.waiting.len());
        if timeout.is_some_and(|timeout| self.until(&state, window, now) > timeout) {
            return None;
        }
        let ticket = state.drawn;
        state.drawn += 1;
        state.waiting.push_back(ticket);
        Some(ticket)
    }

    /// How long to wait before the next call; None if the permit is granted, which uses up the ticket.
    ///
    /// An early call returns the remaining time. A call after the end of the ticket's window moves the ticket to the
    /// front of the queue.
    pub fn wait(&self, ticket: Ticket, now: Instant) -> Option<Duration> {
        let mut state = self.state(now);
        let place = state.waiting.binary_search(&ticket).unwrap_or_else(|place| {
            state.waiting.insert(place, ticket);
            place
        });
        let window = self.window_of(&state, place);
        if window > state.present {
            return Some(self.until(&state, window, now));
        }
        let opened = state.window.map_or(Duration::ZERO, |start| now.saturating_duration_since(start));
        // The waiters before this one are about to call. One that never calls must not block the others.
        match (self.interval / GRACE).checked_sub(opened).filter(|grace| place > 0 && !grace.is_zero()) {
            Some(grace) => Some(grace.min(STAGGER.saturating_mul(u32::try_from(place).unwrap_or(u32::MAX)))),
            None => {
                state.waiting.remove(place);
                self.book(&mut state, window, now);
                None
            }
        }
    }

    /// Leaves the queue. Later waiters move up, so they should call [`wait`](Self::wait) again.
    pub fn leave(&self, ticket: Ticket, now: Instant) {
        let mut state = self.state(now);
        if let Ok(place) = state.waiting.binary_search(&ticket) {
            state.waiting.remove(place);
        }
    }

    /// The state as it is at `now`.
    fn state(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = generation();
        if state.generation != generation {
            // The waiting threads do not exist in a forked child.
            state.generation = generation;
            state.waiting.clear();
        }
        self.advance(&mut state, now);
        state
    }

    /// Removes past windows, and the waiters that missed their turn in them.
    fn advance(&self, state: &mut State, now: Instant) {
        let Some(start) = state.window else { return };
        let passed = now.saturating_duration_since(start).as_nanos() / self.interval.as_nanos();
        let Some(passed) = u64::try_from(passed).ok().filter(|passed| *passed > 0) else { return };

        state.present = state.present.saturating_add(passed);
        let ahead = state.left.split_off(&state.present);
        let partly = std::mem::replace(&mut state.left, ahead).into_values().fold(0, u64::saturating_add);
        let wholly = state.present.saturating_sub(state.untouched);
        let unused = wholly.saturating_mul(self.limit).saturating_add(partly);
        let absent = state.waiting.len().min(usize::try_from(unused).unwrap_or(usize::MAX));
        state.waiting.drain(..absent);
        let idle = state.untouched <= state.present && state.waiting.is_empty();
        state.untouched = state.untouched.max(state.present);
        state.window = if idle { None } else { start.checked_add(times(self.interval, passed)) };
    }

    /// The window of the permit for the waiter at `place`.
    fn window_of(&self, state: &State, place: usize) -> u64 {
        let mut place = place as u64;
        for (window, left) in &state.left {
            match place.checked_sub(*left) {
                None => return *window,
                Some(behind) => place = behind,
            }
        }
        state.untouched + place / self.limit
    }

    fn book(&self, state: &mut State, window: u64, now: Instant) {
        state.window.get_or_insert(now);
        while state.untouched <= window {
            state.left.insert(state.untouched, self.limit);
            state.untouched += 1;
        }
        if let Entry::Occupied(mut left) = state.left.entry(window) {
            *left.get_mut() -= 1;
            if *left.get() == 0 {
                left.remove();
            }
        }
    }

    fn until(&self, state: &State, window: u64, now: Instant) -> Duration {
        let elapsed = state.window.map_or(Duration::ZERO, |start| now.saturating_duration_since(start));
        times(self.interval, window - state.present).saturating_sub(elapsed)
    }
}

/// `interval` times `count`, saturating.
fn times(interval: Duration, count: u64) -> Duration {
    const NANOS: u128 = 1_000_000_000;
    let nanos = interval.as_nanos().saturating_mul(u128::from(count));
    let (seconds, rest) = (nanos / NANOS, nanos % NANOS);
    u64::try_from(seconds).map_or(Duration::MAX, |seconds| Duration::new(seconds, rest as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Calls `wait` for all `tickets` in order, and returns those that got a permit.
    fn granted(limiter: &Limiter, tickets: &[Ticket], now: Instant) -> Vec<Ticket> {
        tickets.iter().copied().filter(|ticket| limiter.wait(*ticket, now).is_none()).collect()
    }

    fn queue(limiter: &Limiter, count: usize, now: Instant) -> Vec<Ticket> {
        (0..count).map(|_| limiter.join(now, None).unwrap()).collect()
    }

    #[test]
    fn fifteen_at_once_with_ten_a_second_are_ten_then_five() {
        let (limiter, now) = (Limiter::new(10, SECOND), Instant::now());
        let tickets = queue(&limiter, 15, now);
        assert_eq!(granted(&limiter, &tickets, now), tickets[..10]);
        for ticket in &tickets[10..] {
            assert_eq!(limiter.wait(*ticket, now), Some(SECOND));
        }
        let soon = now + Duration::from_millis(999);
        assert_eq!(granted(&limiter, &tickets[10..], soon), Vec::<Ticket>::new());
        assert_eq!(limiter.wait(tickets[14], soon), Some(Duration::from_millis(1)));
        assert_eq!(granted(&limiter, &tickets[10..], now + SECOND), tickets[10..]);
        assert_eq!((0..6).filter(|_| limiter.try_acquire(now + SECOND)).count(), 5);
    }

    #[test]
    fn the_first_waiter_goes_first_even_if_another_calls_earlier() {
        let (limiter, now) = (Limiter::new(2, SECOND), Instant::now());
        assert!(limiter.try_acquire(now) && limiter.try_acquire(now));
        let tickets = queue(&limiter, 2, now);
        let then = now + SECOND;
        assert_eq!(limiter.wait(tickets[1], then), Some(STAGGER));
        assert_eq!(limiter.wait(tickets[0], then), None);
        assert_eq!(limiter.wait(tickets[1], then), None);
    }

    #[test]
    fn a_waiter_that_never_calls_delays_others_only_briefly() {
        let (limiter, now) = (Limiter::new(2, SECOND), Instant::now());
        assert!(limiter.try_acquire(now) && limiter.try_acquire(now));
        let tickets = queue(&limiter, 4, now);
        assert_eq!(limiter.wait(tickets[1], now + SECOND + SECOND / GRACE), None);
        // The first has lost its place; the third and the fourth have their window.
        assert_eq!(granted(&limiter, &tickets[2..], now + SECOND * 2), tickets[2..]);
        // A late call puts the first one at the front of the queue.
        let last = limiter.join(now + SECOND * 2, None).unwrap();
        assert_eq!(limiter.wait(tickets[0], now + SECOND * 2), Some(SECOND));
        assert_eq!(granted(&limiter, &[tickets[0], last], now + SECOND * 3), [tickets[0], last]);
    }

    #[test]
    fn later_waiters_move_up_and_reservations_stay() {
        let (limiter, now) = (Limiter::new(1, SECOND), Instant::now());
        assert_eq!(limiter.reserve(now), Duration::ZERO);
        let first = limiter.join(now, None).unwrap();
        assert_eq!(limiter.reserve(now), SECOND * 2);
        let second = limiter.join(now, None).unwrap();
        assert_eq!(limiter.wait(second, now), Some(SECOND * 3));
        limiter.leave(first, now);
        assert_eq!(limiter.wait(second, now), Some(SECOND));
        assert_eq!(limiter.delay(now), SECOND * 3);
        assert_eq!(limiter.wait(second, now + SECOND), None);
        // The reservation takes this window.
        assert!(!limiter.try_acquire(now + SECOND * 2));
        assert!(limiter.try_acquire(now + SECOND * 3));
    }

    #[test]
    fn a_waiter_without_enough_time_does_not_join() {
        let (limiter, now) = (Limiter::new(1, SECOND), Instant::now());
        assert!(limiter.try_acquire(now));
        assert_eq!(limiter.join(now, Some(SECOND - Duration::from_nanos(1))), None);
        assert_eq!(limiter.delay(now), SECOND);
        assert!(limiter.join(now, Some(SECOND)).is_some());
    }

    #[test]
    fn a_window_begins_with_the_first_permit_after_a_pause() {
        let (limiter, now) = (Limiter::new(2, SECOND), Instant::now());
        assert!(limiter.try_acquire(now));
        let later = now + SECOND * 59 / 10;
        // A query does not begin a window.
        assert_eq!(limiter.delay(later - SECOND / 2), Duration::ZERO);
        assert!(limiter.try_acquire(later) && limiter.try_acquire(later));
        assert!(!limiter.try_acquire(later + SECOND / 2));
        assert!(limiter.try_acquire(later + SECOND));
    }

    #[test]
    fn extreme_durations_saturate() {
        let (limiter, now) = (Limiter::new(1, Duration::MAX), Instant::now());
        assert!(limiter.try_acquire(now));
        assert_eq!(limiter.reserve(now), Duration::MAX);
        assert_eq!(limiter.reserve(now), Duration::MAX);
        assert!(!limiter.try_acquire(now + SECOND * 1_000_000));
        let (limiter, now) = (Limiter::new(u64::MAX, Duration::ZERO), Instant::now());
        assert!(limiter.try_acquire(now) && limiter.try_acquire(now + SECOND));
    }

    #[derive(Debug, Clone)]
    enum Act {
        Try,
        Reserve,
        Join,
        Ask(prop::sample::Index),
        Leave(prop::sample::Index),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            3 => Just(Act::Try),
            1 => Just(Act::Reserve),
            4 => Just(Act::Join),
            6 => any::<prop::sample::Index>().prop_map(Act::Ask),
            1 => any::<prop::sample::Index>().prop_map(Act::Leave),
        ]
    }

    /// A simple model of the limiter: a list with the window of each granted permit.
    struct Model {
        limit: usize,
        start: Option<Instant>,
        present: usize,
        granted: Vec<usize>,
        waiting: Vec<Ticket>,
        drawn: Ticket,
    }

    impl Model {
        fn left(&self, window: usize) -> usize {
            self.limit - self.granted.iter().filter(|other| **other == window).count()
        }

        fn advance(&mut self, now: Instant) {
            while let Some(start) = self.start.filter(|start| *start + SECOND <= now) {
                self.waiting.drain(..self.left(self.present).min(self.waiting.len()));
                self.present += 1;
                let idle = self.waiting.is_empty() && self.granted.iter().all(|other| *other < self.present);
                self.start = (!idle).then_some(start + SECOND);
            }
        }

        fn window_of(&self, place: usize) -> usize {
            (self.present..)
                .flat_map(|window| std::iter::repeat_n(window, self.left(window)))
                .nth(place)
                .unwrap()
        }

        fn window(&self) -> usize {
            self.window_of(self.waiting.len())
        }

        fn grant(&mut self, window: usize, now: Instant) {
            self.start.get_or_insert(now);
            self.granted.push(window);
        }

        fn until(&self, window: usize, now: Instant) -> Duration {
            let start = self.start.unwrap_or(now);
            (start + SECOND * (window - self.present) as u32).saturating_duration_since(now)
        }

        fn wait(&mut self, ticket: Ticket, now: Instant) -> Option<Duration> {
            if !self.waiting.contains(&ticket) {
                self.waiting.push(ticket);
                self.waiting.sort_unstable();
            }
            let place = self.waiting.iter().position(|other| *other == ticket).unwrap();
            let window = self.window_of(place);
            if window > self.present {
                return Some(self.until(window, now));
            }
            let opened = now - self.start.unwrap_or(now);
            if place > 0 && opened < SECOND / GRACE {
                return Some((STAGGER * place as u32).min(SECOND / GRACE - opened));
            }
            self.waiting.remove(place);
            self.grant(window, now);
            None
        }
    }

    #[test]
    fn used_up_windows_are_not_searched() {
        let (limiter, now) = (Limiter::new(2, SECOND), Instant::now());
        let reserved = (0..200_001u32).map(|_| limiter.reserve(now));
        assert_eq!(reserved.last(), Some(SECOND * 100_000));
        assert_eq!(limiter.delay(now), SECOND * 100_000);
        assert_eq!(limiter.state(now).left.len(), 1);
        assert_eq!(limiter.delay(now + SECOND * 200_000), Duration::ZERO);
        assert_eq!(limiter.state(now + SECOND * 200_000).left.len(), 0);
    }

    proptest! {
        #[test]
        fn it_grants_what_the_model_grants(
            limit in 1usize..4,
            acts in proptest::collection::vec((act(), prop_oneof![Just(0), 0u64..150, 0u64..4000]), 1..120)
        ) {
            let limiter = Limiter::new(limit as u64, SECOND);
            let mut model =
                Model { limit, start: None, present: 0, granted: vec![], waiting: vec![], drawn: 0 };
            let mut now = Instant::now();
            for (act, pause) in acts {
                now += Duration::from_millis(pause);
                model.advance(now);
                let window = model.window();
                prop_assert_eq!(limiter.delay(now), model.until(window, now));
                // Includes tickets that were late or have left.
                let ticket = |index: prop::sample::Index| (model.drawn > 0).then(|| index.index(model.drawn as usize) as Ticket);
                match act {
                    Act::Try => {
                        let free = window == model.present;
                        prop_assert_eq!(limiter.try_acquire(now), free);
                        if free {
                            model.grant(window, now);
                        }
                    }
                    Act::Reserve => {
                        model.grant(window, now);
                        prop_assert_eq!(limiter.reserve(now), model.until(window, now));
                    }
                    Act::Join => {
                        let in_time = model.until(window, now) <= SECOND * 3;
                        prop_assert_eq!(limiter.join(now, Some(SECOND * 3)), in_time.then_some(model.drawn));
                        if in_time {
                            model.waiting.push(model.drawn);
                            model.drawn += 1;
                        }
                    }
                    Act::Ask(index) => if let Some(ticket) = ticket(index) {
                        prop_assert_eq!(limiter.wait(ticket, now), model.wait(ticket, now));
                    }
                    Act::Leave(index) => if let Some(ticket) = ticket(index) {
                        limiter.leave(ticket, now);
                        model.waiting.retain(|other| *other != ticket);
                    }
                }
            }
        }

        /// Windows do not overlap, so any period has at most the permits of the windows it touches.
        #[test]
        fn no_window_has_more_than_the_limit(
            limit in 1u64..4, acts in proptest::collection::vec((act(), 0u32..700), 1..120)
        ) {
            let limiter = Limiter::new(limit, SECOND);
            let mut now = Instant::now();
            let mut waiting: Vec<Ticket> = Vec::new();
            let mut used: Vec<Instant> = Vec::new();
            for (act, pause) in acts {
                match act {
                    Act::Try if limiter.try_acquire(now) => used.push(now),
                    Act::Try => {}
                    Act::Reserve => used.push(now + limiter.reserve(now)),
                    Act::Join => waiting.extend(limiter.join(now, None)),
                    Act::Ask(index) if !waiting.is_empty() => {
                        let ticket = *index.get(&waiting);
                        if limiter.wait(ticket, now).is_none() {
                            waiting.retain(|other| *other != ticket);
                            used.push(now);
                        }
                    }
                    Act::Leave(index) if !waiting.is_empty() => {
                        let ticket = *index.get(&waiting);
                        limiter.leave(ticket, now);
                        waiting.retain(|other| *other != ticket);
                    }
                    Act::Ask(_) | Act::Leave(_) => {}
                }
                now += Duration::from_millis(u64::from(pause));
            }
            used.sort_unstable();
            for (index, first) in used.iter().enumerate() {
                let within = used[index..].iter().take_while(|at| **at - *first < SECOND).count() as u64;
                prop_assert!(within <= 2 * limit, "{within} permits in less than two windows");
                let longer = used[index..].iter().take_while(|at| **at - *first < SECOND * 5).count() as u64;
                prop_assert!(longer <= 6 * limit, "{longer} permits in less than six windows");
            }
        }

        /// A waiter that calls when it is told to gets its permit in order, and as early as possible.
        #[test]
        fn waiters_are_served_in_order(limit in 1u64..5, count in 1usize..40) {
            let (limiter, start) = (Limiter::new(limit, SECOND), Instant::now());
            let mut times: Vec<(Ticket, Instant)> =
                queue(&limiter, count, start).into_iter().map(|ticket| (ticket, start)).collect();
            let mut served = Vec::new();
            while let Some(next) = (0..times.len()).min_by_key(|at| times[*at].1) {
                let (ticket, now) = times[next];
                match limiter.wait(ticket, now) {
                    Some(wait) => times[next].1 = now + wait,
                    None => served.push((times.swap_remove(next).0, (now - start).as_secs())),
                }
            }
            let expected: Vec<(Ticket, u64)> = (0..count as u64).map(|ticket| (ticket, ticket / limit)).collect();
            prop_assert_eq!(served, expected);
        }
    }
}
