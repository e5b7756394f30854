//! The runbook of every plan in `plans/`, and what a reader must find in it.

use cutover::domain::view::runbook::{LiveFacts, RunbookInput, markdown};
use cutover::plan::lint;
use cutover::plan::model::Plan;
use jiff::Zoned;

/// Returns the runbook of a plan, made from the plan alone.
fn runbook(file: &str, start: Option<&str>, live: LiveFacts) -> String {
    let bytes = std::fs::read(file).unwrap_or_else(|e| panic!("{file}: {e}"));
    let plan = lint(file, &bytes).unwrap_or_else(|e| panic!("{}", cutover::plan::render(&e, false)));
    let start = start.map(|start| start.parse::<Zoned>().expect("the start should be a time"));
    let of_run = |(number, run): (usize, &Plan)| {
        let start = start.clone().filter(|_| number == 0);
        markdown(&RunbookInput { plan: run, file: file.to_owned(), start, live: live.clone() })
    };
    plan.runs().iter().enumerate().map(of_run).collect::<Vec<_>>().join("\n---\n\n")
}

const START: &str = "2026-12-01T14:00:00+01:00[Europe/Berlin]";

#[test]
fn every_plan_has_its_runbook() {
    let mut files: Vec<_> = std::fs::read_dir("plans")
        .expect("the folder plans should be readable")
        .map(|entry| entry.expect("the entry should be readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let name = file.file_stem().and_then(|name| name.to_str()).expect("the name should be UTF-8").to_owned();
        let text = runbook(&format!("plans/{name}.yaml"), Some(START), LiveFacts::Offline);
        insta::assert_snapshot!(name, text);
    }
}

/// Returns the row of the timetable that is on at this time: the last one that has begun.
fn row_at(text: &str, time: &str) -> String {
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 7);
    let mut begun = rows.filter(|row| {
        let begins = row.split('|').nth(1).unwrap_or_default().trim().trim_start_matches("≥ ");
        begins.len() == 5 && begins <= time
    });
    begun.next_back().unwrap_or_default().to_owned()
}

#[test]
fn a_reader_of_the_gitops_runbook_knows_what_happens_who_may_stop_and_what_to_type() {
    let text = runbook("plans/gitops.yaml", Some(START), LiveFacts::Offline);
    // What happens at 14:30?
    let row = row_at(&text, "14:30");
    assert!(row.contains("| 14:15 | 14:45 | 5 | wait 30m and watch | v132 75 %, v133 25 % |"), "{row}");
    // Who may stop it?
    assert!(
        text.contains("| everyone on the call | to stop, or to go back: at any time, without an approval |"),
        "{text}"
    );
    assert!(
        text.contains("`cutover pause platform-1-33`") && text.contains("`cutover rollback platform-1-33`"),
        "{text}"
    );
    assert!(text.contains("step 7: the platform team has compared error budgets"), "{text}");
    // What do I type if the site is down? It comes before everything else.
    let first = text.split("\n## ").nth(1).unwrap_or_default();
    assert!(first.starts_with("The site is down: type this\n"), "{first}");
    let commands = [
        "cutover rollback platform-1-33\n",
        "cutover rollback --load-balancer platform-internal \\\n  --back-to graphql-int-v132 \\\n  --away-from graphql-int-v133",
        "cutover rollback --load-balancer platform-public \\\n  --back-to storefront-v132,graphql-v132 \\\n  \
         --away-from storefront-v133,graphql-v133",
    ];
    for command in commands {
        assert!(first.contains(command), "{command}\n{first}");
    }
}

/// Every command in the runbook of every plan can be typed.
#[test]
fn commands_of_a_runbook_are_valid() {
    let mut count = 0;
    for name in ["alpha-webapp", "gitops", "office-hours", "zones", "canary", "nlb", "hooks"] {
        let text = runbook(&format!("plans/{name}.yaml"), None, LiveFacts::Offline).replace("\\\n  ", "");
        let quoted = text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2));
        let fenced = text.split("```sh\n").skip(1).flat_map(|block| block.split("```").next().unwrap_or("").lines());
        for command in quoted.chain(fenced).filter(|line| line.starts_with("cutover ") && !line.contains("PLAN")) {
            let words = command.split_whitespace().take_while(|word| *word != "#").map(|word| word.trim_matches('\''));
            let read = cutover::cli::command::Cutover::read(words.map(std::ffi::OsString::from));
            assert!(read.is_ok() || command == "cutover runbook", "{command}: {read:?}");
            count += 1;
        }
    }
    assert!(count > 70, "{count}");
}

#[test]
fn a_runbook_says_that_aws_could_not_be_read_and_why() {
    let text = runbook("plans/gitops.yaml", None, LiveFacts::Unreadable(vec!["no credentials".to_owned()]));
    assert!(text.contains("**AWS could not be read: written from the plan alone.**"), "{text}");
    assert!(text.contains("- no credentials"), "{text}");
    assert!(text.contains("| T+0:15 | T+0:45 | 5 |"), "{text}");
}

#[test]
fn a_plan_longer_than_a_shift_is_to_run_in_a_job_with_shared_state() {
    let long = runbook("plans/office-hours.yaml", Some(START), LiveFacts::Offline);
    assert!(long.contains("longer than a shift of 8h") && long.contains("--detach --image IMAGE"), "{long}");
    assert!(!runbook("plans/nlb.yaml", Some(START), LiveFacts::Offline).contains("--detach --image"));
}
