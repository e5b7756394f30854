//! `cutover compare` with two real API servers and AWS: dry-runs change nothing and report what a cluster refuses, and
//! each missing action of the policy makes exactly its fact unknown.

use serde_json::{Value, json};

use crate::child::run;
use crate::stack::compare::{DEPLOYMENT, codes, compare, create_room, grants};
use crate::stack::fixture::{StackFixture, until};
use crate::stack::permissions::policy::Policy;
use crate::stack::permissions::{self, role};

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

/// Gives both clusters room, and grants a user the roles of `compare` in both clusters.
fn grant(fixture: &StackFixture, user: &str) {
    for cluster in [&fixture.stack.a, &fixture.stack.b] {
        create_room(cluster, &fixture.name);
        role::grant(cluster, user, &grants(cluster, &fixture.name));
    }
}

/// A definition of Argo Rollouts whose spec has these fields beside those that are compared.
fn rollouts(fields: &[&str]) -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let mut properties = json!({"selector": open, "template": open, "replicas": {"type": "integer"}});
    for field in fields {
        properties[*field] = json!({"type": "string"});
    }
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}});
    let version = json!({"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    json!({
        "metadata": {"name": "rollouts.argoproj.io"},
        "spec": {
            "group": "argoproj.io", "scope": "Namespaced", "versions": [version],
            "names": {"kind": "Rollout", "plural": "rollouts", "singular": "rollout", "listKind": "RolloutList"},
        },
    })
}

#[test]
#[ignore = "tier stack"]
fn stack_a_dry_run_changes_nothing_and_reports_what_the_new_cluster_refuses() {
    let fixture = StackFixture::with_own_stack("dry");
    let (a, b) = (&fixture.stack.a, &fixture.stack.b);
    grant(&fixture, "dry");
    let plan = permissions::plan(&fixture);
    until("the API servers know the role", || compare(&fixture, "dry", &plan) == (vec![], 0));
    let path = DEPLOYMENT.replace("NS", "dry");

    // A policy of the new cluster alone refuses the workload, which exists there.
    let rules =
        json!([{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}]);
    let policy = json!({"metadata": {"name": "owners"}, "spec": {
        "matchConstraints": {"resourceRules": rules},
        "validations": [{"expression": "has(object.metadata.labels) && 'owner' in object.metadata.labels", "message": "every Deployment needs an owner"}],
    }});
    let binding = json!({"metadata": {"name": "owners"}, "spec": {
        "policyName": "owners", "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "dry"}}},
    }});
    b.api.create(&format!("{ADMISSION}/validatingadmissionpolicies"), &policy);
    b.api.create(&format!("{ADMISSION}/validatingadmissionpolicybindings"), &binding);
    until("the policy is in force", || codes(&compare(&fixture, "dry", &plan).0) == ["CUT113"]);
    let (findings, exit) = compare(&fixture, "dry", &plan);
    assert!(findings[0]["message"].to_string().contains("every Deployment needs an owner"), "{findings:#?}");
    assert_eq!(exit, 0);
    b.api.delete(&format!("{ADMISSION}/validatingadmissionpolicybindings/owners"));
    b.api.delete(&format!("{ADMISSION}/validatingadmissionpolicies/owners"));
    until("the policy is gone", || compare(&fixture, "dry", &plan) == (vec![], 0));

    // The workload does not exist in the new cluster: a create that is no dry-run would succeed.
    b.api.delete(&path);
    assert_eq!(codes(&compare(&fixture, "dry", &plan).0), ["CUT134"]);
    assert!(b.api.find(&path).is_none(), "the dry-run created the Deployment");
    let written = |event: &Value| !["get", "list", "watch"].contains(&event["verb"].as_str().unwrap_or_default());
    let events: Vec<_> = [a, b].iter().flat_map(|cluster| cluster.audit("dry")).filter(written).collect();
    assert!(!events.is_empty(), "no dry-run was sent");
    let uri = |event: &Value| event["requestURI"].as_str().unwrap_or_default().to_owned();
    let own = |event: &Value| event["objectRef"]["resource"] == "deployments" && uri(event).contains("dryRun=All");
    let reviews = |event: &Value| event["objectRef"]["resource"] == "selfsubjectreviews";
    assert!(events.iter().all(|event| own(event) || reviews(event)), "{events:#?}");
    let of_a = a.audit("dry").into_iter().filter(|event| event["verb"] == "create" && own(event)).count();
    assert_eq!(of_a, 0, "the old cluster must get no dry-run");

    // The definition of the new cluster lacks a field of the object.
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    a.api.create(definitions, &rollouts(&["analysis"]));
    b.api.create(definitions, &rollouts(&[]));
    let collection = "/apis/argoproj.io/v1alpha1/namespaces/dry/rollouts";
    let mut object = a.api.get(&path);
    object["apiVersion"] = "argoproj.io/v1alpha1".into();
    object["kind"] = "Rollout".into();
    object["metadata"] = json!({"name": "web"});
    let spec = json!({"selector": object["spec"]["selector"], "template": object["spec"]["template"], "replicas": 4});
    object["spec"] = spec;
    for cluster in [b, a] {
        if cluster.name == "a" {
            object["spec"]["analysis"] = "canary".into();
        }
        until("the kind is served", || {
            cluster.api.find(&format!("{collection}/web")).is_some()
                || cluster.api.call("POST", collection, Some(&object)).is_ok()
        });
    }
    let (findings, _) = compare(&fixture, "dry", &plan);
    let pruned = findings.iter().find(|finding| finding["code"] == "CUT114").unwrap_or_else(|| panic!("{findings:#?}"));
    assert!(pruned["message"].to_string().contains("spec.analysis"), "{pruned}");
    for cluster in [a, b] {
        cluster.api.delete(&format!("{definitions}/rollouts.argoproj.io"));
    }
}

/// Returns a trust policy for a service account of a cluster with this issuer.
fn trust(issuer: &str, account: &str) -> String {
    let issuer = issuer.trim_start_matches("https://");
    let condition = json!({"StringEquals": {format!("{issuer}:sub"): format!("system:serviceaccount:{account}")}});
    let principal = json!({"Federated": format!("arn:aws:iam::123456789012:oidc-provider/{issuer}")});
    let action = "sts:AssumeRoleWithWebIdentity";
    let statement = json!({"Effect": "Allow", "Principal": principal, "Action": action, "Condition": condition});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

#[test]
#[ignore = "tier stack"]
fn stack_each_missing_action_of_the_policy_makes_exactly_its_fact_unknown() {
    let fixture = StackFixture::with_own_stack("facts");
    let stack = fixture.stack;
    let name = "arn:aws:iam::123456789012:role/facts-web";
    for cluster in [&stack.a, &stack.b] {
        let account = json!({"metadata": {"name": "web", "annotations": {"eks.amazonaws.com/role-arn": name}}});
        cluster.api.create("/api/v1/namespaces/facts/serviceaccounts", &account);
        let template = json!({"spec": {"template": {"spec": {"serviceAccountName": "web"}}}});
        cluster.api.merge(&DEPLOYMENT.replace("NS", "facts"), &template);
    }
    let described = |cluster: &str| {
        stack.boto(&json!([["eks", "describe_cluster", {"name": cluster}]])).remove(0)["cluster"].clone()
    };
    let issuer =
        |cluster: &str| described(cluster)["identity"]["oidc"]["issuer"].as_str().unwrap_or_default().to_owned();
    let update = |policy: String| {
        let parameters = json!({"RoleName": "facts-web", "PolicyDocument": policy});
        stack.boto(&json!([["iam", "update_assume_role_policy", parameters]]));
    };
    let new = trust(&issuer("stack-b"), "facts:web");
    let role = json!({"RoleName": "facts-web", "AssumeRolePolicyDocument": new});
    stack.boto(&json!([["iam", "create_role", role]]));
    for cluster in ["stack-a", "stack-b"] {
        let path = format!("/clusters/{cluster}");
        stack.endpoint.respond(&format!("GET {path}/addons"), json!({"addons": ["vpc-cni"]}));
        let addon = json!({"addon": {"addonName": "vpc-cni", "status": "ACTIVE", "addonVersion": "v1"}});
        stack.endpoint.respond(&format!("GET {path}/addons/vpc-cni"), addon);
        stack.endpoint.respond(&format!("POST {path}/insights"), json!({"insights": [{"id": "one"}]}));
        stack.endpoint.respond(&format!("GET {path}/insights/one"), json!({"insight": {"id": "one"}}));
    }
    stack.endpoint.respond("GET /addons/supported-versions", json!({"addons": []}));
    let plan = permissions::plan(&fixture);
    let policy = Policy::of_files(&["examples/compare-iam-policy.json"], "facts-web");
    let as_user = |user: &str, policy: &Policy| {
        grant(&fixture, user);
        let (judge, key) = (policy.clone(), user.to_owned());
        stack.endpoint.refuse(move |request| if request.key == key { judge.refuses(request) } else { None });
    };
    as_user("facts", &policy);
    fixture.until("the API servers know the role", || compare(&fixture, "facts", &plan) == (vec![], 0));

    // The role trusts only another cluster. In moto, all clusters have the same issuer.
    update(trust("https://oidc.eks.us-east-1.amazonaws.com/id/OTHER", "facts:web"));
    let (findings, exit) = compare(&fixture, "facts", &plan);
    assert_eq!((codes(&findings), exit), (vec!["CUT150"], 3), "{findings:#?}");
    update(new);

    let used: std::collections::BTreeSet<_> =
        stack.endpoint.requests_of("facts").iter().map(permissions::policy::action).collect();
    // The clusters of moto have no subnets.
    let needed = policy.actions().into_iter().filter(|action| action != "ec2:DescribeSubnets");
    assert_eq!(used, needed.collect(), "the used actions (left) must equal the allowed actions (right)");
    for (number, action) in used.iter().enumerate() {
        let user = format!("facts-{number}");
        as_user(&user, &policy.without(action));
        if action == "eks:DescribeCluster" {
            // The connection to the clusters needs this action, too: nothing is known.
            let ended = run(permissions::cutover(&fixture, &user, &["compare", &plan])).assert_exit(0);
            assert!(ended.out.contains("as far as it could be read"), "{}", ended.out);
            continue;
        }
        let message = format!("{action}: the permission is missing");
        until("only this fact is unknown", || {
            let (findings, exit) = compare(&fixture, &user, &plan);
            let own = |finding: &Value| finding["message"].as_str().is_some_and(|text| text.ends_with(&message));
            exit == 0 && !findings.is_empty() && findings.iter().all(own)
        });
    }
}
