//! Questions, writes and messages of the emergency command, as one table: what a run left behind, whether there is a
//! terminal, and the response to the question.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use aws_credential_types::Credentials;
use cutover::adapter::aws::elb::Alb;
use cutover::adapter::aws::{Settings, config};
use cutover::domain::traffic::{RouteContent, RouteId, Tags};
use cutover::engine::inventory::read_balancer;
use cutover::plan::model::Selector;
use cutover::port::{Detail, LoadBalancerApi};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::terminal::support::{Follow, Lab};

const MARKER: &str = "cutover.dev/run";
const WEIGHTS: &str = "cutover.dev/weights";

/// Who responds to the question, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answerer {
    /// A person at a terminal.
    Types(&'static str),
    /// A terminal, and `--yes`.
    Yes,
    /// No terminal, and `--yes`.
    Script,
    /// No terminal and no `--yes`.
    Nobody,
}

/// The columns of the table.
const ANSWERERS: [Answerer; 6] = [
    Answerer::Types("n\n"),
    Answerer::Types("\n"),
    Answerer::Types("y\n"),
    Answerer::Yes,
    Answerer::Script,
    Answerer::Nobody,
];

/// A row of the table: what the run left behind, the command, and for each of [`ANSWERERS`] the exit code, with `?` if
/// there was a question, and `!` if the traffic was restored.
#[rustfmt::skip]
const TABLE: &[(Remains, &str, &str)] = &[
    //                                                                    n   Enter  y    --yes script nobody
    (Remains::All,           "rollback",                                   "2?   2?   0?!  6    6    2"),
    (Remains::All,           "rollback --yes --take-over",                 "0!   0!   0!   0!   0!   0!"),
    (Remains::NoMarker,      "rollback",                                   "2?   2?   0?!  0!   0!   2"),
    (Remains::NoWeights,     "rollback",                                   "2    2    2    2    2    2"),
    (Remains::NoWeights,     "rollback --load-balancer alpha-webapp GROUPS", "2?   2?   0?!  6    6    2"),
    (Remains::Nothing,       "rollback",                                   "2    2    2    2    2    2"),
    (Remains::Nothing,       "rollback --load-balancer alpha-webapp",      "2    2    2    2    2    2"),
    (Remains::Nothing,       "rollback --load-balancer alpha-webapp GROUPS", "2?   2?   0?!  0!   0!   2"),
    (Remains::FinishedRun,   "rollback",                                   "2?   2?   0?!  6    6    2"),
    (Remains::FinishedRun,   "rollback --load-balancer alpha-webapp",      "2?   2?   0?!  6    6    2"),
    (Remains::DeadOwner,     "rollback",                                   "2?   2?   0?!  0!   0!   2"),
    (Remains::DeadOwner,     "rollback --load-balancer alpha-webapp GROUPS", "2?   2?   0?!  0!   0!   2"),
    (Remains::LiveOwner,     "rollback",                                   "2?   2?   0?!  0!   0!   2"),
    (Remains::LiveOwner,     "rollback --load-balancer alpha-webapp GROUPS", "2?   2?   0?!  6    6    2"),
];

/// What a run that moved 5 % of the traffic left behind.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Remains {
    /// All tags of the run; the journal is on another machine.
    All,
    /// The tags of the run except the marker.
    NoMarker,
    /// The tags of the run except the weights.
    NoWeights,
    /// No tags.
    Nothing,
    /// All tags of the run, and on this machine the journal of another run, which is finished.
    FinishedRun,
    /// All tags and the journal of the run, whose process is dead.
    DeadOwner,
    /// All tags and the journal of the run, and the process that drives it.
    LiveOwner,
}

/// The result of a command.
#[derive(Debug)]
struct CommandResult {
    code: i32,
    output: String,
    restored: bool,
}

impl CommandResult {
    fn asks(&self) -> bool {
        self.output.contains("[y/N]")
    }

    fn cell(&self) -> String {
        format!("{}{}{}", self.code, if self.asks() { "?" } else { "" }, if self.restored { "!" } else { "" })
    }

    fn last_line(&self) -> &str {
        self.output.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
    }
}

/// The lab, and its state after the run moved 5 % of the traffic.
struct Stage {
    lab: Lab,
    balancer: LoadBalancerApi,
    load_balancer: (String, Tags),
    routes: Vec<(RouteId, RouteContent, Tags)>,
    /// The state folders of the run, and of a finished run.
    run: PathBuf,
    finished: PathBuf,
}

impl Stage {
    async fn new() -> Self {
        let lab = Lab::start();
        let (run, finished) = (lab.folder().join("run"), lab.folder().join("finished"));
        let in_state = |state: &Path, words: &str| {
            let mut command = lab.command(env!("CARGO_BIN_EXE_cutover"));
            command.args(words.split_whitespace()).env("CUTOVER_STATE_DIR", state);
            command.output().expect("cutover should start").status.code()
        };
        assert_eq!(in_state(&finished, "run plan.yaml --yes --until first-traffic"), Some(8));
        assert_eq!(in_state(&finished, "rollback --yes"), Some(0));
        assert_eq!(in_state(&run, "run plan.yaml --yes --until first-traffic"), Some(8));
        let settings = Settings {
            region: Some("ap-northeast-2".into()),
            endpoint_url: Some(lab.environment("AWS_ENDPOINT_URL").to_owned()),
            credentials: Some(Credentials::new("test", "test", None, None, "test")),
            ..Settings::default()
        };
        let balancer = LoadBalancerApi::new(Alb::new(&config(&settings).await));
        let clock = cutover::adapter::clock::SystemClock;
        let seen = read_balancer::read_for_rollback(&Selector::Name("alpha-webapp".into()), &balancer, &clock, false)
            .await
            .expect("the read should succeed");
        let listeners =
            balancer.inventory.listeners(&seen.load_balancer.arn, Detail::Full).await.expect("the read should succeed");
        let tagged = listeners.into_iter().flat_map(|(_, routes)| routes).filter(|r| r.tags.contains_key(WEIGHTS));
        let routes: Vec<_> = tagged.map(|r| (r.id, r.content, r.tags)).collect();
        assert_eq!(routes.len(), 6);
        Self { lab, balancer, load_balancer: (seen.load_balancer.arn, seen.load_balancer.tags), routes, run, finished }
    }

    /// Restores the state after the run moved 5 %, without the parts that are not left.
    async fn set(&self, left: Remains) {
        let balancer = &self.balancer;
        for (id, content, tags) in &self.routes {
            balancer
                .traffic
                .set(id, content, std::time::Duration::from_secs(10))
                .await
                .expect("the write should succeed");
            balancer.tags.put(&[id.to_string()], tags).await.expect("the tags should be written");
        }
        let (arn, tags) = &self.load_balancer;
        balancer.tags.put(std::slice::from_ref(arn), tags).await.expect("the tags should be written");
        let gone: &[&str] = match left {
            Remains::NoMarker => &[MARKER],
            Remains::NoWeights => &[WEIGHTS],
            Remains::Nothing => &[MARKER, WEIGHTS],
            Remains::All | Remains::FinishedRun | Remains::DeadOwner | Remains::LiveOwner => &[],
        };
        let keys: Vec<_> = gone.iter().map(|key| (*key).to_owned()).collect();
        let all = self.resources();
        if !keys.is_empty() {
            balancer.tags.remove(&all, &keys).await.expect("the tags should be removed");
        }
    }

    /// Returns the ARNs of all resources that the run tagged.
    fn resources(&self) -> Vec<String> {
        self.routes.iter().map(|(id, ..)| id.to_string()).chain([self.load_balancer.0.clone()]).collect()
    }

    /// Whether all traffic is restored; fails the test if only a part is.
    fn is_restored(&self) -> bool {
        let shares = self.lab.shares();
        assert!(shares == [0.0; 6] || shares == [5.0; 6], "{shares:?}");
        shares == [0.0; 6]
    }

    /// Returns the keys of the `cutover.dev/` tags that are left.
    async fn tags(&self) -> Vec<String> {
        let all = self.resources();
        let tags = self.balancer.tags.tags(&all).await.expect("the read should succeed");
        tags.into_values().flat_map(Tags::into_keys).filter(|key| key.starts_with("cutover.dev/")).collect()
    }

    async fn run_case(&self, left: Remains, words: &str, who: Answerer) -> CommandResult {
        self.set(left).await;
        let state = tempfile::tempdir_in(self.lab.folder()).expect("the folder should be created");
        match left {
            Remains::FinishedRun => copy(&self.finished, state.path()),
            Remains::DeadOwner | Remains::LiveOwner => copy(&self.run, state.path()),
            Remains::All | Remains::NoMarker | Remains::NoWeights | Remains::Nothing => {}
        }
        let owner = (left == Remains::LiveOwner).then(|| self.start_owner(state.path()));
        let mut args: Vec<_> = words.split_whitespace().collect();
        if args.last() == Some(&"GROUPS") {
            args.pop();
            args.extend(["--back-to", "*-a", "--away-from", "*-b"]);
        }
        if matches!(who, Answerer::Yes | Answerer::Script) && !args.contains(&"--yes") {
            args.push("--yes");
        }
        let (code, output) = self.command(&args, state.path(), who);
        drop(owner);
        CommandResult { code, output, restored: self.is_restored() }
    }

    /// Starts a process that drives the run.
    fn start_owner(&self, state: &Path) -> Follow {
        let mut follow = self.lab.follow_in("resume two-terminals --yes", state);
        follow.until("a wait for the bake", |r| r["event"] == "waiting" && r["waits"][0]["reason"] == "bake");
        follow
    }

    /// Runs a command; returns the exit code and the standard error.
    fn command(&self, args: &[&str], state: &Path, who: Answerer) -> (i32, String) {
        let mut command = self.lab.command(env!("CARGO_BIN_EXE_cutover"));
        command.args(args).env("CUTOVER_STATE_DIR", state).stdout(Stdio::null());
        let typed = match who {
            Answerer::Types(text) => text,
            Answerer::Yes => "",
            Answerer::Script | Answerer::Nobody => {
                let out = command.stderr(Stdio::piped()).output().expect("cutover should start");
                return (out.status.code().unwrap_or(-1), String::from_utf8_lossy(&out.stderr).into_owned());
            }
        };
        let (mut master, slave) = open_terminal();
        command.stdin(slave.try_clone().expect("the terminal should be cloned")).stderr(slave);
        let mut child = command.spawn().expect("cutover should start");
        // This process's copy of the other end would keep the terminal open.
        drop(command);
        master.write_all(typed.as_bytes()).expect("the answer should be typed");
        let mut output = Vec::new();
        // Reading from a closed terminal returns an error.
        let _ = master.read_to_end(&mut output);
        let code = child.wait().expect("the process should end").code().unwrap_or(-1);
        (code, String::from_utf8_lossy(&output).replace('\r', ""))
    }
}

/// Opens a new terminal; returns both ends.
fn open_terminal() -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("the terminal should be opened");
    grantpt(&master).expect("grantpt should succeed");
    unlockpt(&master).expect("unlockpt should succeed");
    let name = ptsname(&master, Vec::new()).expect("the terminal should have a name");
    let slave = File::options()
        .read(true)
        .write(true)
        .open(OsStr::from_bytes(name.as_bytes()))
        .expect("the terminal should be opened");
    (File::from(master), slave)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder should be created");
    for entry in std::fs::read_dir(from).expect("the folder should be readable") {
        let entry = entry.expect("the folder should be readable");
        let into = to.join(entry.file_name());
        if entry.file_type().expect("the file type should be readable").is_dir() {
            copy(&entry.path(), &into);
        } else {
            std::fs::copy(entry.path(), into).expect("the file should be copied");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_emergency_command_asks_once_and_no_ends_it() {
    let stage = Stage::new().await;
    let mut wrong = Vec::new();
    for (left, words, cells) in TABLE {
        let mut found = Vec::new();
        for who in ANSWERERS {
            let result = stage.run_case(*left, words, who).await;
            found.push(result.cell());
            wrong.extend(wrong_messages(*left, words, who, &result));
            if result.code == 0 {
                let tags = stage.tags().await;
                assert!(tags.is_empty(), "{left:?} {words} {who:?}: {tags:?} left\n{}", result.output);
            }
        }
        if found != cells.split_whitespace().collect::<Vec<_>>() {
            wrong.push(format!("{left:?} {words}: {}, and not {cells}", found.join("   ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(stage.lab.stop(), Some(0));
}

/// An evacuation without a plan asks once, is a run, and is undone by a rollback of that run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_evacuated_cluster_gets_its_share_back() {
    let stage = Stage::new().await;
    stage.set(Remains::Nothing).await;
    let state = stage.lab.folder().join("evacuation");
    let evacuate = ["evacuate", "--load-balancer", "alpha-webapp", "--away-from", "*-b"];
    let words = |output: &str| output.split_whitespace().collect::<Vec<_>>().join(" ");
    let (code, output) = stage.command(&evacuate, &state, Answerer::Types("n\n"));
    assert_eq!((code, stage.lab.shares()), (2, vec![5.0; 6]), "{output}");
    let question = "Move 6 routes of alpha-webapp from alpha-webapp-b (5 % → 0 %) to alpha-webapp-a (95 % → 100 %)?";
    assert!(words(&output).contains(question), "{output}");
    assert!(words(&output).contains("alpha-webapp-a takes 95 % → 100 %: it has "), "{output}");
    let (code, output) = stage.command(&[&evacuate[..], &["--yes"]].concat(), &state, Answerer::Script);
    assert_eq!((code, stage.lab.shares()), (0, vec![0.0; 6]), "{output}");
    let runs = std::fs::read_dir(state.join("runs")).expect("the folder should be readable");
    let runs: Vec<_> = runs
        .filter_map(|run| run.ok()?.file_name().into_string().ok())
        .filter(|run| run.starts_with("evacuate-"))
        .collect();
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    let (code, output) = stage.command(&["rollback", run, "--yes"], &state, Answerer::Script);
    assert_eq!((code, stage.lab.shares()), (0, vec![5.0; 6]), "{output}");
    // Typed again, there is something to move again; typed twice, there is nothing to do.
    for _ in 0..2 {
        let (code, output) = stage.command(&[&evacuate[..], &["--yes"]].concat(), &state, Answerer::Script);
        assert_eq!((code, stage.lab.shares()), (0, vec![0.0; 6]), "{output}");
    }
    assert_eq!(stage.lab.stop(), Some(0));
}

/// Swapped groups are an easy mistake at night: neither `y` nor `--yes` alone confirms them, and the tags with the
/// weights before the run stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapped_groups_are_named_and_do_not_remove_the_original_weights() {
    let stage = Stage::new().await;
    stage.set(Remains::All).await;
    let state = stage.lab.folder().join("elsewhere");
    let swapped =
        ["rollback", "--load-balancer", "alpha-webapp", "--back-to", "*-b", "--away-from", "*-a", "--take-over"];
    let with = |more: &[&'static str]| [&swapped[..], more].concat();
    for (args, who, flag) in [
        (with(&[]), Answerer::Types("y\n"), "alpha-webapp-b"),
        (with(&[]), Answerer::Types("alpha-webapp-a\n"), "alpha-webapp-b"),
        (with(&["--yes"]), Answerer::Script, "--force"),
        (with(&["--yes"]), Answerer::Yes, "--force"),
        (with(&[]), Answerer::Nobody, "--yes --force"),
    ] {
        let (code, output) = stage.command(&args, &state, who);
        let text = output.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == 2 && text.contains("nothing was written") && text.contains(flag), "{who:?} {code}: {output}");
        assert!(text.contains("say alpha-webapp-a 100 %, alpha-webapp-b 0 %; you ask for the opposite"), "{output}");
        assert_eq!(stage.lab.shares(), [5.0; 6], "{who:?}");
    }
    for (args, who) in
        [(with(&[]), Answerer::Types("alpha-webapp-b\n")), (with(&["--yes", "--force"]), Answerer::Script)]
    {
        let (code, output) = stage.command(&args, &state, who);
        assert_eq!((code, stage.lab.shares()), (0, vec![100.0; 6]), "{who:?}: {output}");
        let (code, output) =
            stage.command(&["rollback", "--load-balancer", "alpha-webapp", "--yes"], &state, Answerer::Script);
        assert_eq!((code, stage.lab.shares()), (0, vec![0.0; 6]), "{output}");
        assert_eq!(stage.tags().await, Vec::<String>::new());
        stage.set(Remains::All).await;
    }
    assert_eq!(stage.lab.stop(), Some(0));
}

/// Returns what is wrong with the messages of a command, if anything is.
fn wrong_messages(left: Remains, words: &str, who: Answerer, result: &CommandResult) -> Option<String> {
    let last = result.last_line();
    // Questions wrap at the width of the terminal.
    let output = result.output.split_whitespace().collect::<Vec<_>>().join(" ");
    let direction = "back to alpha-webapp-a (95 % → 100 %) and away from alpha-webapp-b (5 % → 0 %)";
    let other = matches!(left, Remains::All | Remains::NoWeights | Remains::FinishedRun)
        || (left == Remains::LiveOwner && words.contains("GROUPS"));
    let right = match (result.code, who) {
        (0, _) => {
            !result.asks() || (output.contains(direction) && output.contains("? Then run two-terminals-") == other)
        }
        (2, Answerer::Types(_)) if result.asks() => {
            last.ends_with("nothing was written")
                && output.matches("[y/N]").count() == 1
                && output.contains(direction)
                && output.contains("? Then run two-terminals-") == other
        }
        (2, Answerer::Nobody) if output.contains(" → ") => {
            last.ends_with(if other { "add --yes --take-over" } else { "add --yes" })
        }
        // The original weights are unknown: the last line must be a command to type.
        (2, _) => last.contains("cutover rollback --load-balancer") || output.contains("no load balancer in "),
        (6, _) => {
            output.matches("--take-over").count() == 1
                && output.contains("two-terminals-")
                && last.contains("--take-over")
        }
        _ => false,
    };
    (!right).then(|| format!("{left:?} {words} {who:?}: exit {}\n{}", result.code, result.output))
}
