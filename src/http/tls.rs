//! TLS 1.2 and 1.3. Verification cannot be turned off.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{self, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error,
    InvalidMessage, OtherError, SignatureScheme,
};

use crate::http::trust::{Authorities, Loaded};

/// The maximum length of rustls' text in an error, because a certificate may contain thousands of names.
const MOST_CHARACTERS: usize = 160;

/// Why TLS cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The file of additional certificates cannot be read completely.
    #[error("cannot read certificates from {}: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// The problem, with its line.
        reason: String,
    },
    /// None of the configured files contains a certificate authority.
    #[error("no CA certificates found: {notes}")]
    Unreadable {
        /// The files that cannot be read, and why.
        notes: String,
        /// The number of the system error, if it is temporary.
        lacked: Option<i32>,
    },
    /// There is no certificate authority.
    #[error(
        "no CA certificates found: install the system's certificates (Debian: apt install ca-certificates), or set SSL_CERT_FILE"
    )]
    NoRoots,
    /// The certificate is not signed by a trusted authority, and some authorities cannot be read.
    #[error("the server's certificate is not signed by a trusted authority ({notes})")]
    UnknownAuthority {
        /// The files that cannot be read, and why.
        notes: String,
        /// The number of the system error, if it is temporary.
        lacked: Option<i32>,
    },
    /// Any other error.
    #[error("{0}")]
    Other(String),
}

/// The TLS settings of clients that trust these authorities. Files are read later, to verify a server's certificate.
///
/// # Errors
/// [`TlsError::Other`] if the crypto provider does not support the TLS versions.
pub(crate) fn client_config(authorities: Arc<Authorities>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(crypto::ring::default_provider());
    let verifier = Verifier { authorities, algorithms: provider.signature_verification_algorithms };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Other(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A new TLS session with `host` (a name or an address), before the handshake.
///
/// # Errors
/// [`TlsError::Other`] if a certificate cannot contain `host`.
pub(crate) fn session(config: &Arc<ClientConfig>, host: &str) -> Result<ClientConnection, TlsError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| TlsError::Other(format!("{host} is not a host name that a certificate can have")))?;
    ClientConnection::new(config.clone(), name).map_err(|error| TlsError::Other(error.to_string()))
}

/// Verifies like rustls' own verifier, with two differences: it reads authorities again if they may have changed, and
/// it accepts a certificate that is trusted itself, whoever signed it.
#[derive(Debug)]
struct Verifier {
    authorities: Arc<Authorities>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = (certificate, ParsedCertificate::try_from(certificate)?);
        let verify = |loaded: &Loaded| self.verify(loaded, &certificate, intermediates, name, now);
        let loaded = self.authorities.loaded();
        let Err(error) = verify(&loaded) else { return Ok(ServerCertVerified::assertion()) };
        let (loaded, error) = match self.authorities.newer(&loaded) {
            None => (loaded, error),
            Some(newer) => match verify(&newer) {
                Ok(()) => return Ok(ServerCertVerified::assertion()),
                Err(error) => (newer, error),
            },
        };
        let (notes, lacked) = (loaded.notes.clone(), loaded.lacked);
        Err(match (loaded.roots.is_empty(), notes.is_empty()) {
            (true, true) => other(TlsError::NoRoots),
            (true, false) => other(TlsError::Unreadable { notes, lacked }),
            (false, false) if is_unknown_authority(&error) => {
                other(TlsError::UnknownAuthority { notes, lacked })
            }
            _ => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Verifier {
    fn verify(
        &self,
        loaded: &Loaded,
        (der, certificate): &(&CertificateDer<'_>, ParsedCertificate<'_>),
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let chain = verify_server_cert_signed_by_trust_anchor(
            certificate,
            &loaded.roots,
            intermediates,
            now,
            self.algorithms.all,
        );
        match chain {
            // The validity period is checked before the issuer, so this certificate is within its validity period.
            Err(error) if loaded.names(der) && is_unknown_authority(&error) => {}
            other => other?,
        }
        verify_server_name(certificate, name)
    }
}

fn other(error: TlsError) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

/// The error inside of a rustls error, if it is an `E`.
fn within<E: std::error::Error + 'static>(error: &Error) -> Option<&E> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.downcast_ref(),
        _ => None,
    }
}

/// Whether the certificate is valid except that it is not trusted.
pub(crate) fn is_unknown_authority(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)
    ) || matches!(within(error), Some(webpki::Error::CaUsedAsEndEntity))
        || matches!(within(error), Some(TlsError::UnknownAuthority { .. }))
}

/// The number of the temporary system error because of which certificates could not be read.
pub(crate) fn lacked(error: &Error) -> Option<i32> {
    match within(error) {
        Some(TlsError::Unreadable { lacked, .. } | TlsError::UnknownAuthority { lacked, .. }) => *lacked,
        _ => None,
    }
}

/// Whether the server rejected the handshake. With TLS 1.3, this may arrive after the client has finished it.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::AlertReceived(AlertDescription::CertificateRequired))
}

/// The error text for a TLS error.
pub(crate) fn explain(error: &Error) -> String {
    if let Some(error) = within::<TlsError>(error) {
        return match error {
            TlsError::UnknownAuthority { .. } => format!("no trusted TLS connection: {error}"),
            _ => error.to_string(),
        };
    }
    let meaning = match error {
        Error::InvalidCertificate(cause) => match cause {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "the server's certificate is not signed by a trusted authority"
            }
            CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                "the server's certificate has no host name: it has no subjectAltName, and the common name is ignored"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the server's certificate is for another host"
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                "the server's certificate has expired or is not valid yet, or the clock here is wrong"
            }
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                return "no trusted TLS connection: the signature algorithm of the server's certificate is not \
                        supported: sign it with RSA (2048 bits or more), with ECDSA (P-256 or P-384, SHA-256 or \
                        SHA-384) or with Ed25519"
                    .to_owned();
            }
            _ => match within(error) {
                Some(webpki::Error::UnsupportedCertVersion) => {
                    "the server's certificate uses X.509 version 1: issue it as version 3, with a subjectAltName"
                }
                Some(webpki::Error::CaUsedAsEndEntity) => {
                    "the server's certificate is a CA certificate that is not trusted"
                }
                _ => "the server's certificate is invalid",
            },
        },
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS on this port: check the port, and whether the URL should begin with https://"
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
            "the server offers neither TLS 1.2 nor 1.3 in a form that this client supports"
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            "the server and this client have no TLS parameters in common: this client offers TLS 1.3, and TLS 1.2 with \
             ECDHE and AES-GCM or ChaCha20, for RSA, P-256, P-384 and Ed25519 keys; or the server requires a client \
             certificate, which this client cannot send"
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server requires a client certificate, which this client cannot send"
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            "the server has no certificate for this name"
        }
        _ => return format!("no trusted TLS connection ({})", clipped(error)),
    };
    format!("no trusted TLS connection: {meaning} ({})", clipped(error))
}

/// The text of the error, without control characters and shortened to one line.
fn clipped(error: &Error) -> String {
    let text: String = error.to_string().replace(char::is_control, " ");
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::time::{Duration, SystemTime};

    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    use rustls::crypto::ring::sign::any_supported_type;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
    use rustls::sign::CertifiedKey;
    use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion, version};

    use crate::http::trust::Trust;

    const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];
    const DAY: Duration = Duration::from_secs(86_400);

    /// What a server presents: a certificate, and a key that may not match it.
    #[derive(Debug)]
    struct Shown(Arc<CertifiedKey>);

    impl ResolvesServerCert for Shown {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(self.0.clone())
        }
    }

    struct Identity {
        certificate: CertificateDer<'static>,
        key: KeyPair,
    }

    impl Identity {
        /// A self-signed certificate, of an authority (as `openssl req -x509` creates it) or not.
        fn own(name: &str, is_ca: bool, within: (SystemTime, SystemTime)) -> Self {
            let key = KeyPair::generate().unwrap();
            let certificate = params(name, is_ca, within).self_signed(&key).unwrap().der().clone();
            Self { certificate, key }
        }

        fn server(&self, key: &KeyPair, version: &'static SupportedProtocolVersion) -> ServerConfig {
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
            let shown = CertifiedKey::new(vec![self.certificate.clone()], any_supported_type(&key).unwrap());
            ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(Shown(Arc::new(shown))))
        }
    }

    fn now() -> (SystemTime, SystemTime) {
        (SystemTime::now() - DAY, SystemTime::now() + DAY)
    }

    fn params(name: &str, is_ca: bool, (from, to): (SystemTime, SystemTime)) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "one and the same");
        (params.not_before, params.not_after) = (from.into(), to.into());
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    }

    fn trusting(certificates: &[&Identity]) -> Arc<ClientConfig> {
        let trust =
            Trust::in_these(certificates.iter().map(|identity| identity.certificate.clone()).collect());
        client_config(Authorities::of(&trust)).unwrap()
    }

    /// Performs the handshake for `host` in memory.
    fn shake(client: &Arc<ClientConfig>, server: ServerConfig, host: &str) -> Result<(), Error> {
        let mut client = session(client, host).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        loop {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            if !wire.is_empty() {
                server.read_tls(&mut io::Cursor::new(wire)).unwrap();
                // The server sends its error to the client as an alert.
                let _ = server.process_new_packets();
            }
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            if wire.is_empty() {
                return Ok(());
            }
            client.read_tls(&mut io::Cursor::new(wire)).unwrap();
            client.process_new_packets()?;
        }
    }

    #[test]
    fn a_certificate_that_is_itself_trusted_is_accepted_for_its_names_and_its_time() {
        for version in VERSIONS {
            for is_ca in [true, false] {
                let own = Identity::own("app.example", is_ca, now());
                let server = || own.server(&own.key, version);
                assert_eq!(shake(&trusting(&[&own]), server(), "app.example"), Ok(()));
                let error = shake(&trusting(&[&own]), server(), "other.example").unwrap_err();
                assert!(explain(&error).contains("is for another host"), "{error}");

                let other = Identity::own("app.example", is_ca, now());
                for error in [
                    // Another certificate with the same subject, and this one with another key.
                    shake(&trusting(&[&other]), server(), "app.example").unwrap_err(),
                    shake(&trusting(&[&own]), own.server(&other.key, version), "app.example").unwrap_err(),
                ] {
                    assert!(matches!(error, Error::InvalidCertificate(_)), "{error}");
                }
                for (from, to) in [
                    (SystemTime::now() - 2 * DAY, SystemTime::now() - DAY),
                    (SystemTime::now() + DAY, SystemTime::now() + 2 * DAY),
                ] {
                    let own = Identity::own("app.example", is_ca, (from, to));
                    let error =
                        shake(&trusting(&[&own]), own.server(&own.key, version), "app.example").unwrap_err();
                    assert!(explain(&error).contains("has expired or is not valid yet"), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_servers_certificate_can_be_trusted_without_its_authority() {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::new(params("authority", true, now()), key);
        let key = KeyPair::generate().unwrap();
        let signed = |name: &str, within| params(name, false, within).signed_by(&key, &issuer).unwrap();
        for version in VERSIONS {
            let certificate = signed("app.example", now()).der().clone();
            let identity = Identity { certificate, key: KeyPair::try_from(key.serialize_der()).unwrap() };
            let server = || identity.server(&key, version);
            assert_eq!(shake(&trusting(&[&identity]), server(), "app.example"), Ok(()));
            assert!(shake(&trusting(&[&identity]), server(), "other.example").is_err());
            let stranger = Identity::own("app.example", true, now());
            assert!(is_unknown_authority(
                &shake(&trusting(&[&stranger]), server(), "app.example").unwrap_err()
            ));

            let past = (SystemTime::now() - 2 * DAY, SystemTime::now() - DAY);
            let certificate = signed("app.example", past).der().clone();
            let expired = Identity { certificate, ..identity };
            let error =
                shake(&trusting(&[&expired]), expired.server(&key, version), "app.example").unwrap_err();
            assert!(explain(&error).contains("has expired"), "{error}");
        }
    }

    #[test]
    fn a_certificate_signed_by_a_trusted_authority_is_accepted() {
        let key = KeyPair::generate().unwrap();
        let certificate = params("authority", true, now()).self_signed(&key).unwrap().der().clone();
        let authority = Identity { certificate, key };
        let issuer = Issuer::new(params("authority", true, now()), &authority.key);
        let key = KeyPair::generate().unwrap();
        let certificate = params("app.example", false, now()).signed_by(&key, &issuer).unwrap().der().clone();
        let identity = Identity { certificate, key };
        for version in VERSIONS {
            let server = || identity.server(&identity.key, version);
            assert_eq!(shake(&trusting(&[&authority]), server(), "app.example"), Ok(()));
            for (config, explanation) in [
                (
                    client_config(Authorities::of(&Trust::default())).unwrap(),
                    "no CA certificates found: install",
                ),
                (trusting(&[]), "no CA certificates found: : it cannot be read: No such file or directory"),
            ] {
                let error = shake(&config, server(), "app.example").unwrap_err();
                assert!(explain(&error).starts_with(explanation), "{}", explain(&error));
                assert_eq!(lacked(&error), None);
            }
        }
    }

    #[test]
    fn authorities_may_change_during_a_handshake() {
        let file = std::env::temp_dir().join(format!("simple_connect_core-{}-tls.pem", std::process::id()));
        let write = |identity: &Identity| {
            let text = BASE64_STANDARD.encode(&identity.certificate);
            let text = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
            std::fs::write(&file, text).unwrap();
        };
        for version in VERSIONS {
            let (own, stranger) =
                (Identity::own("app.example", true, now()), Identity::own("app.example", true, now()));
            write(&stranger);
            let config = client_config(Authorities::of(&Trust::new(Some(&file)).unwrap())).unwrap();
            let error = shake(&config, own.server(&own.key, version), "app.example").unwrap_err();
            assert!(is_unknown_authority(&error), "{error}");
            write(&own);
            assert_eq!(shake(&config, own.server(&own.key, version), "app.example"), Ok(()));
            std::fs::remove_file(&file).unwrap();
            assert_eq!(shake(&config, own.server(&own.key, version), "app.example"), Ok(()));
            // The problem of the file is reported only now.
            let error = shake(&config, stranger.server(&stranger.key, version), "app.example");
            assert!(explain(&error.unwrap_err()).contains("-tls.pem: it cannot be read: No such file"));
        }
    }

    #[test]
    fn a_required_client_certificate_is_reported() {
        let own = Identity::own("app.example", true, now());
        let mut roots = RootCertStore::empty();
        roots.add(own.certificate.clone()).unwrap();
        for version in VERSIONS {
            let provider = Arc::new(crypto::ring::default_provider());
            let clients =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider.clone())
                    .build();
            let server = ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .unwrap()
                .with_client_cert_verifier(clients.unwrap())
                .with_cert_resolver(own.server(&own.key, version).cert_resolver.clone());
            let error = shake(&trusting(&[&own]), server, "app.example").unwrap_err();
            assert!(is_refusal(&error), "{error}");
            assert!(explain(&error).contains("requires a client certificate"));
        }
    }

    #[test]
    fn an_invalid_host_name_is_rejected() {
        let config = trusting(&[]);
        let error = session(&config, "app-.example").unwrap_err();
        assert_eq!(error.to_string(), "app-.example is not a host name that a certificate can have");
    }

    #[test]
    fn errors_are_explained_in_a_line() {
        let expected = ServerName::try_from("app.example").unwrap();
        let names = |presented: Vec<String>| {
            let expected = expected.to_owned();
            Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented })
        };
        let odd = |error| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))));
        let unsupported = CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: vec![6; 100],
            public_key_algorithm_id: vec![6; 100],
        };
        let cases = [
            (names(vec![]), "has no host name: it has no subjectAltName"),
            (names(vec!["other\u{1b}[31m".to_owned(); 3000]), "is for another host"),
            (odd(webpki::Error::UnsupportedCertVersion), "uses X.509 version 1"),
            (odd(webpki::Error::CaUsedAsEndEntity), "is a CA certificate"),
            (odd(webpki::Error::BadDer), "certificate is invalid"),
            (Error::InvalidCertificate(unsupported), "certificate is not supported: sign it"),
            (Error::AlertReceived(AlertDescription::HandshakeFailure), "parameters in common"),
            (Error::AlertReceived(AlertDescription::UnrecognisedName), "no certificate for this name"),
            (Error::AlertReceived(AlertDescription::ProtocolVersion), "neither TLS 1.2 nor 1.3"),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), "does not speak TLS"),
            (Error::General("é\n".repeat(1000)), "no trusted TLS connection (unexpected error: é é"),
            (
                other(TlsError::Unreadable { notes: "/x: it cannot be read".to_owned(), lacked: None }),
                "no CA certificates found: /x: it",
            ),
            (
                other(TlsError::UnknownAuthority { notes: "/x: y".to_owned(), lacked: Some(24) }),
                "not signed by a trusted authority (/x: y)",
            ),
        ];
        let lacking = cases.iter().filter_map(|(error, _)| lacked(error)).collect::<Vec<_>>();
        assert_eq!(lacking, [24]);
        for (error, words) in cases {
            let text = explain(&error);
            assert!(text.contains(words), "{text}");
            assert!(text.chars().count() < 420 && !text.contains(char::is_control), "{text}");
        }
    }
}
