//! TLS 1.2 and 1.3, with the system's certificates and no way to do without them.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Which certificate authorities to trust.
///
/// As with OpenSSL, `SSL_CERT_FILE` and `SSL_CERT_DIR` each stand in for the system's own file or directory;
/// the additional certificates come on top.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    file: Option<PathBuf>,
    dirs: Vec<PathBuf>,
    additional: Vec<CertificateDer<'static>>,
}

/// Why there can be no TLS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The file of additional certificates cannot be read.
    #[error("cannot read certificates from {}: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No certificate authority at all.
    #[error(
        "no CA certificates found: install the system's (Debian: apt install ca-certificates), or set SSL_CERT_FILE"
    )]
    NoRoots,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Trust {
    /// The system's authorities, and those in `ca_file` (PEM). Reads the environment and `ca_file`, not yet the
    /// system's certificates.
    ///
    /// # Errors
    /// [`TlsError::CaFile`] where `ca_file` holds no readable certificate.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let file = match env::var_os("SSL_CERT_FILE") {
            Some(file) => Some(file.into()),
            None => openssl_probe::probe().cert_file,
        };
        let dirs = match env::var_os("SSL_CERT_DIR") {
            Some(dirs) => env::split_paths(&dirs).collect(),
            None => openssl_probe::candidate_cert_dirs().map(Path::to_owned).collect(),
        };
        let additional = ca_file.map(read_pem).transpose()?.unwrap_or_default();
        Ok(Self { file, dirs, additional })
    }

    /// The TLS settings that this trust amounts to. Reads some hundred certificates: make it once.
    ///
    /// # Errors
    /// [`TlsError::NoRoots`] where no certificate was found.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.additional.iter().cloned());
        if cfg!(any(target_os = "macos", windows)) {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        } else {
            let file = rustls_native_certs::load_certs_from_paths(self.file.as_deref(), None);
            roots.add_parsable_certificates(file.certs);
            for dir in &self.dirs {
                roots.add_parsable_certificates(
                    rustls_native_certs::load_certs_from_paths(None, Some(dir)).certs,
                );
            }
        }
        if roots.is_empty() {
            return Err(TlsError::NoRoots);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Other(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

/// A TLS session with `host` (a name or an address), not yet begun.
///
/// # Errors
/// [`TlsError::Other`] where `host` can be in no certificate.
pub fn session(config: &Arc<ClientConfig>, host: &str) -> Result<ClientConnection, TlsError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| TlsError::Other(format!("{host} cannot be the name in a certificate")))?;
    ClientConnection::new(config.clone(), name).map_err(|error| TlsError::Other(error.to_string()))
}

/// What an error of TLS means to whoever runs the client.
pub fn explain(error: &rustls::Error) -> String {
    use rustls::{CertificateError as Certificate, Error, InvalidMessage};
    let meaning = match error {
        Error::InvalidCertificate(cause) => match cause {
            Certificate::UnknownIssuer | Certificate::BadSignature => {
                "no authority that is trusted here has signed the server's certificate"
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "the server's certificate is for another host"
            }
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. } => {
                "the server's certificate has expired or is not valid yet, or the clock here is wrong"
            }
            _ => "the server's certificate is not acceptable",
        },
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS on this port: check the port, and that the URL should begin with https://"
        }
        Error::AlertReceived(rustls::AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
            "the server offers neither TLS 1.2 nor 1.3 as it is used today"
        }
        _ => return format!("no trusted TLS connection ({error})"),
    };
    format!("no trusted TLS connection: {meaning} ({error})")
}

/// Whether the server's certificate would do, were it trusted.
pub fn is_unknown_authority(error: &rustls::Error) -> bool {
    use rustls::{CertificateError as Certificate, Error};
    matches!(error, Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature))
}

fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |reason: String| TlsError::CaFile { path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(error.to_string()))?;
    if certificates.is_empty() {
        return Err(failed("it holds no certificate in PEM form".to_owned()));
    }
    Ok(certificates)
}
