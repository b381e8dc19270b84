//! What is sent: an event's fields, as JSON.

pub mod envelope;
pub mod json;
pub mod reader;
