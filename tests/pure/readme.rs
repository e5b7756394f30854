//! The README says what the code does: its tables, commands, plans, diagram and file names are read here and compared. Where a table differs, the right one is printed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cutover::app::exit::Exit;
use cutover::base::finding::{Code, Severity};
use cutover::cli::command::Cutover;
use cutover::domain::preflight::ACCEPTABLE_ERRORS;
use cutover::domain::run::event::{Event, Outcome, Record};
use cutover::domain::run::state::{Phase, State};
use serde_json::json;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("README.md")
}

/// The fenced blocks of one language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

/// What stands between back-quotes outside fenced blocks.
fn quoted(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    prose.split('`').skip(1).step_by(2).map(|q| q.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn assert_holds(text: &str, table: &[String]) {
    let table = table.join("\n");
    assert!(text.contains(&table), "README.md should have this table:\n\n{table}\n");
}

#[test]
fn exit_codes_are_the_codes_of_the_program() {
    let rows = Exit::ALL.map(|e| format!("| {} | {} |", e.code(), e.meaning()));
    assert_holds(&readme(), &[vec!["| exit | meaning |".into(), "|---|---|".into()], rows.to_vec()].concat());
}

#[test]
fn finding_codes_are_those_of_the_table_in_the_code() {
    let row = |code: &Code| {
        let severity = match code.severity() {
            Severity::Error if ACCEPTABLE_ERRORS.contains(code) => "error, may be accepted",
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "note",
        };
        format!("| {} | {} | {severity} | {} |", code.name(), code.source().name(), code.title())
    };
    let head = ["| code | from | severity | what it is about |".to_owned(), "|---|---|---|---|".to_owned()];
    assert_holds(&readme(), &head.into_iter().chain(Code::ALL.iter().map(row)).collect::<Vec<_>>());
}

/// Words of a command line, quotes taken off, up to a comment, a pipe or a redirection.
fn words(line: &str) -> Vec<OsString> {
    let ends = |w: &&str| w.starts_with('#') || [">", "|", ";"].contains(w);
    line.split_whitespace().take_while(|w| !ends(w)).map(|w| w.trim_matches('\'').into()).collect()
}

/// Command lines in a text: lines of shell blocks and quoted ones that begin with the program.
fn commands(text: &str) -> Vec<String> {
    let unquoted = text.lines().map(|l| l.strip_prefix("> ").unwrap_or(l)).collect::<Vec<_>>().join("\n");
    let typed = blocks(&unquoted, "sh").into_iter().flat_map(str::lines).map(str::to_owned);
    let cargo =
        |c: String| c.strip_prefix("cargo run --release -- ").map(|rest| format!("cutover {rest}")).unwrap_or(c);
    typed.chain(quoted(&unquoted)).map(cargo).filter(|c| c.starts_with("cutover ") && !c.contains('…')).collect()
}

fn reads(command: &str) -> Result<(), String> {
    match Cutover::read(words(command)) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{command}\n{error}")),
    }
}

#[test]
fn every_command_is_one_that_the_program_takes() {
    let commands = commands(&readme());
    assert!(commands.len() > 30, "{commands:#?}");
    let wrong: Vec<_> = commands.iter().filter_map(|c| reads(c).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_in_the_help_is_one_that_the_program_takes() {
    let mut program = Cutover::definition(Path::new("cutover"));
    program.build();
    let of = |c: &clap::Command| c.get_after_help().map(ToString::to_string).unwrap_or_default();
    let helps = std::iter::once(of(&program))
        .chain(program.get_subcommands().map(of))
        .collect::<Vec<_>>()
        .join("\n")
        .replace("\\\n", " ");
    let examples: Vec<_> = helps.lines().filter(|l| l.trim_start().starts_with("cutover ")).collect();
    assert!(examples.len() > 15, "{examples:#?}");
    for example in examples {
        // What is two or more blanks away is the remark, unless more options follow there.
        let command = example
            .trim_start()
            .split("  ")
            .filter(|part| part.trim_start().starts_with(['-', 'c']))
            .collect::<Vec<_>>()
            .join(" ");
        reads(&command).unwrap_or_else(|e| panic!("{e}"));
        for file in words(&command)
            .iter()
            .filter_map(|w| w.to_str())
            .filter(|w| w.starts_with("examples/") || w.starts_with("plans/"))
        {
            assert!(root().join(file).exists(), "{file}");
        }
    }
}

#[test]
fn every_plan_is_one_that_reads() {
    let text = readme();
    let plans = blocks(&text, "yaml");
    assert!(!plans.is_empty());
    for plan in plans {
        cutover::plan::lint("README.md", plan.as_bytes())
            .unwrap_or_else(|e| panic!("{}", cutover::plan::render(&e, false)));
    }
}

#[test]
fn every_file_is_there() {
    let text = readme();
    let all = quoted(&text)
        .into_iter()
        .chain(commands(&text))
        .flat_map(|q| q.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let folders = ["src/", "plans/", "examples/", "tests/", "./tests/", "CHANGELOG", "LICENSE"];
    let named: BTreeSet<_> = all.filter(|w| folders.iter().any(|f| w.starts_with(f))).collect();
    assert!(named.len() > 10, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|n| !root().join(n).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// AWS actions that the adapters call, as IAM spells them.
fn called() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (folder, service) in [("src/adapter/aws/elb", "elasticloadbalancing"), ("src/adapter/aws/eks", "eks")] {
        for entry in std::fs::read_dir(root().join(folder)).expect(folder) {
            let text = std::fs::read_to_string(entry.expect(folder).path()).expect("a source file");
            for call in text.split('.').filter_map(|c| c.split_once("()")).map(|(name, _)| name) {
                if ["describe_", "modify_", "add_tags", "remove_tags"].iter().any(|verb| call.starts_with(verb)) {
                    all.insert(format!("{service}:{}", camel(call)));
                }
            }
        }
    }
    all
}

fn camel(snake: &str) -> String {
    snake.split('_').map(|w| w[..1].to_uppercase() + &w[1..]).collect()
}

#[test]
fn permissions_are_the_actions_that_are_called() {
    let listed: BTreeSet<_> = quoted(&readme())
        .into_iter()
        .filter(|q| q.starts_with("elasticloadbalancing:") || q.starts_with("eks:D"))
        .collect();
    let called = called();
    assert!(called.len() > 10, "{called:?}");
    assert_eq!(listed, called);
}

const SHARES: &str = "setWeight";

fn begun(phase: Phase) -> State {
    let started = json!({"event": "started", "plan": "p", "text": "", "hash": "", "owner": "o", "fromStep": 1, "from": "a", "to": "b", "loadBalancers": [], "routes": [],
        "groups": {}, "clusters": {}, "bindings": []});
    let event = serde_json::from_value(started).expect("started");
    let record = Record { seq: 1, time: jiff::Timestamp::UNIX_EPOCH, run: "p-1".into(), event, newer: None };
    let mut state = State::fold(&[record]).expect("legal").expect("a state");
    state.phase = phase;
    state.finished = (phase == Phase::Finished).then_some(Outcome::Completed);
    state
}

fn phase(name: &str) -> Option<Phase> {
    use Phase::{Awaiting, Baking, Detaching, Finished, Moving, Ready, RollingBack, Working};
    [Ready, Moving, Baking, Awaiting, Working, RollingBack, Detaching, Finished]
        .into_iter()
        .find(|p| format!("{p:?}") == name)
}

fn event(name: &str, remark: &str) -> Event {
    let kind = if remark.contains(SHARES) {
        "shares"
    } else if remark.contains("exec") {
        "exec"
    } else if remark.contains("person") {
        "approval"
    } else {
        "bake"
    };
    let value = match name {
        "stepStarted" => json!({"event": name, "step": 1, "kind": kind, "label": ""}),
        "stepDone" => json!({"event": name, "step": 1}),
        "finished" => json!({"event": name, "outcome": "completed"}),
        "rollbackStarted" => json!({"event": name, "cause": "", "by": "o"}),
        "detachStarted" => json!({"event": name, "by": "o", "bindings": false}),
        "paused" => json!({"event": name, "by": "o", "reason": ""}),
        "resumed" => json!({"event": name, "by": "o", "mode": "plain"}),
        "frozen" => json!({"event": name, "reason": "unreadable", "message": ""}),
        _ => json!({"event": name}),
    };
    serde_json::from_value(value).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// `A --> B: event (remark)`.
fn edges(diagram: &str) -> Vec<(&str, &str, &str, &str)> {
    diagram
        .lines()
        .filter_map(|line| {
            let (from, rest) = line.trim().split_once(" --> ")?;
            let (to, label) = rest.split_once(": ")?;
            let (name, remark) = label.split_once(' ').unwrap_or((label, ""));
            Some((from, to, name, remark))
        })
        .collect()
}

#[test]
fn every_edge_of_the_diagram_is_a_transition_of_the_state() {
    let text = readme();
    let diagram = blocks(&text, "mermaid")[0];
    let edges = edges(diagram);
    assert_eq!(edges.len(), 24, "{edges:#?}");
    for (from, to, name, remark) in edges {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let hold = |s: &State| {
            if s.paused.is_some() {
                "Paused"
            } else if s.frozen.is_some() {
                "Frozen"
            } else {
                "Free"
            }
        };
        let mut state = begun(phase(from).unwrap_or(Phase::Ready));
        match from {
            "[*]" => continue,
            "Paused" => state.apply(now, &event("paused", "")).expect("paused"),
            "Frozen" => state.apply(now, &event("frozen", "")).expect("frozen"),
            _ => {}
        }
        state.apply(now, &event(name, remark)).unwrap_or_else(|e| panic!("{from} --> {to}: {e}"));
        let reached = phase(to).map_or(hold(&state) == to, |wanted| state.phase == wanted);
        assert!(reached, "{from} --> {to}: {name} leads to {:?}, {}", state.phase, hold(&state));
    }
}

/// Name, lesson and exit code of every scenario, as the README's table has them.
fn scenarios() -> Vec<(String, String, u8)> {
    let text = readme();
    let rows = text.lines().filter(|l| l.starts_with("| `") && l.matches('|').count() == 5);
    let cells = rows.map(|l| l.split('|').map(str::trim).collect::<Vec<_>>());
    cells.filter_map(|c| Some((c[1].trim_matches('`').to_owned(), c[2].to_owned(), c[4].parse().ok()?))).collect()
}

#[test]
fn every_scenario_is_listed_with_what_it_teaches() {
    let listed: BTreeSet<_> = scenarios().into_iter().map(|(name, lesson, _)| (name, lesson)).collect();
    let mut there = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("examples/scenarios")).expect("scenarios") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a scenario");
        let lesson = text
            .lines()
            .next()
            .and_then(|l| l.strip_prefix("# What you learn: "))
            .expect("its first line says what it teaches");
        there.insert((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), lesson.to_owned()));
    }
    assert_eq!(listed, there);
}
