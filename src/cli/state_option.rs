//! Adds `--state-dir` or `--state` of this command line to the commands in its messages, so that they can be pasted.

use std::ffi::OsString;
use std::sync::OnceLock;

use super::args::Global;

/// The commands that read the runs of a store.
const COMMANDS: [&str; 10] =
    ["abort", "approve", "finalize", "history", "pause", "promote", "report", "resume", "rollback", "status"];

static OPTIONS: OnceLock<String> = OnceLock::new();

/// Remembers the options if they are on the command line. Options in the environment also apply to the next command.
pub fn remember(global: &Global, argv: &[OsString]) {
    let given = |name: &str| {
        let is_option = |arg: &OsString| arg.to_str().is_some_and(|arg| arg.split('=').next() == Some(name));
        argv.iter().any(is_option)
    };
    let dir = global.state_dir.as_ref().filter(|_| given("--state-dir"));
    let dir = dir.map(|dir| format!(" --state-dir {}", quote(&dir.to_string_lossy())));
    let state = global.state.as_ref().filter(|_| given("--state")).map(|state| format!(" --state {state}"));
    let _ = OPTIONS.set(dir.into_iter().chain(state).collect());
}

/// Returns the text with the options after each of these commands. JSON stays as it is.
pub fn add(text: &str) -> String {
    match OPTIONS.get() {
        Some(options) if !options.is_empty() && !text.starts_with('{') => with_options(text, options),
        _ => text.to_owned(),
    }
}

fn with_options(text: &str, options: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("cutover ") {
        let (before, after) = rest.split_at(at + "cutover ".len());
        out.push_str(before);
        rest = after;
        let word: &str = after.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
        // A command for a load balancer needs no store, and must not depend on one that cannot be used.
        let is_complete = |after: &str| after.starts_with(options) || after.starts_with(" --load-balancer");
        if COMMANDS.contains(&word) && !is_complete(&after[word.len()..]) {
            out.push_str(word);
            out.push_str(options);
            rest = &after[word.len()..];
        }
    }
    out.push_str(rest);
    out
}

fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-~:@+".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_a_run_get_the_option() {
        assert_eq!(
            with_options("to end: cutover rollback shop-1; `cutover status`; cutover help state", " --state-dir x"),
            "to end: cutover rollback --state-dir x shop-1; `cutover status --state-dir x`; cutover help state"
        );
        for complete in ["no command", "cutover rollback --load-balancer shop", "cutover status --state-dir x shop-1"] {
            assert_eq!(with_options(complete, " --state-dir x"), complete);
        }
        assert_eq!(quote("a b"), "'a b'");
    }
}
