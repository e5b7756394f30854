//! A load balancer that the real controller manages for an Ingress is refused: the controller would overwrite the
//! weights.

use serde_json::json;

use crate::child::run;
use crate::stack::fixture::{StackFixture, until};

#[test]
#[ignore = "tier stack"]
fn stack_a_load_balancer_of_an_ingress_is_refused() {
    let fixture = StackFixture::new("ingress");
    let api = &fixture.stack.a.api;
    let subnets = fixture.stack.boto(&json!([["ec2", "describe_subnets", {}]])).remove(0);
    let subnets: Vec<_> =
        (0..2).filter_map(|n| subnets["Subnets"][n]["SubnetId"].as_str().map(str::to_owned)).collect();
    api.create(
        "/apis/networking.k8s.io/v1/ingressclasses",
        &json!({"metadata": {"name": "alb"}, "spec": {"controller": "ingress.k8s.aws/alb"}}),
    );
    let backend = json!({"service": {"name": "web", "port": {"name": "http"}}});
    let annotations = json!({
        "alb.ingress.kubernetes.io/subnets": subnets.join(","),
        "alb.ingress.kubernetes.io/target-type": "ip",
        "alb.ingress.kubernetes.io/load-balancer-name": "ingress-made",
    });
    let ingress = json!({
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {"ingressClassName": "alb", "defaultBackend": backend},
    });
    api.create("/apis/networking.k8s.io/v1/namespaces/ingress/ingresses", &ingress);
    let made = || {
        let found = fixture.stack.boto(&json!([["elbv2", "describe_load_balancers", {}]])).remove(0);
        found["LoadBalancers"].as_array().is_some_and(|all| all.iter().any(|l| l["LoadBalancerName"] == "ingress-made"))
    };
    until("the controller creates a load balancer", made);
    let group = || {
        let found = fixture.stack.boto(&json!([["elbv2", "describe_target_groups", {}]])).remove(0);
        let groups = found["TargetGroups"].as_array().cloned().unwrap_or_default();
        groups
            .into_iter()
            .find_map(|g| g["TargetGroupName"].as_str().filter(|n| n.starts_with("k8s-ingress-")).map(str::to_owned))
    };
    until("the controller creates a target group", || group().is_some());

    let plan = fixture.plan("{bind: {}}, {setWeight: 100}");
    let text = std::fs::read_to_string(&plan).expect("the plan should be readable");
    let text = text
        .replace("ingress-web", "ingress-made")
        .replace("a: ingress-a", &format!("a: {}", group().expect("the group should exist")))
        .replace(", expect: 3", "");
    std::fs::write(&plan, text).expect("the plan should be written");
    let ended = run(fixture.cutover(&["run", &plan, "--yes"])).assert_exit(3);
    let output = ended.out + &ended.err;
    assert!(output.contains("CUT060") && output.contains("elbv2.k8s.aws/cluster"), "{output}");
    assert!(fixture.stack.endpoint.requests_of("cutover").iter().all(|a| {
        a.parameters
            .get("LoadBalancerArn")
            .is_none_or(|arn| !arn.contains("ingress-made") || a.action.starts_with("Describe"))
    }));
}
