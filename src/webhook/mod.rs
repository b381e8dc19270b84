//! Sending and receiving webhooks: routing, rate limits and replay detection.

pub mod limiter;
pub mod replay;
pub mod router;
