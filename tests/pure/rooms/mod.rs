//! Holds `src` to its rooms, as `src/lib.rs` and DESIGN describe them: which way arrows point, where circles and other
//! crates must not be.

mod arrow;
mod cases;
mod rule;
mod source;

use std::path::Path;

use arrow::arrows;
use rule::{needless, violations};
use source::{Source, texts};

/// Arrows that are still wrong. This list only gets shorter.
const KNOWN: &[(&str, &str)] = &[];

#[test]
fn the_code_keeps_to_its_rooms() {
    let texts = texts(Path::new("src"));
    let source = Source::of(&texts);
    assert_eq!(source.forgotten(&texts), Vec::<&String>::new(), "no `mod` leads to these");
    let arrows = arrows(&source);
    let wrong = violations(&arrows, KNOWN);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let needless = needless(&arrows, KNOWN);
    assert!(needless.is_empty(), "these are mended: take them out of KNOWN: {needless:#?}");
}
