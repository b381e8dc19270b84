//! The JSON of events and answers.

pub mod envelope;
pub mod json;
pub mod reader;
