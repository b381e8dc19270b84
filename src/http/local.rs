//! State that a process keeps between requests to one server. It must not be shared with a forked child.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::http::pool::Pool;
use crate::http::settings::Settings;
use crate::http::stats::Stats;
use crate::http::tls::{TlsError, client_config};
use crate::http::trust::Authorities;
use crate::process::per_process::Abandon;

/// How long resolved addresses are used.
const ADDRESS_LIFETIME: Duration = Duration::from_secs(5);

/// The maximum number of failed addresses that are remembered, because a name's addresses change over time.
const MOST_FAILED: usize = 16;

/// Idle connections, TLS settings, addresses and counters.
pub(crate) struct Local {
    pub(crate) pool: Pool,
    pub(crate) stats: Stats,
    /// The TLS settings; None for http.
    pub(crate) tls: Option<Result<Arc<ClientConfig>, TlsError>>,
    addresses: Mutex<Option<(Instant, Vec<IpAddr>)>>,
    experience: Mutex<Experience>,
}

/// Which of the server's addresses answered or failed.
#[derive(Default)]
struct Experience {
    /// The address that answered last.
    answered: Option<IpAddr>,
    /// Addresses that failed after they accepted a connection, since the last answer, in order.
    failed: Vec<IpAddr>,
}

impl Experience {
    /// Sorts the address that answered first, and the one that failed last to the end.
    fn rank(&self, address: &IpAddr) -> usize {
        match self.failed.iter().position(|failed| failed == address) {
            Some(position) => 2 + position,
            None => usize::from(self.answered != Some(*address)),
        }
    }
}

impl Abandon for Local {
    fn abandon(&self) {
        self.pool.abandon();
    }
}

impl Local {
    /// Like [`Authorities::of`], call it only where no other thread can fork.
    pub(crate) fn new(settings: &Settings) -> Self {
        let Settings { endpoint, trust, pool_size, idle_timeout, .. } = settings;
        let tls = endpoint.tls.then(|| client_config(Authorities::of(trust)));
        let pool = Pool::new(*pool_size, *idle_timeout);
        Self { pool, stats: Stats::default(), tls, addresses: Mutex::default(), experience: Mutex::default() }
    }

    /// The server's addresses, if they were resolved recently.
    pub(crate) fn addresses(&self) -> Option<Vec<IpAddr>> {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses
            .as_ref()
            .filter(|(since, _)| since.elapsed() < ADDRESS_LIFETIME)
            .map(|(_, found)| found.clone())
    }

    /// Sorts `addresses` into the order in which to try them.
    pub(crate) fn sort(&self, addresses: &mut [IpAddr]) {
        let experience = self.experience();
        addresses.sort_by_key(|address| experience.rank(address));
    }

    /// Records that a new connection to `address` got an answer.
    pub(crate) fn answered(&self, address: IpAddr) {
        *self.experience() = Experience { answered: Some(address), failed: Vec::new() };
    }

    /// Records that a new connection to `address` got no answer.
    pub(crate) fn failed(&self, address: IpAddr) {
        let mut experience = self.experience();
        experience.answered.take_if(|answered| *answered == address);
        experience.failed.retain(|failed| *failed != address);
        if experience.failed.len() == MOST_FAILED {
            experience.failed.remove(0);
        }
        experience.failed.push(address);
    }

    fn experience(&self) -> MutexGuard<'_, Experience> {
        self.experience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets or clears the server's addresses.
    pub(crate) fn remember(&self, addresses: Option<Vec<IpAddr>>) {
        let remembered = addresses.map(|found| (Instant::now(), found));
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = remembered;
    }
}
