//! Runs that an operator steers from a second terminal.

use crate::terminal::support::Lab;

#[test]
fn a_run_is_steered_from_another_terminal_to_its_end_and_rolled_back() {
    let lab = Lab::start();
    let mut run = lab.follow("run plan.yaml --yes");
    assert_eq!(run.until("the start", |_| true)["event"], "started", "the stream must begin with the start of the run");
    run.until_step(3);
    assert_eq!(lab.shares(), [5.0; 6]);

    let second = lab.cutover("run plan.yaml --yes");
    assert_eq!(second.code, 6, "{second:?}");
    assert!(
        second.err.contains("alice@") && second.err.contains(&format!("cutover rollback {}", run.run)),
        "{second:?}"
    );

    let status = lab.cutover("status --output json").json();
    assert_eq!((&status["phase"], &status["guard"]["state"]), (&"baking".into(), &"watched".into()));
    assert_eq!(status["traffic"][0]["shares"], serde_json::json!([["a", 95.0], ["b", 5.0]]));

    let approve = lab.cutover("approve two-terminals");
    assert_eq!(approve.code, 2, "`approve` must be refused during a bake: {approve:?}");
    let pause = lab.cutover("pause");
    assert_eq!((pause.code, pause.out.contains("paused by alice@")), (0, true), "{pause:?}");
    assert!(pause.err.contains(&format!("the only unfinished run: {}", run.run)), "{pause:?}");
    let misspelt = lab.cutover("status two-terminal");
    assert!(misspelt.code == 2 && misspelt.err.contains("did you mean `two-terminals`?"), "{misspelt:?}");
    run.until_event("paused");
    let paused = lab.cutover("status two-terminals").out;
    assert!(paused.contains("paused by alice@") && paused.contains(&format!("cutover resume {}", run.run)), "{paused}");
    assert_eq!(lab.cutover("resume two-terminals --yes").code, 0);
    run.until_event("resumed");

    // Regression test: without a terminal, nothing was asked, although it skips an approval.
    let unasked = lab.cutover("promote plan.yaml --full");
    assert!(unasked.code == 2 && unasked.err.contains("add --yes"), "{unasked:?}");
    assert!(unasked.err.contains("it skips the approval of step 4"), "{unasked:?}");
    let promote = lab.cutover("promote plan.yaml");
    assert_eq!(promote.code, 0, "{promote:?}");
    run.until_step(4);
    assert_eq!(lab.cutover("approve two-terminals").code, 0);
    run.until_event("finished");
    let (code, output) = run.end();
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("cutover rollback two-terminals-"), "{output}");
    assert_eq!(lab.shares(), [100.0; 6]);

    let back = lab.cutover("rollback two-terminals --yes");
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(lab.shares(), [0.0; 6]);
    check_history(&lab);
    assert_eq!(lab.stop(), Some(0));
}

#[test]
fn a_run_is_taken_over_from_a_living_process() {
    let lab = Lab::start();
    let mut first = lab.follow("run plan.yaml --yes");
    first.until_step(3);
    let mut second = lab.follow("resume two-terminals --take-over --yes");
    second.until_event("processStarted");
    let (code, output) = first.end();
    assert!(code == 6 && output.contains("which drives this run now"), "{code}: {output}");
    let status = lab.cutover("status --output json").json();
    assert_eq!((&status["phase"], &status["guard"]["state"]), (&"baking".into(), &"watched".into()), "{status}");
    assert_eq!(lab.cutover("promote plan.yaml").code, 0);
    second.until_step(4);
    assert_eq!(lab.cutover("approve two-terminals").code, 0);
    let (code, output) = second.end();
    assert_eq!(code, 0, "{output}");
    assert_eq!(lab.shares(), [100.0; 6]);
    let id = lab.cutover("history plan.yaml --output json").json()["id"].as_str().expect("an id").to_owned();
    let records = lab.cutover(&format!("history {id} --output json")).records();
    let stopped: Vec<_> = records.iter().filter(|record| record["event"] == "stopped").collect();
    assert!(stopped.is_empty(), "the old process must not write into the journal: {stopped:?}");
    assert_eq!(lab.stop(), Some(0));
}

/// Checks the history and the report of the run that the operator steered.
fn check_history(lab: &Lab) {
    let list = lab.cutover("history --output json").json();
    let id = list["id"].as_str().expect("the id should be a string").to_owned();
    assert_eq!((&list["plan"], &list["finished"]), (&"two-terminals".into(), &"aborted".into()));
    let table = lab.cutover("history plan.yaml").out;
    assert!(table.contains(&id) && table.contains("completed, then rolled back"), "{table}");
    let records = lab.cutover(&format!("history {id} --output json")).records();
    let intended = |r: &&serde_json::Value| r["event"] == "intended";
    let writes: usize = records
        .iter()
        .filter(intended)
        .map(|r| r["writes"].as_array().expect("the writes should be a list").len())
        .sum();
    assert!(lab.cutover(&format!("history {id}")).out.contains("approved by alice@"));

    let report = lab.cutover("report");
    let file = lab.folder().join(format!("cutover-report-{id}.html"));
    assert_eq!((report.code, report.out.trim()), (0, format!("cutover-report-{id}.html").as_str()), "{report:?}");
    let page = std::fs::read_to_string(file).expect("the page should be readable");
    for expected in [
        ">Rolled back on request<",
        "paused by alice@",
        "approved by alice@",
        "6 routes at a 100 %, b 0 %",
        &format!("{writes} sent, "),
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
    let ticket = lab.cutover("report two-terminals --output markdown").out;
    assert!(
        ticket.starts_with("## cutover: two-terminals") && ticket.contains(&format!("{writes} sent, ")),
        "{ticket}"
    );
    assert_eq!(lab.cutover("report nobody").code, 2);
}

#[test]
fn an_interrupted_run_prints_the_live_weights_and_is_aborted_from_another_terminal() {
    let lab = Lab::start();
    let mut run = lab.follow("run plan.yaml --yes");
    run.until_step(3);
    run.process.signal("INT");
    run.until_event("stopped");
    let id = run.run.clone();
    let (code, output) = run.end();
    assert_eq!(code, 130, "{output}");
    for part in [
        "b 5 %",
        "no process guards this traffic now",
        &format!("cutover resume {id}"),
        &format!("cutover rollback {id}"),
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
    let status = lab.cutover("status --output json").json();
    assert_eq!((&status["guard"]["state"], &status["stopped"]), (&"unguarded".into(), &"interrupted".into()));
    let again = lab.cutover("run plan.yaml --yes");
    assert_eq!(again.code, 3, "`run` must be refused if an unfinished run exists: {again:?}");

    let mut resumed = lab.follow("resume two-terminals --yes");
    resumed.until_event("resumed");
    resumed.until("a wait for the bake", |r| r["event"] == "waiting" && r["waits"][0]["reason"] == "bake");
    let abort = lab.cutover("abort two-terminals --yes");
    assert_eq!(abort.code, 0, "{abort:?}");
    let (code, output) = resumed.end();
    assert_eq!(code, 4, "{output}");
    assert_eq!(lab.shares(), [0.0; 6]);
}

#[test]
fn a_closed_terminal_stops_the_run_as_control_c_does() {
    let lab = Lab::start();
    let mut run = lab.follow("run plan.yaml --yes --until first-traffic");
    run.until_step(1);
    run.process.signal("HUP");
    assert_eq!(run.until_event("stopped")["reason"], "interrupted");
    assert_eq!(run.end().0, 130);

    let until = lab.cutover("resume two-terminals --yes --until first-traffic");
    assert_eq!(until.code, 8, "{until:?}");
    assert!(until.err.contains("no process guards this traffic now"), "{until:?}");
    let back = lab.cutover_with(&[
        "rollback",
        "--load-balancer",
        "alpha-webapp",
        "--back-to",
        "*-a",
        "--away-from",
        "*-b",
        "--yes",
    ]);
    assert_eq!(back.code, 0, "the marker of a dead process must not block a rollback: {back:?}");
    assert_eq!(lab.shares(), [0.0; 6]);
}
