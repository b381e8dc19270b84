//! The delivery core of the `simple_connect-client` gem: it signs, encodes, sends and retries. It does not depend on
//! Ruby.
//!
//! # A delivery
//!
//! ```text
//! event::envelope, event::json        the body
//! http::transport::Transport          settings and connections for requests to one server
//!   attempt(request, …)               signs (signature) and writes the request (secret)
//! http::attempt::Attempt              one HTTP exchange as a state machine
//!   run(&mut impl Wait)               runs it to its end; the caller's Wait does the waiting (http::wait)
//!
//!     Start ─▶ Pool::take ──────────────────────────────────────────────────▶ Talking ─▶ Pool::put ─▶ Done(Outcome)
//!       └────▶ Resolving ─▶ Connecting ─▶ Tunnelling ─▶ Handshaking ────────────┘
//!              Wait         dial          exchange      connection, tls         exchange, answer
//!
//! retry::Retry                        decides whether to try again
//! event::reader                       reads the answer's body
//! ```
//!
//! Only [`process::gate::Gate`] and the functions of [`http::wait`] block. An attempt returns what it waits for
//! ([`http::attempt::Step`]), so the same code runs on a Ruby thread without the GVL, on a Fiber scheduler, and in the
//! tests of this crate.
//!
//! [`webhook`] routes webhooks, limits their rate and detects replays. [`process`] handles forks and threads, and has
//! the table of all locks. `docs/architecture.md` describes the Ruby side.

#![forbid(unsafe_code)]

pub mod event;
pub mod http;
pub mod process;
pub mod retry;
pub mod secret;
pub mod signature;
pub mod webhook;
