//! The delivery core of the `simple_connect-client` gem: it signs, encodes, sends and retries, and has never
//! heard of Ruby.
//!
//! Nothing in here blocks, but for [`process::gate::Gate`], which is made to. An [`http::attempt::Attempt`] is one HTTP
//! exchange as a state machine: it says what it waits for, and whoever drives it waits in his own way through the one
//! trait [`http::wait::Wait`]. So the same code serves a Ruby thread that has released the GVL, a Fiber scheduler, and
//! the tests of this crate.

#![forbid(unsafe_code)]

pub mod event;
pub mod http;
pub mod process;
pub mod retry;
pub mod secret;
pub mod signature;
pub mod webhook;
