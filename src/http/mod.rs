//! Sending a request and reading its answer.

pub mod answer;
pub mod attempt;
pub mod connection;
mod dial;
pub mod error;
mod exchange;
mod failure;
mod head;
pub mod headers;
mod local;
mod pem;
pub mod pool;
pub mod proxy;
pub mod request;
pub mod settings;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;
pub mod transport;
pub mod trust;
pub mod url;
pub mod wait;
