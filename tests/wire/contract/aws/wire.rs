//! The HTTP requests of writes.

use std::collections::BTreeSet;
use std::time::Duration;

use cutover::port::{Detail, Inventory, Traffic};

use crate::contract::aws::endpoint::{EndpointFixture, alb};
use crate::proxy::{Proxy, Reply};

/// Checks that a write is one ModifyListener or ModifyRule request with the ARN, the actions, an explicit weight 0 and
/// stickiness, and without a client secret.
pub async fn writes(fixture: &EndpointFixture) {
    let proxy = Proxy::start(&fixture.url, |_| Reply::Pass).await;
    let alb = alb(&proxy.url).await;
    let listeners =
        alb.listeners(&fixture.load_balancer, Detail::Full).await.expect("the listeners should be readable");
    let routes = &listeners.iter().find(|(l, _)| l.arn == fixture.https).expect("the listener should exist").1;
    for (route, action, arn, list) in [
        (&routes[0], "ModifyListener", "ListenerArn", "DefaultActions"),
        (&routes[12], "ModifyRule", "RuleArn", "Actions"),
    ] {
        proxy.take_requests();
        let actions = cutover::domain::elb::kinds(&route.content).len();
        alb.set(&route.id, &route.content, Duration::from_mins(10)).await.expect("the write should succeed");
        let requests = proxy.take_requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        assert_eq!((requests[0]["Action"].as_str(), &requests[0][arn]), (action, &route.id.to_string()));
        let kinds: BTreeSet<_> = requests[0].keys().map(|k| k.split('.').next().unwrap_or_default()).collect();
        assert_eq!(kinds, BTreeSet::from(["Action", "Version", arn, list]));
        let last = format!("{list}.member.{actions}.ForwardConfig");
        assert_eq!(requests[0][&format!("{last}.TargetGroups.member.2.Weight")], "0");
        assert_eq!(requests[0][&format!("{last}.TargetGroups.member.3.Weight")], "25");
        assert_eq!(requests[0][&format!("{last}.TargetGroupStickinessConfig.DurationSeconds")], "600");
        assert!(!requests[0].keys().any(|k| k.ends_with(".ClientSecret")), "{requests:?}");
        let keeps = requests[0].get(&format!("{list}.member.1.AuthenticateOidcConfig.UseExistingClientSecret"));
        assert_eq!(keeps.map(String::as_str), (actions == 2).then_some("true"));
    }
}
