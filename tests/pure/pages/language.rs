//! The pages are short, and in plain English.

use super::{page, pages, prose, topics};

#[test]
fn the_readme_is_short() {
    let lines = page("README.md").lines().count();
    assert!(lines <= 150, "README.md has {lines} lines, at most 150 are allowed; move reference to src/cli/help");
}

/// Phrases that a reader with average English has to read twice.
const OBSCURE_PHRASES: [&str; 24] = [
    "let go",
    "lets go",
    "in hand",
    "spoken for",
    "own accord",
    "holds nobody up",
    "hold up",
    "holds up",
    "held up",
    "is no fault",
    "is well",
    "bear that",
    "nobody has",
    "this very",
    "Who finds",
    "What is called",
    "What cannot",
    "has to come back",
    "nothing leads back",
    "a bet against",
    "whose wealth",
    "is no such",
    "Nor ",
    "goes its way",
];

#[test]
fn code_in_a_topic_fits_a_terminal_of_80_columns() {
    let mut wrong = Vec::new();
    for (path, text) in topics() {
        // The terminal shows the code with an indent of four columns. A word that cannot be broken may be a little
        // longer.
        let code = text.split("```").skip(1).step_by(2).flat_map(str::lines).filter(|l| l.chars().count() > 80);
        wrong.extend(code.map(|line| format!("{path}: {line}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pages_are_in_plain_english_and_their_lines_are_short() {
    let mut wrong = Vec::new();
    for (path, text) in pages() {
        let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
        wrong.extend(
            OBSCURE_PHRASES.iter().filter(|phrase| joined.contains(**phrase)).map(|phrase| format!("{path}: {phrase}")),
        );
        let long = |line: &&str| line.chars().count() > 120 && !line.starts_with('|');
        wrong.extend(prose(&text).lines().filter(long).map(|line| format!("{path}: over 120 characters: {line}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
