//! The two formats of an event's body: flat and nested.

use std::time::{Duration, UNIX_EPOCH};

use humantime::format_rfc3339_seconds;

use crate::event::json::{self, Object, TYPICAL_LENGTH};

/// The default language of an event.
pub const DEFAULT_LANGUAGE: &str = "en";

/// The fields that every event has.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    /// The event's name, such as `customer_payment_received`.
    pub event_key: &'a str,
    /// The idempotency key: the server processes only one event per key.
    pub event_id: &'a str,
    /// When the event happened, in ISO 8601.
    pub occurred_at: &'a str,
    /// The language of the message, such as `en`.
    pub language: &'a str,
}

/// Who gets the message.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// May be empty.
    pub name: &'a str,
    /// In international form, such as `+919812345678`.
    pub mobile_no: &'a str,
}

impl Envelope<'_> {
    /// Starts a flat body (`{"event":…,"event_id":…,"occurred_at":…,"language":…}`). Fields set later follow these; a
    /// field with the name of an envelope member replaces its value.
    pub fn flat(&self) -> Object {
        let mut body = Object::default();
        body.text("event", self.event_key);
        body.text("event_id", self.event_id);
        body.text("occurred_at", self.occurred_at);
        body.text("language", self.language);
        body
    }

    /// The nested body (`{"recipient":{…},"event":{…}}`), with the fields of `event`. Envelope members that `event`
    /// already has keep their position and get the envelope's value; the others follow the fields.
    pub fn nested(&self, recipient: Recipient<'_>, mut event: Object) -> Vec<u8> {
        event.text("event_id", self.event_id);
        event.text("name", self.event_key);
        event.text("occurred_at", self.occurred_at);
        event.text("language", self.language);

        let mut out = Vec::with_capacity(TYPICAL_LENGTH);
        out.extend_from_slice(br#"{"recipient":{"name":"#);
        json::string(&mut out, recipient.name);
        out.extend_from_slice(br#","mobile_no":"#);
        json::string(&mut out, recipient.mobile_no);
        out.extend_from_slice(br#"},"event":"#);
        event.write(&mut out);
        out.push(b'}');
        out
    }
}

/// `text` without leading and trailing ASCII white space and NULs; None if nothing is left.
///
/// ```
/// use simple_connect_core::event::envelope::present;
///
/// assert_eq!(present(" pp 42\n"), Some("pp 42"));
/// assert_eq!(present(" \0"), None);
/// assert_eq!(present("\u{a0}"), Some("\u{a0}"));
/// ```
pub fn present(text: &str) -> Option<&str> {
    let text = text.trim_matches(|c: char| matches!(c, '\0' | '\t'..='\r' | ' '));
    (!text.is_empty()).then_some(text)
}

/// Formats a time (in seconds since 1970) in ISO 8601, in UTC. None outside the years 1970 to 9999.
///
/// ```
/// use simple_connect_core::event::envelope::iso8601;
///
/// assert_eq!(iso8601(1_776_312_000).as_deref(), Some("2026-04-16T04:00:00Z"));
/// assert_eq!(iso8601(-1), None);
/// ```
pub fn iso8601(seconds: i64) -> Option<String> {
    const YEAR_10_000: u64 = 253_402_300_800;
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds < YEAR_10_000)?;
    Some(format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string())
}

/// Generates an idempotency key: `evt_` and 16 hex digits from the system's random number generator.
///
/// # Errors
/// If the system's random number generator fails.
pub fn generate_event_id() -> Result<String, getrandom::Error> {
    let mut random = [0u8; 8];
    getrandom::fill(&mut random)?;
    Ok(format!("evt_{}", hex::encode(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: Envelope<'_> =
        Envelope { event_key: "order_paid", event_id: "ord_1", occurred_at: "t", language: "en" };

    fn flat(fields: &[(&str, &str)]) -> String {
        let mut body = ENVELOPE.flat();
        fields.iter().for_each(|(key, value)| body.text(key, value));
        let mut out = Vec::new();
        body.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_flat_body_begins_with_the_envelope() {
        assert_eq!(
            flat(&[("zeta", "1"), ("event_id", "own")]),
            r#"{"event":"order_paid","event_id":"own","occurred_at":"t","language":"en","zeta":"1"}"#
        );
    }

    #[test]
    fn a_nested_body_ends_with_the_envelope() {
        let mut event = Object::default();
        event.text("language", "as given");
        event.text("amount", "450.00");
        let recipient = Recipient { name: "Asha", mobile_no: "+91" };
        assert_eq!(
            String::from_utf8(ENVELOPE.nested(recipient, event)).unwrap(),
            r#"{"recipient":{"name":"Asha","mobile_no":"+91"},"event":{"language":"en","amount":"450.00","event_id":"ord_1","name":"order_paid","occurred_at":"t"}}"#
        );
    }

    #[test]
    fn generated_ids_are_well_formed_and_differ() {
        let ids: std::collections::HashSet<String> =
            (0..1000).map(|_| generate_event_id().unwrap()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            let hex = id.strip_prefix("evt_").unwrap();
            assert!(hex.len() == 16 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        }
    }
}
