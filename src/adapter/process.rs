//! Runs a program of this machine without a shell and with a time-out, and kills all processes that the program
//! started.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::base::redact;

/// The maximum size of the read output, in bytes.
const OUTPUT_LIMIT: u64 = 1 << 20;

/// A command to run, with its input and time-out.
pub struct CommandLine<'a> {
    /// The path or name of the program, then the arguments.
    pub argv: &'a [String],
    /// Additional environment variables.
    pub variables: Vec<(&'static str, String)>,
    /// The text for standard input; empty: no standard input.
    pub input: String,
    /// The time, in real time, after which the program is killed.
    pub timeout: Duration,
}

/// Runs a command. Returns the exit code and the standard output (up to 1 MiB), or why there is no exit code.
pub async fn run(line: CommandLine<'_>) -> Result<(i32, Vec<u8>), String> {
    let (program, arguments) = line.argv.split_first().ok_or("the command is empty")?;
    let mut command = Command::new(program);
    let input = if line.input.is_empty() { Stdio::null() } else { Stdio::piped() };
    command
        .args(arguments)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .process_group(0);
    command.envs(line.variables);
    let mut child = command.spawn().map_err(|error| clean(&format!("{program}: {error}")))?;
    let group = ProcessGroup::of(&child);
    let reader = child.stdin.take();
    let read = async {
        if let Some(mut reader) = reader {
            // The program may exit without reading its input.
            let _ = reader.write_all(line.input.as_bytes()).await;
        }
    };
    let writer = child.stdout.take();
    let stdout = async {
        let mut stdout = Vec::new();
        if let Some(writer) = writer {
            // Output beyond the limit is not read.
            let _ = writer.take(OUTPUT_LIMIT).read_to_end(&mut stdout).await;
        }
        stdout
    };
    let all = async { tokio::join!(read, stdout, child.wait()) };
    let result = tokio::time::timeout(line.timeout, all).await;
    drop(group);
    let ((), stdout, status) =
        result.map_err(|_| clean(&format!("{program} took longer than {} s", line.timeout.as_secs_f64())))?;
    let status = status.map_err(|error| clean(&format!("{program}: {error}")))?;
    let code = status.code().ok_or_else(|| clean(&format!("{program} was killed")))?;
    Ok((code, stdout))
}

/// Removes credentials. The URL or path of a program may contain one.
fn clean(why: &str) -> String {
    redact::clean(why).into_owned()
}

/// The process group of a command. Dropping this value kills all processes of the group.
pub struct ProcessGroup(Option<u32>);

impl ProcessGroup {
    /// Returns the group of a child process that leads its own group.
    pub fn of(child: &Child) -> Self {
        Self(child.id())
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        let pid = self.0.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}
