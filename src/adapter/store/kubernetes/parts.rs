//! Stores a record that is larger than a Kubernetes object may be: the first part in its segment, the other parts in
//! separate objects. The segment names these objects and is written last. A crash before that leaves objects that no
//! reader uses, and the journal without the record.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::client::{NamespaceClient, RequestError};
use super::journal::{JOURNAL_KEY, contents};
use super::label::{self, Purpose};
use crate::base::retry;
use crate::port::store::StoreError;

/// Maximum number of parts of a record. The first record of a run with 2,000 routes has seven.
pub const MAX_PARTS: usize = 32;
/// The annotation of a segment with the names of the objects that continue its text, in order.
const PARTS_ANNOTATION: &str = "cutover.dev/parts";

/// Splits a text into parts of at most `most` bytes; at least one part.
pub fn split(text: &str, most: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while rest.len() > most {
        let (part, left) = rest.split_at(rest.floor_char_boundary(most));
        parts.push(part);
        rest = left;
    }
    parts.push(rest);
    parts
}

/// Splits a text after the ends of lines into parts of at most `most` bytes, if no line is longer.
pub fn split_at_lines(text: &str, most: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while rest.len() > most {
        let room = &rest[..rest.floor_char_boundary(most)];
        let (part, left) = rest.split_at(room.rfind('\n').map_or(room.len(), |end| end + 1));
        parts.push(part);
        rest = left;
    }
    parts.push(rest);
    parts
}

/// Creates the objects of all parts except the first part, and names these objects in the segment. `sum` is the
/// checksum of the record, which makes the names unique.
pub async fn put(
    client: &NamespaceClient,
    run: &str,
    segment: &mut ConfigMap,
    parts: &[&str],
    sum: &str,
) -> Result<(), StoreError> {
    let mut names = Vec::new();
    for (number, text) in (2..).zip(parts.iter().skip(1)) {
        let name = format!("{}-part{number}-{sum}", segment.name_any());
        create(client, run, &name, text).await.map_err(|trouble| client.error(&name, trouble))?;
        names.push(name);
    }
    if !names.is_empty() {
        segment.annotations_mut().insert(PARTS_ANNOTATION.to_owned(), names.join(","));
    }
    Ok(())
}

/// Creates one object. The object of an earlier try has the same text.
async fn create(client: &NamespaceClient, run: &str, name: &str, text: &str) -> Result<(), RequestError> {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(label::of_run(Purpose::Journal, run)),
        annotations: Some([(label::RUN.to_owned(), run.to_owned())].into()),
        ..ObjectMeta::default()
    };
    let data = Some([(JOURNAL_KEY.to_owned(), text.to_owned())].into());
    let object = ConfigMap { metadata, data, ..ConfigMap::default() };
    let api: Api<ConfigMap> = client.api();
    let mut answer = Ok(());
    for _ in 0..retry::APPEND_TRIES {
        answer = match client.call(api.create(&PostParams::default(), &object)).await {
            Ok(_) | Err(RequestError::Conflict) => return Ok(()),
            Err(trouble @ RequestError::Unanswered(_)) => Err(trouble),
            Err(trouble) => return Err(trouble),
        };
    }
    answer
}

/// Returns the text of a segment with its parts. If a part is missing, the text ends before it, in the middle of a
/// record.
pub fn text(segment: &ConfigMap, others: &BTreeMap<String, ConfigMap>) -> String {
    let names = segment.annotations().get(PARTS_ANNOTATION).map_or("", String::as_str);
    let parts = names.split(',').filter(|name| !name.is_empty()).map_while(|name| others.get(name));
    std::iter::once(segment).chain(parts).map(contents).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_small_enough_and_complete() {
        let text = "ä: 1\nbc\n\nd";
        for most in 2..14 {
            for parts in [split(text, most), split_at_lines(text, most)] {
                assert!(parts.concat() == text && parts.iter().all(|part| part.len() <= most), "{most}: {parts:?}");
            }
        }
        assert_eq!(split_at_lines(text, 8), ["ä: 1\n", "bc\n\nd"]);
        assert_eq!((split("", 5), split_at_lines("", 5)), (vec![""], vec![""]));
    }
}
