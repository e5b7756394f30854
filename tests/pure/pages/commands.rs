//! Commands on the pages and in `--help` can be typed.

use std::ffi::OsString;
use std::path::Path;

use cutover::cli::command::Cutover;

use super::{commands, pages, root};

/// Returns the words of a command line without quotes, up to a comment, a pipe or a redirection.
fn words(line: &str) -> Vec<OsString> {
    let ends = |w: &&str| w.starts_with('#') || [">", "|", ";"].contains(w);
    line.split_whitespace().take_while(|w| !ends(w)).map(|w| w.trim_matches('\'').into()).collect()
}

fn check_command(command: &str, whole: bool) -> Result<(), String> {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion, MissingRequiredArgument};
    match Cutover::read(words(command)) {
        Err(error) if matches!(error.kind(), DisplayHelp | DisplayVersion) => Ok(()),
        Err(error) if !whole && error.kind() == MissingRequiredArgument => Ok(()),
        Err(error) => Err(format!("{command}\n{error}")),
        Ok(_) => Ok(()),
    }
}

#[test]
fn every_command_on_a_page_is_valid() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (path, text) in pages() {
        for (command, whole) in commands(&text).into_iter().filter(|(c, _)| !c.contains("COMMAND")) {
            count += 1;
            wrong.extend(check_command(&command, whole).err().map(|e| format!("{path}: {e}")));
        }
    }
    assert!(count > 150, "expected more than 150 commands, found {count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_example_command_of_the_help_is_valid() {
    let mut program = Cutover::definition(Path::new("cutover"));
    program.build();
    let of = |c: &clap::Command| c.get_after_help().map(ToString::to_string).unwrap_or_default();
    let helps = std::iter::once(of(&program))
        .chain(program.get_subcommands().map(of))
        .collect::<Vec<_>>()
        .join("\n")
        .replace("\\\n", " ");
    let examples: Vec<_> = helps.lines().filter(|l| l.trim_start().starts_with("cutover ")).collect();
    assert!(examples.len() > 15, "{examples:#?}");
    for example in examples {
        // A comment follows after two or more spaces, unless options follow there.
        let command = example
            .trim_start()
            .split("  ")
            .filter(|part| ["-", "cutover "].iter().any(|s| part.trim_start().starts_with(s)))
            .collect::<Vec<_>>()
            .join(" ");
        check_command(&command, true).unwrap_or_else(|e| panic!("{e}"));
        for file in words(&command)
            .iter()
            .filter_map(|w| w.to_str())
            .filter(|w| w.starts_with("examples/") || w.starts_with("plans/"))
        {
            assert!(root().join(file).exists(), "the file {file} does not exist");
        }
    }
}
