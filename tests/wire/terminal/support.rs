//! Processes: the lab, a run that is followed line by line, and verbs that must come to an end by themselves. None outlives its test.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

/// The plan of these tests; every wait in it can be ended from another terminal.
pub const PLAN: &str = include_str!("plan.yaml");

/// Seconds after which a child that should have ended counts as hanging, and is killed.
const PATIENCE: &str = "90";

/// `cutover lab` as a process, and a folder for plans and runs.
pub struct Lab {
    process: Process,
    environment: Vec<(String, String)>,
    folder: tempfile::TempDir,
}

/// A child that is killed, by its id, when it is dropped.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Sends it a signal, as a terminal would.
    pub fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().expect("kill runs").success());
    }

    fn end(&mut self) -> Option<i32> {
        self.0.wait().expect("it ends").code()
    }
}

impl Lab {
    /// Starts one for the plan of these tests, and takes what it prints for its environment.
    pub fn start() -> Self {
        Self::start_in("{}")
    }

    /// The same with the `spec` of a scenario.
    pub fn start_in(scenario: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("plan.yaml"), PLAN).expect("the plan is written");
        let text =
            format!("apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: test}}\nspec: {scenario}\n");
        std::fs::write(folder.path().join("scenario.yaml"), text).expect("the scenario is written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command
            .args(["lab", "plan.yaml", "--speed", "100", "--scenario", "scenario.yaml"])
            .current_dir(folder.path())
            .stdin(Stdio::null());
        // What a killed lab cannot tidy up goes away with the test's folder.
        command.env("TMPDIR", folder.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the lab starts");
        let said = child.stderr.take().expect("its stderr");
        let exports = child.stdout.take().expect("its stdout");
        let process = Process(child);
        // The first words on stderr come once everything is printed on stdout.
        let mut ready = String::new();
        let mut said = BufReader::new(said);
        while !ready.contains("ends the lab") {
            assert_ne!(said.read_line(&mut ready).expect("a line"), 0, "the lab did not start: {ready}");
        }
        let mut exports = BufReader::new(exports).lines();
        let mut environment = Vec::new();
        while !environment.iter().any(|(name, _): &(String, String)| name == "CUTOVER_STATE_DIR") {
            let line = exports.next().expect("a line").expect("a line");
            let (name, value) = line.strip_prefix("export ").and_then(|l| l.split_once('=')).expect("an export");
            environment.push((name.to_owned(), value.to_owned()));
        }
        Self { process, environment, folder }
    }

    /// Where the plan is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the lab printed for this variable.
    pub fn environment(&self, name: &str) -> &str {
        self.environment.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// One more variable for the other terminal.
    pub fn also(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Ends it as `^C` does, and returns its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.process.signal("INT");
        self.process.end()
    }

    /// A program in the other terminal: this environment and nothing of the tests' own, no terminal, and an end after a time.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--foreground", PATIENCE, program]);
        self.dress(&mut command);
        command
    }

    fn dress(&self, command: &mut Command) {
        command.env_clear().current_dir(self.folder.path()).stdin(Stdio::null());
        for name in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("HOME", self.folder.path()).env("USER", "alice").env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
    }

    /// Runs `cutover` with these words to its end.
    pub fn cutover(&self, words: &str) -> Said {
        self.cutover_with(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// The same with arguments that have spaces.
    pub fn cutover_with(&self, args: &[&str]) -> Said {
        Said::of(self.command(env!("CARGO_BIN_EXE_cutover")).args(args).output().expect("cutover runs"))
    }

    /// Starts a `cutover` whose records are followed.
    pub fn follow(&self, words: &str) -> Follow {
        self.follow_in(words, Path::new(self.environment("CUTOVER_STATE_DIR")))
    }

    /// The same with runs in this folder.
    pub fn follow_in(&self, words: &str, state: &Path) -> Follow {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        self.dress(&mut command);
        command.env("CUTOVER_STATE_DIR", state);
        let notes = self.folder.path().join(format!("stderr-{}", fastrand::u32(..)));
        let stderr = std::fs::File::create(&notes).expect("a file for stderr");
        command.args(words.split_whitespace()).args(["--output", "json"]).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().expect("cutover starts");
        let records = BufReader::new(child.stdout.take().expect("its stdout"));
        Follow { process: Process(child), records, notes, run: String::new() }
    }

    /// The shares of the cluster `b` on every route, as `status --load-balancer` reads them.
    pub fn shares(&self) -> Vec<f64> {
        let said = self.cutover("status --load-balancer alpha-webapp --output json");
        assert_eq!(said.code, 0, "{said:?}");
        let routes = said.records().into_iter().filter(|r| r["event"] == "liveRoute");
        let share = |route: &Value| {
            let groups = route["shares"].as_array().cloned().unwrap_or_default();
            groups.iter().find(|g| g["group"] == "alpha-webapp-b").map_or(0.0, |g| g["share"].as_f64().unwrap_or(-1.0))
        };
        routes.map(|r| share(&r)).collect()
    }
}

/// What a process that ended has said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; 124 where it hung.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// From what `Command::output` gives.
    pub fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Standard output as JSON, a value a line.
    pub fn records(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}")))
            .collect()
    }

    /// Standard output as one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("not JSON ({e}): {self:?}"))
    }
}

/// A `cutover run` or `resume` whose records are read as they come.
pub struct Follow {
    /// The process.
    pub process: Process,
    records: BufReader<ChildStdout>,
    notes: PathBuf,
    /// The run's id, once a record has told it.
    pub run: String,
}

impl Follow {
    /// Reads on until a record fits.
    pub fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(
                self.records.read_line(&mut line).expect("a line") != 0,
                "it ended before {what}: {}",
                self.notes()
            );
            let record: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}"));
            record["run"].as_str().unwrap_or_default().clone_into(&mut self.run);
            if fits(&record) {
                return record;
            }
        }
    }

    /// Reads on until this step begins.
    pub fn until_step(&mut self, step: u64) {
        self.until("that step", |r| r["event"] == "stepStarted" && r["step"] == step);
    }

    /// Reads on until this event.
    pub fn until_event(&mut self, event: &str) -> Value {
        self.until(event, |r| r["event"] == event)
    }

    /// Its exit code, once it has ended, and what it said on stderr.
    pub fn end(mut self) -> (i32, String) {
        let mut rest = String::new();
        self.records.read_to_string(&mut rest).expect("the rest");
        let code = self.process.end();
        (code.unwrap_or(-1), self.notes())
    }

    fn notes(&self) -> String {
        std::fs::read_to_string(&self.notes).unwrap_or_default()
    }
}
