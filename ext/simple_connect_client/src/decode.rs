//! Decodes the JSON of answers to Ruby values, independent of the version of the json gem.

use magnus::value::{LazyId, ReprValue};
use magnus::{Error, RString, Ruby, Value};
use simple_connect_core::event::reader::{Invalid, Reader, Token};

use crate::error::guard;
use crate::raw::{interned, with_bytes};

/// The Symbol that stands for invalid JSON. Valid JSON never decodes to a Symbol.
const INVALID: &str = "invalid";

static INTEGER: LazyId = LazyId::new("Integer");

/// Decodes `text`. Returns `:invalid` if it is not JSON, or nests deeper than Ruby's JSON accepts.
///
/// Like Ruby's JSON, ignores comments, and the last member of a name wins. Invalid UTF-8 and unpaired surrogates become
/// replacement characters.
pub fn parse(ruby: &Ruby, text: RString) -> Result<Value, Error> {
    guard(ruby, || {
        // A copy, because Ruby may change the String or move its bytes while values are created.
        let text = with_bytes(text, |bytes| String::from_utf8_lossy(bytes).into_owned());
        match document(ruby, &text) {
            Ok(value) => Ok(value),
            Err(Failure::Invalid) => Ok(ruby.to_symbol(INVALID).as_value()),
            Err(Failure::Raised(error)) => Err(error),
        }
    })
}

enum Failure {
    Invalid,
    Raised(Error),
}

impl From<Invalid> for Failure {
    fn from(_: Invalid) -> Self {
        Self::Invalid
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Raised(error)
    }
}

fn document(ruby: &Ruby, text: &str) -> Result<Value, Failure> {
    let mut reader = Reader::new(text);
    let value = decode(ruby, &mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Decodes the next value. Ruby's garbage collector sees every value: unfinished ones are on the stack and hold the
/// rest.
fn decode(ruby: &Ruby, reader: &mut Reader<'_>) -> Result<Value, Failure> {
    Ok(match reader.value()? {
        Token::Null => ruby.qnil().as_value(),
        Token::Bool(true) => ruby.qtrue().as_value(),
        Token::Bool(false) => ruby.qfalse().as_value(),
        Token::Integer(integer) => ruby.integer_from_i64(integer).as_value(),
        Token::BigInteger(digits) => ruby.module_kernel().funcall(*INTEGER, (digits, 10))?,
        Token::Float(float) => ruby.float_from_f64(float).as_value(),
        Token::Text(text) => ruby.str_new(text).as_value(),
        Token::Array => {
            let array = ruby.ary_new();
            while reader.element()? {
                array.push(decode(ruby, reader)?)?;
            }
            array.as_value()
        }
        Token::Object => {
            let hash = ruby.hash_new();
            while let Some(key) = reader.member()?.map(|name| interned(ruby, name)) {
                hash.aset(key, decode(ruby, reader)?)?;
            }
            hash.as_value()
        }
    })
}
