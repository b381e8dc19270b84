//! `SimpleConnect::SigningKeys`: secrets, and the scheme they sign with.

use magnus::{
    Error, Module, RArray, RModule, RString, Ruby, TryConvert, Value, function, method, prelude::*,
};
use simple_connect_core::signature::{Received, Scheme, Signer, Window, header_value, verify};

use crate::error::{error, guard};
use crate::raw::with_bytes;

#[magnus::wrap(class = "SimpleConnect::SigningKeys", free_immediately, size)]
struct SigningKeys {
    scheme: Scheme,
    signers: Vec<Signer>,
}

impl SigningKeys {
    fn new(ruby: &Ruby, scheme: Value, secrets: RArray) -> Result<Self, Error> {
        guard(ruby, || {
            let scheme = Scheme::named(&scheme.to_string()).ok_or_else(|| {
                let names = Scheme::ALL.map(|scheme| format!(":{}", scheme.name())).join(", ");
                let message = format!("scheme: must be one of {names}, not {}", scheme.inspect());
                error(ruby, "ConfigurationError", message)
            })?;
            let signer = |secret: Value| Ok(with_bytes(RString::try_convert(secret)?, Signer::new));
            let signers = secrets.into_iter().map(signer).collect::<Result<_, Error>>()?;
            Ok(Self { scheme, signers })
        })
    }

    /// The value of the signature header.
    fn signature(
        ruby: &Ruby,
        this: &Self,
        timestamp: RString,
        body: RString,
    ) -> Result<Option<String>, Error> {
        guard(ruby, || {
            Ok(with_bytes(timestamp, |timestamp| {
                with_bytes(body, |body| header_value(this.scheme, &this.signers, timestamp, body))
            }))
        })
    }

    /// The index of the secret that signed, or a Symbol that says why verification failed.
    fn verdict(
        ruby: &Ruby,
        this: &Self,
        signature: Option<RString>,
        timestamp: Option<RString>,
        body: RString,
        tolerance: u64,
        now: i64,
    ) -> Result<Value, Error> {
        guard(ruby, || {
            let verdict = with_optional_bytes(signature, |signature| {
                with_optional_bytes(timestamp, |timestamp| {
                    with_bytes(body, |body| {
                        let received = Received { signature, timestamp, body };
                        verify(this.scheme, &this.signers, received, Window { now, tolerance })
                    })
                })
            });
            Ok(match verdict {
                Ok(signer) => ruby.integer_from_u64(signer as u64).as_value(),
                Err(refusal) => ruby.to_symbol(refusal.name()).as_value(),
            })
        })
    }

    /// A fingerprint of the signed bytes. It does not depend on the secret.
    fn fingerprint(ruby: &Ruby, this: &Self, timestamp: RString, body: RString) -> Result<String, Error> {
        guard(ruby, || {
            let fingerprint = |timestamp: &[u8], body: &[u8]| this.scheme.fingerprint(timestamp, body);
            Ok(with_bytes(timestamp, |timestamp| with_bytes(body, |body| fingerprint(timestamp, body))))
        })
    }

    fn header_prefix(&self) -> &'static str {
        self.scheme.header_prefix()
    }
}

fn with_optional_bytes<T>(string: Option<RString>, look: impl FnOnce(Option<&[u8]>) -> T) -> T {
    match string {
        Some(string) => with_bytes(string, |bytes| look(Some(bytes))),
        None => look(None),
    }
}

pub fn init(ruby: &Ruby, module: &RModule) -> Result<(), Error> {
    let class = module.define_class("SigningKeys", ruby.class_object())?;
    class.undef_default_alloc_func();
    class.define_singleton_method("new", function!(SigningKeys::new, 2))?;
    class.define_method("signature", method!(SigningKeys::signature, 2))?;
    class.define_method("verdict", method!(SigningKeys::verdict, 5))?;
    class.define_method("fingerprint", method!(SigningKeys::fingerprint, 2))?;
    class.define_method("header_prefix", method!(SigningKeys::header_prefix, 0))?;
    // Here, because the Ruby half of the class is often not loaded.
    let _: Value = module.funcall("private_constant", ("SigningKeys",))?;
    Ok(())
}
