//! Request bodies: encodes Ruby values as JSON in one pass.

use std::panic::{AssertUnwindSafe, catch_unwind};

use magnus::Class as _;
use magnus::encoding::EncodingCapable;
use magnus::r_hash::ForEach;
use magnus::value::{LazyId, ReprValue};
use magnus::{Error, Float, Integer, Module, RArray, RClass, RHash, RModule, RString, Ruby, Symbol, Value};
use simple_connect_core::event::envelope::{
    DEFAULT_LANGUAGE, Envelope, Recipient, generate_event_id, iso8601, present,
};
use simple_connect_core::event::json::{self, MAX_NESTING, Object};

use crate::error::{argument_error, error, go_on_panicking, guard};
use crate::raw::{arity, symbol_text, with_bytes, with_text};

static NOW: LazyId = LazyId::new("now");
static TO_I: LazyId = LazyId::new("to_i");
static TO_JSON: LazyId = LazyId::new("to_json");
static TO_S: LazyId = LazyId::new("to_s");

/// Defined if ActiveSupport has replaced the `to_json` of Ruby's own classes.
const ACTIVE_SUPPORT: &str = "ActiveSupport::ToJsonWithActiveSupportEncoder";

/// The flat body of an event. `keywords` override `fields`, which override the envelope.
pub fn flat(
    ruby: &Ruby,
    event_key: RString,
    event_id: Value,
    occurred_at: Value,
    language: Value,
    fields: RHash,
    keywords: RHash,
) -> Result<RString, Error> {
    guard(ruby, || {
        let stamp = Stamp::new(ruby, event_key, event_id, occurred_at, language)?;
        let mut body = stamp.envelope().flat();
        let mut writer = Writer { ruby, state: None };
        for members in [fields, keywords] {
            each(ruby, members, |key, value| body.set(key, |out| writer.write(out, value, 1)))?;
        }
        let mut out = Vec::new();
        body.write(&mut out);
        utf8(ruby, &out)
    })
}

/// The nested body of an event.
pub fn nested(
    ruby: &Ruby,
    event_key: RString,
    name: Value,
    mobile_no: Value,
    fields: RHash,
) -> Result<RString, Error> {
    guard(ruby, || {
        let (name, mobile_no) = (text(ruby, name)?, text(ruby, mobile_no)?);
        if present(&mobile_no).is_none() {
            return Err(argument_error(ruby, "recipient[:mobile_no] is required"));
        }
        let nil = ruby.qnil().as_value();
        let (mut event_id, mut occurred_at, mut language) = (nil, nil, nil);
        let mut event = Object::default();
        let mut writer = Writer { ruby, state: None };
        each(ruby, fields, |key, value| {
            match key {
                "event_id" => event_id = value,
                "occurred_at" => occurred_at = value,
                "language" => language = value,
                "name" => {}
                _ => return event.set(key, |out| writer.write(out, value, 2)),
            }
            // Reserves the member's position; the envelope sets its value.
            event.text(key, "");
            Ok(())
        })?;
        let stamp = Stamp::new(ruby, event_key, event_id, occurred_at, language)?;
        let recipient = Recipient { name: &name, mobile_no: &mobile_no };
        utf8(ruby, &stamp.envelope().nested(recipient, event))
    })
}

/// Encodes any value as JSON.
pub fn generate(ruby: &Ruby, value: Value) -> Result<RString, Error> {
    guard(ruby, || {
        let mut out = Vec::new();
        Writer { ruby, state: None }.write(&mut out, value, 0)?;
        utf8(ruby, &out)
    })
}

/// The envelope's values as texts, with defaults for missing ones.
struct Stamp {
    event_key: String,
    event_id: String,
    occurred_at: String,
    language: String,
}

impl Stamp {
    fn new(
        ruby: &Ruby,
        event_key: RString,
        event_id: Value,
        occurred_at: Value,
        language: Value,
    ) -> Result<Self, Error> {
        let event_id = match present(&text(ruby, event_id)?) {
            Some(id) => id.to_owned(),
            None => generate_event_id().map_err(|cause| error(ruby, "InternalError", cause.to_string()))?,
        };
        let language = present(&text(ruby, language)?).unwrap_or(DEFAULT_LANGUAGE).to_owned();
        let occurred_at = time(ruby, occurred_at)?;
        Ok(Self { event_key: text(ruby, event_key.as_value())?, event_id, occurred_at, language })
    }

    fn envelope(&self) -> Envelope<'_> {
        let Self { event_key, event_id, occurred_at, language } = self;
        Envelope { event_key, event_id, occurred_at, language }
    }
}

/// When an event occurred: nil and false mean now; a value with an `iso8601` method is formatted by it.
fn time(ruby: &Ruby, value: Value) -> Result<String, Error> {
    if !value.to_bool() {
        let now: Value = ruby.class_time().funcall(*NOW, ())?;
        return match iso8601(now.funcall(*TO_I, ())?) {
            Some(text) => Ok(text),
            None => now.funcall::<_, _, Value>("utc", ())?.funcall("strftime", ("%FT%TZ",)),
        };
    }
    if !value.is_kind_of(ruby.class_time()) && !value.respond_to("iso8601", false)? {
        return text(ruby, value);
    }
    // Before Ruby 3.4, Time#iso8601 is part of the time library.
    ruby.require("time")?;
    text(ruby, value.funcall("iso8601", ())?)
}

/// `value.to_s` in UTF-8.
fn text(ruby: &Ruby, value: Value) -> Result<String, Error> {
    let string = match RString::from_value(value) {
        Some(string) => string,
        None => value.funcall(*TO_S, ())?,
    };
    match with_text(string, |text| text.map(str::to_owned)) {
        Some(text) => Ok(text),
        // Converts other encodings as JSON does, and raises JSON's own error if there is no conversion.
        None => {
            ruby.require("json")?;
            ruby.module_kernel().funcall("JSON", (string.funcall::<_, _, Value>(*TO_JSON, ())?,))
        }
    }
}

/// Calls `member` for each pair of `hash`, with the key as text.
fn each(
    ruby: &Ruby,
    hash: RHash,
    mut member: impl FnMut(&str, Value) -> Result<(), Error>,
) -> Result<(), Error> {
    // A panic that unwinds into Ruby's frames would abort the process.
    let mut panic = None;
    hash.foreach(|key: Value, value: Value| {
        let work = AssertUnwindSafe(|| {
            let key = match Symbol::from_value(key) {
                Some(symbol) => symbol_text(symbol)?.as_value(),
                None => key,
            };
            member(&text(ruby, key)?, value)
        });
        match catch_unwind(work) {
            Ok(done) => done.map(|()| ForEach::Continue),
            Err(payload) => {
                panic = Some(payload);
                Ok(ForEach::Stop)
            }
        }
    })?;
    panic.map_or(Ok(()), |panic| go_on_panicking(panic))
}

/// Panics in the innermost of nested Hashes, as a bug in a `member` would.
#[cfg(feature = "testing")]
pub fn panic_in(ruby: &Ruby, hash: RHash) -> Result<(), Error> {
    fn panic(ruby: &Ruby, hash: RHash) -> Result<(), Error> {
        each(ruby, hash, |_, value| match RHash::from_value(value) {
            Some(inner) => panic(ruby, inner),
            None => panic!("on purpose, in a Hash"),
        })
    }
    guard(ruby, || panic(ruby, hash))
}

/// Writes the values of one body.
struct Writer<'a> {
    ruby: &'a Ruby,
    /// The `JSON::State` for `to_json`, created when first needed. The writer stays on the stack, so the garbage
    /// collector sees it.
    state: Option<Value>,
}

impl Writer<'_> {
    /// Appends `value`, which is nested in `depth` arrays and objects.
    ///
    /// Encodes plain values itself and calls `to_json` on all others. So ActiveSupport's format of a Time applies, and
    /// a value that cannot be JSON raises its usual error.
    fn write(&mut self, out: &mut Vec<u8>, value: Value, depth: usize) -> Result<(), Error> {
        let ruby = self.ruby;
        if value.is_nil() {
            out.extend_from_slice(b"null");
        } else if let Some(string) =
            RString::from_value(value).filter(|_| is_plain(value, ruby.class_string()))
        {
            let written = with_text(string, |text| text.map(|text| json::string(out, text)));
            if written.is_none() {
                return self.write_foreign(out, value, depth);
            }
        } else if let Some(symbol) = Symbol::from_value(value) {
            self.write(out, symbol_text(symbol)?.as_value(), depth)?;
        } else if let Some(integer) = Integer::from_value(value) {
            match integer.to_i64() {
                Ok(small) => out.extend_from_slice(small.to_string().as_bytes()),
                Err(_) => out.extend_from_slice(integer.funcall::<_, _, String>("to_s", ())?.as_bytes()),
            }
        } else if let Some(float) = Float::from_value(value) {
            if !json::plain_float(out, float.to_f64()) {
                return self.write_foreign(out, value, depth);
            }
        } else if let Some(hash) = RHash::from_value(value).filter(|_| is_plain(value, ruby.class_hash())) {
            let depth = deeper(ruby, depth)?;
            out.push(b'{');
            let mut separator: &[u8] = b"";
            each(ruby, hash, |key, value| {
                out.extend_from_slice(separator);
                separator = b",";
                json::string(out, key);
                out.push(b':');
                self.write(out, value, depth)
            })?;
            out.push(b'}');
        } else if let Some(array) = RArray::from_value(value).filter(|_| is_plain(value, ruby.class_array()))
        {
            let depth = deeper(ruby, depth)?;
            out.push(b'[');
            let mut position = 0;
            // Reads the length each time, because an element's to_json may change the array.
            while position < array.len() {
                if position > 0 {
                    out.push(b',');
                }
                self.write(out, array.entry(position as isize)?, depth)?;
                position += 1;
            }
            out.push(b']');
        } else if value.is_kind_of(ruby.class_true_class()) {
            out.extend_from_slice(b"true");
        } else if value.is_kind_of(ruby.class_false_class()) {
            out.extend_from_slice(b"false");
        } else {
            return self.write_foreign(out, value, depth);
        }
        Ok(())
    }

    fn write_foreign(&mut self, out: &mut Vec<u8>, value: Value, depth: usize) -> Result<(), Error> {
        let json = self.json_of(value, depth)?;
        let mut append = |text: Option<&str>| text.map(|text| out.extend_from_slice(text.as_bytes()));
        // C extensions may return UTF-8 that is marked as binary.
        let is_binary = json.enc_get() == self.ruby.ascii8bit_encindex();
        let written = match is_binary {
            true => with_bytes(json, |bytes| append(std::str::from_utf8(bytes).ok())),
            false => with_text(json, append),
        };
        written.ok_or_else(|| {
            let message = format!("to_json of {} returned text that is not UTF-8", value.class());
            Error::new(self.ruby.exception_type_error(), message)
        })
    }

    /// What `to_json` returns for `value`, which is nested in `depth` arrays and objects.
    ///
    /// Like `JSON.generate`, passes a state with the depth, unless the method takes no argument. With ActiveSupport
    /// loaded, only a method that requires an argument gets the state: ActiveSupport would take it as a request for
    /// JSON's rules instead of its own.
    fn json_of(&mut self, value: Value, depth: usize) -> Result<RString, Error> {
        let ruby = self.ruby;
        ruby.require("json")?;
        match arity(ruby, value, *TO_JSON) {
            0 => return value.funcall(*TO_JSON, ()),
            -1 if ruby.class_object().funcall("const_defined?", (ACTIVE_SUPPORT,))? => {
                return value.funcall(*TO_JSON, ());
            }
            _ => {}
        }
        let state = match self.state {
            Some(state) => state,
            None => json(ruby)?.const_get::<_, RClass>("State")?.new_instance(())?,
        };
        self.state = Some(state);
        let _: Value = state.funcall("depth=", (depth,))?;
        value.funcall(*TO_JSON, (state,))
    }
}

/// Ruby's own JSON library.
fn json(ruby: &Ruby) -> Result<RModule, Error> {
    ruby.require("json")?;
    ruby.class_object().const_get("JSON")
}

fn is_plain(value: Value, class: magnus::RClass) -> bool {
    value.class().equal(class).unwrap_or(false)
}

fn deeper(ruby: &Ruby, depth: usize) -> Result<usize, Error> {
    if depth < MAX_NESTING {
        return Ok(depth + 1);
    }
    let class = json(ruby)?.const_get("NestingError")?;
    Err(Error::new(class, format!("nesting of {} is too deep", depth + 1)))
}

/// A frozen Ruby String of `out`, which is UTF-8.
fn utf8(ruby: &Ruby, out: &[u8]) -> Result<RString, Error> {
    let string = ruby.enc_str_new(out, ruby.utf8_encoding());
    string.freeze();
    Ok(string)
}
