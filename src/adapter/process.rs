//! Runs a program of this machine without a shell and with a time-out, and kills all processes that the program
//! started.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use crate::base::redact;
use crate::plan::model::Plan;

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
    /// The folder in which the program runs.
    pub folder: &'a Folder,
}

/// The folder in which commands of a plan run, and against which their relative paths are resolved. This is the folder
/// of the plan file, or the working folder of this process if the folder does not exist on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folder(Option<PathBuf>);

impl Folder {
    /// Returns the folder of a plan, if it is known and exists on this machine.
    pub fn of(plan: &Plan) -> Self {
        Self(plan.folder.as_ref().map(PathBuf::from).filter(|folder| folder.is_dir()))
    }

    /// Returns the path of a program. A relative path is resolved against this folder. A name without `/` is searched
    /// in `PATH`.
    fn path(&self, program: &str) -> PathBuf {
        match &self.0 {
            Some(folder) if program.contains('/') => folder.join(program),
            _ => PathBuf::from(program),
        }
    }

    /// Checks that a program exists and can be executed. The error has the path and the reason.
    pub fn locate(&self, program: &str) -> Result<(), String> {
        let path = self.path(program);
        if !program.contains('/') {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let found = std::env::split_paths(&path).any(|folder| can_execute(&folder.join(program)));
            return if found { Ok(()) } else { Err(format!("no folder of PATH has a program `{program}`")) };
        }
        let shown = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        let shown = shown.components().collect::<PathBuf>();
        if !path.exists() {
            Err(format!("{} does not exist", shown.display()))
        } else if !can_execute(&path) {
            Err(format!("{0} cannot be executed (chmod +x {0})", shown.display()))
        } else {
            Ok(())
        }
    }
}

fn can_execute(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The time to read the rest of the standard error of a program that has exited. A process that the program left behind
/// may keep it open.
const STDERR_TIMEOUT: Duration = Duration::from_millis(200);

/// The result of a command that exited.
pub struct CommandResult {
    /// The exit code.
    pub code: i32,
    /// The standard output, up to 1 MiB.
    pub stdout: Vec<u8>,
    /// The last line of the standard error, without credentials; empty if there is none.
    pub last_error: String,
}

impl CommandResult {
    /// Returns the exit code with the last line of the standard error, which usually has the cause.
    pub fn failure(&self) -> String {
        let Self { code, last_error, .. } = self;
        if last_error.is_empty() { format!("exit code {code}") } else { format!("exit code {code}: {last_error}") }
    }
}

/// Runs a command. The error says why there is no exit code.
pub async fn run(line: CommandLine<'_>) -> Result<CommandResult, String> {
    let (program, arguments) = line.argv.split_first().ok_or("the command is empty")?;
    let mut command = Command::new(line.folder.path(program));
    if let Some(folder) = &line.folder.0 {
        command.current_dir(folder);
    }
    let input = if line.input.is_empty() { Stdio::null() } else { Stdio::piped() };
    command
        .args(arguments)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
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
    let last_error = Mutex::new(String::new());
    let mut errors = std::pin::pin!(remember_last_line(child.stderr.take(), &last_error));
    let all = async {
        let mut program = std::pin::pin!(async { tokio::join!(read, stdout, child.wait()) });
        let result = tokio::select! {
            result = &mut program => result,
            () = &mut errors => return program.await,
        };
        let _ = tokio::time::timeout(STDERR_TIMEOUT, &mut errors).await;
        result
    };
    let result = tokio::time::timeout(line.timeout, all).await;
    drop(group);
    let ((), stdout, status) =
        result.map_err(|_| clean(&format!("{program} took longer than {} s", line.timeout.as_secs_f64())))?;
    let status = status.map_err(|error| clean(&format!("{program}: {error}")))?;
    let code = status.code().ok_or_else(|| clean(&format!("{program} was killed")))?;
    let last_error = last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(CommandResult { code, stdout, last_error })
}

/// Reads the standard error of a program and remembers the last line that is not empty.
async fn remember_last_line(stderr: Option<ChildStderr>, last: &Mutex<String>) {
    let Some(stderr) = stderr else { return };
    let mut lines = BufReader::new(stderr.take(OUTPUT_LIMIT)).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        if !text.trim().is_empty() {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = clean(text.trim());
        }
    }
}

/// Removes credentials. The URL or path of a program may contain credentials.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_by_its_path_and_by_what_is_wrong_with_it() {
        let folder = std::env::temp_dir().join(format!("cutover-commands-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("bin")).expect("a folder");
        std::fs::write(folder.join("bin/text"), "no program").expect("a file");
        let here = Folder(Some(folder.clone()));
        let shown = folder.display();
        assert_eq!(here.locate("./bin/scale-up.sh"), Err(format!("{shown}/bin/scale-up.sh does not exist")));
        assert_eq!(
            here.locate("bin/text"),
            Err(format!("{shown}/bin/text cannot be executed (chmod +x {shown}/bin/text)"))
        );
        assert_eq!((here.locate("sh"), here.locate("/bin/sh")), (Ok(()), Ok(())));
        assert!(here.locate("no-such-program").is_err_and(|why| why.contains("PATH")));
        std::fs::remove_dir_all(folder).expect("it was there");
    }
}
