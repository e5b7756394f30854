//! Reads return everything, across pages and batches.

use std::collections::{BTreeMap, BTreeSet};

use cutover::domain::traffic::{RouteId, Unreadable};
use cutover::plan::model::Selector;
use cutover::port::{Detail, Groups, Inventory, TagStore, Traffic};

use crate::contract::aws::endpoint::EndpointFixture;

/// Reads 2 listeners with 82 routes: more than a page of rules and more than a batch of tags.
pub async fn everything(fixture: &EndpointFixture) {
    let alb = fixture.alb().await;
    let caller = alb.caller().await.expect("the caller should be readable");
    assert_eq!((caller.account.as_str(), caller.expires), ("123456789012", None));

    let listeners =
        alb.listeners(&fixture.load_balancer, Detail::Full).await.expect("the listeners should be readable");
    let shape: Vec<_> = listeners.iter().map(|(l, routes)| (l.port, l.protocol.as_str(), routes.len())).collect();
    assert_eq!(shape, [(80, "HTTP", 61), (443, "HTTPS", 21)]);
    assert_eq!(listeners[0].0.arn, fixture.http);
    let (https, routes) = &listeners[1];
    assert_eq!(
        (&https.arn, &https.load_balancer, https.tags.get("listener").map(String::as_str)),
        (&fixture.https, &fixture.load_balancer, Some("https"))
    );
    assert_eq!(routes[0].label(), "443 default");
    assert_eq!(
        routes.iter().skip(1).map(|r| r.priority).collect::<Vec<_>>(),
        (1..=20).map(|n| Some(n * 10)).collect::<Vec<_>>()
    );
    assert_eq!(routes[2].conditions, "path /2/* /also-2 and host n2.example.com");
    let numbers: BTreeSet<_> = listeners[0].1.iter().filter_map(|r| r.tags.get("number").cloned()).collect();
    assert_eq!(numbers.len(), 60, "the tags of every rule must be read");
    let kept = serde_json::to_string(&listeners).expect("the value should become JSON");
    assert!(!kept.contains("S3CRET"), "no client secret may be stored");

    let ids: Vec<_> = listeners.iter().flat_map(|(_, routes)| routes.iter().map(|r| r.id.clone())).collect();
    let again = alb.routes(&ids).await;
    assert_eq!(again.len(), 82);
    for route in listeners.iter().flat_map(|(_, routes)| routes) {
        assert_eq!(again[&route.id].as_ref(), Ok(&route.content));
    }
    groups(fixture).await;
}

async fn groups(fixture: &EndpointFixture) {
    let alb = fixture.alb().await;
    let name = |n: &str| Selector::Name(format!("{}-{n}", fixture.prefix));
    let tag = |pairs: &[(&str, &str)]| {
        Selector::Tags(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    };
    let lb = alb.load_balancers(&name("web"), Detail::Full).await.expect("the load balancers should be readable");
    assert_eq!(
        lb.iter().map(|l| (&l.arn, l.kind.as_str(), l.zones.len() > 1)).collect::<Vec<_>>(),
        [(&fixture.load_balancer, "application", true)]
    );
    assert!(
        lb[0].attributes.contains_key("load_balancing.cross_zone.enabled")
            && lb[0].tags.get("team") == Some(&fixture.prefix)
    );
    assert_eq!(
        alb.load_balancers(&tag(&[("team", &fixture.prefix)]), Detail::Full)
            .await
            .expect("the load balancers should be readable"),
        lb
    );
    assert_eq!(
        alb.load_balancers(&Selector::Arn(fixture.load_balancer.clone()), Detail::Full)
            .await
            .expect("the load balancers should be readable"),
        lb
    );
    assert_eq!(alb.load_balancers(&name("nothing"), Detail::Full).await, Ok(vec![]));
    let matching = async |selector: &Selector, detail| alb.target_groups(Groups::Matching(selector), detail).await;
    assert_eq!(matching(&name("nothing"), Detail::Full).await, Ok(vec![]));

    let b = matching(&name("b"), Detail::Full).await.expect("the target groups should be readable");
    assert_eq!(
        b.iter().map(|g| (&g.arn, g.target_type.as_str(), g.health_check.path.as_str())).collect::<Vec<_>>(),
        [(&fixture.groups["b"], "ip", "/health_check")]
    );
    assert!(
        b[0].attributes.contains_key("deregistration_delay.timeout_seconds")
            && b[0].load_balancers == [fixture.load_balancer.clone()]
    );
    assert_eq!(
        matching(&tag(&[("team", &fixture.prefix), ("color", "b")]), Detail::Full)
            .await
            .expect("the target groups should be readable"),
        b
    );
    for detail in [Detail::Listed, Detail::Full] {
        let of = alb
            .target_groups(Groups::Of(&fixture.load_balancer), detail)
            .await
            .expect("the target groups should be readable");
        assert_eq!(of.into_iter().map(|g| g.arn).collect::<BTreeSet<_>>(), fixture.groups.values().cloned().collect());
    }
    let nowhere = format!("{}00", fixture.load_balancer);
    assert!(matches!(alb.target_groups(Groups::Of(&nowhere), Detail::Full).await, Err(Unreadable::NotFound(_))));
    let all = matching(&tag(&[]), Detail::Listed).await.expect("the target groups should be readable");
    assert!(fixture.groups.values().all(|arn| all.iter().any(|g| g.arn == *arn && g.tags.contains_key("color"))));
}

/// Checks that a missing route or group does not affect the reads of the others.
pub async fn one_bad_route(fixture: &EndpointFixture) {
    let alb = fixture.alb().await;
    let listeners =
        alb.listeners(&fixture.load_balancer, Detail::Full).await.expect("the listeners should be readable");
    let good: Vec<_> = listeners.iter().flat_map(|(_, routes)| routes.iter().map(|r| r.id.clone())).collect();
    let gone = [RouteId::rule(format!("{}00", good[1])), RouteId::default_route(format!("{}00", fixture.https))];
    let read = alb.routes(&[good.clone(), gone.to_vec()].concat()).await;
    assert!(good.iter().all(|id| read[id].is_ok()), "{read:?}");
    assert!(gone.iter().all(|id| matches!(read[id], Err(Unreadable::NotFound(_)))), "{read:?}");
    assert!(matches!(
        alb.listeners(&format!("{}00", fixture.load_balancer), Detail::Full).await,
        Err(Unreadable::NotFound(_))
    ));

    let nothing = format!("{}00", fixture.groups["a"]);
    let health = alb.health(&[fixture.groups["c"].clone(), nothing.clone(), fixture.groups["b"].clone()]).await;
    // The four registered targets. A lab has more, and their health depends on the endpoint.
    let targets = health[&fixture.groups["c"]].as_ref().expect("the read should succeed");
    assert_eq!(targets.iter().filter(|t| t.id.starts_with("172.31.0.") && t.port == 8080).count(), 4, "{targets:?}");
    assert!(health[&fixture.groups["b"]].is_ok(), "{health:?}");
    assert!(matches!(health[&nothing], Err(Unreadable::NotFound(_))), "{health:?}");
}

/// Checks that a marker is written, read and removed, and that other tags stay.
pub async fn tags(fixture: &EndpointFixture) {
    let alb = fixture.alb().await;
    let arns = [fixture.load_balancer.clone()];
    let tags = async || {
        alb.tags(&arns).await.expect("the tags should be readable").remove(&arns[0]).expect("an entry should exist")
    };
    let before = tags().await;
    let marker = BTreeMap::from([("cutover".to_owned(), "run-1 alice@mac".to_owned())]);
    alb.put(&arns, &marker).await.expect("the write should succeed");
    let marked: BTreeMap<_, _> = before.clone().into_iter().chain(marker).collect();
    assert_eq!(tags().await, marked);
    alb.remove(&arns, &["cutover".to_owned()]).await.expect("the write should succeed");
    assert_eq!(tags().await, before);
}
