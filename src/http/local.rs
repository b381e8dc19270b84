//! What a process keeps between requests to one server; none of it may cross a fork.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::http::pool::Pool;
use crate::http::settings::Settings;
use crate::http::tls::{TlsError, client_config};
use crate::http::trust::Authorities;
use crate::process::per_process::Abandon;

/// How long addresses are good once they are resolved.
const ADDRESS_LIFETIME: Duration = Duration::from_secs(5);

/// The idle connections, the TLS settings and the addresses.
pub(crate) struct Local {
    pub(crate) pool: Pool,
    /// The settings of TLS, where it is used.
    pub(crate) tls: Option<Result<Arc<ClientConfig>, TlsError>>,
    addresses: Mutex<Option<(Instant, Vec<IpAddr>)>>,
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
        Self { pool: Pool::new(*pool_size, *idle_timeout), tls, addresses: Mutex::default() }
    }

    /// The server's addresses, where they were resolved not long ago.
    pub(crate) fn addresses(&self) -> Option<Vec<IpAddr>> {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses
            .as_ref()
            .filter(|(since, _)| since.elapsed() < ADDRESS_LIFETIME)
            .map(|(_, found)| found.clone())
    }

    /// Remembers the server's addresses, or forgets them.
    pub(crate) fn remember(&self, addresses: Option<Vec<IpAddr>>) {
        let remembered = addresses.map(|found| (Instant::now(), found));
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = remembered;
    }
}
