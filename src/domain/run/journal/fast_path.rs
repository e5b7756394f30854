//! Parses a line of the journal directly to a record, without an intermediate JSON tree. An emergency rollback may read
//! ten thousand records before its first write.
//!
//! This path reports no errors. If it fails, the slow path parses the line again and reports the error.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, CowStrDeserializer, MapAccessDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::domain::run::event::{Event, Record, VERSION};

/// Parses a line; `None` if the line is not a record of this version or has a duplicate field.
pub(super) fn read_record(line: &[u8]) -> Option<Record> {
    serde_json::from_slice::<JournalLine>(line).ok().map(|line| line.0)
}

struct JournalLine(Record);

impl<'de> Deserialize<'de> for JournalLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = JournalLine;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a journal record")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<JournalLine, A::Error> {
                let mut head = CommonFields::default();
                let event = Event::deserialize(MapAccessDeserializer::new(EventFields { map, head: &mut head }))?;
                match head {
                    CommonFields {
                        version: Some(version),
                        seq: Some(seq),
                        time: Some(time),
                        run: Some(run),
                        sum: Some(_),
                    } if version == VERSION => Ok(JournalLine(Record::new(seq, time, run, event))),
                    _ => Err(A::Error::custom("the line is not a record of this version")),
                }
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The fields that every record has, in addition to the fields of the event.
#[derive(Default)]
struct CommonFields {
    version: Option<u32>,
    seq: Option<u64>,
    time: Option<Timestamp>,
    run: Option<String>,
    sum: Option<IgnoredAny>,
}

/// Gives access to the fields of the event. Stores common fields that are read on the way in `head`.
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
        Some(_) => Err(E::custom("the record has a field twice")),
    }
}

/// The name of a field, borrowed from the line unless the name contains escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
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
