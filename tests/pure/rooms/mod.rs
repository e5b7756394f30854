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

/// The rooms that speak of routes, members and weights know no vendor, not even in a message or a comment.
#[test]
fn rooms_without_a_vendor_use_no_vendors_word() {
    let neutral = ["domain/traffic/", "domain/run/", "domain/decide/", "engine/"];
    let texts = texts(Path::new("src"));
    let vendor = |word: &str| ["alb", "nlb", "elbv2", "haproxy"].contains(&word.to_lowercase().as_str());
    let words = |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(vendor);
    let mut wrong = Vec::new();
    for (file, text) in texts.iter().filter(|(file, _)| neutral.iter().any(|room| file.starts_with(room))) {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().enumerate().filter(|(_, line)| words(line));
        wrong.extend(lines.map(|(n, line)| format!("{file}:{}: {}", n + 1, line.trim())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
