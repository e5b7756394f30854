//! A complete cutover at a Network Load Balancer, and its rollback.

use serde_json::{Value, json};

use crate::child::{follow, run};
use crate::contract::run::fixture::MotoFixture;

/// The pauses in which the listener is compared: step and weights of a and b.
const STAGES: [(u64, [u64; 2]); 4] = [(2, [1, 0]), (4, [90, 10]), (6, [50, 50]), (8, [0, 100])];

/// A Network Load Balancer with one TCP listener, which forwards to the first of two groups.
struct Network {
    fixture: MotoFixture,
    load_balancer: String,
    listener: String,
    groups: [String; 2],
}

impl Network {
    fn new(prefix: &str) -> Self {
        let fixture = MotoFixture::new(prefix);
        let text = |value: &Value| value.as_str().expect("the response should have the ARN").to_owned();
        let subnets = fixture.boto(&json!([["ec2", "describe_subnets", {}]])).remove(0);
        let (ids, vpc) = (
            json!([subnets["Subnets"][0]["SubnetId"], subnets["Subnets"][1]["SubnetId"]]),
            subnets["Subnets"][0]["VpcId"].clone(),
        );
        let group = |letter: &str| {
            json!(["elbv2", "create_target_group", {
                "Name": format!("{prefix}-tcp-{letter}"), "Protocol": "TCP", "Port": 5671, "VpcId": vpc, "TargetType": "ip",
            }])
        };
        let balancer = json!(["elbv2", "create_load_balancer", {
            "Name": format!("{prefix}-net"), "Type": "network", "Subnets": ids,
        }]);
        let made = fixture.boto(&json!([balancer, group("a"), group("b")]));
        let load_balancer = text(&made[0]["LoadBalancers"][0]["LoadBalancerArn"]);
        let groups = [1, 2].map(|n| text(&made[n]["TargetGroups"][0]["TargetGroupArn"]));
        let register = |group: &String, net: u8| {
            let targets: Vec<_> = (10..14).map(|n| json!({"Id": format!("172.31.{net}.{n}"), "Port": 5671})).collect();
            json!(["elbv2", "register_targets", {"TargetGroupArn": group, "Targets": targets}])
        };
        let listener = json!(["elbv2", "create_listener", {
            "LoadBalancerArn": load_balancer, "Protocol": "TCP", "Port": 5671,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": groups[0]}],
        }]);
        let made = fixture.boto(&json!([register(&groups[0], 3), register(&groups[1], 4), listener]));
        let listener = text(&made[2]["Listeners"][0]["ListenerArn"]);
        Self { fixture, load_balancer, listener, groups }
    }

    /// Returns the listener as botocore reads it.
    fn read(&self) -> Value {
        let call = json!([["elbv2", "describe_listeners", {"ListenerArns": [self.listener]}]]);
        self.fixture.boto(&call)[0]["Listeners"][0].clone()
    }

    /// Returns everything else that a run could change: the tags, the attributes, the groups and their targets.
    fn surroundings(&self) -> Vec<Value> {
        let mut calls = vec![
            json!(["elbv2", "describe_load_balancer_attributes", {"LoadBalancerArn": self.load_balancer}]),
            json!(["elbv2", "describe_tags", {"ResourceArns": [self.load_balancer, self.listener]}]),
        ];
        for arn in &self.groups {
            calls.push(json!(["elbv2", "describe_target_group_attributes", {"TargetGroupArn": arn}]));
            calls.push(json!(["elbv2", "describe_target_health", {"TargetGroupArn": arn}]));
        }
        self.fixture.boto(&json!(calls))
    }

    /// Returns the listener without its target groups and their weights, and these weights.
    fn divided(&self, mut listener: Value) -> (Value, [Option<u64>; 2]) {
        let action = &mut listener["DefaultActions"][0];
        let forward = action.as_object_mut().expect("the action should be an object").remove("ForwardConfig");
        let alone = action.as_object_mut().and_then(|action| action.remove("TargetGroupArn"));
        let weight = |group: &String| {
            if alone.as_ref().is_some_and(|arn| arn == group) {
                return Some(1);
            }
            let tuples = forward.as_ref().and_then(|forward| forward["TargetGroups"].as_array());
            tuples?.iter().find(|tuple| tuple["TargetGroupArn"] == *group)?["Weight"].as_u64()
        };
        let weights = [&self.groups[0], &self.groups[1]].map(weight);
        (listener, weights)
    }

    fn plan(&self, steps: &str) -> String {
        let prefix = &self.fixture.prefix;
        let text = format!(
            "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: {prefix}}}
spec:
  aws: {{accountId: \"123456789012\", region: us-east-1}}
  clusters: [{{name: a}}, {{name: b}}]
  workloads:
    - name: broker
      routes:
        - nlb:
            loadBalancer: {prefix}-net
            targetGroups: {{a: {prefix}-tcp-a, b: {prefix}-tcp-b}}
            expect: 1
            settle: 1s
  strategy:
    from: a
    to: b
    gates: {{targetHealth: {{raise: {{stableFor: 1s}}, timeout: 30m}}}}
    steps: [{steps}]
"
        );
        self.fixture.file("network.yaml", &text)
    }
}

#[test]
#[ignore = "tier contract"]
fn moto_a_complete_cutover_at_a_network_load_balancer_and_its_rollback() {
    let network = Network::new("network");
    let (before, was) = network.divided(network.read());
    assert_eq!(was, [Some(1), None]);
    let surroundings = network.surroundings();
    let plan = network.plan(
        "{bind: {}}, {pause: {}}, {setWeight: 10}, {pause: {}}, {setWeight: 50}, {pause: {}}, {setWeight: 100}, {pause: {}}",
    );
    let plan = plan.as_str();
    let check = run(network.fixture.cutover(&["check", plan])).assert_exit(0);
    assert!(check.out.contains("CUT334") && check.out.contains("CUT335"), "{}", check.out);

    let mut seen = Vec::new();
    let mut command = network.fixture.cutover(&["run", plan, "--yes", "--output", "json"]);
    let ended = follow(&mut command, |line| {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        if record["event"] != "stepStarted" || record["kind"] != "approval" {
            return;
        }
        let (now, weights) = network.divided(network.read());
        assert_eq!(now, before, "only the target groups may change");
        seen.push((record["step"].as_u64().expect("a step"), weights));
        run(network.fixture.cutover(&["promote", plan])).assert_exit(0);
    });
    ended.assert_exit(0);
    for ((step, [a, b]), (wanted, [of_a, of_b])) in seen.iter().zip(STAGES) {
        let [a, b] = [a, b].map(|weight| weight.expect("both groups should be attached"));
        assert_eq!((*step, a * of_b, a + b > 0), (wanted, b * of_a, true), "{a} {b}");
    }
    assert_eq!(seen.len(), STAGES.len());
    assert_eq!(network.surroundings(), surroundings, "a finished run must leave no tags");

    let back = run(network.fixture.cutover(&["rollback", plan, "--yes"])).assert_exit(0);
    assert!(back.out.contains("existing connections to network-tcp-b remain until they close"), "{}", back.out);
    let (now, weights) = network.divided(network.read());
    assert_eq!(now, before);
    assert!(matches!(weights, [Some(1..), Some(0)]), "{weights:?}");
    assert_eq!(network.surroundings(), surroundings);
}

/// The name of the load balancer and those of its groups are enough.
#[test]
#[ignore = "tier contract"]
fn moto_a_network_load_balancer_is_shown_planned_and_rolled_back_by_name() {
    let network = Network::new("netname");
    let name = format!("{}-net", network.fixture.prefix);
    let status = run(network.fixture.cutover(&["status", "--load-balancer", &name])).assert_exit(0);
    assert!(status.out.contains("5671 default"), "{}", status.out);
    let init =
        run(network.fixture.cutover(&["init", "--load-balancer", &name, "--from", "*-tcp-a", "--to", "*-tcp-b"]))
            .assert_exit(0);
    assert!(init.out.contains("- nlb:") && init.out.contains("expect: 1"), "{}", init.out);
    let tuples = [(&network.groups[0], 10), (&network.groups[1], 90)]
        .map(|(group, weight)| json!({"TargetGroupArn": group, "Weight": weight}));
    let forward = json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": tuples}}]);
    network
        .fixture
        .boto(&json!([["elbv2", "modify_listener", {"ListenerArn": network.listener, "DefaultActions": forward}]]));
    let args = ["rollback", "--load-balancer", &name, "--back-to", "*-tcp-a", "--away-from", "*-tcp-b", "--yes"];
    let back = run(network.fixture.cutover(&args)).assert_exit(0);
    let (_, weights) = network.divided(network.read());
    assert!(matches!(weights, [Some(1..), Some(0)]), "{weights:?}");
    assert!(back.out.contains("remain until they close"), "{}", back.out);
}
