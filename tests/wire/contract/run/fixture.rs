//! A load balancer in moto that boto3 created, and commands that run the program against it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::contract::moto::{ELBV2, Moto};
use crate::programs::{python, script};

/// The client secret of the OIDC actions. No other text may contain it.
pub const SECRET: &str = "S3CRET-of-the-shop";

/// The load balancer `PREFIX-web` with the groups a, b and c, of which a and b have four targets each, and a folder for
/// this test.
pub struct MotoFixture {
    /// The URL of the moto process.
    pub url: String,
    /// The prefix of all resource names in this fixture, and the name of the plans.
    pub prefix: String,
    /// ARN of the load balancer.
    pub load_balancer: String,
    /// ARN of the listener with 20 rules of all kinds.
    pub https: String,
    /// ARNs of the target groups by letter.
    pub groups: BTreeMap<String, String>,
    /// Folder for plans, homes and state.
    pub folder: tempfile::TempDir,
    python: PathBuf,
    _moto: Arc<Moto>,
}

impl MotoFixture {
    /// Creates a load balancer and groups whose names begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        let python = python();
        let moto = Moto::shared(&python);
        let url = moto.url.clone();
        script(&python, ELBV2, &["create", &url, prefix], "");
        let made: Value = serde_json::from_slice(&script(&python, ELBV2, &["fill", &url, prefix, "2"], ""))
            .expect("the text should be JSON");
        let text = |key: &str| made[key].as_str().expect("the ARN should be a string").to_owned();
        let fixture = Self {
            load_balancer: text("loadBalancer"),
            https: text("https"),
            groups: serde_json::from_value(made["groups"].clone()).expect("the groups should map letters to ARNs"),
            url,
            prefix: prefix.to_owned(),
            folder: tempfile::tempdir().expect("the folder should be created"),
            python,
            _moto: moto,
        };
        let targets =
            |net: u8| (10..14).map(|n| json!({"Id": format!("172.31.{net}.{n}"), "Port": 8080})).collect::<Vec<_>>();
        let register = |(group, net)| {
            json!([
                "elbv2", "register_targets", {"TargetGroupArn": fixture.groups[group], "Targets": targets(net)},
            ])
        };
        fixture.boto(&json!([register(("a", 1)), register(("b", 2))]));
        fixture
    }

    /// Returns the folder of the virtual environment's programs.
    pub fn tools(&self) -> String {
        self.python.parent().expect("the path should have a folder").display().to_string()
    }

    /// Makes the calls `[[service, method, parameters], ...]` with boto3, and returns the responses.
    pub fn boto(&self, calls: &Value) -> Vec<Value> {
        let out = script(&self.python, "tests/support/boto.py", &[&self.url], &calls.to_string());
        serde_json::from_slice(&out).expect("the output should be a list of responses")
    }

    /// Returns listeners, rules and tags, by ARN, as botocore reads them.
    pub fn show(&self) -> BTreeMap<String, Value> {
        let out = script(&self.python, ELBV2, &["show", &self.url, &self.load_balancer], "");
        serde_json::from_slice(&out).expect("the output should be a JSON object")
    }

    /// Returns everything else that a run could change: the load balancer and its tags, and the groups with their
    /// attributes, tags and targets.
    pub fn surroundings(&self) -> Vec<Value> {
        let arns: Vec<_> = self.groups.values().collect();
        let mut calls = vec![
            json!(["elbv2", "describe_load_balancers", {"LoadBalancerArns": [self.load_balancer]}]),
            json!(["elbv2", "describe_load_balancer_attributes", {"LoadBalancerArn": self.load_balancer}]),
            json!(["elbv2", "describe_tags", {"ResourceArns": [self.load_balancer, arns[0], arns[1], arns[2]]}]),
        ];
        for arn in arns {
            calls.push(json!(["elbv2", "describe_target_groups", {"TargetGroupArns": [arn]}]));
            calls.push(json!(["elbv2", "describe_target_group_attributes", {"TargetGroupArn": arn}]));
            calls.push(json!(["elbv2", "describe_target_health", {"TargetGroupArn": arn}]));
        }
        self.boto(&json!(calls))
    }

    /// Writes a plan for this load balancer with these steps, and returns its path.
    pub fn plan(&self, steps: &str) -> String {
        self.plan_for(steps, "123456789012")
    }

    /// Writes a plan with another account ID, and returns its path.
    pub fn plan_for(&self, steps: &str, account: &str) -> String {
        let prefix = &self.prefix;
        let text = format!(
            "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: {prefix}}}
spec:
  aws: {{accountId: \"{account}\", region: us-east-1}}
  clusters: [{{name: a}}, {{name: b}}]
  workloads:
    - name: web
      routes: [{{alb: {{loadBalancer: {prefix}-web, targetGroups: {{a: {prefix}-a, b: {prefix}-b}}}}}}]
  strategy:
    from: a
    to: b
    settle: 1s
    gates: {{targetHealth: {{raise: {{stableFor: 1s}}, timeout: 30m}}}}
    steps: [{steps}]
"
        );
        self.file(&format!("{account}.yaml"), &text)
    }

    /// Writes a file into this test's folder and returns its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the file should be written");
        path.to_str().expect("the path should be UTF-8").to_owned()
    }

    /// Returns the folder of the runs.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Returns a command that runs the program with the endpoint `url`, with worthless credentials and without a
    /// terminal.
    pub fn cutover_at(&self, url: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("USER", "alice");
        command.env("CUTOVER_STATE_DIR", self.state()).env("TZ", "UTC").env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs([("AWS_ENDPOINT_URL", url), ("AWS_REGION", "us-east-1")]);
        command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Returns a command that runs the program with moto as its endpoint.
    pub fn cutover(&self, args: &[&str]) -> Command {
        self.cutover_at(&self.url, args)
    }
}
