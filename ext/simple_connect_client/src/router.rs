//! `SimpleConnect::EndpointIndex`: the index in which an `Outbound::Router` looks endpoints up.

use magnus::{Error, Module, RArray, RModule, Ruby, TryConvert, Value, function, method, prelude::*};
use simple_connect_core::webhook::router::{Event, Router, Rules};

use crate::error::guard;

#[magnus::wrap(class = "SimpleConnect::EndpointIndex", free_immediately, size)]
struct EndpointIndex(Router);

impl EndpointIndex {
    /// Takes for each endpoint: whether it is active, its version, its types and its topics.
    fn new(ruby: &Ruby, endpoints: RArray) -> Result<Self, Error> {
        guard(ruby, || {
            let mut router = Router::default();
            for endpoint in endpoints {
                let (active, version, types, topics): (bool, Option<String>, Vec<String>, Vec<String>) =
                    TryConvert::try_convert(endpoint)?;
                let (types, topics) = (texts(&types), texts(&topics));
                router.add(Rules { active, version: version.as_deref(), types: &types, topics: &topics });
            }
            Ok(Self(router))
        })
    }

    /// The endpoints that get an event of this type, version and topics. `endpoints` are those the index was built
    /// from.
    fn route(
        ruby: &Ruby,
        this: &Self,
        endpoints: RArray,
        event_type: String,
        version: Option<String>,
        topics: Vec<String>,
    ) -> Result<RArray, Error> {
        guard(ruby, || {
            let topics = texts(&topics);
            let event = Event { event_type: &event_type, version: version.as_deref(), topics: &topics };
            let routed = this.0.route(event);
            let found = ruby.ary_new_capa(routed.len());
            for number in routed {
                found.push(endpoints.entry::<Value>(number as isize)?)?;
            }
            Ok(found)
        })
    }
}

fn texts(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

pub fn init(ruby: &Ruby, module: &RModule) -> Result<(), Error> {
    let class = crate::define_class::<EndpointIndex>(ruby, module, "EndpointIndex")?;
    class.define_singleton_method("new", function!(EndpointIndex::new, 1))?;
    class.define_method("route", method!(EndpointIndex::route, 4))?;
    // Here, because the Ruby half of the class is often not loaded.
    let _: Value = module.funcall("private_constant", ("EndpointIndex",))?;
    Ok(())
}
