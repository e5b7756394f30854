//! Checks the documentation against the code: tables, commands, plans, the diagram and file names of the README, of the
//! topics of `cutover help` and of other pages. Each field, option, event, metric and code must be in one of the
//! topics. `CUTOVER_UPDATE=1` writes the tables that are generated from the code.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cutover::app::exit::Exit;
use cutover::base::finding::{Code, Severity};
use cutover::cli::command::Cutover;
use cutover::cli::help::{TOPICS, Topic};
use cutover::domain::preflight::ACCEPTABLE_ERRORS;
use cutover::domain::run::event::{Event, Record, RunOutcome};
use cutover::domain::run::state::{Phase, State};
use cutover::plan::model::notify;
use serde_json::json;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Returns the topics of `cutover help` as path and text.
fn topics() -> Vec<(String, String)> {
    TOPICS.iter().map(|topic| (format!("src/cli/help/{}.md", topic.name), topic.markdown.to_owned())).collect()
}

/// Returns every page for users and maintainers as path and text.
fn pages() -> Vec<(String, String)> {
    let others =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md", "plans/README.md", "tests/README.md"];
    others.into_iter().map(|path| (path.to_owned(), page(path))).chain(topics()).collect()
}

/// Returns the fenced blocks of one language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

/// Returns a text without its fenced blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// Returns the texts between back-quotes outside fenced blocks.
fn quoted(text: &str) -> Vec<String> {
    prose(text).split('`').skip(1).step_by(2).map(|q| q.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Returns all code of a text: fenced blocks and texts between back-quotes.
fn code(text: &str) -> String {
    let fenced: Vec<_> = text.split("```").skip(1).step_by(2).map(str::to_owned).collect();
    [fenced, quoted(text)].concat().join("\n")
}

/// Whether a text has a word, with no letter, digit, `_` or `-` next to it.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

/// Asserts that the table with this head on a page has exactly these rows. `CUTOVER_UPDATE=1` writes the rows into the
/// page.
fn assert_table(path: &str, head: &str, rows: &[String]) {
    let text = page(path);
    let columns = head.matches('|').count() - 1;
    let head = format!("{head}\n|{}\n", "---|".repeat(columns));
    let (before, rest) =
        text.split_once(&head).unwrap_or_else(|| panic!("{path} has no table that begins with\n{head}"));
    let there: String = rest.lines().take_while(|l| l.starts_with('|')).flat_map(|l| [l, "\n"]).collect();
    let wanted: String = rows.iter().flat_map(|row| [row.as_str(), "\n"]).collect();
    if there != wanted && std::env::var_os("CUTOVER_UPDATE").is_some() {
        std::fs::write(root().join(path), format!("{before}{head}{wanted}{}", &rest[there.len()..]))
            .expect("the page should be writable");
        return;
    }
    assert!(
        there == wanted,
        "{path}: a table differs from the code; CUTOVER_UPDATE=1 rewrites it. Expected:\n{wanted}"
    );
}

#[test]
fn exit_codes_match_the_code() {
    let rows = Exit::ALL.map(|e| format!("| {} | {} |", e.code(), e.meaning()));
    assert_table("src/cli/help/exit-codes.md", "| exit | meaning |", &rows);
}

#[test]
fn finding_codes_match_the_code() {
    let row = |code: &Code| {
        let severity = match code.severity() {
            Severity::Error if ACCEPTABLE_ERRORS.contains(code) => "error, may be accepted",
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "note",
        };
        format!("| {} | {} | {severity} | {} |", code.name(), code.source().name(), code.title())
    };
    let rows: Vec<_> = Code::ALL.iter().map(row).collect();
    assert_table("src/cli/help/findings.md", "| code | from | severity | what it is about |", &rows);
}

/// Returns the serde names and doc comments of the variants of an enum in a source file.
fn variants(path: &str, name: &str) -> Vec<(String, String)> {
    let file = syn::parse_file(&page(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let of = file.items.into_iter().find_map(|item| match item {
        syn::Item::Enum(found) if found.ident == name => Some(found),
        _ => None,
    });
    let of = of.unwrap_or_else(|| panic!("{path} has no enum {name}"));
    of.variants.into_iter().map(|v| (camel_case(&v.ident.to_string()), doc(&v.attrs))).collect()
}

/// Returns the doc comment as one line.
fn doc(attributes: &[syn::Attribute]) -> String {
    let line = |a: &syn::Attribute| match &a.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    };
    attributes.iter().filter_map(line).collect::<Vec<_>>().join(" ")
}

/// Returns the name that serde gives a variant.
fn camel_case(variant: &str) -> String {
    variant[..1].to_lowercase() + &variant[1..]
}

#[test]
fn events_match_the_code() {
    let events = variants("src/domain/run/event/mod.rs", "Event");
    let rows: Vec<_> = events
        .iter()
        .filter(|(name, _)| name != "unknown")
        .map(|(name, doc)| format!("| `{name}` | {} |", doc.replace("[`", "`").replace("`]", "`").replace('|', "\\|")))
        .collect();
    assert!(rows.len() > 30, "{rows:#?}");
    assert_table("src/cli/help/state.md", "| event | meaning |", &rows);
}

#[test]
fn every_wait_reason_is_explained() {
    let text = page("src/cli/help/troubleshooting.md");
    let missing: Vec<_> = variants("src/domain/run/event/values.rs", "WaitReason")
        .into_iter()
        .filter(|(name, _)| !text.contains(&format!("| `{name}` |")))
        .collect();
    assert!(missing.is_empty(), "wait reasons without an explanation: {missing:#?}");
}

/// Appends all text of `src`, with broken string literals joined.
fn collect_source(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).expect("the folder should be readable") {
        let path = entry.expect("the entry should be readable").path();
        if path.is_dir() {
            collect_source(&path, all);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("the source file should be readable");
            let mut lines = text.split("\\\n");
            all.push_str(lines.next().unwrap_or_default());
            lines.for_each(|line| all.push_str(line.trim_start()));
        }
    }
}

#[test]
fn explained_messages_exist_in_the_program() {
    let text = page("src/cli/help/troubleshooting.md");
    let messages: Vec<_> =
        text.lines().filter_map(|l| l.strip_prefix("| `")?.split_once("` | ")).map(|(m, _)| m).collect();
    let reasons: BTreeSet<_> =
        variants("src/domain/run/event/values.rs", "WaitReason").into_iter().map(|(name, _)| name).collect();
    let mut all = String::new();
    collect_source(&root().join("src"), &mut all);
    let missing: Vec<_> =
        messages.iter().filter(|m| !reasons.contains(**m) && !all.contains(&m.replace('"', "\\\""))).collect();
    assert!(messages.len() > reasons.len() + 8, "{messages:?}");
    assert!(missing.is_empty(), "messages in the page that are not in the program: {missing:#?}");
}

#[test]
fn every_metric_is_listed() {
    let text = page("src/cli/help/telemetry.md");
    let snapshot = page("tests/wire/snapshots/wire__telemetry__a_run_as_metrics.snap");
    let types = snapshot.lines().filter_map(|l| l.strip_prefix("# TYPE ")).filter_map(|l| l.split_once(' '));
    let name = |(name, kind): (&str, &str)| match kind {
        "info" => format!("{name}_info"),
        "counter" => format!("{name}_total"),
        _ => name.to_owned(),
    };
    let names: Vec<_> = types.map(name).collect();
    assert!(names.len() > 10, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "metrics that are not listed: {missing:?}");
}

#[test]
fn every_kind_of_notification_and_placeholder_is_listed() {
    let text = page("src/cli/help/notifications.md");
    for word in notify::Kind::WORDS {
        assert!(text.contains(&format!("`{word}`")), "{word}");
    }
    for name in notify::PLACEHOLDERS {
        assert!(text.contains(&format!("`{{{{{name}}}}}`")), "{name}");
    }
}

/// Collects the names of all properties in a JSON Schema.
fn collect_properties(schema: &serde_json::Value, names: &mut BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                if let ("properties", serde_json::Value::Object(fields)) = (key.as_str(), value) {
                    names.extend(fields.keys().cloned());
                    fields.values().for_each(|field| collect_properties(field, names));
                } else {
                    collect_properties(value, names);
                }
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|one| collect_properties(one, names)),
        _ => {}
    }
}

/// Returns the words that are not in the code of any topic.
fn missing_in_topics(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let code: String = topics().iter().map(|(_, text)| code(text) + "\n").collect();
    words.into_iter().filter(|word| !has_word(&code, word)).collect()
}

#[test]
fn every_field_of_a_plan_is_in_a_topic() {
    let mut names = BTreeSet::new();
    collect_properties(
        &serde_json::to_value(cutover::plan::schema()).expect("the schema should convert to JSON"),
        &mut names,
    );
    assert!(names.len() > 90, "{names:?}");
    assert_eq!(missing_in_topics(names), Vec::<String>::new());
}

#[test]
fn every_field_of_a_fault_is_in_a_topic() {
    let mut names = BTreeSet::new();
    let schema =
        serde_json::to_value(cutover::lab::scenario::Scenario::schema()).expect("the schema should convert to JSON");
    for (name, definition) in schema["$defs"].as_object().expect("the schema should have definitions") {
        let world = ["Spec", "LoadBalancer", "Listener", "Rule", "TargetGroup", "HealthCheck", "Cluster", "Workload"];
        if !world.contains(&name.as_str())
            && !["Hpa", "Binding", "Latency", "Bucket", "Load", "Limits"].contains(&name.as_str())
        {
            collect_properties(definition, &mut names);
        }
    }
    assert!(names.len() > 30, "{names:?}");
    assert_eq!(missing_in_topics(names), Vec::<String>::new());
}

#[test]
fn every_verb_and_every_option_is_in_a_topic() {
    let mut program = Cutover::definition(Path::new("cutover"));
    program.build();
    let verbs = program.get_subcommands().map(|verb| format!("cutover {}", verb.get_name()));
    let options = std::iter::once(&program)
        .chain(program.get_subcommands())
        .flat_map(clap::Command::get_arguments)
        .filter(|option| !option.is_hide_set())
        .filter_map(|option| option.get_long().map(|long| format!("--{long}")));
    let names: BTreeSet<_> = verbs.chain(options).collect();
    assert!(names.len() > 50, "{names:?}");
    assert_eq!(missing_in_topics(names), Vec::<String>::new());
}

#[test]
fn the_readme_is_short() {
    let lines = page("README.md").lines().count();
    assert!(lines <= 150, "README.md has {lines} lines, at most 150 are allowed; move reference to src/cli/help");
}

#[test]
fn links_point_to_existing_files_and_topics() {
    let mut wrong = Vec::new();
    for (path, text) in pages() {
        let prose = prose(&text);
        for target in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let folder = root().join(&path).parent().expect("the page should be in a folder").to_owned();
            if !target.contains("://") && !file.is_empty() && !folder.join(file).exists() {
                wrong.push(format!("{path}: {target}"));
            }
        }
        for name in commands(&text).iter().filter_map(|(c, _)| c.strip_prefix("cutover help ")) {
            let name = name.split_whitespace().next().unwrap_or_default();
            let verb = Cutover::definition(Path::new("cutover")).find_subcommand(name).is_some();
            if Topic::find(name).is_none() && !verb && !["TOPIC", "COMMAND", "WORD", "CUT042"].contains(&name) {
                wrong.push(format!("{path}: cutover help {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_topic_is_named_in_the_readme() {
    let text = page("README.md");
    let names = TOPICS.iter().map(|topic| topic.name);
    let missing: Vec<_> = names.filter(|name| !text.contains(&format!("(src/cli/help/{name}.md)"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Phrases that a reader with average English has to read twice.
const OBSCURE_PHRASES: [&str; 24] = [
    "let go",
    "lets go",
    "in hand",
    "spoken for",
    "own accord",
    "holds nobody up",
    "hold up",
    "holds up",
    "held up",
    "is no fault",
    "is well",
    "bear that",
    "nobody has",
    "this very",
    "Who finds",
    "What is called",
    "What cannot",
    "has to come back",
    "nothing leads back",
    "a bet against",
    "whose wealth",
    "is no such",
    "Nor ",
    "goes its way",
];

#[test]
fn code_in_a_topic_fits_a_terminal_of_80_columns() {
    let mut wrong = Vec::new();
    for (path, text) in topics() {
        // The terminal shows the code with an indent of four columns. A word that cannot be broken may be a little
        // longer.
        let code = text.split("```").skip(1).step_by(2).flat_map(str::lines).filter(|l| l.chars().count() > 80);
        wrong.extend(code.map(|line| format!("{path}: {line}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pages_are_in_plain_english_and_their_lines_are_short() {
    let mut wrong = Vec::new();
    for (path, text) in pages() {
        let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
        wrong.extend(
            OBSCURE_PHRASES.iter().filter(|phrase| joined.contains(**phrase)).map(|phrase| format!("{path}: {phrase}")),
        );
        let long = |line: &&str| line.chars().count() > 120 && !line.starts_with('|');
        wrong.extend(prose(&text).lines().filter(long).map(|line| format!("{path}: over 120 characters: {line}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Returns the words of a command line without quotes, up to a comment, a pipe or a redirection.
fn words(line: &str) -> Vec<OsString> {
    let ends = |w: &&str| w.starts_with('#') || [">", "|", ";"].contains(w);
    line.split_whitespace().take_while(|w| !ends(w)).map(|w| w.trim_matches('\'').into()).collect()
}

/// Returns the command lines in a text, and whether each is complete: lines of shell blocks are, but quoted commands in
/// prose may leave out arguments.
fn commands(text: &str) -> Vec<(String, bool)> {
    let unquoted = text.lines().map(|l| l.strip_prefix("> ").unwrap_or(l)).collect::<Vec<_>>().join("\n");
    let typed = blocks(&unquoted, "sh").into_iter().flat_map(str::lines).map(|l| (l.to_owned(), true));
    let named = quoted(&unquoted).into_iter().map(|q| (q, false));
    typed.chain(named).filter(|(c, _)| c.starts_with("cutover ") && !c.contains('…')).collect()
}

fn check_command(command: &str, whole: bool) -> Result<(), String> {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion, MissingRequiredArgument};
    match Cutover::read(words(command)) {
        Err(error) if matches!(error.kind(), DisplayHelp | DisplayVersion) => Ok(()),
        Err(error) if !whole && error.kind() == MissingRequiredArgument => Ok(()),
        Err(error) => Err(format!("{command}\n{error}")),
        Ok(_) => Ok(()),
    }
}

#[test]
fn every_command_on_a_page_is_valid() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (path, text) in pages() {
        for (command, whole) in commands(&text).into_iter().filter(|(c, _)| !c.contains("COMMAND")) {
            count += 1;
            wrong.extend(check_command(&command, whole).err().map(|e| format!("{path}: {e}")));
        }
    }
    assert!(count > 150, "expected more than 150 commands, found {count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_example_command_of_the_help_is_valid() {
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
        // A comment follows after two or more spaces, unless options follow there.
        let command = example
            .trim_start()
            .split("  ")
            .filter(|part| ["-", "cutover "].iter().any(|s| part.trim_start().starts_with(s)))
            .collect::<Vec<_>>()
            .join(" ");
        check_command(&command, true).unwrap_or_else(|e| panic!("{e}"));
        for file in words(&command)
            .iter()
            .filter_map(|w| w.to_str())
            .filter(|w| w.starts_with("examples/") || w.starts_with("plans/"))
        {
            assert!(root().join(file).exists(), "the file {file} does not exist");
        }
    }
}

#[test]
fn every_plan_and_scenario_on_a_page_is_valid() {
    let pages = pages();
    let plans = pages.iter().flat_map(|(path, text)| blocks(text, "yaml").into_iter().map(move |plan| (path, plan)));
    assert!(plans.clone().count() > 0);
    for (path, plan) in plans {
        if plan.contains("kind: Scenario") {
            cutover::lab::scenario::Scenario::parse(path, plan).unwrap_or_else(|e| panic!("{e}"));
            continue;
        }
        cutover::plan::lint(path, plan.as_bytes()).unwrap_or_else(|e| panic!("{}", cutover::plan::render(&e, false)));
    }
}

#[test]
fn every_file_named_on_a_page_exists() {
    let pages = pages();
    let all = pages
        .iter()
        .flat_map(|(_, text)| {
            quoted(text).into_iter().chain(commands(text).into_iter().map(|(c, _)| c)).collect::<Vec<_>>()
        })
        .flat_map(|q| q.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let folders = ["src/", "plans/", "examples/", "tests/", "./tests/", "CHANGELOG", "LICENSE"];
    let named: BTreeSet<_> = all.filter(|w| folders.iter().any(|f| w.starts_with(f))).collect();
    assert!(named.len() > 10, "{named:?}");
    let example = |name: &&String| name.contains("NAME");
    let missing: Vec<_> = named.iter().filter(|n| !example(n) && !root().join(n).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Returns the AWS actions that the adapters call, with their IAM names.
fn called() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (folder, service) in [("src/adapter/aws/elb", "elasticloadbalancing"), ("src/adapter/aws/eks", "eks")] {
        for entry in std::fs::read_dir(root().join(folder)).expect(folder) {
            let text =
                std::fs::read_to_string(entry.expect(folder).path()).expect("the source file should be readable");
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
fn listed_permissions_match_the_called_actions() {
    let listed: BTreeSet<_> = quoted(&page("src/cli/help/permissions.md"))
        .into_iter()
        .filter(|q| q.starts_with("elasticloadbalancing:") || q.starts_with("eks:D"))
        .collect();
    let called = called();
    assert!(called.len() > 10, "{called:?}");
    assert_eq!(listed, called);
}

const SHARES_REMARK: &str = "setWeight";

fn started_state(phase: Phase) -> State {
    let started = json!({"event": "started", "plan": "p", "text": "", "hash": "", "owner": "o", "fromStep": 1, "from": "a", "to": "b", "loadBalancers": [], "routes": [],
        "groups": {}, "clusters": {}, "bindings": []});
    let event = serde_json::from_value(started).expect("the JSON should be a `started` event");
    let record = Record::new(1, jiff::Timestamp::UNIX_EPOCH, "p-1", event);
    let mut state = State::fold(&[record]).expect("the record should be valid").expect("the run should have a state");
    state.phase = phase;
    state.finished = (phase == Phase::Finished).then_some(RunOutcome::Completed);
    state
}

fn phase(name: &str) -> Option<Phase> {
    use Phase::{AwaitingApproval, Baking, Finished, Ready, Retiring, RollingBack, RunningCommand, Shifting};
    [Ready, Shifting, Baking, AwaitingApproval, RunningCommand, RollingBack, Retiring, Finished]
        .into_iter()
        .find(|p| format!("{p:?}") == name)
}

fn event(name: &str, remark: &str) -> Event {
    let kind = if remark.contains(SHARES_REMARK) {
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
        "rollbackStarted" => json!({"event": name, "cause": "", "by": "o", "trigger": "operator"}),
        "retireStarted" => json!({"event": name, "by": "o", "bindings": false}),
        "paused" => json!({"event": name, "by": "o", "reason": ""}),
        "resumed" => json!({"event": name, "by": "o", "mode": "plain"}),
        "frozen" => json!({"event": name, "reason": "unreadable", "message": ""}),
        _ => json!({"event": name}),
    };
    serde_json::from_value(value).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Returns the edges of the diagram, such as `A --> B: event (remark)`.
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
fn every_edge_of_the_state_diagram_is_a_valid_transition() {
    let text = page("CONTRIBUTING.md");
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
        let mut state = started_state(phase(from).unwrap_or(Phase::Ready));
        match from {
            "[*]" => continue,
            "Paused" => state.apply(now, &event("paused", "")).expect("the state should accept `paused`"),
            "Frozen" => state.apply(now, &event("frozen", "")).expect("the state should accept `frozen`"),
            _ => {}
        }
        state.apply(now, &event(name, remark)).unwrap_or_else(|e| panic!("{from} --> {to}: {e}"));
        let reached = phase(to).map_or(hold(&state) == to, |wanted| state.phase == wanted);
        assert!(reached, "{from} --> {to}: {name} leads to {:?}, {}", state.phase, hold(&state));
    }
}

/// Returns the name, lesson and exit code of every scenario in the topic's table.
fn scenarios() -> Vec<(String, String, u8)> {
    let text = page("src/cli/help/lab.md");
    let rows = text.lines().filter(|l| l.starts_with("| `") && l.matches('|').count() == 5);
    let cells = rows.map(|l| l.split('|').map(str::trim).collect::<Vec<_>>());
    cells.filter_map(|c| Some((c[1].trim_matches('`').to_owned(), c[2].to_owned(), c[4].parse().ok()?))).collect()
}

#[test]
fn every_scenario_is_listed_with_its_lesson() {
    let listed: BTreeSet<_> = scenarios().into_iter().map(|(name, lesson, _)| (name, lesson)).collect();
    let mut there = BTreeSet::new();
    for entry in
        std::fs::read_dir(root().join("examples/scenarios")).expect("the folder examples/scenarios should be readable")
    {
        let path = entry.expect("the entry should be readable").path();
        let text = std::fs::read_to_string(&path).expect("the scenario should be readable");
        let lesson = text
            .lines()
            .next()
            .and_then(|l| l.strip_prefix("# What you learn: "))
            .expect("a scenario should begin with `# What you learn: `");
        there.insert((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), lesson.to_owned()));
    }
    assert_eq!(listed, there);
}
