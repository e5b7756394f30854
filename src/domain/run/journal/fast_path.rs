//! The fast path for reading a line: directly into a record, without an intermediate JSON tree. An emergency reads ten
//! thousand records before it acts.
//!
//! Reports no errors: a line that fails here is read again by the slow path, which says what is wrong.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, CowStrDeserializer, MapAccessDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::domain::run::event::{Event, Record, VERSION};

/// Returns the record of a line; `None` if it is not of this version or has a duplicate field.
pub(super) fn read_record(line: &[u8]) -> Option<Record> {
    serde_json::from_slice::<CommandLine>(line).ok().map(|line| line.0)
}

struct CommandLine(Record);

impl<'de> Deserialize<'de> for CommandLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = CommandLine;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CommandLine, A::Error> {
                let mut head = CommonFields::default();
                let event = Event::deserialize(MapAccessDeserializer::new(EventFields { map, head: &mut head }))?;
                match head {
                    CommonFields {
                        version: Some(version),
                        seq: Some(seq),
                        time: Some(time),
                        run: Some(run),
                        sum: Some(_),
                    } if version == VERSION => Ok(CommandLine(Record::new(seq, time, run, event))),
                    _ => Err(A::Error::custom("not a record of this version")),
                }
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The common fields of a record, beside those of its event.
#[derive(Default)]
struct CommonFields {
    version: Option<u32>,
    seq: Option<u64>,
    time: Option<Timestamp>,
    run: Option<String>,
    sum: Option<IgnoredAny>,
}

/// The fields of the event. The common fields are stored in `head` when they come by.
struct EventFields<'h, A> {
    map: A,
    head: &'h mut CommonFields,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for EventFields<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(Key(key)) = self.map.next_key()? {
            match &*key {
                "v" => set_once(&mut self.head.version, self.map.next_value()?)?,
                "seq" => set_once(&mut self.head.seq, self.map.next_value()?)?,
                "time" => set_once(&mut self.head.time, self.map.next_value()?)?,
                "run" => set_once(&mut self.head.run, self.map.next_value()?)?,
                "sum" => set_once(&mut self.head.sum, self.map.next_value()?)?,
                _ => {
                    let key = match key {
                        Cow::Borrowed(key) => seed.deserialize(BorrowedStrDeserializer::new(key)),
                        key @ Cow::Owned(_) => seed.deserialize(CowStrDeserializer::new(key)),
                    };
                    return key.map(Some);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

fn set_once<T, E: Error>(field: &mut Option<T>, value: T) -> Result<(), E> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom("a field is there twice")),
    }
}

/// The name of a field; borrowed from the line if it contains no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(name)))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Name)
    }
}
