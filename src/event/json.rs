//! Writes JSON in the format of Ruby's JSON library.

use std::convert::Infallible;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The maximum nesting of arrays and objects, including the outermost one; the same limit as Ruby's.
pub const MAX_NESTING: usize = 100;

/// Most bodies have at most this many bytes.
pub(crate) const TYPICAL_LENGTH: usize = 512;

/// Most events have at most this many members, including the envelope's.
const TYPICAL_MEMBERS: usize = 14;

/// Appends `text` as a JSON string. Escapes only what JSON requires.
pub fn string(out: &mut Vec<u8>, text: &str) {
    #[expect(clippy::expect_used, reason = "a Vec takes every write")]
    serde_json::to_writer(out, text).expect("writing to a Vec");
}

/// Appends `number` and returns true if it has at most 15 digits and no exponent. Otherwise returns false and appends
/// nothing, because only Ruby knows how it formats such a number.
pub fn plain_float(out: &mut Vec<u8>, number: f64) -> bool {
    if number != 0.0 && !(1e-4..1e15).contains(&number.abs()) {
        return false;
    }
    let text = format!("{number:?}");
    let digits = text.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    if digits <= 15 {
        out.extend_from_slice(text.as_bytes());
    }
    digits <= 15
}

/// A JSON object under construction. A key that is set again keeps its position and gets the new value.
///
/// ```
/// use simple_connect_core::event::json::Object;
///
/// let mut object = Object::default();
/// object.text("a", "1");
/// object.text("b", "2");
/// object.text("a", "3");
/// let mut out = Vec::new();
/// object.write(&mut out);
/// assert_eq!(out, br#"{"a":"3","b":"2"}"#);
/// ```
pub struct Object {
    /// The members as JSON, each `"key":value`, without separators.
    text: Vec<u8>,
    members: Vec<Member>,
    /// The position of each key in `members`.
    index: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

struct Member {
    start: usize,
    key_end: usize,
    end: usize,
}

impl Default for Object {
    /// An empty object, with capacity for a typical event.
    fn default() -> Self {
        Self {
            text: Vec::with_capacity(TYPICAL_LENGTH),
            members: Vec::with_capacity(TYPICAL_MEMBERS),
            index: HashTable::with_capacity(TYPICAL_MEMBERS),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl Object {
    /// Sets `key` to what `write` appends to its buffer. Do not use the object after an error.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn set<E>(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let Self { text, members, index, hasher } = self;
        let start = text.len();
        string(text, key);
        let key_end = text.len();
        text.push(b':');
        write(text)?;
        let end = text.len();

        let key = |member: &Member| &text[member.start..member.key_end];
        let member = Member { start, key_end, end };
        let hash = hasher.hash_one(key(&member));
        match index.find(hash, |&position| key(&members[position]) == key(&member)) {
            Some(&position) => members[position] = member,
            None => {
                index
                    .insert_unique(hash, members.len(), |&position| hasher.hash_one(key(&members[position])));
                members.push(member);
            }
        }
        Ok(())
    }

    /// Sets `key` to a JSON string.
    pub fn text(&mut self, key: &str, text: &str) {
        let Ok(()) = self.set(key, |out| {
            string(out, text);
            Ok::<(), Infallible>(())
        });
    }

    /// Appends the object to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.text.len() + self.members.len() + 2);
        out.push(b'{');
        for (position, member) in self.members.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&self.text[member.start..member.end]);
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indexmap::IndexMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(text in any::<String>()) {
            let mut out = Vec::new();
            string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn plain_floats_read_back_and_show_a_point(digits in -10i64.pow(15)..10i64.pow(15), point in 0..19) {
            let number = digits as f64 / 10f64.powi(point);
            let mut out = Vec::new();
            if plain_float(&mut out, number) {
                prop_assert_eq!(std::str::from_utf8(&out).unwrap().parse(), Ok(number));
                prop_assert!(out.contains(&b'.') && !out.contains(&b'e'));
            } else {
                prop_assert!(out.is_empty());
            }
        }

        #[test]
        fn an_object_keeps_first_places_and_last_values(
            members in proptest::collection::vec(("[a-d]", any::<String>()), 0..20)
        ) {
            let mut object = Object::default();
            let mut expected: IndexMap<String, String> = IndexMap::new();
            for (key, value) in &members {
                object.text(key, value);
                expected.insert(key.clone(), value.clone());
            }
            let mut out = Vec::new();
            object.write(&mut out);
            let read: IndexMap<String, String> = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read.into_iter().collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn floats_that_ruby_writes_with_an_exponent_are_left_to_it() {
        for number in [f64::NAN, f64::INFINITY, 1e15, -1e300, 9.9e-5, 5e-324] {
            assert!(!plain_float(&mut Vec::new(), number), "{number}");
        }
    }
}
