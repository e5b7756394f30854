//! The policy and the roles of `examples/` grant exactly the permissions that a run uses; if one is missing, the
//! program names
//! it.

mod policy;
mod role;

use std::collections::BTreeSet;
use std::process::Command;

use crate::child::{ProcessResult, run};
use crate::stack::fixture::{StackFixture, until};
use policy::Policy;
use role::Grant;

const BOTH_WAYS: &str = "{bind: {}}, {setWeight: 100}";

/// A plan that reaches its clusters by EKS name, so that the user's name is the access key.
fn plan(world: &StackFixture) -> String {
    let plan = world.plan(BOTH_WAYS);
    let text = std::fs::read_to_string(&plan).expect("the plan").replace("kubeContext: ", "eks: stack-");
    std::fs::write(&plan, text).expect("the plan");
    plan
}

/// The program, as this user of AWS and of the clusters, without a kubeconfig.
fn cutover(world: &StackFixture, user: &str, args: &[&str]) -> Command {
    let mut command = world.cutover(args);
    command.env("AWS_ACCESS_KEY_ID", user).env_remove("KUBECONFIG");
    command.env("CUTOVER_STATE_DIR", world.folder.path().join(user));
    command
}

fn said(ended: &ProcessResult) -> String {
    // The text output is wrapped.
    format!("{} {}", ended.out, ended.err).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Makes moto count group `b` as attached: moto updates that only when a rule is created, not when one changes.
fn known_as_attached(world: &StackFixture) {
    let path = serde_json::json!([{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/known"]}}]);
    let forward = serde_json::json!([{"Type": "forward", "TargetGroupArn": world.groups["b"]}]);
    let rule =
        serde_json::json!({"ListenerArn": world.routes[0], "Priority": 90, "Conditions": path, "Actions": forward});
    let made = world.stack.boto(&serde_json::json!([["elbv2", "create_rule", rule]])).remove(0);
    world.stack.boto(&serde_json::json!([["elbv2", "delete_rule", {"RuleArn": made["Rules"][0]["RuleArn"]}]]));
}

#[test]
#[ignore = "tier stack"]
fn stack_a_complete_run_uses_exactly_the_permissions_of_the_examples() {
    let world = StackFixture::new("least");
    let stack = world.stack;
    let grants = role::example("least");
    for cluster in [&stack.a, &stack.b] {
        role::grant(cluster, "least", &grants);
    }
    let policy = Policy::example("least-web");
    let judge = policy.clone();
    stack.endpoint.refuse(move |asked| if asked.key == "least" { judge.refuses(asked) } else { None });

    let plan = plan(&world);
    let does = |args: &[&str]| run(cutover(&world, "least", args)).assert_exit(0);
    until("the roles are known to the API servers", || run(cutover(&world, "least", &["check", &plan])).code == 0);
    let from = [stack.a.audit("least").len(), stack.b.audit("least").len()];
    does(&["check", &plan]);
    does(&["run", &plan, "--yes"]);
    world.share_is(100);
    does(&["status", "least"]);
    known_as_attached(&world);
    // The emergency command, without plan and run; then the run's rollback.
    does(&["rollback", "--load-balancer", "least-web", "--back-to", "*-a", "--away-from", "*-b", "--yes"]);
    world.share_is(0);
    does(&["status", "--load-balancer", "least-web"]);
    does(&["rollback", "least", "--yes"]);
    world.share_is(0);

    let used: BTreeSet<_> =
        stack.endpoint.asked("least").iter().map(policy::action).filter(|a| !a.starts_with("sts:")).collect();
    assert_eq!(used, policy.actions(), "used (left) and allowed (right)");
    let events: Vec<_> =
        [&stack.a, &stack.b].iter().zip(from).flat_map(|(c, from)| c.audit("least").split_off(from)).collect();
    assert!(events.len() > 20, "{events:?}");
    assert_eq!(role::used(&events, &grants), grants, "used (left) and granted (right)");
}

#[test]
#[ignore = "tier stack"]
fn stack_a_missing_verb_of_the_role_is_named_with_what_to_add() {
    let world = StackFixture::new("lacking");
    let plan = plan(&world);
    for (n, missing) in role::example("lacking").iter().enumerate() {
        let user = format!("lacking-{n}");
        let rest: Vec<_> = role::example("lacking").into_iter().filter(|g| g != missing).collect();
        for cluster in [&world.stack.a, &world.stack.b] {
            role::grant(cluster, &user, &rest);
        }
        lacks(&world, &user, &plan, missing);
    }
    world.share_is(0);
}

fn lacks(world: &StackFixture, user: &str, plan: &str, missing: &Grant) {
    let Grant { namespace, group, resource, verb, .. } = missing;
    let whole = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
    let add = format!("add the verb `{verb}` on `{whole}` to a ");
    let mut last = String::new();
    let holds = || {
        let ended = run(cutover(world, user, &["run", plan, "--yes"])).assert_exit(3);
        last = said(&ended);
        last.contains(&add) && last.contains("examples/role.yaml")
    };
    // Other permissions are missing, too, until the API servers have read the roles.
    let began = std::time::Instant::now();
    let mut holds = holds;
    while !holds() {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{namespace:?} {add}\n{last}");
    }
}

#[test]
#[ignore = "tier stack"]
fn stack_a_missing_action_of_the_policy_is_named_with_what_to_add() {
    let world = StackFixture::new("denied");
    let plan = plan(&world);
    let grants = role::example("denied");
    let policy = Policy::example("denied-web");
    for (n, action) in policy.actions().into_iter().enumerate() {
        let user = format!("denied-{n}");
        for cluster in [&world.stack.a, &world.stack.b] {
            role::grant(cluster, &user, &grants);
        }
        let (less, key) = (policy.without(&action), user.clone());
        world.stack.endpoint.refuse(move |asked| if asked.key == key { less.refuses(asked) } else { None });
        let ended = run(cutover(&world, &user, &["run", &plan, "--yes"]));
        let text = said(&ended);
        println!("without {action}: exit {}", ended.code);
        assert!(
            text.contains(&format!("add the action `{action}` to the caller's policy (examples/iam-policy.json")),
            "{text}"
        );
        // The marker's permissions are checked before anything moves; those for writes and for the end of a run are
        // missed at use.
        let codes: &[i32] = match action.rsplit(':').next() {
            Some("ModifyListener" | "ModifyRule") => &[4, 5],
            Some("RemoveTags") => &[0, 5],
            _ => &[3],
        };
        assert!(codes.contains(&ended.code), "without {action}: exit {}\n{text}", ended.code);
        // Some are needed only at the very end.
        world.share_is(if action.ends_with(":RemoveTags") { 100 } else { 0 });
    }
}
