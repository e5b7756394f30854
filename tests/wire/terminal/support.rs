//! Child processes: the lab, a run that is followed line by line, and commands that must end by themselves. No process
//! outlives its test.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

/// The plan of these tests. Every wait in it can be ended from another terminal.
pub const PLAN: &str = include_str!("plan.yaml");

/// The time in seconds after which a child process is killed.
const TIMEOUT_SECONDS: &str = "1800";

/// `cutover lab` as a process, and a folder for plans and runs.
pub struct Lab {
    process: Process,
    environment: Vec<(String, String)>,
    folder: tempfile::TempDir,
}

/// A child process, which is killed by its id when the value is dropped.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Sends a signal to the process.
    pub fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().expect("kill should start").success());
    }

    fn end(&mut self) -> Option<i32> {
        self.0.wait().expect("the process should end").code()
    }
}

impl Lab {
    /// Starts a lab for the plan of these tests, and reads the environment variables from its output.
    pub fn start() -> Self {
        Self::start_in("{}")
    }

    /// Starts a lab with this `spec` of a scenario.
    pub fn start_in(scenario: &str) -> Self {
        Self::start_for(PLAN, scenario, &["--speed", "100"])
    }

    /// Starts a lab for a plan, with this `spec` of a scenario and these options.
    pub fn start_for(plan: &str, scenario: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("the folder should be created");
        std::fs::write(folder.path().join("plan.yaml"), plan).expect("the plan should be written");
        let text =
            format!("apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: test}}\nspec: {scenario}\n");
        std::fs::write(folder.path().join("scenario.yaml"), text).expect("the scenario should be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command
            .args(["lab", "plan.yaml", "--scenario", "scenario.yaml"])
            .args(options)
            .current_dir(folder.path())
            .stdin(Stdio::null());
        // A killed lab cannot remove its temporary files; they are removed with the test's folder.
        command.env("TMPDIR", folder.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the lab should start");
        let stderr = child.stderr.take().expect("the process should have a standard error");
        let exports = child.stdout.take().expect("the process should have a standard output");
        let process = Process(child);
        // The first line on standard error follows the last line on standard output.
        let mut ready = String::new();
        let mut stderr = BufReader::new(stderr);
        while !ready.contains("ends the lab") {
            assert_ne!(
                stderr.read_line(&mut ready).expect("the line should be readable"),
                0,
                "the lab did not start: {ready}"
            );
        }
        let mut exports = BufReader::new(exports).lines();
        let mut environment = Vec::new();
        while !environment.iter().any(|(name, _): &(String, String)| name == "CUTOVER_STATE_DIR") {
            let line = exports.next().expect("the line should be readable").expect("the line should be readable");
            let (name, value) =
                line.strip_prefix("export ").and_then(|l| l.split_once('=')).expect("the line should be an export");
            environment.push((name.to_owned(), value.to_owned()));
        }
        Self { process, environment, folder }
    }

    /// Returns the folder of the plan.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns an environment variable that the lab printed.
    pub fn environment(&self, name: &str) -> &str {
        self.environment.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// Adds an environment variable for the other terminal.
    pub fn add_variable(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Stops the lab as `^C` does, and returns the exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.process.signal("INT");
        self.process.end()
    }

    /// Returns a command that runs a program in the other terminal: with only the lab's environment, without a
    /// terminal, and with a time-out.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--foreground", TIMEOUT_SECONDS, program]);
        self.set_environment(&mut command);
        command
    }

    fn set_environment(&self, command: &mut Command) {
        command.env_clear().current_dir(self.folder.path()).stdin(Stdio::null());
        for name in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("HOME", self.folder.path()).env("USER", "alice").env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
    }

    /// Runs `cutover` with these words to its end.
    pub fn cutover(&self, words: &str) -> VerbOutput {
        self.cutover_with(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `cutover` with arguments that contain spaces.
    pub fn cutover_with(&self, args: &[&str]) -> VerbOutput {
        VerbOutput::of(self.command(env!("CARGO_BIN_EXE_cutover")).args(args).output().expect("cutover should start"))
    }

    /// Starts `cutover`, to follow its records.
    pub fn follow(&self, words: &str) -> Follow {
        self.follow_in(words, Path::new(self.environment("CUTOVER_STATE_DIR")))
    }

    /// Starts `cutover` with its state in this folder, to follow its records.
    pub fn follow_in(&self, words: &str, state: &Path) -> Follow {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        self.set_environment(&mut command);
        command.env("CUTOVER_STATE_DIR", state);
        let notes = self.folder.path().join(format!("stderr-{}", fastrand::u32(..)));
        let stderr = std::fs::File::create(&notes).expect("the file for standard error should be created");
        command.args(words.split_whitespace()).args(["--output", "json"]).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().expect("cutover should start");
        let records = BufReader::new(child.stdout.take().expect("the process should have a standard output"));
        Follow { process: Process(child), records, notes, run: String::new() }
    }

    /// Returns the share of cluster `b` on every route, as `status --load-balancer` reads it.
    pub fn shares(&self) -> Vec<f64> {
        let result = self.cutover("status --load-balancer alpha-webapp --output json");
        assert_eq!(result.code, 0, "{result:?}");
        let routes = result.records().into_iter().filter(|r| r["event"] == "liveRoute");
        let share = |route: &Value| {
            let groups = route["shares"].as_array().cloned().unwrap_or_default();
            groups.iter().find(|g| g["group"] == "alpha-webapp-b").map_or(0.0, |g| g["share"].as_f64().unwrap_or(-1.0))
        };
        routes.map(|r| share(&r)).collect()
    }
}

/// The output and exit code of a process.
#[derive(Debug)]
pub struct VerbOutput {
    /// The exit code; 124 if the process hung.
    pub code: i32,
    /// The standard output of the process.
    pub out: String,
    /// The standard error of the process.
    pub err: String,
}

impl VerbOutput {
    /// Converts the result of `Command::output`.
    pub fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Parses each line of the standard output as a JSON value.
    pub fn records(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}")))
            .collect()
    }

    /// Parses the standard output as one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("not JSON ({e}): {self:?}"))
    }
}

/// A `cutover run` or `resume` whose records are read while it runs.
pub struct Follow {
    /// The process of the command.
    pub process: Process,
    records: BufReader<ChildStdout>,
    notes: PathBuf,
    /// The id of the run, after the first record.
    pub run: String,
}

impl Follow {
    /// Reads records until a record matches. Returns this record.
    pub fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(
                self.records.read_line(&mut line).expect("the line should be readable") != 0,
                "the process ended before {what}: {}",
                self.notes()
            );
            let record: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}"));
            record["run"].as_str().unwrap_or_default().clone_into(&mut self.run);
            if fits(&record) {
                return record;
            }
        }
    }

    /// Reads records until this step starts.
    pub fn until_step(&mut self, step: u64) {
        self.until("the start of the step", |r| r["event"] == "stepStarted" && r["step"] == step);
    }

    /// Reads records until this event; returns the record.
    pub fn until_event(&mut self, event: &str) -> Value {
        self.until(event, |r| r["event"] == event)
    }

    /// Waits for the end of the process; returns the exit code and the standard error.
    pub fn end(mut self) -> (i32, String) {
        let mut rest = String::new();
        self.records.read_to_string(&mut rest).expect("the remaining output should be readable");
        let code = self.process.end();
        (code.unwrap_or(-1), self.notes())
    }

    fn notes(&self) -> String {
        std::fs::read_to_string(&self.notes).unwrap_or_default()
    }
}
