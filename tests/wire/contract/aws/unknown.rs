//! An unknown element in an action: only the routes that have it are refused, and the error names the element.

use cutover::domain::elb::balancer::{Listener, LiveRoute};
use cutover::domain::traffic::Unreadable;
use cutover::port::{Detail, Inventory, Traffic};

use crate::contract::aws::endpoint::{EndpointFixture, alb};
use crate::proxy::{Proxy, Reply};

const PATH: &str = "Actions/member/ForwardConfig/TargetGroupStickinessConfig/QuantumConfig";

fn is_named(why: &Unreadable, path: &str, arn: &str) -> bool {
    matches!(why, Unreadable::Unrepresentable(t) if t.contains(path) && t.contains(arn))
}

/// Adds an unknown element to the first sticky forward action of each response; only rules with this element must be
/// unread.
pub async fn refused(fixture: &EndpointFixture) {
    let straight = fixture
        .alb()
        .await
        .listeners(&fixture.load_balancer, Detail::Full)
        .await
        .expect("the listeners should be readable");
    let proxy = Proxy::start(&fixture.url, |request| match request["Action"].as_str() {
        "DescribeRules" => Reply::Change(|xml| {
            xml.replacen(
                "<DurationSeconds>600<",
                "<QuantumConfig><Spin>up</Spin></QuantumConfig><DurationSeconds>600<",
                1,
            )
        }),
        _ => Reply::Pass,
    });
    let proxy = proxy.await;
    let alb = alb(&proxy.url).await;
    let all = alb.listeners(&fixture.load_balancer, Detail::Full).await.expect("the other routes should be readable");
    let concerned = |r: &LiveRoute| r.priority.is_some() && r.content.sticky().is_some();
    assert_only_unread(&straight, &all, concerned, PATH);

    let ids: Vec<_> = straight.iter().flat_map(|(_, r)| r).map(|r| r.id.clone()).collect();
    let sticky: Vec<_> = straight.iter().flat_map(|(_, r)| r).filter(|r| concerned(r)).collect();
    for (id, read) in alb.routes(&ids).await {
        match read {
            Ok(_) => assert!(sticky.iter().all(|r| r.id != id), "{id} must not be read without its unknown element"),
            Err(e) => assert!(is_named(&e, PATH, id.id()), "{id}: {e}"),
        }
    }
    assert!(proxy.take_requests().iter().all(|a| a["Action"].starts_with("Describe")));
}

/// Adds an unknown element to a default action, which a different call reads.
pub async fn refused_by_default(fixture: &EndpointFixture) {
    let straight = fixture
        .alb()
        .await
        .listeners(&fixture.load_balancer, Detail::Full)
        .await
        .expect("the listeners should be readable");
    let proxy = Proxy::start(&fixture.url, |request| match request["Action"].as_str() {
        "DescribeListeners" => Reply::Change(|xml| {
            xml.replacen("<Type>forward</Type>", "<Type>forward</Type><QuantumConfig>up</QuantumConfig>", 1)
        }),
        _ => Reply::Pass,
    });
    let proxy = proxy.await;
    let all = alb(&proxy.url)
        .await
        .listeners(&fixture.load_balancer, Detail::Full)
        .await
        .expect("the other routes should be readable");
    assert_only_unread(
        &straight,
        &all,
        |r| r.priority.is_none() && r.forwards().is_some(),
        "DefaultActions/member/QuantumConfig",
    );
    assert!(proxy.take_requests().iter().all(|a| a["Action"].starts_with("Describe")));
}

type Listeners = [(Listener, Vec<LiveRoute>)];

/// Asserts that unread routes are reported with the element and their known groups, and that all others are unchanged.
fn assert_only_unread(straight: &Listeners, all: &Listeners, concerned: impl Fn(&LiveRoute) -> bool, path: &str) {
    let mut count = 0;
    assert_eq!(straight.len(), all.len());
    for ((_, there), (listener, read)) in straight.iter().zip(all) {
        let others: Vec<_> = there.iter().filter(|r| !concerned(r)).cloned().collect();
        assert_eq!(*read, others);
        let missing: Vec<_> = there.iter().filter(|r| concerned(r)).collect();
        assert_eq!(listener.unread.len(), missing.len(), "{:?}", listener.unread);
        for route in missing {
            let unread =
                listener.unread.iter().find(|u| u.id == route.id).expect("the route should be listed as unread");
            assert!(is_named(&unread.why, path, route.id.id()), "{unread:?}");
            let groups: Vec<_> = route.content.split.ids().cloned().collect();
            assert!(unread.label == route.label() && groups.iter().all(|g| unread.groups.contains(g)), "{unread:?}");
            count += 1;
        }
    }
    assert!(count > 0, "at least one route must have the unknown element");
}
