//! No credential, token, pre-signed URL or client secret in a log, journal, report, panic or core dump.

use super::{Found, ensure, facts::Facts};
use crate::simulation::history::{Entry, What};

/// The credentials of every simulated process: nothing else contains these.
pub const SECRETS: [&str; 3] = ["AKIACANARY0000000000", "canary/secret/of/a/key", "canary/token/of/a/session"];
/// A text that every token and every pre-signed URL contains.
const MARKS: [&str; 4] = ["X-Amz-Signature", "X-Amz-Security-Token", "k8s-aws-v1.", "ClientSecret\":"];

pub fn holds(_: &Facts, entry: &Entry) -> Found {
    let text = match &entry.what {
        What::Journalled(record) | What::Told(record) => serde_json::to_string(&record.event).unwrap_or_default(),
        What::Ends(_, words) | What::Said(words) => words.clone(),
        What::Sent { body, .. } => body.clone(),
        _ => return Ok(()),
    };
    let found = SECRETS.iter().chain(&MARKS).find(|s| text.contains(**s));
    ensure(found.is_none(), || format!("a secret is told: {}", found.unwrap_or(&"")))
}
