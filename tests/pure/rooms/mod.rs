//! Checks the modules of `src` against the rules in `src/lib.rs`: the direction of dependencies, circles, and the
//! crates that each room may use.

mod arrow;
mod cases;
mod rule;
mod source;

use std::path::Path;

use arrow::arrows;
use rule::{needless, violations};
use source::{Source, texts};

/// Dependencies that still break the rules. This list must only get shorter.
const KNOWN_VIOLATIONS: &[(&str, &str)] = &[];

#[test]
fn dependencies_follow_the_rules() {
    let texts = texts(Path::new("src"));
    let source = Source::of(&texts);
    assert_eq!(source.forgotten(&texts), Vec::<&String>::new(), "these files have no `mod` line");
    let arrows = arrows(&source);
    let wrong = violations(&arrows, KNOWN_VIOLATIONS);
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
    let needless = needless(&arrows, KNOWN_VIOLATIONS);
    assert!(needless.is_empty(), "these violations no longer exist; remove them from KNOWN_VIOLATIONS: {needless:#?}");
}
