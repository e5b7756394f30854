//! Schedulers with a real API server: the objects of `examples/schedulers`, and calls of `step` that find their run in
//! the namespace.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::child::run;
use crate::stack::fixture::StackFixture;

#[test]
#[ignore = "tier stack"]
fn stack_the_schedulers_objects_are_accepted_by_a_real_api_server() {
    let fixture = StackFixture::new("schedulers");
    let mut kinds = Vec::new();
    for file in ["cronjob", "job"] {
        let text = std::fs::read_to_string(format!("examples/schedulers/{file}.yaml"))
            .expect("the example should be readable");
        for document in serde_yaml::Deserializer::from_str(&text) {
            let mut object = Value::deserialize(document).expect("the text should be YAML");
            let (group, resource) = match object["kind"].as_str() {
                Some("CronJob") => ("/apis/batch/v1", "cronjobs"),
                Some("Job") => ("/apis/batch/v1", "jobs"),
                Some("ServiceAccount") => ("/api/v1", "serviceaccounts"),
                other => panic!("{other:?}"),
            };
            object["metadata"]["namespace"] = fixture.name.clone().into();
            let path = format!("{group}/namespaces/{}/{resource}?dryRun=All&fieldValidation=Strict", fixture.name);
            let made = fixture.stack.a.api.create(&path, &object);
            assert!(made["metadata"]["uid"].is_string(), "{made}");
            kinds.push(made["kind"].as_str().unwrap_or_default().to_owned());
        }
    }
    assert_eq!(kinds, ["ServiceAccount", "CronJob", "Job"]);
}

/// Creates `examples/shared-state-role.yaml` in this namespace, for the user of these tests.
fn grant_shared_state(fixture: &StackFixture) {
    let text = std::fs::read_to_string("examples/shared-state-role.yaml").expect("the example should be readable");
    for document in serde_yaml::Deserializer::from_str(&text) {
        let mut object = Value::deserialize(document).expect("the text should be YAML");
        object["metadata"]["namespace"] = fixture.name.clone().into();
        let binding = object["kind"] == "RoleBinding";
        if binding {
            object["subjects"] = json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "cutover"}]);
        }
        let resource = if binding { "rolebindings" } else { "roles" };
        fixture
            .stack
            .a
            .api
            .create(&format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/{resource}", fixture.name), &object);
    }
}

/// The Job of `run --detach` on a real API server, and a process that does what the pod of the Job would do.
#[test]
#[ignore = "tier stack"]
fn stack_a_run_is_handed_to_a_job() {
    let _alone = crate::stack::tokens::serialize_tests();
    let fixture = StackFixture::new("handed");
    grant_shared_state(&fixture);
    let plan = fixture.plan("{bind: {}}, {setWeight: 100}");
    let text =
        std::fs::read_to_string(&plan).expect("the plan should be readable").replace("kubeContext: ", "eks: stack-");
    std::fs::write(&plan, text).expect("the plan should be written");
    let detach = [
        "run",
        &plan,
        "--yes",
        "--state",
        "eks:stack-a/handed",
        "--detach",
        "--image",
        "registry.example.com/cutover:0.1.0",
    ];
    let refused = run(fixture.cutover(&detach)).assert_exit(3);
    assert!(refused.err.contains("jobs") && refused.err.contains("nothing was changed"), "{}", refused.err);
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/handed";
    let api = "rbac.authorization.k8s.io";
    let rules = json!([{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}]);
    fixture.stack.a.api.create(&format!("{rbac}/roles"), &json!({"metadata": {"name": "hand"}, "rules": rules}));
    let subjects = json!([{"apiGroup": api, "kind": "User", "name": "cutover"}]);
    let role = json!({"apiGroup": api, "kind": "Role", "name": "hand"});
    fixture.stack.a.api.create(
        &format!("{rbac}/rolebindings"),
        &json!({"metadata": {"name": "hand"}, "roleRef": role, "subjects": subjects}),
    );
    run(fixture.cutover(&detach)).assert_exit(8);
    fixture.assert_share(0);
    let jobs = fixture.stack.a.api.get("/apis/batch/v1/namespaces/handed/jobs");
    let arguments = jobs["items"][0]["spec"]["template"]["spec"]["containers"][0]["args"]
        .as_array()
        .expect("the container should have arguments");
    let arguments: Vec<_> = arguments.iter().filter_map(Value::as_str).collect();
    let mut pod = fixture.cutover(&arguments);
    pod.env("CUTOVER_STATE_DIR", fixture.folder.path().join("pod"));
    run(pod).assert_exit(0);
    fixture.assert_share(100);
}

/// Two calls at a time, from two machines that share a namespace: one continues the run, and the other does nothing.
#[test]
#[ignore = "tier stack"]
fn stack_calls_of_a_scheduler_complete_a_plan() {
    let fixture = StackFixture::new("called");
    grant_shared_state(&fixture);
    let plan = fixture
        .plan_with("{bind: {}}, {setWeight: 20}, {pause: {duration: 3s}}, {setWeight: 100}", "    observeEvery: 2m\n");
    let state = format!("kubernetes:a/{}", fixture.name);
    let call = || fixture.cutover(&["step", &plan, "--yes", "--state", &state]);
    for _ in 0..40 {
        let both =
            [call().spawn().expect("the process should start"), call().spawn().expect("the process should start")];
        let ended = both.map(|child| child.wait_with_output().expect("the process should end"));
        let codes = ended.each_ref().map(|e| e.status.code().unwrap_or(-1));
        let errors = || {
            ended.iter().map(|e| String::from_utf8_lossy(&e.stderr).into_owned()).collect::<Vec<_>>().join("\n---\n")
        };
        assert!(codes.iter().all(|code| [0, 8].contains(code)), "{codes:?}\n{}", errors());
        if codes == [0, 0] {
            return fixture.assert_share(100);
        }
    }
    panic!("the plan did not complete after 40 pairs of calls");
}
