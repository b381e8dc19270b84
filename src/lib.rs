//! The delivery core of the `simple_connect-client` gem: it signs, encodes, sends and retries, and has never
//! heard of Ruby.
//!
//! # A delivery
//!
//! ```text
//! event::envelope, event::json        the body
//! http::transport::Transport          what the requests to one server have in common
//!   attempt(request, …)               signs (signature), writes the request (secret), takes what this process has
//! http::attempt::Attempt              one HTTP exchange as a state machine
//!   run(&mut impl Wait)               whoever drives it waits in his own way (http::wait)
//!
//!     Start ─▶ Pool::take ──────────────────────────────────────────────────▶ Talking ─▶ Pool::put ─▶ Done(Outcome)
//!       └────▶ Resolving ─▶ Connecting ─▶ Tunnelling ─▶ Handshaking ────────────┘
//!              Wait         dial          exchange      connection, tls         exchange, answer
//!
//! retry::Retry                        whether there is another attempt
//! event::reader                       the answer's body, read
//! ```
//!
//! Nothing in here blocks, but for [`process::gate::Gate`], which is made to, and for those who call the functions of
//! [`http::wait`] to wait. An attempt says what it waits for ([`http::attempt::Step`]), so the same code serves a Ruby
//! thread that has released the GVL, a Fiber scheduler, and the tests of this crate.
//!
//! [`webhook`] is about webhooks: to whom they go, how often, and whether one came before. [`process`] is about forks and
//! threads, and has the table of all locks. `docs/architecture.md` shows the other side, Ruby's.

#![forbid(unsafe_code)]

pub mod event;
pub mod http;
pub mod process;
pub mod retry;
pub mod secret;
pub mod signature;
pub mod webhook;
