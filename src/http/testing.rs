//! A server for the tests of this crate, in the same process, over TCP or TLS.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ServerConfig, ServerConnection, StreamOwned};

use crate::http::answer::{Answer, AnswerReader, Limits};
use crate::http::attempt::Outcome;
use crate::http::connection::Connection;
use crate::http::exchange::Exchange;
use crate::http::request::{Method, Request};
use crate::http::settings::{Credentials, Settings, Timeouts};
use crate::http::tls;
use crate::http::transport::Transport;
use crate::http::trust::{Authorities, Trust};
use crate::http::url::{Target, Url};
use crate::http::wait::{Interest, ResolveError, Wait, poll_many, poll_with};
use crate::signature::{Scheme, Signer};

pub(crate) const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
pub(crate) const TIMEOUTS: Timeouts =
    Timeouts { open: Duration::from_secs(5), write: Duration::from_secs(5), read: Duration::from_secs(5) };

/// The URL schemes to test with.
pub(crate) const SCHEMES: [&str; 2] = ["http", "https"];

/// The names in the server's certificate.
pub(crate) const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "app.example"];

/// A certificate authority of this process, and a server certificate that it signed.
struct Identity {
    authority: String,
    server: Arc<ServerConfig>,
}

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(NAMES.map(str::to_owned)).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Identity { authority, server: server_config(vec![certificate.der().clone()], key) }
    })
}

/// A server's TLS settings with this certificate chain.
pub(crate) fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

/// Trusts the authority of this process and the system's authorities.
pub(crate) fn trust() -> Trust {
    static TRUST: OnceLock<Trust> = OnceLock::new();
    TRUST
        .get_or_init(|| {
            let file = env::temp_dir().join(format!("simple_connect_core-{}.pem", process::id()));
            fs::write(&file, &identity().authority).unwrap();
            let trust = Trust::new(Some(&file)).unwrap();
            fs::remove_file(&file).unwrap();
            trust
        })
        .clone()
}

/// The server's end of a connection. Dropping it closes the socket, without a close_notify alert of TLS.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    /// Uses TLS if there is a `config`.
    pub(crate) fn new(socket: TcpStream, config: Option<Arc<ServerConfig>>) -> Self {
        socket.set_nodelay(true).unwrap();
        match config {
            None => Self::Plain(socket),
            Some(config) => {
                let mut session = ServerConnection::new(config).unwrap();
                session.set_buffer_limit(None);
                Self::Tls(Box::new(StreamOwned::new(session, socket)))
            }
        }
    }

    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &mut stream.sock,
        }
    }

    /// The bytes on the wire for `bytes`: with TLS, their records, which must be sent in order.
    pub(crate) fn seal(&mut self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain(_) => bytes.to_vec(),
            Self::Tls(stream) => {
                let mut sealed = Vec::new();
                stream.conn.writer().write_all(bytes).unwrap();
                while stream.conn.wants_write() {
                    stream.conn.write_tls(&mut sealed).unwrap();
                }
                sealed
            }
        }
    }

    /// Sends `bytes` in one write.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sealed = self.seal(bytes);
        self.socket().write_all(&sealed)
    }

    /// Sends bytes that [`seal`](Self::seal) returned.
    pub(crate) fn send_sealed(&mut self, bytes: &[u8]) {
        self.socket().write_all(bytes).unwrap();
    }

    /// Reads a request; None if the client closed the connection or did not begin TLS.
    pub(crate) fn request(&mut self) -> Option<Vec<u8>> {
        let mut request = Vec::new();
        let mut whole = None;
        while whole.is_none_or(|length| request.len() < length) {
            let mut piece = [0; 16 * 1024];
            match self.read(&mut piece) {
                Ok(0) | Err(_) => return None,
                Ok(count) => request.extend_from_slice(&piece[..count]),
            }
            whole = whole.or_else(|| length(&request));
        }
        Some(request)
    }

    /// The TLS session, with the socket beneath it.
    pub(crate) fn tls(&mut self) -> &mut StreamOwned<ServerConnection, TcpStream> {
        match self {
            Self::Plain(_) => panic!("this connection has no TLS"),
            Self::Tls(stream) => stream,
        }
    }

    /// Sends a close_notify alert over TLS.
    pub(crate) fn notify_close(&mut self) {
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.conn.complete_io(&mut stream.sock);
        }
    }
}

impl Read for Wire {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(space),
            Self::Tls(stream) => stream.read(space),
        }
    }
}

/// The length of the request, once its head is complete.
fn length(request: &[u8]) -> Option<usize> {
    let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&request[..end]).unwrap();
    let body = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    Some(end + body.map_or(0, |length| length.parse::<usize>().unwrap()))
}

/// Serves each connection in its own thread with `script`, which gets the connection's number. Returns the port.
pub(crate) fn serve(scheme: &str, script: impl Fn(usize, Wire) + Send + Sync + 'static) -> u16 {
    let config = (scheme == "https").then(|| identity().server.clone());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = Arc::new(script);
    thread::spawn(move || {
        for (number, socket) in listener.incoming().enumerate() {
            let (script, wire) = (script.clone(), Wire::new(socket.unwrap(), config.clone()));
            thread::spawn(move || script(number, wire));
        }
    });
    port
}

/// The client's TLS settings, with [`trust`].
pub(crate) fn client_config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    CONFIG.get_or_init(|| tls::client_config(Authorities::of(&trust())).unwrap()).clone()
}

/// A client's connection after the handshake, and the server's end of it.
pub(crate) fn connected(scheme: &str) -> (Connection, Wire) {
    connect((scheme == "https").then(|| identity().server.clone()))
}

/// Like [`connected`] with TLS, over a socket that preserves the boundaries of writes.
#[cfg(target_os = "linux")]
pub(crate) fn connected_by_packets() -> (Connection, Wire) {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    let socket = TcpStream::from(ours);
    socket.set_nonblocking(true).unwrap();
    let mut connection = Connection::new(socket);
    connection.wrap(tls::session(&client_config(), NAMES[0]).unwrap());
    let session = ServerConnection::new(identity().server.clone()).unwrap();
    let wire = Wire::Tls(Box::new(StreamOwned::new(session, theirs.into())));
    hand_shake(connection, || wire)
}

fn connect(config: Option<Arc<ServerConfig>>) -> (Connection, Wire) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut connection = Connection::new(socket);
    if config.is_some() {
        connection.wrap(tls::session(&client_config(), NAMES[0]).unwrap());
    }
    hand_shake(connection, move || Wire::new(listener.accept().unwrap().0, config))
}

/// Completes the handshake of both sides, if there is one.
fn hand_shake(
    mut connection: Connection,
    accept: impl FnOnce() -> Wire + Send + 'static,
) -> (Connection, Wire) {
    let server = thread::spawn(move || {
        let mut wire = accept();
        if let Wire::Tls(stream) = &mut wire {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        wire
    });
    while let Some(interest) = connection.handshake().unwrap() {
        poll_with(connection.fd(), interest, Instant::now() + TIMEOUTS.open, None);
    }
    (connection, server.join().unwrap())
}

/// Sends `pieces` on `wire` as they are read, and returns the result of an exchange on `connection`: the answer, or the
/// text of the error. Closes the connection after the last piece, over TLS with a close_notify alert if the end is
/// `announced`. Ignores the request.
pub(crate) fn exchange_in_pieces<'a>(
    connection: &mut Connection,
    wire: &mut Wire,
    limits: Limits,
    announced: bool,
    pieces: &mut impl Iterator<Item = &'a [u8]>,
) -> Result<Answer, String> {
    let mut exchange = Exchange::new(AnswerReader::new(limits), Instant::now());
    loop {
        match exchange.step(connection, b"request", TIMEOUTS, Instant::now()) {
            Ok(None) => return Ok(exchange.reader.into_answer()),
            Err(failure) => return Err(failure.message),
            // More data is available already.
            Ok(Some(_)) if !connection.drained() || is_readable(connection, Instant::now()) => {}
            Ok(Some(_)) => {
                match pieces.next() {
                    Some(piece) => wire.send_sealed(piece),
                    None => {
                        if announced {
                            wire.notify_close();
                        }
                        wire.socket().shutdown(Shutdown::Write).unwrap();
                    }
                }
                assert!(is_readable(connection, Instant::now() + TIMEOUTS.read));
            }
        }
    }
}

/// Whether the socket becomes readable before `until`.
fn is_readable(connection: &Connection, until: Instant) -> bool {
    poll_many(&[(connection.fd(), Interest::Read)], until, None).unwrap()[0]
}

/// A server's answers on one connection, one for each request. Then it closes the connection.
pub(crate) type Script = Vec<&'static [u8]>;

/// Serves one connection per script, in order. Sends the number of the connection for each request that it reads.
pub(crate) fn serve_scripts(scheme: &str, scripts: Vec<Script>) -> (u16, Receiver<usize>) {
    let config = (scheme == "https").then(|| identity().server.clone());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (requests, seen) = channel();
    thread::spawn(move || {
        for (number, script) in scripts.into_iter().enumerate() {
            let mut wire = Wire::new(listener.accept().unwrap().0, config.clone());
            for answer in script {
                if wire.request().is_none() {
                    break;
                }
                requests.send(number).unwrap();
                wire.send(answer).unwrap();
            }
            wire.notify_close();
        }
    });
    (port, seen)
}

/// Waits by blocking, and resolves every name to these addresses.
pub(crate) struct Plain(pub(crate) Vec<IpAddr>);

impl Wait for Plain {
    type Stop = Infallible;

    fn wait(&mut self, fd: BorrowedFd<'_>, interest: Interest, until: Instant) -> Result<(), Infallible> {
        poll_with(fd, interest, until, None);
        Ok(())
    }

    fn resolve(&mut self, _: &str, _: Instant) -> Result<Result<Vec<IpAddr>, ResolveError>, Infallible> {
        Ok(Ok(self.0.clone()))
    }
}

/// The settings of a client that signs requests.
pub(crate) fn settings(url: &str) -> Settings {
    let key_id = Some("k".to_owned());
    Settings {
        endpoint: Url::parse(url).unwrap(),
        credentials: Credentials::Signed {
            scheme: Scheme::SimpleConnect,
            key_id,
            signers: vec![Signer::new(b"s")],
        },
        user_agent: "test".to_owned(),
        headers: Arc::default(),
        proxy: None,
        guard: None,
        trust: trust(),
        ip_version: None,
        limits: Limits { head: 65_536, body: 65_536 },
        pool_size: 5,
        idle_timeout: Duration::from_secs(30),
    }
}

/// The settings of a client whose requests must not be sent twice.
pub(crate) fn unsigned(url: &str) -> Settings {
    Settings { credentials: Credentials::Bearer("t".to_owned().into()), ..settings(url) }
}

pub(crate) fn transport(settings: Settings) -> Arc<Transport> {
    Arc::new(Transport::new(settings).unwrap())
}

/// A transport to the test server on `port`.
pub(crate) fn to(scheme: &str, port: u16) -> Arc<Transport> {
    transport(settings(&format!("{scheme}://127.0.0.1:{port}/events")))
}

pub(crate) fn request(body: &[u8]) -> Request<'_> {
    static TARGET: LazyLock<Target> = LazyLock::new(|| Target::try_from("/events".to_owned()).unwrap());
    Request { method: Method::Post, target: &TARGET, body, headers: None }
}

/// Runs one attempt; every name resolves to this machine.
pub(crate) fn send_within(transport: &Transport, timeouts: Timeouts) -> Outcome {
    let mut attempt = transport.attempt(request(b"body"), 0, timeouts, None);
    let Ok(outcome) = attempt.run(&mut Plain(vec!["127.0.0.1".parse().unwrap()]));
    outcome
}

pub(crate) fn send(transport: &Transport) -> Outcome {
    send_within(transport, TIMEOUTS)
}

/// The status, whether the connection was reused, and the number of reconnects.
pub(crate) fn status(outcome: Outcome) -> (u16, bool, u32) {
    (outcome.answer.unwrap().status, outcome.reused, outcome.reconnects)
}
