//! A command that gets a notification on its standard input. No shell, no output, and an end.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::adapter::command::Family;
use crate::adapter::courier::Trouble;

/// Runs it; anything but exit code 0 is a failure.
pub async fn run(words: &[String], timeout: Duration, input: String) -> Result<(), Trouble> {
    let Some((program, arguments)) = words.split_first() else { return Err(Trouble::Lasting("there is no command".into())) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).process_group(0);
    let mut child = command.spawn().map_err(|e| Trouble::Lasting(format!("{program}: {e}")))?;
    let family = Family::of(&child);
    let ended = tokio::time::timeout(timeout, told(&mut child, input)).await;
    drop(family);
    match ended {
        Err(_) => Err(Trouble::Passing(format!("{program} takes longer than {} s", timeout.as_secs_f64()))),
        Ok(Err(error)) => Err(Trouble::Passing(format!("{program}: {error}"))),
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(Trouble::Passing(format!("{program}: {status}"))),
    }
}

async fn told(child: &mut Child, input: String) -> std::io::Result<std::process::ExitStatus> {
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not care to read ends all the same.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    child.wait().await
}
