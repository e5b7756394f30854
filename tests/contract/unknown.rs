//! An element that this build does not know, inside an action: refused by name, and only where it is.

use cutover::adapter::Balancer;
use cutover::domain::action::Forward;
use cutover::domain::alb::Unreadable;

use crate::endpoint::{World, alb};
use crate::proxy::{Proxy, Reply};

/// The first sticky forward of each answer gets an element of the future.
pub async fn refused(world: &World) {
    let straight = world.alb().await.listeners(&world.load_balancer).await.expect("listeners");
    let proxy = Proxy::start(&world.url, |asked| match asked["Action"].as_str() {
        "DescribeRules" => Reply::Change(|xml| {
            xml.replacen("<DurationSeconds>600<", "<QuantumConfig><Spin>up</Spin></QuantumConfig><DurationSeconds>600<", 1)
        }),
        _ => Reply::Pass,
    });
    let proxy = proxy.await;
    let alb = alb(&proxy.url).await;
    let all = alb.listeners(&world.load_balancer).await;
    let sticky: Vec<_> =
        straight.iter().flat_map(|(_, r)| r).filter(|r| r.priority.is_some() && r.forward().is_some_and(Forward::sticky)).collect();
    let path = "Actions/member/ForwardConfig/TargetGroupStickinessConfig/QuantumConfig";
    let named = |result: &Unreadable, arn: &str| matches!(result, Unreadable::Unrepresentable(t) if t.contains(path) && t.contains(arn));
    assert!(all.as_ref().err().is_some_and(|e| named(e, &sticky[0].id)), "{all:?}");

    let ids: Vec<_> = straight.iter().flat_map(|(_, r)| r).map(|r| r.id.clone()).collect();
    for (id, read) in alb.routes(&ids).await {
        match read {
            Ok(_) => assert!(sticky.iter().all(|r| r.id != id), "{id} was read without its element"),
            Err(e) => assert!(named(&e, &id), "{id}: {e}"),
        }
    }
    assert!(proxy.asked().iter().all(|a| a["Action"].starts_with("Describe")));
}
