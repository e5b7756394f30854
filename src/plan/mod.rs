//! Parses and checks plan files. [`lint`] converts bytes to a checked [`model::Plan`] for a new run, or reports all
//! errors with their places. [`read`] converts the plan text of an existing run, as far as this build understands the
//! text.
//!
//! Parsing has three stages: `yaml` parses the text into a tree of nodes with places; `file`, with `decode` and
//! `scalar`, decodes the nodes into fields; `check` builds the model. Every stage collects errors and continues; only
//! invalid YAML stops at the first error. Do not read files or live resources here.

mod binding_fields;
mod check;
mod decode;
pub mod diagnostic;
mod file;
mod gate_fields;
mod hand_over_fields;
mod haproxy_names;
mod header_route;
mod hooks;
pub mod instance_names;
pub mod model;
pub mod place;
mod render;
mod scalar;
pub mod schedule;
mod schema;
pub mod suggest;
pub mod template;
mod time;
mod yaml;

use sha2::{Digest, Sha256};

pub use diagnostic::{Diagnostic, Diagnostics, MAX_ERRORS, Place};
pub use render::render;
pub use scalar::parse_selector as selector;
pub use schema::schema;
pub use yaml::MAX_BYTES;

use crate::base::finding::Code;
use crate::base::text::hex;
use decode::Decode;
use model::skeleton::Skeleton;
use model::{Plan, StepKind};

/// Parses and checks a plan file to begin a run. `source` is the name of the file (`-` for standard input). Time and
/// memory are bounded for any input.
///
/// # Errors
/// All errors, in the order of the text.
pub fn lint(source: &str, bytes: &[u8]) -> Result<Plan, Diagnostics> {
    let mut errors = Vec::new();
    if bytes.len() > MAX_BYTES {
        let message = format!("the plan has more than {MAX_BYTES} bytes, which is the limit");
        let error = Diagnostic::new(Code::CUT001, Place::at("", 1, 1, 1), message);
        errors.push(error.help("a plan with a thousand routes has about 270 KB: is this the right file?"));
        return Err(Diagnostics { source: source.to_owned(), text: String::new(), errors, more: 0 });
    }
    let plan = parse(source, bytes, Skeleton::default().plan(), &mut errors);
    if errors.is_empty() {
        return Ok(plan);
    }
    errors.sort_by_key(|e| e.place);
    let more = errors.len().saturating_sub(MAX_ERRORS);
    errors.truncate(MAX_ERRORS);
    Err(Diagnostics { source: source.to_owned(), text: plan.text, errors, more })
}

/// Reads the plan of an existing run without applying the rules of [`lint`]. [`Plan::newer`] lists everything in the
/// text that this build does not know. Unknown and missing values are taken from `instead`. For an empty text the
/// result is `instead`.
pub fn read(source: &str, bytes: &[u8], instead: Plan) -> Plan {
    if bytes.is_empty() {
        return instead;
    }
    let mut found = Vec::new();
    let plan = parse(source, bytes, instead, &mut found);
    found.retain(|error| error.unknown);
    found.sort_by_key(|error| error.place);
    let mut newer: Vec<_> =
        found.into_iter().map(|error| format!("line {} of the plan: {}", error.place.line, error.message)).collect();
    if let Some(step) = plan.strategy.steps.iter().find(|step| newer.is_empty() && step.kind == StepKind::Unknown) {
        newer.push(format!("this build does not know the kind of step {} of the plan", step.number));
    }
    Plan { newer, ..plan }
}

/// Parses a plan, and adds all errors to `errors`. Values that cannot be decoded are taken from `instead`.
fn parse(source: &str, bytes: &[u8], instead: Plan, errors: &mut Vec<Diagnostic>) -> Plan {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let origin = check::Origin { source, text: &text, hash: hash(bytes) };
    let document = match std::str::from_utf8(bytes).map(yaml::read) {
        Ok(Ok(root)) if root.value == yaml::Value::Null => {
            let error = Diagnostic::new(Code::CUT001, Place::at(&text, 1, 1, 1), "the plan is empty");
            Err(error.help("`cutover init` writes a plan from a live load balancer"))
        }
        Ok(Ok(root)) => Ok(file::Document::decode(&root, errors)),
        Ok(Err(error)) => Err(error),
        Err(error) => Err(not_utf8(bytes, error.valid_up_to())),
    };
    match document {
        Ok(Some(document)) => return check::plan(&document, &origin, instead, errors),
        Ok(None) => {}
        Err(error) => errors.push(Diagnostic { unknown: true, ..error }),
    }
    let source = source.to_owned();
    Plan { source, hash: origin.hash, text, ..instead }
}

/// Returns the SHA-256 of a plan's text as lower-case hexadecimal digits.
pub fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn not_utf8(bytes: &[u8], offset: usize) -> Diagnostic {
    let before = String::from_utf8_lossy(&bytes[..offset]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    let place = Place::at(&String::from_utf8_lossy(bytes), line, column, 1);
    let message = format!("byte {offset} (0x{:02x}) is not UTF-8", bytes.get(offset).copied().unwrap_or_default());
    Diagnostic::new(Code::CUT001, place, message).help("save the file as UTF-8")
}
