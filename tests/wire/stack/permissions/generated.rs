//! The policy and the roles that `cutover permissions` generates for a plan: a run works with exactly these; without any
//! line of them, something that the plan needs fails and says what. The plan stores its runs in a cluster and makes header
//! routes, so that more lines are needed than those of `examples/`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::policy::{self, Line, Policy};
use super::role::{self, Grant};
use super::{cutover, joined_output};
use crate::child::{ProcessResult, run};
use crate::stack::cluster::Cluster;
use crate::stack::fixture::StackFixture;

const STEPS: &str =
    "{bind: {}}, {setHeaderRoute: {match: [{headerName: X-Canary, headerValue: {exact: \"yes\"}}]}}, {setWeight: 100}";

/// The number of commands at the same time.
const PARALLEL: usize = 4;

/// The action that is needed only for the message about an EKS name that does not exist.
const FOR_A_MESSAGE: &str = "eks:ListClusters";

/// The generated permissions of a fixture's plan.
struct Generated {
    fixture: StackFixture,
    plan: String,
    policy: Policy,
    /// The roles of clusters `a` and `b`.
    roles: [BTreeSet<Grant>; 2],
}

impl Generated {
    fn new(name: &str) -> Self {
        let fixture = StackFixture::new(name);
        let plan = super::plan_with(&fixture, STEPS);
        let text = std::fs::read_to_string(&plan).expect("the plan should be readable");
        let state = format!("  state: {{kubernetes: {{eks: stack-a, namespace: {name}}}}}\n  workloads:");
        std::fs::write(&plan, text.replace("  workloads:", &state)).expect("the plan should be written");
        // Header routes need free priorities before the rules.
        let [first, second] = [(1, 10), (2, 20)]
            .map(|(n, priority): (usize, u32)| json!({"RuleArn": fixture.routes[n], "Priority": priority}));
        fixture.stack.boto(&json!([["elbv2", "set_rule_priorities", {"RulePriorities": [first, second]}]]));
        let print =
            |args: &[&str]| run(fixture.cutover(&[&["permissions", &plan][..], args].concat())).assert_exit(0).out;
        let policy: Value = serde_json::from_str(&print(&["--part", "aws", "--format", "json"])).expect("JSON");
        let policy = Policy::of(&policy).with_rules_of_others(&fixture.routes[1..]);
        let roles = ["a", "b"].map(|cluster| role::of_text(&print(&["--part", cluster]), None));
        Self { fixture, plan, policy, roles }
    }

    fn clusters(&self) -> [&'static Cluster; 2] {
        [&self.fixture.stack.a, &self.fixture.stack.b]
    }

    /// Gives a user these roles in the clusters, and then this policy. `missing` is the number of permissions that the
    /// roles lack.
    fn allow(&self, user: &str, policy: Policy, roles: &[BTreeSet<Grant>; 2], missing: usize) -> ProcessResult {
        for (cluster, grants) in self.clusters().iter().zip(roles) {
            role::grant(cluster, user, grants);
        }
        let checked = self.check_roles(user, missing);
        let key = user.to_owned();
        self.fixture
            .stack
            .endpoint
            .refuse(move |request| if request.key == key { policy.refuses(request) } else { None });
        checked
    }

    /// Returns the lines of the roles, each with the number of its cluster.
    fn lines(&self, wanted: fn(&Grant) -> bool) -> Vec<(usize, &Grant)> {
        let all =
            self.roles.iter().enumerate().flat_map(|(cluster, all)| all.iter().map(move |grant| (cluster, grant)));
        all.filter(|(_, grant)| wanted(grant)).collect()
    }

    /// Gives a user everything except one line of the roles, which `permissions --check` then names.
    fn allow_without(&self, user: &str, cluster: usize, missing: &Grant) {
        let mut roles = self.roles.clone();
        roles[cluster].remove(missing);
        let named = self.allow(user, self.policy.clone(), &roles, 1).assert_exit(3);
        let line = format!("\"{} {}", missing.verb, whole_name(missing));
        assert!(named.out.contains(&line), "{missing:?}: {}", named.out);
    }

    fn does(&self, user: &str, args: &[&str]) -> ProcessResult {
        run(cutover(&self.fixture, user, args))
    }

    /// Returns the output of `permissions --check` as soon as the API servers have read the user's roles: then it names
    /// `missing` permissions.
    fn check_roles(&self, user: &str, missing: usize) -> ProcessResult {
        let began = Instant::now();
        loop {
            let ended = self.does(user, &["permissions", &self.plan, "--check", "--output", "json"]);
            let report: Value = serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {}", ended.out));
            let clusters = report["clusters"].as_array().expect("the clusters should be a list");
            let named =
                clusters.iter().filter_map(|cluster| cluster["missing"].as_array()).map(Vec::len).sum::<usize>();
            if named == missing && clusters.iter().all(|cluster| cluster["unknown"].is_null()) {
                return ended;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{user}: {}", ended.out);
        }
    }
}

#[test]
#[ignore = "tier stack"]
fn stack_a_run_works_with_exactly_the_generated_permissions() {
    let generated = Generated::new("exact");
    generated.allow("exact", generated.policy.clone(), &generated.roles, 0).assert_exit(0);
    let [a, b] = generated.clusters();
    let from = [a.audit("exact").len(), b.audit("exact").len()];
    let fixture = &generated.fixture;
    generated.does("exact", &["check", &generated.plan]).assert_exit(0);
    generated.does("exact", &["run", &generated.plan, "--yes"]).assert_exit(0);
    fixture.assert_share(100);
    generated.does("exact", &["status", &generated.plan]).assert_exit(0);
    generated.does("exact", &["rollback", &generated.plan, "--yes"]).assert_exit(0);
    fixture.assert_share(0);
    let actions = fixture.stack.endpoint.requests_of("exact");
    let used: BTreeSet<_> = actions.iter().map(policy::action).filter(|action| !action.starts_with("sts:")).collect();
    let needed = generated.policy.actions().into_iter().filter(|action| action != FOR_A_MESSAGE);
    assert_eq!(used, needed.collect(), "the used actions (left) must equal the allowed actions (right)");
    for ((cluster, grants), from) in generated.clusters().iter().zip(&generated.roles).zip(from) {
        let events: Vec<_> = cluster.audit("exact").split_off(from);
        let events: Vec<_> = events.into_iter().filter(|event| !asks_for_permissions(event)).collect();
        assert_eq!(role::used(&events, grants), *grants, "the used grants (left) must equal the granted ones (right)");
    }
}

/// Whether an event is a question about permissions, which every user may ask.
fn asks_for_permissions(event: &Value) -> bool {
    event["objectRef"]["resource"] == "selfsubjectaccessreviews"
}

/// Does `work` with each item, some at the same time.
fn each<T: Sync>(items: &[T], work: impl Fn(usize, &T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some((number, item)) = {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    items.get(number).map(|item| (number, item))
                } {
                    work(number, item);
                }
            });
        }
    });
}

/// Without any verb of the roles, `permissions --check` names it, and so does `check`: the new cluster's verbs are needed
/// (exit 3), and without the old cluster's verbs the check warns.
#[test]
#[ignore = "tier stack"]
fn stack_without_any_line_of_the_generated_roles_the_check_says_what_is_missing() {
    let generated = Generated::new("norole");
    let lines = generated.lines(|grant| !is_of_state(grant));
    assert_eq!(lines.len(), 20, "{lines:?}");
    each(&lines, |number, (cluster, missing)| {
        let user = format!("norole-{number}");
        generated.allow_without(&user, *cluster, missing);
        let ended = generated.does(&user, &["check", &generated.plan]);
        assert_verb_is_named(missing, *cluster, &ended);
        let codes: &[i32] = if *cluster == 1 { &[3] } else { &[0, 3] };
        assert!(codes.contains(&ended.code), "{missing:?}: {}\n{}", ended.code, joined_output(&ended));
    });
}

/// Without any verb on the objects of the state, no run starts.
#[test]
#[ignore = "tier stack"]
fn stack_without_any_line_of_the_generated_roles_for_the_state_no_run_starts() {
    let generated = Generated::new("nostate");
    let mut lines = generated.lines(is_of_state);
    // A run that is refused later has already created its lease.
    lines.sort_by_key(|(_, grant)| (grant.resource.as_str(), grant.verb.as_str()) != ("leases", "create"));
    assert_eq!(lines.len(), 8, "{lines:?}");
    for (number, (cluster, missing)) in lines.iter().enumerate() {
        let user = format!("nostate-{number}");
        generated.allow_without(&user, *cluster, missing);
        let ended = generated.does(&user, &["run", &generated.plan, "--yes"]);
        assert_verb_is_named(missing, *cluster, &ended);
        assert_eq!(ended.code, 3, "{missing:?}: {}", joined_output(&ended));
        generated.fixture.assert_share(0);
    }
}

fn is_of_state(grant: &Grant) -> bool {
    ["configmaps", "leases"].contains(&grant.resource.as_str())
}

fn whole_name(grant: &Grant) -> String {
    if grant.group.is_empty() { grant.resource.clone() } else { format!("{}.{}", grant.resource, grant.group) }
}

fn assert_verb_is_named(missing: &Grant, cluster: usize, ended: &ProcessResult) {
    let (verb, whole, text) = (&missing.verb, whole_name(missing), joined_output(ended));
    println!("without {verb} {whole} in {}: exit {}", ["a", "b"][cluster], ended.code);
    assert!(text.contains(&format!("add the verb `{verb}` on `{whole}` to a ")), "{missing:?}: {}\n{text}", ended.code);
}

/// Without any action or resource of the policy, a run says which action to add. Only a run that has all permissions to
/// move the traffic moves it.
#[test]
#[ignore = "tier stack"]
fn stack_without_any_line_of_the_generated_policy_a_run_says_what_is_missing() {
    let all: Vec<_> = (0..PARALLEL).map(|part| Generated::new(&format!("noaction{part}"))).collect();
    std::thread::scope(|scope| {
        for (part, generated) in all.iter().enumerate() {
            scope.spawn(move || {
                let lines = generated.policy.lines();
                for (number, line) in lines.iter().enumerate().skip(part).step_by(PARALLEL) {
                    run_without_line(generated, &format!("noaction-{number}"), line);
                }
            });
        }
    });
}

/// Runs the plan as a user who lacks a line of the policy, and takes the traffic back.
fn run_without_line(generated: &Generated, user: &str, line: &Line) {
    generated.allow(user, generated.policy.without_line(line), &generated.roles, 0).assert_exit(0);
    let ended = generated.does(user, &["run", &generated.plan, "--yes"]);
    println!("without {line}: exit {}", ended.code);
    let checked = (ended.code == 0).then(|| generated.does(user, &["check", &generated.plan, "--verbose"]));
    if ended.code != 3 {
        let whole = format!("{user}-all");
        generated.allow(&whole, generated.policy.clone(), &generated.roles, 0).assert_exit(0);
        generated.does(&whole, &["rollback", &generated.plan, "--yes"]);
    }
    generated.fixture.assert_share(0);
    let text = format!("{} {}", joined_output(&ended), checked.as_ref().map(joined_output).unwrap_or_default());
    assert_line_is_named(line, ended.code, &text);
}

fn assert_line_is_named(line: &Line, code: i32, text: &str) {
    let add = |action: &String| text.contains(&format!("add the action `{action}` to the caller's policy"));
    let is_named = line.actions.iter().any(add) || line.actions == [FOR_A_MESSAGE];
    assert!(is_named, "{line}: exit {code}\n{text}");
    // Reads that only warn, and the end of a run, do not hold the traffic up.
    let codes: &[i32] = match line.actions[0].rsplit(':').next() {
        Some("ListClusters" | "DescribeAccountLimits") => &[0],
        Some("ModifyListener" | "ModifyRule" | "CreateRule") => &[4, 5],
        Some("RemoveTags" | "DeleteRule") => &[0, 5],
        Some("AddTags") => &[0, 3, 4, 5],
        _ => &[3],
    };
    assert!(codes.contains(&code), "{line}: exit {code}\n{text}");
}
