//! The Ruby extension: converts values for the core, and waits without blocking Ruby. The public API, with its
//! defaults, is in `lib/`.

mod decode;
mod drive;
mod encode;
mod error;
mod headers;
mod interceptor;
mod limiter;
mod raw;
mod replay;
mod resolve;
mod router;
mod signature;
mod transport;
mod wakers;

use magnus::{Error, Module, RClass, RModule, Ruby, TypedData, function, prelude::*};

#[magnus::init(name = "simple_connect_client")]
fn init(ruby: &Ruby) -> Result<(), Error> {
    // Another Ruby version has different memory layouts: running in it would corrupt memory.
    let (built_for, running) = (env!("BUILT_FOR_RUBY"), raw::running_ruby());
    if built_for != running {
        let advice = "install the gem again: `gem pristine simple_connect-client`";
        let message =
            format!("this extension is compiled for Ruby {built_for}, but this is Ruby {running}: {advice}");
        return Err(Error::new(ruby.exception_load_error(), message));
    }
    raw::count_forks();
    let module = ruby.define_module("SimpleConnect")?;
    let codec = module.define_module("Codec")?;
    codec.define_singleton_method("flat_event", function!(encode::flat, 6))?;
    codec.define_singleton_method("nested_event", function!(encode::nested, 4))?;
    codec.define_singleton_method("generate", function!(encode::generate, 1))?;
    codec.define_singleton_method("parse", function!(decode::parse, 1))?;
    #[cfg(feature = "testing")]
    {
        codec.define_singleton_method("panic", function!(panic, 1))?;
        codec.define_singleton_method("panic_in", function!(encode::panic_in, 1))?;
        codec.define_singleton_method("patience=", function!(drive::set_patience, 1))?;
    }
    signature::init(ruby, &module)?;
    replay::init(ruby, &module)?;
    headers::init(ruby, &module)?;
    router::init(ruby, &module)?;
    limiter::init(ruby, &module)?;
    wakers::init(ruby, &module)?;
    transport::init(ruby, &module)
}

/// Defines the class of a wrapped type, whose objects only Rust makes, and looks it up.
///
/// Otherwise magnus would look it up on first use, by a method call within a `OnceLock`. That call can switch threads:
/// another thread that needs the class would wait for the lock and keep the GVL, so both would wait forever.
fn define_class<T: TypedData>(ruby: &Ruby, module: &RModule, name: &str) -> Result<RClass, Error> {
    let class = module.define_class(name, ruby.class_object())?;
    class.undef_default_alloc_func();
    T::class(ruby);
    Ok(class)
}

/// Panics as a bug would, with or without the GVL.
#[cfg(feature = "testing")]
fn panic(ruby: &Ruby, without_gvl: bool) -> Result<(), Error> {
    error::guard(ruby, || match without_gvl {
        true => drive::without_gvl(ruby, || panic!("on purpose, without the GVL")),
        false => panic!("on purpose"),
    })
}
