//! `cutover lab` as a separate process, which outlives the killed runs: for each lane a load balancer with two routes
//! and a workload.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A lab process, killed when dropped.
pub struct Lab {
    child: Child,
    environment: BTreeMap<String, String>,
    folder: tempfile::TempDir,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the program under test: the program that was built with the tests, or `CUTOVER_CRASH_PROGRAM`.
pub fn program() -> PathBuf {
    std::env::var_os("CUTOVER_CRASH_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_cutover").into(), PathBuf::from)
}

/// Returns the plan of one lane.
pub fn plan(lane: usize) -> String {
    file(&format!("shop{lane}"), &workload(lane))
}

impl Lab {
    /// Starts a lab with this many lanes.
    pub fn start(lanes: usize) -> Self {
        let all: String = (0..lanes).map(workload).collect();
        Self::of(&file("lab", &all))
    }

    /// Starts a lab for this plan.
    pub fn of(plan: &str) -> Self {
        let folder = tempfile::tempdir().expect("the folder should be created");
        std::fs::write(folder.path().join("lab.yaml"), plan).expect("the plan should be written");
        std::fs::write(folder.path().join("scenario.yaml"), SCENARIO).expect("the scenario should be written");
        let mut command = Command::new(program());
        command.args(["lab", "lab.yaml", "--scenario", "scenario.yaml", "--speed", "20", "--output", "json"]);
        command.current_dir(folder.path()).env("TMPDIR", folder.path()).stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the lab should start");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("the process should have a standard output"))
            .read_line(&mut line)
            .expect("the line should be readable");
        let settings: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|e| panic!("the lab did not start ({e}): {line}"));
        let environment = serde_json::from_value(settings["environment"].clone())
            .expect("the environment should be a list of strings");
        Self { child, environment, folder }
    }

    /// Returns an environment variable that the lab prints for its clients.
    pub fn variable(&self, name: &str) -> &str {
        &self.environment[name]
    }

    /// Returns the URL of a cluster's API server, from the kubeconfig.
    pub fn cluster(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.variable("KUBECONFIG")).expect("the kubeconfig should be readable");
        let after = text.split(&format!("name: {name}\n")).nth(1).expect("the cluster should exist");
        after
            .lines()
            .find_map(|line| line.trim().strip_prefix("server: "))
            .expect("the cluster should have a server")
            .to_owned()
    }

    /// Returns the folder for files of the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn workload(lane: usize) -> String {
    format!(
        "    - name: shop{lane}
      service: {{namespace: shop, name: shop{lane}, port: 8080}}
      routes:
        - alb:
            loadBalancer: shop{lane}
            listeners: [443]
            targetGroups: {{a: shop{lane}-a, b: shop{lane}-b}}
            rules: [{{default: {{}}}}, {{priority: 11}}]
"
    )
}

fn file(name: &str, workloads: &str) -> String {
    format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata:
  name: {name}
spec:
  aws:
    accountId: \"123456789012\"
    region: eu-central-1
  clusters:
    - {{name: a, kubeContext: a}}
    - {{name: b, kubeContext: b}}
  workloads:
{workloads}  strategy:
    from: a
    to: b
    settle: 1s
    gates:
      targetHealth:
        raise: {{minHealthy: 1, stableFor: 1s}}
        guard: {{minHealthyPercent: 70, for: 5m}}
    steps: [{{bind: {{}}}}, {{setWeight: 50}}, {{setWeight: 100}}]
"
    )
}

/// The new groups are not attached at the start, and the rate limits permit the calls of all lanes.
const SCENARIO: &str = "apiVersion: cutover.dev/v1alpha1
kind: Scenario
metadata: {name: crash}
spec:
  targetGroups:
    - healthCheck: {interval: 10s, timeout: 5s, healthyThreshold: 2}
      attributes: {deregistration_delay.timeout_seconds: \"1\"}
    - {cluster: b, attached: false}
  clusters: [{name: a, workload: {replicas: 1}}, {name: b, workload: {replicas: 1}}]
  limits:
    modify: {burst: 1000, perSecond: 1000}
    describe: {burst: 10000, perSecond: 10000}
    register: {burst: 1000, perSecond: 1000}
";
