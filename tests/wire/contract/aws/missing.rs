//! Missing resources: every call must report that the resource was not found, and no other error.

use std::time::Duration;

use cutover::domain::elb;
use cutover::domain::elb::action::Action;
use cutover::domain::traffic::{RouteId, Unreadable};
use cutover::port::{Detail, Inventory, Traffic, WriteError};
use serde_json::json;

use crate::contract::aws::endpoint::EndpointFixture;

/// Changes the last four characters of an ARN's resource ID.
fn other(arn: &str) -> String {
    format!("{}0000", &arn[..arn.len() - 4])
}

/// Reads and writes of a missing load balancer, listener, rule or target group report that it was not found, and no
/// other error.
pub async fn things(fixture: &EndpointFixture) {
    let alb = fixture.alb().await;
    let rule = RouteId::rule(format!("{}/0000000000000000", fixture.https.replace(":listener/", ":listener-rule/")));
    let (listener, group) = (RouteId::default_route(other(&fixture.https)), other(&fixture.groups["a"]));
    let missing = |why: &Unreadable| matches!(why, Unreadable::NotFound(_));
    let found = alb.listeners(&other(&fixture.load_balancer), Detail::Full).await;
    assert!(found.as_ref().is_err_and(missing), "{found:?}");
    let routes = alb.routes(&[rule.clone(), listener.clone()]).await;
    assert!(routes.len() == 2 && routes.values().all(|r| r.as_ref().is_err_and(missing)), "{routes:?}");
    let health = alb.health(std::slice::from_ref(&group)).await;
    assert!(health[&group].as_ref().is_err_and(missing), "{health:?}");
    let actions: Vec<Action> = serde_json::from_value(json!([
        {"Type": "forward",
        "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": fixture.groups["a"], "Weight": 1}]}},
    ]))
    .expect("the actions should be valid");
    for id in [rule, listener] {
        let written = alb.set(&id, &elb::content(&actions), Duration::from_mins(10)).await;
        assert!(matches!(written, Err(WriteError::NotFound(_))), "{id}: {written:?}");
    }
}
