//! Runs a program of this machine without a shell, with a time-out, and ends all processes that it started.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::base::redact;

/// Limit of its output, in bytes.
const OUTPUT_LIMIT: u64 = 1 << 20;

/// A command to run.
pub struct CommandLine<'a> {
    /// The program and its arguments.
    pub words: &'a [String],
    /// Additional environment variables.
    pub variables: Vec<(&'static str, String)>,
    /// Its standard input; empty: none.
    pub input: String,
    /// After this time, in real time, it is killed.
    pub timeout: Duration,
}

/// Runs it. Returns its exit code and its standard output, up to 1 MiB, or why there is no exit code.
pub async fn run(line: CommandLine<'_>) -> Result<(i32, Vec<u8>), String> {
    let (program, arguments) = line.words.split_first().ok_or("there is no command")?;
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
    let family = ProcessGroup::of(&child);
    let reader = child.stdin.take();
    let read = async {
        if let Some(mut reader) = reader {
            // The program need not read its input.
            let _ = reader.write_all(line.input.as_bytes()).await;
        }
    };
    let writer = child.stdout.take();
    let said = async {
        let mut said = Vec::new();
        if let Some(writer) = writer {
            // Output beyond the limit is not read.
            let _ = writer.take(OUTPUT_LIMIT).read_to_end(&mut said).await;
        }
        said
    };
    let all = async { tokio::join!(read, said, child.wait()) };
    let ended = tokio::time::timeout(line.timeout, all).await;
    drop(family);
    let ((), said, status) =
        ended.map_err(|_| clean(&format!("{program} took longer than {} s", line.timeout.as_secs_f64())))?;
    let status = status.map_err(|error| clean(&format!("{program}: {error}")))?;
    let code = status.code().ok_or_else(|| clean(&format!("{program} was killed")))?;
    Ok((code, said))
}

/// A program may be named by a URL or path that holds a credential.
fn clean(why: &str) -> String {
    redact::clean(why).into_owned()
}

/// The process group of a command. Dropping it kills all processes of the group.
pub struct ProcessGroup(Option<u32>);

impl ProcessGroup {
    /// The group of a child that leads a group of its own.
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
