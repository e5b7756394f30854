//! The plan file: from bytes to a checked [`model::Plan`], or all that is wrong with it, each with its place.
//!
//! The way goes from bytes to a tree of nodes that know their places (`yaml`), from there to the file's fields (`file`, with `decode` and `scalar`),
//! and from those to the model (`check`). Every stage notes what is wrong and goes on; only a text that is no YAML stops at its first error.
//! Nothing here reads a file or asks the world.

mod check;
mod decode;
pub mod diagnostic;
mod extra;
mod file;
mod hooks;
pub mod model;
mod render;
mod scalar;
pub mod schedule;
mod schema;
mod suggest;
pub mod template;
mod time;
mod yaml;

use sha2::{Digest, Sha256};

pub use diagnostic::{Diagnostic, Diagnostics, MAX_ERRORS, Place};
pub use render::render;
pub use scalar::selected as selector;
pub use schema::schema;
pub use yaml::MAX_BYTES;

use crate::base::finding::Code;
use crate::base::text::hex;
use decode::Decode;
use model::Plan;

/// Reads and checks a plan. `source_name` is what the bytes were read from (`-` for standard input). Time and memory are bounded whatever the bytes.
///
/// # Errors
/// Everything that is wrong, in the order of the text.
pub fn parse(source_name: &str, bytes: &[u8]) -> Result<Plan, Diagnostics> {
    let wrong = |text: &str, mut errors: Vec<Diagnostic>| {
        errors.sort_by_key(|e| e.place);
        let more = errors.len().saturating_sub(MAX_ERRORS);
        errors.truncate(MAX_ERRORS);
        Err(Diagnostics { source: source_name.to_owned(), text: text.to_owned(), errors, more })
    };
    if bytes.len() > MAX_BYTES {
        let message = format!("the plan has more than {MAX_BYTES} bytes, the most that is read");
        let error = Diagnostic::new(Code::CUT001, Place::at("", 1, 1, 1), message);
        return wrong("", vec![error.help("a plan over a hundred routes has about 20 KB: is this the right file?")]);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return wrong(&String::from_utf8_lossy(bytes), vec![not_utf8(bytes, error.valid_up_to())]),
    };
    let mut errors = Vec::new();
    let document = match yaml::read(text) {
        Ok(root) if root.value == yaml::Value::Null => {
            let error = Diagnostic::new(Code::CUT001, Place::at(text, 1, 1, 1), "the plan is empty");
            return wrong(text, vec![error.help("`cutover init` writes a plan from a live load balancer")]);
        }
        Ok(root) => file::Document::decode(&root, &mut errors),
        Err(error) => return wrong(text, vec![error]),
    };
    let hash = hex(&Sha256::digest(bytes));
    let origin = check::Origin { source: source_name, text, hash };
    match document.and_then(|d| check::plan(&d, &origin, &mut errors)) {
        Some(plan) if errors.is_empty() => Ok(plan),
        _ => wrong(text, errors),
    }
}

fn not_utf8(bytes: &[u8], offset: usize) -> Diagnostic {
    let before = String::from_utf8_lossy(&bytes[..offset]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    let place = Place::at(&String::from_utf8_lossy(bytes), line, column, 1);
    let message = format!("byte {offset} (0x{:02x}) is not UTF-8", bytes.get(offset).copied().unwrap_or_default());
    Diagnostic::new(Code::CUT001, place, message).help("save the file as UTF-8")
}
