//! JSON: the events that are sent, and the answers to them.

pub mod envelope;
pub mod json;
pub mod reader;
