//! The implementations of the store: in a local folder, in a namespace of a cluster, and in memory.

pub mod fs;
pub mod kubernetes;
pub mod memory;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::base::arn::Arn;
use crate::base::redact;
use crate::domain::run::event::Event;
use crate::port::store::Request;

/// Returns the name of a load balancer's lock: the load balancer's name and a hash of its ARN, in letters, digits and
/// hyphens.
fn lock_name(arn: &str) -> String {
    let hash = Sha256::digest(arn).iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let label = Arn::parse(arn).and_then(|arn| arn.name()).unwrap_or("load-balancer");
    let label: String = label.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(32).collect();
    format!("{label}-{hash:016x}")
}

/// Removes credentials from the text fields of an event. All other fields, such as names and the actions that a
/// rollback restores, are not changed.
fn without_credentials(event: &Event) -> Cow<'_, Event> {
    let Ok(mut json) = serde_json::to_value(event) else { return Cow::Borrowed(event) };
    if !clean(&mut json, false) {
        return Cow::Borrowed(event);
    }
    // The JSON does not parse if a secret is equal to a keyword of the journal.
    serde_json::from_value(json).map_or(Cow::Borrowed(event), Cow::Owned)
}

/// Returns the request without credentials in the texts that its author wrote.
fn request_without_credentials(request: &Request) -> Request {
    match request.clone() {
        Request::Pause { by, reason } => Request::Pause { by, reason: redact::clean(&reason).into_owned() },
        other => other,
    }
}

/// Removes credentials from the text fields. Returns whether a text was changed.
fn clean(json: &mut Value, prose: bool) -> bool {
    const TEXT_FIELDS: [&str; 12] = [
        "message",
        "detail",
        "reason",
        "why",
        "cause",
        "early",
        "action",
        "missing",
        "remarks",
        "unresolved",
        "text",
        "said",
    ];
    match json {
        Value::String(text) if prose => match redact::clean(text) {
            Cow::Borrowed(_) => false,
            Cow::Owned(clean) => {
                *text = clean;
                true
            }
        },
        Value::Array(all) => all.iter_mut().fold(false, |any, one| clean(one, prose) | any),
        Value::Object(all) => all
            .iter_mut()
            .fold(false, |any, (name, one)| clean(one, prose || TEXT_FIELDS.contains(&name.as_str())) | any),
        _ => false,
    }
}

/// Returns whether the text can be a run's id, and so the name of a folder inside the store.
fn is_run_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
