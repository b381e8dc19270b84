//! `SimpleConnect::HeaderLines`: the header fields of an endpoint's own.

use std::sync::Arc;

use magnus::{
    Error, Module, RArray, RModule, RString, Ruby, TryConvert, Value, function, method, prelude::*,
};
use simple_connect_core::http::headers::{HeaderLines as Core, HeaderLinesError, check_name};

use crate::error::{error, guard};
use crate::raw::{with_bytes, with_text};

/// Sensitive values are only in here, where Ruby cannot find them.
#[magnus::wrap(class = "SimpleConnect::HeaderLines", free_immediately, size)]
pub struct HeaderLines(pub Arc<Core>);

impl HeaderLines {
    /// Both are pairs of a name and a value.
    fn new(ruby: &Ruby, plain: RArray, sensitive: RArray) -> Result<Self, Error> {
        guard(ruby, || {
            let mut lines = Core::default();
            for (pairs, add) in
                [(plain, Core::add as fn(&mut Core, &str, &str) -> _), (sensitive, Core::add_sensitive)]
            {
                for pair in pairs {
                    let (name, value): (String, RString) = TryConvert::try_convert(pair)?;
                    let added = check_name(&name).and_then(|()| {
                        with_text(value, |value| match value {
                            Some(value) => add(&mut lines, &name, value),
                            None => Err(HeaderLinesError::Value(name.clone())),
                        })
                    });
                    added.map_err(|cause| error(ruby, "ConfigurationError", format!("headers: {cause}")))?;
                }
            }
            Ok(Self(Arc::new(lines)))
        })
    }

    fn redact(ruby: &Ruby, this: &Self, text: RString) -> Result<RString, Error> {
        guard(ruby, || {
            let redacted = with_bytes(text, |text| this.0.redact(text));
            Ok(ruby.enc_str_new(&redacted, ruby.utf8_encoding()))
        })
    }
}

/// The lines of these pairs of a name and a value, which are ours.
pub fn lines(ruby: &Ruby, pairs: RArray) -> Result<Core, Error> {
    let mut lines = Core::default();
    for (name, value) in pairs.to_vec::<(String, String)>()? {
        lines.add(&name, &value).map_err(|cause| error(ruby, "ConfigurationError", cause.to_string()))?;
    }
    Ok(lines)
}

pub fn init(ruby: &Ruby, module: &RModule) -> Result<(), Error> {
    let class = module.define_class("HeaderLines", ruby.class_object())?;
    class.undef_default_alloc_func();
    class.define_singleton_method("new", function!(HeaderLines::new, 2))?;
    class.define_method("redact", method!(HeaderLines::redact, 1))?;
    let _: Value = module.funcall("private_constant", ("HeaderLines",))?;
    Ok(())
}
