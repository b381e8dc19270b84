//! What a process keeps between requests to one server; none of it may cross a fork.

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

/// How long addresses are good once they are resolved.
const ADDRESS_LIFETIME: Duration = Duration::from_secs(5);

/// Names have new addresses from time to time.
const MOST_FAILED: usize = 16;

/// The idle connections, the TLS settings, the addresses and the counters.
pub(crate) struct Local {
    pub(crate) pool: Pool,
    pub(crate) stats: Stats,
    /// The settings of TLS, where it is used.
    pub(crate) tls: Option<Result<Arc<ClientConfig>, TlsError>>,
    addresses: Mutex<Option<(Instant, Vec<IpAddr>)>>,
    experience: Mutex<Experience>,
}

/// How it went with the server's addresses.
#[derive(Default)]
struct Experience {
    /// The one that answered last.
    answered: Option<IpAddr>,
    /// Those that took a connection and then failed, since one has answered.
    failed: Vec<IpAddr>,
}

impl Experience {
    /// The one that answered stands first, and what failed last is the last.
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
    /// Use it where no other thread may fork, as [`Authorities::of`].
    pub(crate) fn new(settings: &Settings) -> Self {
        let Settings { endpoint, trust, pool_size, idle_timeout, .. } = settings;
        let tls = endpoint.tls.then(|| client_config(Authorities::of(trust)));
        let pool = Pool::new(*pool_size, *idle_timeout);
        Self { pool, stats: Stats::default(), tls, addresses: Mutex::default(), experience: Mutex::default() }
    }

    /// The server's addresses, where they were resolved not long ago.
    pub(crate) fn addresses(&self) -> Option<Vec<IpAddr>> {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses
            .as_ref()
            .filter(|(since, _)| since.elapsed() < ADDRESS_LIFETIME)
            .map(|(_, found)| found.clone())
    }

    /// Puts `addresses` into the order in which to try them.
    pub(crate) fn sort(&self, addresses: &mut [IpAddr]) {
        let experience = self.experience();
        addresses.sort_by_key(|address| experience.rank(address));
    }

    /// A new connection to `address` has brought an answer.
    pub(crate) fn answered(&self, address: IpAddr) {
        *self.experience() = Experience { answered: Some(address), failed: Vec::new() };
    }

    /// A new connection to `address` has not.
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

    /// Remembers the server's addresses, or forgets them.
    pub(crate) fn remember(&self, addresses: Option<Vec<IpAddr>>) {
        let remembered = addresses.map(|found| (Instant::now(), found));
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = remembered;
    }
}
