//! Checks the documentation against the code: tables, commands, plans, the diagram and file names of the README, of the
//! topics of `cutover help` and of other pages. Each field, option, event, metric and code must be in one of the
//! topics. `CUTOVER_UPDATE=1` writes the tables that are generated from the code.

mod commands;
mod diagram;
mod files;
mod language;
mod tables;
mod words;

use std::path::PathBuf;

use cutover::cli::help::TOPICS;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Returns the topics of `cutover help` as path and text.
fn topics() -> Vec<(String, String)> {
    TOPICS.iter().map(|topic| (format!("src/cli/help/{}.md", topic.name), topic.markdown.to_owned())).collect()
}

/// Returns every page for users and maintainers as path and text.
fn pages() -> Vec<(String, String)> {
    let others =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md", "plans/README.md", "tests/README.md"];
    others.into_iter().map(|path| (path.to_owned(), page(path))).chain(topics()).collect()
}

/// Returns the fenced blocks of one language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

/// Returns a text without its fenced blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// Returns the texts between back-quotes outside fenced blocks.
fn quoted(text: &str) -> Vec<String> {
    prose(text).split('`').skip(1).step_by(2).map(|q| q.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Returns all code of a text: fenced blocks and texts between back-quotes.
fn code(text: &str) -> String {
    let fenced: Vec<_> = text.split("```").skip(1).step_by(2).map(str::to_owned).collect();
    [fenced, quoted(text)].concat().join("\n")
}

/// Whether a text has a word, with no letter, digit, `_` or `-` next to it.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

/// Asserts that the table with this head on a page has exactly these rows. `CUTOVER_UPDATE=1` writes the rows into the
/// page.
fn assert_table(path: &str, head: &str, rows: &[String]) {
    let text = page(path);
    let columns = head.matches('|').count() - 1;
    let head = format!("{head}\n|{}\n", "---|".repeat(columns));
    let (before, rest) =
        text.split_once(&head).unwrap_or_else(|| panic!("{path} has no table that begins with\n{head}"));
    let there: String = rest.lines().take_while(|l| l.starts_with('|')).flat_map(|l| [l, "\n"]).collect();
    let wanted: String = rows.iter().flat_map(|row| [row.as_str(), "\n"]).collect();
    if there != wanted && std::env::var_os("CUTOVER_UPDATE").is_some() {
        std::fs::write(root().join(path), format!("{before}{head}{wanted}{}", &rest[there.len()..]))
            .expect("the page should be writable");
        return;
    }
    assert!(
        there == wanted,
        "{path}: a table differs from the code; CUTOVER_UPDATE=1 rewrites it. Expected:\n{wanted}"
    );
}

/// Returns the command lines in a text, and whether each is complete: lines of shell blocks are, but quoted commands in
/// prose may leave out arguments.
fn commands(text: &str) -> Vec<(String, bool)> {
    let unquoted = text.lines().map(|l| l.strip_prefix("> ").unwrap_or(l)).collect::<Vec<_>>().join("\n");
    let unquoted = unquoted.replace("\\\n", " ");
    let typed = blocks(&unquoted, "sh").into_iter().flat_map(str::lines).map(|l| (l.to_owned(), true));
    let named = quoted(&unquoted).into_iter().map(|q| (q, false));
    typed.chain(named).filter(|(c, _)| c.starts_with("cutover ") && !c.contains('…')).collect()
}
