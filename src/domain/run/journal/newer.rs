//! Detects records that a newer version wrote: intact records with an unknown event, field or value. Unknown parts are
//! preserved and have no effect.
//!
//! No list of known fields is needed: a field is unknown if it is missing after the parsed record is serialized again.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::flat::FlatRecord;
use crate::domain::run::event::{Event, Record, UnknownParts};

/// Marks a record with the unknown parts of its line. `open` is the line without the checksum and the closing brace.
pub(super) fn mark_unknown(record: Record, line: &[u8], open: &[u8]) -> Record {
    let mut again = Vec::with_capacity(line.len());
    // If the bytes are identical, this build knows all parts.
    let same =
        serde_json::to_writer(&mut again, &FlatRecord::of(&record)).is_ok() && again.strip_suffix(b"}") == Some(open);
    if same {
        return record;
    }
    match serde_json::from_slice(line) {
        Ok(Value::Object(mut was)) => {
            was.remove("sum");
            compare_with_json(record, was)
        }
        _ => record,
    }
}

/// Marks a record with the parts of its original JSON that this build does not know.
pub(super) fn compare_with_json(record: Record, was: Map<String, Value>) -> Record {
    let newer = unknown_parts(&record, was).map(Box::new);
    Record { newer, ..record }
}

/// Returns the record for an intact line that this build cannot parse as an event.
pub(super) fn unknown_record(seq: u64, time: Timestamp, run: String, json: Map<String, Value>, why: &str) -> Record {
    let kind = json.get("event").and_then(Value::as_str).unwrap_or_default().to_owned();
    // Remove serde's list of known names.
    let why = why.split(", expected").next().unwrap_or_default();
    let what = format!("record {seq} of the journal, `{kind}`: {why}");
    Record {
        seq,
        time,
        run,
        event: Event::Unknown { kind },
        newer: Some(Box::new(UnknownParts { description: what, json })),
    }
}

fn unknown_parts(record: &Record, was: Map<String, Value>) -> Option<UnknownParts> {
    let is = serde_json::to_value(FlatRecord::of(record)).ok()?;
    let mut found = Vec::new();
    let json = Value::Object(was);
    collect_differences("", &json, &is, &mut found);
    let kind = json.get("event").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Value::Object(json) = json else { return None };
    let what = format!("record {} of the journal, `{kind}`: {}", record.seq, found.join(", "));
    (!found.is_empty()).then_some(UnknownParts { description: what, json })
}

/// Collects the paths of the fields and values in `was` that `is` does not have.
fn collect_differences(path: &str, was: &Value, is: &Value, found: &mut Vec<String>) {
    let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (was, is) {
        (Value::Object(was), Value::Object(is)) => {
            for (key, value) in was {
                match is.get(key) {
                    Some(now) => collect_differences(&inner(key), value, now, found),
                    None if is_default(value) => {}
                    None => found.push(format!("the field `{}`", inner(key))),
                }
            }
        }
        (Value::Array(was), Value::Array(is)) if was.len() == is.len() => {
            was.iter()
                .zip(is)
                .enumerate()
                .for_each(|(i, (was, is))| collect_differences(&inner(&i.to_string()), was, is, found));
        }
        (was, is) if is_equal(was, is) => {}
        (was, _) => found.push(format!("the value {was} of `{path}`")),
    }
}

/// Whether a value equals the default of an omitted field.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Whether two values are equal, regardless of the format of numbers and times.
fn is_equal(was: &Value, is: &Value) -> bool {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    match (was, is) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= a.abs().max(b.abs()) * 1e-12
        }
        _ => was == is || time(was).is_some_and(|at| time(is) == Some(at)),
    }
}
