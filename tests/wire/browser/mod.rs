//! Tier `browser`: Chromium, `$CUTOVER_CHROMIUM`, lays out the report. The boxes of the report are on the page, are
//! visible, and do not overlap.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::programs::variable;

/// The new cluster is scaled down with a fifth of the traffic: its targets drain, and the run rolls back.
const DRAINED: &str = "
apiVersion: cutover.dev/v1alpha1
kind: Scenario
metadata: {name: drained}
spec:
  faults:
    - at: {share: {cluster: to, atLeast: 20}, after: 3m}
      scale: {cluster: to, replicas: 0}
";

/// Rehearses a plan in virtual time and returns the page of its report.
fn report(plan: &str, scenario: Option<&Path>, folder: &Path) -> String {
    let page = folder.join("report.html");
    let mut cutover = Command::new(env!("CARGO_BIN_EXE_cutover"));
    cutover.args(["rehearse", "--virtual", plan, "--report"]).arg(&page);
    if let Some(scenario) = scenario {
        cutover.arg("--scenario").arg(scenario);
    }
    let out = cutover.stdin(Stdio::null()).output().expect("the program runs");
    std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)))
}

/// Returns what is wrong with the boxes of a page at this width. `visible` has selectors that must match.
fn findings(page: &str, width: u32, visible: &[&str], folder: &Path) -> Vec<String> {
    let text = |value: &str| serde_json::to_string(value).expect("a string").replace("</", "<\\/");
    let visible: Vec<_> = visible.iter().map(|selector| text(selector)).collect();
    let around = folder.join("around.html");
    let script = include_str!("boxes.js");
    let html = format!(
        "<!DOCTYPE html><meta charset=utf-8><body style='margin:0'><iframe style='border:0' width={width} height=6000>\
         </iframe><script>const visible = [{}]; const report = {};\n{script}</script>",
        visible.join(", "),
        text(page),
    );
    std::fs::write(&around, html).expect("a file");
    let mut chromium = Command::new(variable("CUTOVER_CHROMIUM"));
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    chromium.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    chromium.args(["--window-size=1400,900", "--virtual-time-budget=10000", "--dump-dom"]);
    chromium.arg(format!("--user-data-dir={}", folder.join("profile").display()));
    let out =
        chromium.arg(format!("file://{}", around.display())).stdin(Stdio::null()).output().expect("Chromium runs");
    let dom = String::from_utf8_lossy(&out.stdout);
    let result = dom.split_once("<pre id=\"result\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let (result, _) = result.unwrap_or_else(|| panic!("no result\n{dom}\n{}", String::from_utf8_lossy(&out.stderr)));
    let lines = result.strip_suffix("looked").expect("the whole result").lines();
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn assert_readable(plan: &str, scenario: Option<&Path>, visible: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let page = report(plan, scenario, folder.path());
    for width in [1200, 500] {
        let found = findings(&page, width, visible, folder.path());
        assert!(found.is_empty(), "{plan} at {width}:\n{}", found.join("\n"));
    }
}

#[test]
#[ignore = "tier browser"]
fn a_rollback_after_draining_targets_shows_them_and_the_clients_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = folder.path().join("drained.yaml");
    std::fs::write(&scenario, DRAINED).expect("a file");
    let visible =
        [".legend .draining", "rect.draining", ".badge.trouble", ".mark.trouble", "td.trouble", "h2 + .chart"];
    assert_readable("plans/alpha-webapp.yaml", Some(&scenario), &visible);
}

#[test]
#[ignore = "tier browser"]
fn a_completed_run_is_readable() {
    assert_readable("plans/alpha-webapp.yaml", None, &[".badge.good", ".step", ".mark.person", "td.good"]);
}

#[test]
#[ignore = "tier browser"]
fn verdicts_of_metric_gates_are_readable() {
    let scenario = Path::new("examples/scenarios/green-errs-at-20.yaml");
    assert_readable("plans/metrics.yaml", Some(scenario), &[".badge.trouble", "rect.healthy", "td.trouble"]);
}

#[test]
#[ignore = "tier browser"]
fn boxes_that_overlap_or_do_not_fit_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = "<!DOCTYPE html><style>main { width: 700px } .step { position: absolute; left: 5px }</style><main>\
                <div class=marks><span class=step>1</span><span class=step>2</span></div><h1>wide</h1></main>";
    let found = findings(page, 500, &[".legend"], folder.path()).join("\n");
    for part in ["overlap: span.step \"1\" and span.step \"2\"", "outside: h1", "missing: .legend", "the page is 7"] {
        assert!(found.contains(part), "{part}\n{found}");
    }
}
