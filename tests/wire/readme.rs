//! Checks that the sample output in the README is what the program prints. `CUTOVER_UPDATE=1` writes changed lines into
//! the README.

use std::process::{Command, Stdio};

use crate::child;

const PAGE: &str = "README.md";

/// Returns the commands of the page whose output follows, each with this output.
fn samples(page: &str) -> Vec<(String, String)> {
    let mut blocks = page.split("```").skip(1).step_by(2).peekable();
    let mut samples = Vec::new();
    while let (Some(block), Some(next)) = (blocks.next(), blocks.peek()) {
        if let (Some(command), Some(output)) = (block.strip_prefix("sh\ncutover "), next.strip_prefix("text\n")) {
            samples.push((command.trim().to_owned(), output.to_owned()));
        }
    }
    samples
}

/// Returns the part of a line that identifies it after its words have changed: the time, the mark and the step.
fn key(line: &str) -> &str {
    let end = line.char_indices().nth(11).map_or(line.len(), |(at, _)| at);
    &line[..end]
}

/// Returns the lines of a sample as the program prints them now. The error is the first line that the program does not
/// print.
fn updated_sample(sample: &str, printed: &[&str]) -> Result<String, String> {
    let mut now = String::new();
    for line in sample.lines() {
        let near = |other: &&&str| key(other) == key(line);
        let closest = |a: &&&str, b: &&&str| strsim::jaro(a, line).total_cmp(&strsim::jaro(b, line));
        let found = match line {
            "…" => line,
            line if printed.contains(&line) => line,
            _ => printed.iter().filter(near).max_by(closest).ok_or_else(|| line.to_owned())?,
        };
        now.push_str(found);
        now.push('\n');
    }
    Ok(now)
}

/// Whether the program prints the lines of a sample in this order, possibly with others between them.
fn in_order(sample: &str, printed: &[&str]) -> bool {
    let mut rest = printed.iter();
    sample.lines().filter(|line| *line != "…").all(|line| rest.any(|other| *other == line))
}

#[test]
fn the_readme_shows_what_the_program_prints() {
    let mut page = std::fs::read_to_string(PAGE).expect("the README should be readable");
    let samples = samples(&page);
    assert!(!samples.is_empty());
    for (command, sample) in samples {
        let mut cutover = Command::new(env!("CARGO_BIN_EXE_cutover"));
        cutover.args(command.split_whitespace()).env("TZ", "UTC");
        cutover.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let ended = child::run(cutover);
        let printed: Vec<_> = ended.out.lines().collect();
        if in_order(&sample, &printed) {
            continue;
        }
        let now = updated_sample(&sample, &printed);
        if let (Ok(now), Some(_)) = (&now, std::env::var_os("CUTOVER_UPDATE")) {
            page = page.replace(&sample, now);
            std::fs::write(PAGE, &page).expect("the README should be written");
        }
        assert!(in_order(now.as_deref().unwrap_or_default(), &printed) && now.is_ok(), "{now:?} of\n{}", ended.out);
        assert!(
            std::env::var_os("CUTOVER_UPDATE").is_some(),
            "{PAGE} differs from the output of `cutover {command}`; CUTOVER_UPDATE=1 writes:\n{}",
            now.unwrap_or_default()
        );
    }
}
