//! Watches.

use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};

use super::failure::Failure;
use super::path::{Place, Query};
use super::select::Selection;
use super::table;
use crate::lab::objects::{Change, Objects, Verb};

/// An accepted watch.
#[derive(Debug, Clone)]
pub struct Watch {
    place: Place,
    selection: Selection,
    table: bool,
    from: Option<u64>,
    mark: bool,
    over: bool,
    /// Maximum duration that the client asked for.
    pub timeout: Option<Duration>,
}

impl Watch {
    /// Parses the parameters of a watch.
    pub fn parse(place: Place, query: &Query, table: bool) -> Result<Self, Failure> {
        let mut selection = Selection::parse(query)?;
        if let Some(name) = &place.name {
            selection.name(name);
        }
        let mark = query.is("sendInitialEvents");
        let from = match query.get("resourceVersion") {
            "" | "0" => None,
            _ if mark => None,
            text => Some(text.parse().map_err(|_| Failure::bad_request(format!("invalid resource version: {text}")))?),
        };
        let timeout = query.get("timeoutSeconds").parse().ok().map(Duration::from_secs);
        Ok(Self { place, selection, table, from, mark, over: false, timeout })
    }

    /// Returns the changes since the last call as lines, possibly none; `None`: the watch has ended.
    pub fn next(&mut self, objects: &Objects) -> Option<Bytes> {
        if self.over {
            return None;
        }
        let mut lines = Vec::new();
        match self.from.map(|from| (from, objects.since(from))) {
            None => self.present(objects, &mut lines),
            Some((_, Some(changes))) => changes.iter().for_each(|c| self.change(c, &mut lines)),
            Some((from, None)) => {
                self.over = true;
                let gone =
                    Failure::new(410, "Expired", format!("too old resource version: {from} ({})", objects.revision()));
                line("ERROR", &gone.status(), &mut lines);
            }
        }
        self.from = Some(objects.revision());
        Some(lines.into())
    }

    fn present(&self, objects: &Objects, lines: &mut Vec<u8>) {
        let resource = self.place.resource;
        for object in objects.list(resource.kind, self.place.namespace.as_deref()) {
            if self.selected(&object) {
                line("ADDED", &self.render(&object), lines);
            }
        }
        if self.mark {
            let meta = json!({
                "resourceVersion": objects.revision().to_string(), "annotations": {"k8s.io/initial-events-end": "true"},
            });
            line(
                "BOOKMARK",
                &json!({"kind": resource.name, "apiVersion": resource.api_version(), "metadata": meta}),
                lines,
            );
        }
    }

    fn change(&self, change: &Change, lines: &mut Vec<u8>) {
        let here = self.place.namespace.as_ref().is_none_or(|n| *n == change.namespace);
        if change.kind != self.place.resource.kind || !here {
            return;
        }
        let object = change.object.open();
        let (was, is) = (change.before.as_ref().is_some_and(|b| self.selected(&b.open())), self.selected(&object));
        let verb = match (change.verb, was, is) {
            (_, false, false) | (Verb::Deleted, false, _) => return,
            (Verb::Deleted, ..) | (_, true, false) => Verb::Deleted,
            (_, false, true) => Verb::Added,
            (_, true, true) => Verb::Modified,
        };
        line(verb.word(), &self.render(&object), lines);
    }

    fn selected(&self, object: &Value) -> bool {
        self.selection.matches(self.place.resource.kind, object).unwrap_or(false)
    }

    fn render(&self, object: &Value) -> Value {
        if self.table { table::of(self.place.resource.kind, &[object], "") } else { object.clone() }
    }
}

fn line(verb: &str, object: &Value, lines: &mut Vec<u8>) {
    lines.extend_from_slice(json!({"type": verb, "object": object}).to_string().as_bytes());
    lines.push(b'\n');
}
