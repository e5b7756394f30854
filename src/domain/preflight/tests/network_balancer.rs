//! Tests the checks of a plan with a Network Load Balancer.

use super::*;
use crate::domain::preflight::needed_quotas;
use crate::domain::preflight::start::{StartInput, started_event};
use crate::plan::model::{BalancerKind, TargetType};

/// The only quota that the checks need.
const QUOTA: &str = "target-groups-per-action-on-network-load-balancer";

/// Returns the plan and the facts of the tests, with a Network Load Balancer in place of the Application Load Balancer.
fn network() -> (Plan, Facts) {
    let mut plan = plan();
    let entry = &mut plan.workloads[0].routes[0];
    (entry.kind, entry.settle) = (BalancerKind::Nlb, Some(Duration::from_mins(10)));
    let mut facts = facts(&plan);
    facts.selection.load_balancers.values_mut().for_each(|lb| lb.kind = "network".to_owned());
    let groups = facts.selection.groups.values_mut().map(|selected| &mut selected.group);
    for group in groups.chain(facts.attached.values_mut().flatten().flatten()) {
        (group.protocol, group.protocol_version) = ("TCP".to_owned(), String::new());
    }
    for (listener, _) in facts.live.listeners.values_mut().flatten().flatten() {
        listener.protocol = "TCP".to_owned();
    }
    facts.quotas.insert(QUOTA, Ok(5));
    (plan, facts)
}

fn codes_after(change: impl FnOnce(&mut Plan, &mut Facts)) -> Vec<Code> {
    let (mut plan, mut facts) = network();
    change(&mut plan, &mut facts);
    let findings = check(&plan, &facts, now());
    assert!(findings.iter().all(|f| f.help.as_ref().is_some_and(|h| !h.is_empty())), "{findings:#?}");
    let mut codes: Vec<Code> = findings.iter().map(|f| f.code).collect();
    codes.dedup();
    codes
}

#[test]
fn correct_facts_have_only_the_note_about_existing_connections() {
    let (plan, facts) = network();
    assert_eq!(needed_quotas(&plan), [QUOTA]);
    let findings = check(&plan, &facts, now());
    let [note] = &findings[..] else { panic!("{findings:#?}") };
    assert_eq!((note.code, note.severity), (Code::CUT334, Severity::Info));
    assert!(note.message.starts_with("new connections through alpha follow the weights"), "{note:#?}");
}

#[test]
fn each_mutation_adds_one_code() {
    let set_protocol = |facts: &mut Facts, protocol: &str| {
        for (listener, _) in facts.live.listeners.values_mut().flatten().flatten() {
            listener.protocol = protocol.to_owned();
        }
    };
    let sticky = |facts: &mut Facts| {
        for selected in &mut facts.selection.routes {
            selected.route.content.stickiness = Some(ClientStickiness { enabled: true, seconds: None });
        }
    };
    let other_key = codes_after(|_, f| f.selection.entries.iter_mut().for_each(|entry| entry.kind = BalancerKind::Alb));
    assert_eq!(other_key, [Code::CUT059], "the other checks do not apply");
    assert_eq!(
        codes_after(|_, f| group_of(f, "webapp-b").protocol = "TCP_UDP".to_owned()),
        [Code::CUT330, Code::CUT069, Code::CUT334],
        "a TCP listener forwards to TCP_UDP, but not to both"
    );
    assert_eq!(codes_after(|_, f| set_protocol(f, "UDP")), [Code::CUT331, Code::CUT334]);
    assert_eq!(codes_after(|_, f| set_protocol(f, "TLS")), [Code::CUT334]);
    assert_eq!(codes_after(|_, f| set_protocol(f, "SCTP")), [Code::CUT334], "an unknown protocol is not judged");
    assert_eq!(codes_after(|_, f| sticky(f)), [Code::CUT042, Code::CUT334]);
    let sticky_tls = codes_after(|_, f| {
        set_protocol(f, "TLS");
        sticky(f);
    });
    assert_eq!(sticky_tls, [Code::CUT332, Code::CUT042, Code::CUT334]);
    assert_eq!(codes_after(|_, f| drop(f.quotas.insert(QUOTA, Ok(2)))), [Code::CUT334], "three groups are attached");
    let needs_more = codes_after(|_, f| {
        f.quotas.insert(QUOTA, Ok(1));
        f.selection.routes[0].route.content = forward(&[("webapp-a", 1)]);
    });
    assert_eq!(needs_more, [Code::CUT063, Code::CUT334]);
    let denied = Unreadable::Denied("AccessDenied".to_owned());
    assert_eq!(codes_after(|_, f| drop(f.quotas.insert(QUOTA, Err(denied)))), [Code::CUT333, Code::CUT334]);
    let short = codes_after(|p, _| p.workloads[0].routes[0].settle = Some(Duration::from_secs(30)));
    assert_eq!(short, [Code::CUT334, Code::CUT335]);
    assert_eq!(codes_after(|_, f| tag(f, "service.k8s.aws/stack", "shop/web")), [Code::CUT060, Code::CUT334]);
    let proxy = codes_after(|_, f| {
        group_of(f, "webapp-b").attributes.insert("proxy_protocol_v2.enabled".to_owned(), "true".to_owned());
    });
    assert_eq!(proxy, [Code::CUT069, Code::CUT334]);
    let many = codes_after(|_, f| drop(f.attached.insert(LB.to_owned(), Ok(Vec::new()))));
    assert_eq!(many, [Code::CUT334], "the quotas of an ALB do not apply");
    let functions = codes_after(|p, f| {
        without_services(p, f);
        for name in ["webapp-a", "webapp-b"] {
            group_of(f, name).target_type = "lambda".to_owned();
        }
    });
    assert_eq!(functions, [Code::CUT068, Code::CUT334]);
    let balancers = codes_after(|p, f| {
        without_services(p, f);
        p.workloads[0].binding.target_type = TargetType::Ip;
        for name in ["webapp-a", "webapp-b"] {
            group_of(f, name).target_type = "alb".to_owned();
        }
    });
    assert_eq!(balancers, [Code::CUT334], "an NLB forwards to groups of type alb");
}

#[test]
fn start_records_settle_and_connections_of_each_route() {
    let (plan, mut facts) = network();
    facts.selection.routes.iter_mut().for_each(|route| route.settle = plan.workloads[0].routes[0].settle);
    let health: BTreeMap<_, _> = facts.health.iter().map(|(arn, read)| (arn.clone(), read.clone().unwrap())).collect();
    let input = || StartInput { health: health.clone(), ..StartInput::default() };
    let started = started_event(&plan, &facts.selection, input()).unwrap();
    assert!(started.routes.iter().all(|route| route.settle == Some(600) && route.keeps_connections));
    assert!(started.groups.values().all(|group| !group.cross_zone), "an NLB has no cross-zone balancing by default");
    let on = [("load_balancing.cross_zone.enabled".to_owned(), "true".to_owned())];
    facts.selection.load_balancers.values_mut().for_each(|lb| lb.attributes = on.clone().into());
    let started = started_event(&plan, &facts.selection, input()).unwrap();
    assert!(started.groups.values().all(|group| group.cross_zone));
}
