//! The delivery core of the `simple_connect-client` gem: it signs, encodes, sends and retries, and has never
//! heard of Ruby.
//!
//! Nothing in here blocks, but for [`gate::Gate`], which is made to. An [`attempt::Attempt`] is one HTTP exchange
//! as a state machine: it says what it waits for, and whoever drives it waits in his own way through the one trait
//! [`wait::Wait`]. So the same code serves a Ruby thread that has released the GVL, a Fiber scheduler, and the tests
//! of this crate.

#![forbid(unsafe_code)]

pub mod answer;
pub mod attempt;
pub mod connection;
pub mod endpoint;
pub mod envelope;
pub mod error;
pub mod gate;
pub mod headers;
pub mod json;
pub mod limiter;
pub mod per_process;
pub mod pool;
pub mod proxy;
pub mod replay;
pub mod retry;
pub mod router;
pub mod signature;
pub mod tls;
pub mod transport;
pub mod wait;
