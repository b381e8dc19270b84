//! Sends requests and reads their answers.

pub mod answer;
pub mod attempt;
pub mod connection;
mod dial;
pub mod error;
mod exchange;
mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod guard;
mod head;
pub mod headers;
mod local;
mod pem;
pub mod pool;
pub mod proxy;
pub mod request;
pub mod settings;
pub mod stats;
// A fuzz target uses only part of it.
#[allow(clippy::unwrap_used, reason = "tests may state what they take for granted")]
#[cfg_attr(fuzzing, allow(dead_code, unused_imports))]
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;
pub mod tls;
pub mod transport;
pub mod trust;
pub mod url;
pub mod wait;
