//! No log, journal, report, panic message or core dump contains a credential, token, pre-signed URL or client secret.

use super::{Found, ensure, facts::Facts};
use crate::simulation::history::{Entry, EntryContent};

/// The credentials of every simulated process. No other text contains them.
pub const SECRETS: [&str; 3] = ["AKIACANARY0000000000", "canary/secret/of/a/key", "canary/token/of/a/session"];
/// Texts that every token and every pre-signed URL contains.
const SECRET_MARKS: [&str; 4] = ["X-Amz-Signature", "X-Amz-Security-Token", "k8s-aws-v1.", "ClientSecret\":"];

pub fn holds(_: &Facts, entry: &Entry) -> Found {
    let text = match &entry.what {
        EntryContent::Journalled(record) | EntryContent::Published(record) => {
            serde_json::to_string(&record.event).unwrap_or_default()
        }
        EntryContent::Ends(_, words) | EntryContent::Logged(words) => words.clone(),
        EntryContent::Sent { body, .. } => body.clone(),
        _ => return Ok(()),
    };
    let found = SECRETS.iter().chain(&SECRET_MARKS).find(|s| text.contains(**s));
    ensure(found.is_none(), || format!("a secret is written: {}", found.unwrap_or(&"")))
}
