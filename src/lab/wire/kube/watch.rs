//! Watches: streams of the changes to objects.

use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};

use super::failure::Failure;
use super::path::{Query, ResourcePath};
use super::select::Selection;
use super::table;
use crate::lab::objects::{Change, ChangeKind, Objects};

/// A watch that the server has accepted.
#[derive(Debug, Clone)]
pub struct Watch {
    target: ResourcePath,
    selection: Selection,
    table: bool,
    from: Option<u64>,
    send_initial_events: bool,
    ended: bool,
    /// Maximum duration that the client requested.
    pub timeout: Option<Duration>,
}

impl Watch {
    /// Parses the parameters of a watch.
    pub fn parse(target: ResourcePath, query: &Query, table: bool) -> Result<Self, Failure> {
        let mut selection = Selection::parse(query)?;
        if let Some(name) = &target.name {
            selection.name(name);
        }
        let mark = query.is("sendInitialEvents");
        let from = match query.get("resourceVersion") {
            "" | "0" => None,
            _ if mark => None,
            text => Some(text.parse().map_err(|_| Failure::bad_request(format!("invalid resource version: {text}")))?),
        };
        let timeout = query.get("timeoutSeconds").parse().ok().map(Duration::from_secs);
        Ok(Self { target, selection, table, from, send_initial_events: mark, ended: false, timeout })
    }

    /// Returns the changes since the last call as lines, which may be none; `None` if the watch has ended.
    pub fn next(&mut self, objects: &Objects) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let mut lines = Vec::new();
        match self.from.map(|from| (from, objects.changes_since(from))) {
            None => self.list_existing(objects, &mut lines),
            Some((_, Some(changes))) => changes.iter().for_each(|c| self.change(c, &mut lines)),
            Some((from, None)) => {
                self.ended = true;
                let expired =
                    Failure::new(410, "Expired", format!("too old resource version: {from} ({})", objects.revision()));
                line("ERROR", &expired.status(), &mut lines);
            }
        }
        self.from = Some(objects.revision());
        Some(lines.into())
    }

    fn list_existing(&self, objects: &Objects, lines: &mut Vec<u8>) {
        let resource = self.target.resource;
        for object in objects.list(resource.kind, self.target.namespace.as_deref()) {
            if self.selected(&object) {
                line("ADDED", &self.render(&object), lines);
            }
        }
        if self.send_initial_events {
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
        let here = self.target.namespace.as_ref().is_none_or(|n| *n == change.namespace);
        if change.kind != self.target.resource.kind || !here {
            return;
        }
        let object = change.object.decode();
        let (was, is) = (change.before.as_ref().is_some_and(|b| self.selected(&b.decode())), self.selected(&object));
        let verb = match (change.change_kind, was, is) {
            (_, false, false) | (ChangeKind::Deleted, false, _) => return,
            (ChangeKind::Deleted, ..) | (_, true, false) => ChangeKind::Deleted,
            (_, false, true) => ChangeKind::Added,
            (_, true, true) => ChangeKind::Modified,
        };
        line(verb.watch_type(), &self.render(&object), lines);
    }

    fn selected(&self, object: &Value) -> bool {
        self.selection.matches(self.target.resource.kind, object).unwrap_or(false)
    }

    fn render(&self, object: &Value) -> Value {
        if self.table { table::render(self.target.resource.kind, &[object], "") } else { object.clone() }
    }
}

fn line(verb: &str, object: &Value, lines: &mut Vec<u8>) {
    lines.extend_from_slice(json!({"type": verb, "object": object}).to_string().as_bytes());
    lines.push(b'\n');
}
