//! `SimpleConnect::HeaderLines`: the additional header fields of an endpoint or a client.

use std::sync::Arc;

use magnus::{
    Error, Module, RArray, RModule, RString, Ruby, TryConvert, Value, function, method, prelude::*,
};
use simple_connect_core::http::headers::{
    HeaderLines as Core, HeaderLinesError, check_name, check_name_for_client,
};

use crate::error::{error, guard};
use crate::raw::with_bytes;

/// How many fields a client may add to its requests.
const MOST_OF_CLIENT: usize = 20;

/// Keeps sensitive values out of Ruby's heap.
#[magnus::wrap(class = "SimpleConnect::HeaderLines", free_immediately, size)]
pub struct HeaderLines(pub Arc<Core>);

impl HeaderLines {
    /// `plain` and `sensitive` are pairs of a name and a value.
    fn new(ruby: &Ruby, plain: RArray, sensitive: RArray) -> Result<Self, Error> {
        guard(ruby, || {
            let mut lines = Core::default();
            for (pairs, add) in [(plain, Core::add as Add), (sensitive, Core::add_sensitive)] {
                for pair in pairs {
                    let (name, value): (String, RString) = TryConvert::try_convert(pair)?;
                    let added = check_name(&name).and_then(|()| set(&mut lines, add, &name, value));
                    added.map_err(|cause| error(ruby, "ConfigurationError", format!("headers: {cause}")))?;
                }
            }
            Ok(Self(Arc::new(lines)))
        })
    }

    /// One sensitive field that the gem sets. Errors name the value `option`.
    fn secret(ruby: &Ruby, option: String, name: String, value: RString) -> Result<Self, Error> {
        guard(ruby, || {
            let mut lines = Core::default();
            set(&mut lines, Core::add_sensitive, &name, value)
                .map_err(|cause| error(ruby, "ConfigurationError", format!("{option}: {cause}")))?;
            Ok(Self(Arc::new(lines)))
        })
    }

    /// A client's fields, pairs of a name and a value, merged into those of `base`; they replace fields of the same
    /// name.
    fn of_client(ruby: &Ruby, base: Option<&Self>, pairs: RArray) -> Result<Self, Error> {
        guard(ruby, || {
            let mut changes = Core::default();
            for pair in pairs {
                let (name, value): (String, RString) = TryConvert::try_convert(pair)?;
                let added =
                    check_name_for_client(&name).and_then(|()| set(&mut changes, Core::add, &name, value));
                added.map_err(|cause| {
                    let cause = match &cause {
                        HeaderLinesError::Reserved(name) if name.eq_ignore_ascii_case("user-agent") => {
                            format!("{name:?} is set by this gem: pass user_agent: instead")
                        }
                        cause => cause.to_string(),
                    };
                    error(ruby, "ConfigurationError", format!("headers: {cause}"))
                })?;
            }
            let lines = base.map(|base| base.0.with(&changes)).unwrap_or(changes);
            let count = lines.names().count();
            if count > MOST_OF_CLIENT {
                let message = format!("headers: must have at most {MOST_OF_CLIENT} fields, not {count}");
                return Err(error(ruby, "ConfigurationError", message));
            }
            Ok(Self(Arc::new(lines)))
        })
    }

    fn names(ruby: &Ruby, this: &Self) -> RArray {
        ruby.ary_from_iter(this.0.names())
    }

    fn redact(ruby: &Ruby, this: &Self, text: RString) -> Result<RString, Error> {
        guard(ruby, || {
            let redacted = with_bytes(text, |text| this.0.redact(text));
            Ok(ruby.enc_str_new(&redacted, ruby.utf8_encoding()))
        })
    }
}

/// How a field is added.
type Add = fn(&mut Core, &str, &str) -> Result<(), HeaderLinesError>;

/// The lines of fields that the gem sets itself, from pairs of a name and a value.
pub fn lines(ruby: &Ruby, pairs: RArray) -> Result<Core, Error> {
    let mut lines = Core::default();
    for pair in pairs {
        let (name, value): (String, RString) = TryConvert::try_convert(pair)?;
        set(&mut lines, Core::add, &name, value)
            .map_err(|cause| error(ruby, "ConfigurationError", cause.to_string()))?;
    }
    Ok(lines)
}

/// Adds a field. The value may be a secret, so every copy of it is wiped. It may also be a String that is not marked as
/// UTF-8, such as one read from a file.
fn set(lines: &mut Core, add: Add, name: &str, value: RString) -> Result<(), HeaderLinesError> {
    with_bytes(value, |value| match std::str::from_utf8(value) {
        Ok(value) => add(lines, name, value),
        Err(_) => Err(HeaderLinesError::Encoding(name.to_owned())),
    })
}

pub fn init(ruby: &Ruby, module: &RModule) -> Result<(), Error> {
    let class = crate::define_class::<HeaderLines>(ruby, module, "HeaderLines")?;
    class.define_singleton_method("new", function!(HeaderLines::new, 2))?;
    class.define_singleton_method("secret", function!(HeaderLines::secret, 3))?;
    class.define_singleton_method("of_client", function!(HeaderLines::of_client, 2))?;
    class.define_method("names", method!(HeaderLines::names, 0))?;
    class.define_method("redact", method!(HeaderLines::redact, 1))?;
    let _: Value = module.funcall("private_constant", ("HeaderLines",))?;
    Ok(())
}
