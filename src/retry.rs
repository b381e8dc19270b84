//! Counts attempts and decides whether to retry. The caller sends and waits.

/// Whether an attempt's outcome allows another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A success, or a failure that a retry cannot fix.
    Final,
    /// The same request may succeed later.
    Transient,
}

impl Verdict {
    /// The verdict on an answer: only a 5xx is transient.
    pub fn on_status(status: u16) -> Self {
        if (500..600).contains(&status) { Self::Transient } else { Self::Final }
    }
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Wait as the retry policy says, then send again.
    Wait {
        /// The number of the attempt that failed, from 1.
        failed: u32,
    },
    /// The last outcome is the result.
    Done,
}

/// Counts the attempts of one request.
///
/// ```
/// use simple_connect_core::retry::{Next, Retry, Verdict};
///
/// let mut retry = Retry::new(2);
/// assert_eq!(retry.attempt(), 1);
/// assert_eq!(retry.after(Verdict::Transient), Next::Wait { failed: 1 });
/// assert_eq!(retry.attempt(), 2);
/// assert_eq!(retry.after(Verdict::Transient), Next::Done);
/// ```
#[derive(Debug)]
pub struct Retry {
    attempt: u32,
    max_attempts: u32,
}

impl Retry {
    /// Allows at most `max_attempts` attempts, and at least one.
    pub fn new(max_attempts: u32) -> Self {
        Self { attempt: 1, max_attempts }
    }

    /// The number of the current attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns what to do after an attempt with this verdict.
    pub fn after(&mut self, verdict: Verdict) -> Next {
        if verdict == Verdict::Final || self.attempt >= self.max_attempts {
            return Next::Done;
        }
        let failed = self.attempt;
        self.attempt += 1;
        Next::Wait { failed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_5xx_is_transient() {
        for status in 100..1000 {
            let expected = if status / 100 == 5 { Verdict::Transient } else { Verdict::Final };
            assert_eq!(Verdict::on_status(status), expected);
        }
    }

    #[test]
    fn retries_agree_with_the_table_of_errors() {
        let table: serde_json::Value =
            serde_json::from_str(include_str!("../spec/conformance/own/errors.json")).unwrap();
        for row in table["answers"].as_array().unwrap() {
            let status = u16::try_from(row["status"].as_u64().unwrap()).unwrap();
            let expected = if row["retried"] == true { Verdict::Transient } else { Verdict::Final };
            assert_eq!(Verdict::on_status(status), expected, "{status}");
        }
        let settled = table["not_retried"].as_array().unwrap();
        for name in table["network_errors"].as_object().unwrap().keys() {
            let kind = crate::http::error::ErrorKind::named(name).unwrap();
            assert_eq!(kind.transient(), !settled.iter().any(|other| other == name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn sends_until_settled_or_spent(max in 0u32..20, settled_at in 1u32..25) {
            let mut retry = Retry::new(max);
            let mut sent = 1;
            loop {
                prop_assert_eq!(retry.attempt(), sent);
                let verdict = if sent == settled_at { Verdict::Final } else { Verdict::Transient };
                match retry.after(verdict) {
                    Next::Wait { failed } => {
                        prop_assert_eq!(failed, sent);
                        sent += 1;
                    }
                    Next::Done => break,
                }
            }
            prop_assert_eq!(sent, settled_at.min(max.max(1)));
        }
    }
}
