//! The JSON of answers as Ruby values; the same whichever version of the json gem the process has.

use std::borrow::Cow;
use std::fmt;

use magnus::value::ReprValue;
use magnus::{Error, RString, Ruby, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use simple_connect_core::event::json::{MAX_NESTING, without_comments};

use crate::error::guard;
use crate::raw::{interned, with_bytes};

/// What a text that is no JSON decodes to: no JSON decodes to a Symbol.
const INVALID: &str = "invalid";

/// Decodes `text`; gives `:invalid` where it is no JSON, or nests deeper than Ruby's JSON reads.
///
/// As there, comments are passed over and the last of several members of a name counts. Bytes that are not UTF-8
/// become replacement characters.
pub fn parse(ruby: &Ruby, text: RString) -> Result<Value, Error> {
    guard(ruby, || {
        let text = with_bytes(text, |bytes| String::from_utf8_lossy(bytes).into_owned());
        let value = match serde_json::from_str(&text) {
            Ok(raw) => decode(ruby, raw, 0)?,
            Err(_) => match serde_json::from_str(&without_comments(&text)) {
                Ok(raw) => decode(ruby, raw, 0)?,
                Err(_) => None,
            },
        };
        Ok(value.unwrap_or_else(|| ruby.to_symbol(INVALID).as_value()))
    })
}

/// `raw`, which stands within `depth` arrays and objects; None where it is no JSON that Ruby would read.
fn decode(ruby: &Ruby, raw: &RawValue, depth: usize) -> Result<Option<Value>, Error> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'{' | b'[') if depth == MAX_NESTING => None,
        Some(b'{') => {
            let Ok(Members(members)) = serde_json::from_str(text) else {
                return Ok(None);
            };
            let hash = ruby.hash_new();
            for (key, raw) in members {
                let Some(value) = decode(ruby, raw, depth + 1)? else {
                    return Ok(None);
                };
                hash.aset(interned(ruby, &key), value)?;
            }
            Some(hash.as_value())
        }
        Some(b'[') => {
            let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(text) else {
                return Ok(None);
            };
            let array = ruby.ary_new_capa(elements.len());
            for raw in elements {
                let Some(value) = decode(ruby, raw, depth + 1)? else {
                    return Ok(None);
                };
                array.push(value)?;
            }
            Some(array.as_value())
        }
        Some(b'"') => {
            let Ok(Text(text)) = serde_json::from_str(text) else {
                return Ok(None);
            };
            Some(ruby.str_new(&text).as_value())
        }
        Some(b't') => Some(ruby.qtrue().as_value()),
        Some(b'f') => Some(ruby.qfalse().as_value()),
        Some(b'n') => Some(ruby.qnil().as_value()),
        _ => number(ruby, text)?,
    })
}

fn number(ruby: &Ruby, text: &str) -> Result<Option<Value>, Error> {
    if text.contains(['.', 'e', 'E']) {
        return Ok(text.parse().ok().map(|float: f64| ruby.float_from_f64(float).as_value()));
    }
    match text.parse::<i64>() {
        Ok(small) => Ok(Some(ruby.integer_from_i64(small).as_value())),
        Err(_) => ruby.module_kernel().funcall("Integer", (text, 10)).map(Some),
    }
}

/// The members of an object, in order, not yet decoded.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(key), value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// A string, borrowed from the text unless it has escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;

        impl<'de> Visitor<'de> for Take {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Take)
    }
}
