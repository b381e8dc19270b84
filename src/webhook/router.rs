//! Finds the endpoints that get an event.

use hashbrown::HashMap;

/// Which events one endpoint gets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules<'a> {
    /// Whether it gets any events.
    pub active: bool,
    /// The version it gets; None for all versions.
    pub version: Option<&'a str>,
    /// The types it gets; empty for all types.
    pub types: &'a [&'a str],
    /// An event must have at least one of these topics; empty for all events.
    pub topics: &'a [&'a str],
}

/// The properties of an event that decide which endpoints get it.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Its type.
    pub event_type: &'a str,
    /// Its version, if it has one.
    pub version: Option<&'a str>,
    /// Its topics.
    pub topics: &'a [&'a str],
}

/// An index of endpoints that finds those for an event without checking all of them.
///
/// ```
/// use simple_connect_core::webhook::router::{Event, Router, Rules};
///
/// let mut router = Router::default();
/// router.add(Rules { active: true, ..Rules::default() });
/// router.add(Rules { active: true, types: &["parcel.sent"], topics: &["north", "coast"], ..Rules::default() });
/// let route = |event_type, topics| router.route(Event { event_type, version: None, topics });
/// assert_eq!(route("parcel.sent", &["north"]), [0, 1]);
/// assert_eq!(route("parcel.sent", &["North"]), [0]);
/// ```
#[derive(Debug, Default)]
pub struct Router {
    /// The number of endpoints, active or not.
    size: u32,
    /// A number for each text, so that lists hold numbers instead of texts.
    names: HashMap<String, Name>,
    /// The active endpoints by their version and narrowest rule, in the order they were added.
    lists: HashMap<(Option<Name>, Narrowest), Vec<Listed>>,
}

type Name = u32;

/// The rule by which an endpoint is listed. An endpoint with topics is listed once per topic, whatever its types. So
/// the index grows with the number of rules, not of their combinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Narrowest {
    Topic(Name),
    Type(Name),
    Nothing,
}

#[derive(Debug)]
struct Listed {
    endpoint: u32,
    /// The types that are still to be checked, sorted; empty if every type matches.
    types: Box<[Name]>,
}

impl Router {
    /// Adds an endpoint. Endpoints are numbered from 0.
    pub fn add(&mut self, rules: Rules<'_>) {
        let endpoint = self.size;
        self.size += 1;
        if !rules.active {
            return;
        }
        let version = rules.version.map(|version| self.name(version));
        let mut types: Vec<Name> = rules.types.iter().map(|name| self.name(name)).collect();
        types.sort_unstable();
        let mut keys: Vec<Narrowest> =
            rules.topics.iter().map(|topic| Narrowest::Topic(self.name(topic))).collect();
        if keys.is_empty() {
            keys = types.drain(..).map(Narrowest::Type).collect();
        }
        if keys.is_empty() {
            keys.push(Narrowest::Nothing);
        }
        for key in keys {
            let listed = Listed { endpoint, types: types.as_slice().into() };
            self.lists.entry((version, key)).or_default().push(listed);
        }
    }

    /// The numbers of the endpoints that get `event`, in ascending order.
    pub fn route(&self, event: Event<'_>) -> Vec<u32> {
        let known = |text: &str| self.names.get(text).copied();
        let event_type = known(event.event_type);
        let topics = event.topics.iter().filter_map(|topic| known(topic)).map(Narrowest::Topic);
        let keys: Vec<Narrowest> =
            topics.chain(event_type.map(Narrowest::Type)).chain([Narrowest::Nothing]).collect();
        let version = event.version.and_then(known).map(Some);

        let mut found = Vec::new();
        for version in [Some(None), version].into_iter().flatten() {
            for key in &keys {
                let listed = self.lists.get(&(version, *key)).map(Vec::as_slice).unwrap_or_default();
                let takes = |types: &[Name]| {
                    types.is_empty() || event_type.is_some_and(|name| types.binary_search(&name).is_ok())
                };
                found.extend(
                    listed.iter().filter(|listed| takes(&listed.types)).map(|listed| listed.endpoint),
                );
            }
        }
        found.sort_unstable();
        // An endpoint may share several topics with the event.
        found.dedup();
        found
    }

    fn name(&mut self, text: &str) -> Name {
        let next = self.names.len() as Name;
        *self.names.entry_ref(text).or_insert(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Table {
        active: Vec<Active>,
        versions: Vec<Version>,
        types: Vec<Types>,
        topics: Vec<Topics>,
    }

    #[derive(Deserialize)]
    struct Active {
        endpoint: bool,
        matches: bool,
    }

    #[derive(Deserialize)]
    struct Version {
        endpoint: Option<String>,
        event: Option<String>,
        matches: bool,
    }

    #[derive(Deserialize)]
    struct Types {
        endpoint: Vec<String>,
        event: String,
        matches: bool,
    }

    #[derive(Deserialize)]
    struct Topics {
        endpoint: Vec<String>,
        event: Vec<String>,
        matches: bool,
    }

    fn texts(owned: &[String]) -> Vec<&str> {
        owned.iter().map(String::as_str).collect()
    }

    #[test]
    fn the_truth_table_holds() {
        let table: Table =
            serde_json::from_str(include_str!("../../spec/conformance/own/routing.json")).unwrap();
        let mut rows = 0;
        for active in &table.active {
            for version in &table.versions {
                for types in &table.types {
                    for topics in &table.topics {
                        let mut router = Router::default();
                        router.add(Rules {
                            active: active.endpoint,
                            // Ruby passes None for "latest".
                            version: version.endpoint.as_deref().filter(|version| *version != "latest"),
                            types: &texts(&types.endpoint),
                            topics: &texts(&topics.endpoint),
                        });
                        let routed = router.route(Event {
                            event_type: &types.event,
                            version: version.event.as_deref(),
                            topics: &texts(&topics.event),
                        });
                        let expected = active.matches && version.matches && types.matches && topics.matches;
                        assert_eq!(
                            routed == [0],
                            expected,
                            "{:?} {:?} {:?} {:?}",
                            active.endpoint,
                            (&version.endpoint, &version.event),
                            (&types.endpoint, &types.event),
                            (&topics.endpoint, &topics.event)
                        );
                        rows += 1;
                    }
                }
            }
        }
        assert!(rows > 500, "{rows} rows");
    }

    fn some(names: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<&'static str>> {
        proptest::collection::vec(prop::sample::select(names), 0..=most)
    }

    const VERSIONS: &[&str] = &["1", "2", "10"];
    const TYPES: &[&str] = &["a", "A", "b", "ab"];
    const TOPICS: &[&str] = &["a", "north", "North", "coast"];

    fn version() -> impl Strategy<Value = Option<&'static str>> {
        prop::option::of(prop::sample::select(VERSIONS))
    }

    proptest! {
        #[test]
        fn agrees_with_a_check_of_each_endpoint(
            endpoints in proptest::collection::vec((any::<bool>(), version(), some(TYPES, 3), some(TOPICS, 3)), 0..40),
            event_type in prop::sample::select(TYPES), event_version in version(), event_topics in some(TOPICS, 4),
        ) {
            let mut router = Router::default();
            for (active, version, types, topics) in &endpoints {
                router.add(Rules { active: *active, version: *version, types, topics });
            }
            let expected: Vec<u32> = (0..).zip(&endpoints).filter(|(_, (active, version, types, topics))| {
                *active
                    && (version.is_none() || *version == event_version)
                    && (types.is_empty() || types.contains(&event_type))
                    && (topics.is_empty() || topics.iter().any(|topic| event_topics.contains(topic)))
            }).map(|(number, _)| number).collect();
            let event = Event { event_type, version: event_version, topics: &event_topics };
            prop_assert_eq!(router.route(event), expected);
        }
    }
}
