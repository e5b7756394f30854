//! Kills the `credential_process` of an AWS profile that does not end. The SDK starts it with a shell, and does not kill
//! it when a load of credentials is given up.
//!
//! Do not start processes here, except `ps`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

/// A process of this machine.
struct Running {
    id: i32,
    parent: i32,
    command: String,
}

/// Kills the processes that this process started with `sh -c COMMAND`, and all processes that they started. Best
/// effort: if the machine has neither `/proc` nor `ps`, nothing is killed.
pub fn kill(command: &str) {
    let Ok(own) = i32::try_from(std::process::id()) else { return };
    let all = processes();
    let started = all.iter().filter(|process| process.parent == own && runs(process, command));
    let mut found: BTreeSet<i32> = started.map(|process| process.id).collect();
    loop {
        let known = found.len();
        let children = all.iter().filter(|process| found.contains(&process.parent)).map(|process| process.id);
        found.extend(children.collect::<Vec<_>>());
        if found.len() == known {
            break;
        }
    }
    for id in found.into_iter().filter_map(Pid::from_raw) {
        let _ = kill_process(id, Signal::KILL);
    }
}

/// Whether a process runs this command of a shell. A shell can replace itself by the command.
fn runs(process: &Running, command: &str) -> bool {
    let (found, wanted) = (plain(&process.command), plain(command));
    !wanted.is_empty() && (found == wanted || found.strip_prefix("sh -c ") == Some(&wanted))
}

/// Returns the words of a command without quotes.
fn plain(command: &str) -> String {
    let text: String = command.chars().filter(|c| !matches!(c, '"' | '\'' | '\\')).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn processes() -> Vec<Running> {
    if Path::new("/proc/self/stat").exists() { of_proc() } else { of_ps() }
}

fn of_proc() -> Vec<Running> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: std::fs::DirEntry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name in parentheses can contain spaces; the state and the parent follow.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        let words = std::fs::read(entry.path().join("cmdline")).ok()?;
        Some(Running { id, parent, command: String::from_utf8_lossy(&words).replace('\0', " ") })
    };
    entries.filter_map(process).collect()
}

fn of_ps() -> Vec<Running> {
    let output = Command::new("ps").args(["-A", "-ww", "-o", "pid=,ppid=,command="]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(of_line).collect()
}

fn of_line(line: &str) -> Option<Running> {
    let (id, rest) = line.trim_start().split_once(' ')?;
    let (parent, command) = rest.trim_start().split_once(' ')?;
    Some(Running { id: id.parse().ok()?, parent: parent.parse().ok()?, command: command.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Stdio};

    use super::*;

    /// Calls `kill` until a process has ended: a shell may not have replaced itself by its command yet.
    fn killed(process: &mut Child, command: &str) -> Option<i32> {
        loop {
            kill(command);
            if let Some(ended) = process.try_wait().expect("the state of a process") {
                return ended.signal();
            }
        }
    }

    #[test]
    fn process_is_killed_with_the_processes_that_it_started() {
        let shell = |command: &str| {
            let shell = Command::new("sh").args(["-c", command]).stdout(Stdio::piped()).spawn();
            shell.expect("start a shell")
        };
        let command = "(echo started; sleep '98765.5'); true";
        let (mut hung, mut other) = (shell(command), shell("sleep 98765.75"));
        let mut output = hung.stdout.take().expect("the output of a process");
        output.read_exact(&mut [0; 8]).expect("the process starts");
        kill("sleep 98765.125");
        assert_eq!(other.try_wait().expect("the state of a process"), None, "another command is not killed");
        assert_eq!(killed(&mut hung, command), Some(9));
        // The output ends when no process has it any more.
        output.read_to_end(&mut Vec::new()).expect("the output ends");
        assert_eq!(killed(&mut other, "sleep 98765.75"), Some(9));
    }

    #[test]
    fn line_of_ps_has_two_numbers_and_the_command() {
        let found = of_line("  412   17 sh -c foo  --bar 'x y'").expect("a process");
        assert_eq!((found.id, found.parent), (412, 17));
        assert!(runs(&found, "foo --bar \"x y\"") && !runs(&found, "foo --bar") && !runs(&found, ""));
    }
}
