//! The resources of a test: a namespace `NAME` in both clusters with a Deployment and a Service `web`, a load balancer
//! `NAME-web` with three routes, target groups `NAME-a` and `NAME-b`, and in cluster `a` the binding of `NAME-a`, whose
//! targets the controller has registered.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::environment::Stack;
use super::report::report;

/// The number of the Deployment's pods in each cluster.
pub const REPLICAS: usize = 4;

/// The resources of one test in a stack.
pub struct StackFixture {
    /// The stack that contains the resources.
    pub stack: &'static Stack,
    /// The name of the namespace and the plan, and the prefix of AWS names.
    pub name: String,
    /// ARNs of the target groups `a`, `b` and `c`; `c` is not in the plan.
    pub groups: BTreeMap<String, String>,
    /// ARNs of the listener on 443, whose default action is a route, and of its two rules.
    pub routes: Vec<String>,
    /// The folder of this test for plans and state.
    pub folder: tempfile::TempDir,
    /// The guard of the stack whose parts may be killed.
    turn: Option<MutexGuard<'static, ()>>,
}

impl StackFixture {
    /// Creates the resources in the shared stack.
    pub fn new(name: &str) -> Self {
        Self::make(Stack::shared(), name, None)
    }

    /// Creates the resources in a stack that no other test uses at the same time, so that its parts can be killed.
    pub fn with_own_stack(name: &str) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Self::make(Stack::fragile(), name, Some(turn))
    }

    fn make(stack: &'static Stack, name: &str, turn: Option<MutexGuard<'static, ()>>) -> Self {
        for cluster in [&stack.a, &stack.b] {
            create_workload(cluster, name);
        }
        stack.create_resources(name);
        let describe = |what: &str| json!(["elbv2", format!("describe_{what}"), {"Names": [format!("{name}-web")]}]);
        let found = stack.boto(&json!([describe("load_balancers"), ["elbv2", "describe_target_groups", {}]]));
        let load_balancer = text(&found[0]["LoadBalancers"][0]["LoadBalancerArn"]);
        let all = found[1]["TargetGroups"].as_array().expect("the groups should be a list");
        let named = |letter: &str| {
            all.iter().find(|g| g["TargetGroupName"] == format!("{name}-{letter}")).expect("a group should exist")
        };
        let groups: BTreeMap<_, _> = ["a", "b", "c"].map(|l| (l.to_owned(), text(&named(l)["TargetGroupArn"]))).into();
        let routes = routes(stack, &load_balancer, &groups);
        let folder = tempfile::tempdir().expect("the folder should be created");
        let fixture = Self { stack, name: name.to_owned(), groups, routes, folder, turn };
        fixture.bind(&stack.a, "a");
        fixture.until("the controller of a registers its pods", || fixture.targets("a").len() == REPLICAS);
        fixture
    }

    /// Waits like [`until`], and reports the state of the stack if the wait fails.
    pub fn until(&self, what: &str, holds: impl FnMut() -> bool) {
        if let Err(never) = wait(what, holds) {
            panic!("{never}\n{}", report(self));
        }
    }

    /// Creates the binding of group `letter` to the Service in this cluster, as an administrator would.
    pub fn bind(&self, cluster: &Cluster, letter: &str) {
        cluster.api.create(&self.bindings(), &self.binding(letter));
    }

    /// Returns the binding of group `letter` as an object.
    pub fn binding(&self, letter: &str) -> Value {
        let spec = json!({
            "serviceRef": {"name": "web", "port": "http"}, "targetGroupARN": self.groups[letter], "targetType": "ip",
        });
        let kind = json!({"apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding"});
        json!({
            "apiVersion": kind["apiVersion"], "kind": kind["kind"],
            "metadata": {"name": format!("{}-{letter}", self.name)}, "spec": spec,
        })
    }

    /// Returns the path of this test's bindings.
    pub fn bindings(&self) -> String {
        format!("/apis/elbv2.k8s.aws/v1beta1/namespaces/{}/targetgroupbindings", self.name)
    }

    /// Returns the addresses that are registered in a group, sorted.
    pub fn targets(&self, letter: &str) -> Vec<String> {
        let health = self
            .stack
            .boto(&json!([["elbv2", "describe_target_health", {"TargetGroupArn": self.groups[letter]}]]))
            .remove(0);
        let all = health["TargetHealthDescriptions"].as_array().expect("the targets should be a list");
        let mut ips: Vec<_> = all.iter().map(|t| text(&t["Target"]["Id"])).collect();
        ips.sort();
        ips
    }

    /// Returns the addresses of the ready pods in a cluster, sorted.
    pub fn pods(&self, cluster: &Cluster) -> Vec<String> {
        let list = cluster.api.get(&format!("/api/v1/namespaces/{}/pods", self.name));
        let ready = |pod: &&Value| {
            pod["status"]["conditions"]
                .as_array()
                .is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
        };
        let mut ips: Vec<_> = list["items"]
            .as_array()
            .expect("the pods should be a list")
            .iter()
            .filter(ready)
            .map(|p| text(&p["status"]["podIP"]))
            .collect();
        ips.sort();
        ips
    }

    /// Returns the weights of each route, by group letter.
    pub fn weights(&self) -> Vec<BTreeMap<String, u64>> {
        let calls = [
            json!(["elbv2", "describe_listeners", {"ListenerArns": [self.routes[0]]}]),
            json!(["elbv2", "describe_rules", {"RuleArns": self.routes[1..]}]),
        ];
        let found = self.stack.boto(&json!(calls));
        let rules = found[1]["Rules"].as_array().expect("the rules should be a list");
        let actions = std::iter::once(&found[0]["Listeners"][0]["DefaultActions"]).chain(
            self.routes[1..]
                .iter()
                .map(|arn| &rules.iter().find(|r| r["RuleArn"] == **arn).expect("a rule should exist")["Actions"]),
        );
        actions.map(|a| self.tuples(&a[0]["ForwardConfig"]["TargetGroups"])).collect()
    }

    fn tuples(&self, groups: &Value) -> BTreeMap<String, u64> {
        let letter = |arn: &Value| {
            self.groups.iter().find(|(_, a)| **a == *arn).expect("the weights should have only known groups").0.clone()
        };
        groups
            .as_array()
            .expect("the groups should be a list")
            .iter()
            .map(|t| (letter(&t["TargetGroupArn"]), t["Weight"].as_u64().expect("the weight should be a number")))
            .collect()
    }

    /// Asserts that every route gives `share` percent of the managed part to `b`.
    pub fn assert_share(&self, share: u64) {
        for weights in self.weights() {
            let [a, b] = ["a", "b"].map(|l| weights.get(l).copied().unwrap_or(0));
            assert_eq!(b * 100, share * (a + b), "{weights:?} is not {share} %");
        }
    }

    /// Writes the plan of this test with these steps, and returns its path.
    pub fn plan(&self, steps: &str) -> String {
        self.plan_with(steps, "")
    }

    /// Writes the plan with additional lines under `strategy:`, indented by four spaces; returns the path.
    pub fn plan_with(&self, steps: &str, strategy: &str) -> String {
        let name = &self.name;
        let text = format!(
            "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: {name}}}
spec:
  aws: {{accountId: \"123456789012\", region: us-east-1}}
  clusters: [{{name: a, kubeContext: a}}, {{name: b, kubeContext: b}}]
  workloads:
    - name: web
      service: {{namespace: {name}, name: web, port: http}}
      binding: {{mode: create, targetType: ip}}
      routes: [{{alb: {{loadBalancer: {name}-web, targetGroups: {{a: {name}-a, b: {name}-b}}, expect: 3}}}}]
  strategy:
    from: a
    to: b
    settle: 1s
    gates: {{targetHealth: {{raise: {{stableFor: 1s}}, guard: {{for: 2s}}, timeout: 2m}}}}
{strategy}    steps: [{steps}]
"
        );
        let path = self.folder.path().join("plan.yaml");
        std::fs::write(&path, text).expect("the plan should be written");
        path.to_str().expect("the path should be UTF-8").to_owned()
    }

    /// Returns the folder of the runs.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Returns a command that runs the program with this stack as AWS and clusters, and without a terminal. The program
    /// signs with the access key `cutover`.
    pub fn cutover(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("USER", "alice");
        command.env("CUTOVER_STATE_DIR", self.state()).env("TZ", "UTC").env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("KUBECONFIG", &self.stack.kubeconfig);
        command.envs([("AWS_ENDPOINT_URL", self.stack.endpoint.url.as_str()), ("AWS_REGION", "us-east-1")]);
        command.envs([("AWS_ACCESS_KEY_ID", "cutover"), ("AWS_SECRET_ACCESS_KEY", "test")]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// Waits until `holds` returns true; fails after 90 seconds.
pub fn until(what: &str, holds: impl FnMut() -> bool) {
    wait(what, holds).unwrap_or_else(|never| panic!("{never}"));
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), String> {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > Duration::from_secs(90) {
            return Err(format!("not within 90 seconds: {what}"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

impl Drop for StackFixture {
    fn drop(&mut self) {
        if self.turn.is_none() {
            return;
        }
        // A cluster that does not recover fails the following tests with a message.
        std::thread::scope(|scope| {
            let threads = [&self.stack.a, &self.stack.b].map(|cluster| scope.spawn(|| cluster.restore()));
            for thread in threads {
                let _ = thread.join();
            }
        });
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("expected a string, got {value}")).to_owned()
}

/// Creates a namespace, a Deployment with ready pods, and its Service.
fn create_workload(cluster: &Cluster, name: &str) {
    cluster.api.create("/api/v1/namespaces", &json!({"metadata": {"name": name}}));
    let container = json!({"name": "web", "image": "web:1", "ports": [{"name": "http", "containerPort": 8080}]});
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"nodeName": "node-1", "containers": [container]}});
    let spec = json!({"replicas": REPLICAS, "selector": {"matchLabels": {"app": "web"}}, "template": template});
    cluster.api.create(
        &format!("/apis/apps/v1/namespaces/{name}/deployments"),
        &json!({"metadata": {"name": "web"}, "spec": spec}),
    );
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}});
    cluster.api.create(&format!("/api/v1/namespaces/{name}/services"), &service);
}

/// Creates a default action and two rules on 443: one rule with only `a`, and one in which a third-party group has a
/// fifth of the total. Returns the ARNs.
fn routes(stack: &Stack, load_balancer: &str, groups: &BTreeMap<String, String>) -> Vec<String> {
    let listeners = stack.boto(&json!([["elbv2", "describe_listeners", {"LoadBalancerArn": load_balancer}]])).remove(0);
    let listener = listeners["Listeners"]
        .as_array()
        .expect("the listeners should be a list")
        .iter()
        .find(|l| l["Port"] == 443)
        .expect("a listener should use port 443");
    let https = text(&listener["ListenerArn"]);
    let forward = |weights: &[(&str, u64)]| {
        let tuples: Vec<_> = weights.iter().map(|(l, w)| json!({"TargetGroupArn": groups[*l], "Weight": w})).collect();
        json!([
            {"Type": "forward",
            "ForwardConfig": {"TargetGroups": tuples, "TargetGroupStickinessConfig": {"Enabled": false}}},
        ])
    };
    let rule = |priority: u64, weights: &[(&str, u64)]| {
        let path = json!([{"Field": "path-pattern", "PathPatternConfig": {"Values": [format!("/{priority}/*")]}}]);
        json!([
            "elbv2", "create_rule",
            {"ListenerArn": https, "Priority": priority, "Conditions": path, "Actions": forward(weights)},
        ])
    };
    let default = json!(["elbv2", "modify_listener", {"ListenerArn": https, "DefaultActions": forward(&[("a", 100)])}]);
    // The calls go through the proxy, because the proxy must know the attached groups.
    let made = stack.aws(&json!([default, rule(1, &[("a", 1)]), rule(2, &[("a", 80), ("c", 20)])]));
    vec![https, text(&made[1]["Rules"][0]["RuleArn"]), text(&made[2]["Rules"][0]["RuleArn"])]
}
