//! Secrets are wiped before their memory is freed: an allocator checks each freed block.

#![expect(clippy::unwrap_used, reason = "tests may state what they take for granted")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use simple_connect_core::http::answer::Limits;
use simple_connect_core::http::headers::HeaderLines;
use simple_connect_core::http::proxy::Proxy;
use simple_connect_core::http::request::{Method, Request};
use simple_connect_core::http::settings::{Credentials, Settings, Timeouts};
use simple_connect_core::http::transport::Transport;
use simple_connect_core::http::trust::Trust;
use simple_connect_core::http::url::{Target, Url};
use simple_connect_core::http::wait::{Interest, ResolveError, Wait, poll_with};
use simple_connect_core::signature::Signer;
use zeroize::Zeroizing;

const SECRET: &str = "S3CR3TS3CR3T";
/// The start of the base64 of `me:S3CR3TS3CR3T`.
const ENCODED: &str = "bWU6UzNDUjNU";

thread_local! {
    /// Whether this thread's blocks are checked. The servers of these tests run in other threads.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static LEFT_BEHIND: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Watching;

// SAFETY: allocates and frees with the system's allocator. A block is read before it is freed, and `alloc` has
// initialized all of it. (The default `realloc` copies into a new block and frees the old one.)
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if WATCHED.try_with(|watched| watched.replace(false)) == Ok(true) {
            let block = unsafe { std::slice::from_raw_parts(pointer, layout.size()) };
            let holds = |text: &str| block.windows(text.len()).any(|bytes| bytes == text.as_bytes());
            if holds(SECRET) || holds(ENCODED) {
                let place =
                    format!("a block of {} bytes, freed by\n{}", block.len(), Backtrace::force_capture());
                LEFT_BEHIND.with_borrow_mut(|found| found.push(place));
            }
            WATCHED.set(true);
        }
        unsafe { System.dealloc(pointer, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// The result of `work`, and the blocks with a secret that it freed.
fn watch<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    WATCHED.set(true);
    let result = work();
    WATCHED.set(false);
    (result, LEFT_BEHIND.take())
}

/// Like [`watch`], but fails if there is such a block.
fn clean<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (result, left_behind) = watch(work);
    assert!(left_behind.is_empty(), "{what} leaves a secret behind: {}", left_behind.join("\n"));
    result
}

/// Waits by blocking.
struct Plain;

impl Wait for Plain {
    type Stop = Infallible;

    fn wait(&mut self, fd: BorrowedFd<'_>, interest: Interest, until: Instant) -> Result<(), Infallible> {
        poll_with(fd, interest, until, None);
        Ok(())
    }

    fn resolve(&mut self, _: &str, _: Instant) -> Result<Result<Vec<IpAddr>, ResolveError>, Infallible> {
        Ok(Err(ResolveError::TimedOut))
    }
}

fn transport(url: &str, credentials: Credentials, proxy: Option<Proxy>) -> Transport {
    Transport::new(settings(url, credentials, proxy)).unwrap()
}

fn settings(url: &str, credentials: Credentials, proxy: Option<Proxy>) -> Settings {
    Settings {
        endpoint: Url::parse(url).unwrap(),
        credentials,
        user_agent: "test".to_owned(),
        headers: Arc::default(),
        proxy,
        guard: None,
        trust: Trust::default(),
        ip_version: None,
        limits: Limits { head: 65_536, body: 65_536 },
        pool_size: 5,
        idle_timeout: Duration::from_secs(30),
    }
}

/// Creates a request, sends it and drops it. Returns the error's message, if it failed.
fn exchange(transport: &Transport, headers: Option<&HeaderLines>) -> Option<String> {
    let second = Duration::from_secs(5);
    let timeouts = Timeouts { open: second, write: second, read: second };
    let target = Target::try_from("/x".to_owned()).unwrap();
    let request = Request { method: Method::Post, target: &target, body: b"{}", headers };
    let Ok(outcome) = transport.attempt(request, 0, timeouts, None).run(&mut Plain);
    outcome.answer.err().map(|error| error.message)
}

/// Answers every request with `answer`.
fn serve(answer: &'static [u8]) -> u16 {
    serve_over(|socket| socket, answer)
}

fn serve_over<S: Read + Write>(wrap: impl Fn(TcpStream) -> S + Send + 'static, answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut stream = wrap(socket.unwrap());
            if stream.read(&mut [0; 10_000]).is_ok_and(|count| count > 0) {
                stream.write_all(answer).unwrap();
            }
        }
    });
    port
}

/// Like [`serve`] over TLS. Also returns the trust for its certificate.
fn serve_tls(answer: &'static [u8]) -> (u16, Trust) {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let file = std::env::temp_dir().join(format!("simple_connect_core-wipe-{}.pem", std::process::id()));
    std::fs::write(&file, own.cert.pem()).unwrap();
    let trust = Trust::new(Some(&file)).unwrap();
    std::fs::remove_file(&file).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key.into())
        .unwrap();
    let config = Arc::new(config);
    let wrap = move |socket| StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), socket);
    (serve_over(wrap, answer), trust)
}

const ACCEPTED: &[u8] = b"HTTP/1.1 202 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const REFUSED: &[u8] = b"HTTP/1.1 407 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[test]
fn a_secret_that_is_not_wiped_is_found() {
    let ((), left_behind) = watch(|| drop([SECRET, "-token"].concat()));
    assert_eq!(left_behind.len(), 1);
    clean("what is wiped", || drop(Zeroizing::new([SECRET, "-token"].concat())));
}

#[test]
fn signers_are_wiped() {
    let secret = Zeroizing::new(format!("{SECRET}-of-hmac"));
    let signer = clean("Signer::new", || Signer::new(secret.as_bytes()));
    clean("a signature", || signer.sign(1, b"body"));
    clean("the end of a signer", || drop(signer));
}

#[test]
fn a_token_is_wiped() {
    let port = serve(ACCEPTED);
    let token = Credentials::Bearer(Zeroizing::new([SECRET, "-token"].concat()));
    let transport = clean("Transport::new", || transport(&format!("http://127.0.0.1:{port}/x"), token, None));
    let mut lines = HeaderLines::default();
    for number in 0..10 {
        lines.add(&format!("X-Event-{number}"), &"v".repeat(255)).unwrap();
    }
    for headers in [None, Some(&lines)] {
        assert_eq!(clean("a request", || exchange(&transport, headers)), None);
    }
    clean("the end of a transport", || drop(transport));
}

#[test]
fn a_token_is_wiped_over_tls() {
    let (port, trust) = serve_tls(ACCEPTED);
    let token = Credentials::Bearer(Zeroizing::new([SECRET, "-token"].concat()));
    let transport =
        Transport::new(Settings { trust, ..settings(&format!("https://127.0.0.1:{port}/x"), token, None) });
    let transport = transport.unwrap();
    for _ in 0..2 {
        assert_eq!(clean("a request", || exchange(&transport, None)), None);
    }
    clean("the end of a transport", || drop(transport));
}

#[test]
fn header_fields_are_wiped() {
    clean("HeaderLines", || {
        let mut lines = HeaderLines::default();
        lines.add_sensitive("X-Token", SECRET).unwrap();
        lines.add("X-Other", "1").unwrap();
        lines.redact(b"nothing of that kind");
        let mut changes = HeaderLines::default();
        changes.add("x-other", SECRET).unwrap();
        drop(lines.with(&changes).with(&lines));
    });
}

#[test]
fn a_proxys_password_is_wiped() {
    let ports =
        [("http", serve(ACCEPTED), None), ("https", serve(REFUSED), Some("it answered 407 to CONNECT"))];
    for (scheme, port, failure) in ports {
        for length in [0, 12, 60, 100, 200, 1000] {
            let more = "%78".repeat(length);
            let url = Zeroizing::new(format!("http://me:{SECRET}{more}@127.0.0.1:{port}"));
            let proxy = clean("Proxy::parse", || Proxy::parse(&url).unwrap());
            let transport = clean("Transport::new", || {
                // The request through the proxy contains the long host name.
                let host = "app.".repeat(150);
                transport(&format!("{scheme}://{host}example/x"), Credentials::Anonymous, Some(proxy))
            });
            let error = clean("a request", || exchange(&transport, None));
            assert_eq!(error.is_some(), failure.is_some(), "{error:?}");
            assert!(error.unwrap_or_default().contains(failure.unwrap_or_default()));
            clean("the end of a transport", || drop(transport));
        }
    }
}
