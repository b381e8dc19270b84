//! Receiving webhooks, and sending them: who gets which event, how often, and only once.

pub mod limiter;
pub mod replay;
pub mod router;
