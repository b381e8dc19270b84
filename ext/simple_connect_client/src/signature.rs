//! `SimpleConnect::SigningKeys`: secrets, and the scheme they sign with.

use magnus::{
    Error, Module, RArray, RModule, RString, Ruby, TryConvert, Value, function, method, prelude::*,
};
use simple_connect_core::signature::{Received, Scheme, Signer, Stamp, Window, header_value, verify};

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
            Ok(Self { scheme, signers: signers(ruby, scheme, secrets)? })
        })
    }

    /// The value of the signature header.
    fn signature(
        ruby: &Ruby,
        this: &Self,
        id: RString,
        timestamp: RString,
        body: RString,
    ) -> Result<Option<String>, Error> {
        guard(ruby, || {
            Ok(with_stamp(id, timestamp, |stamp| {
                with_bytes(body, |body| header_value(this.scheme, &this.signers, stamp, body))
            }))
        })
    }

    /// The index of the secret that signed, or a Symbol that says why verification failed.
    fn verdict(
        ruby: &Ruby,
        this: &Self,
        (signature, id, timestamp): (Option<RString>, Option<RString>, Option<RString>),
        body: RString,
        tolerance: u64,
        now: i64,
    ) -> Result<Value, Error> {
        guard(ruby, || {
            let verdict = with_optional_bytes(signature, |signature| {
                with_optional_bytes(id, |id| {
                    with_optional_bytes(timestamp, |timestamp| {
                        with_bytes(body, |body| {
                            let received = Received { signature, id, timestamp, body };
                            verify(this.scheme, &this.signers, received, Window { now, tolerance })
                        })
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
    fn fingerprint(
        ruby: &Ruby,
        this: &Self,
        id: RString,
        timestamp: RString,
        body: RString,
    ) -> Result<String, Error> {
        guard(ruby, || {
            Ok(with_stamp(id, timestamp, |stamp| {
                with_bytes(body, |body| this.scheme.fingerprint(stamp, body))
            }))
        })
    }

    /// The full name of a header, such as `X-Kiket-Event-Version`.
    fn header(&self, name: String) -> String {
        self.scheme.header(&name)
    }

    /// Whether the scheme signs an id.
    fn has_id(&self) -> bool {
        self.scheme.has_id()
    }

    /// Whether several secrets can sign.
    fn has_list(&self) -> bool {
        self.scheme.has_list()
    }
}

/// The signers of these secrets.
pub fn signers(ruby: &Ruby, scheme: Scheme, secrets: RArray) -> Result<Vec<Signer>, Error> {
    let signer = |secret: Value| {
        with_bytes(RString::try_convert(secret)?, |secret| Signer::of(scheme, secret)).map_err(|cause| {
            let message = format!("secret: with the scheme :{}, it {cause}", scheme.name());
            error(ruby, "ConfigurationError", message)
        })
    };
    secrets.into_iter().map(signer).collect()
}

fn with_stamp<T>(id: RString, timestamp: RString, look: impl FnOnce(Stamp<'_>) -> T) -> T {
    with_bytes(id, |id| with_bytes(timestamp, |timestamp| look(Stamp { id, timestamp })))
}

fn with_optional_bytes<T>(string: Option<RString>, look: impl FnOnce(Option<&[u8]>) -> T) -> T {
    match string {
        Some(string) => with_bytes(string, |bytes| look(Some(bytes))),
        None => look(None),
    }
}

pub fn init(ruby: &Ruby, module: &RModule) -> Result<(), Error> {
    let class = crate::define_class::<SigningKeys>(ruby, module, "SigningKeys")?;
    class.define_singleton_method("new", function!(SigningKeys::new, 2))?;
    class.define_method("signature", method!(SigningKeys::signature, 3))?;
    class.define_method("verdict", method!(SigningKeys::verdict, 4))?;
    class.define_method("fingerprint", method!(SigningKeys::fingerprint, 3))?;
    class.define_method("header", method!(SigningKeys::header, 1))?;
    class.define_method("id?", method!(SigningKeys::has_id, 0))?;
    class.define_method("list?", method!(SigningKeys::has_list, 0))?;
    // Here, because the Ruby half of the class is often not loaded.
    let _: Value = module.funcall("private_constant", ("SigningKeys",))?;
    Ok(())
}
