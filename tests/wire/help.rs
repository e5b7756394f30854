//! `cutover help` as a process: plain in a pipe, through the pager on a terminal, and its exit codes.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::child::{self, ProcessResult};

fn command(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(words.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("NO_COLOR").env("TERM", "xterm");
    command
}

fn help(words: &str) -> ProcessResult {
    child::run(command(words))
}

#[test]
fn in_a_pipe_help_is_plain_text() {
    let topic = help("help emergency").assert_exit(0).out;
    assert!(topic.starts_with("emergency: ") && !topic.contains('\u{1b}'), "{topic}");
    assert!(help("help").assert_exit(0).out.contains("\n  troubleshooting  "));
    assert!(help("help run").assert_exit(0).out.contains("--until <STEP>"));
    assert!(help("help emergency --color always").assert_exit(0).out.contains('\u{1b}'));
}

#[test]
fn programs_get_the_source_of_a_topic() {
    let ended = help("help gates --output json").assert_exit(0);
    let records = ended.records();
    assert_eq!(records[0]["topic"], "gates");
    let markdown = records[0]["markdown"].as_str().expect("the page should be a string");
    assert_eq!(help("help gates --output markdown").assert_exit(0).out.trim_end(), markdown.trim_end());
    assert_eq!(help("help --output json").assert_exit(0).records()[0]["topics"][0]["topic"], "emergency");
}

#[test]
fn an_unknown_word_gets_similar_topics_or_mentions() {
    let message = help("help emergancy").assert_exit(2).err;
    assert!(message.contains("similar: emergency"), "{message}");
    let message = help("help TargetGroupBinding").assert_exit(2).err;
    assert!(message.contains("`TargetGroupBinding` is mentioned in: ") && message.contains("plan"), "{message}");
    let message = help("apply plan.yaml").assert_exit(2).err;
    assert!(message.contains("'run'"), "{message}");
}

/// Runs the program with a terminal as standard output, and with a pager that writes its input to a file. Returns the
/// file's content.
fn run_with_pager(words: &str) -> String {
    let folder = tempfile::tempdir().expect("the folder should be created");
    let file = folder.path().join("page");
    let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("the terminal should be opened");
    grantpt(&main).and_then(|()| unlockpt(&main)).expect("the terminal should be opened");
    let name = ptsname(&main, Vec::new()).expect("the terminal should have a name");
    let end = File::options()
        .read(true)
        .write(true)
        .open(std::ffi::OsStr::from_bytes(name.as_bytes()))
        .expect("the terminal should be opened");
    let mut command = command(words);
    command.stdout(end).env("PAGER", format!("cat > '{}'", file.display()));
    assert!(command.status().expect("cutover should start").success());
    std::fs::read_to_string(&file).unwrap_or_default()
}

#[test]
fn on_a_terminal_a_long_topic_goes_through_the_pager_in_colour() {
    let page = run_with_pager("help emergency");
    assert!(page.contains('\u{1b}') && page.contains("--take-over"), "{page}");
}
