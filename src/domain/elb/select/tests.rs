use super::*;
use crate::base::finding::{Code, Severity};
use crate::domain::elb::balancer::{Listener, LiveRoute};
use crate::domain::fixture::{
    LB, each_route, forward, group, group_arn, live_resources, plan, redirect, route, shares,
};
use crate::domain::traffic::Unreadable;
use crate::domain::traffic::{Member, RouteContent, Split, UnreadRoute};
use crate::plan::model::Plan;
use crate::plan::model::{ListenerRef, RuleRef, Selector, StepKind};

fn codes(selection: &Selection) -> Vec<Code> {
    selection.findings.iter().map(|f| f.code).collect()
}

fn labels(selection: &Selection) -> Vec<String> {
    selection.routes.iter().map(|r| r.route.label()).collect()
}

#[test]
fn routes_with_traffic_of_the_old_cluster_are_selected() {
    let selection = select(&plan(), &live_resources());
    assert_eq!(codes(&selection), []);
    assert_eq!(
        labels(&selection),
        ["80 default", "80 rule 15", "80 rule 20", "443 default", "443 rule 15", "443 rule 20"]
    );
    assert_eq!(selection.routes[0].groups["b"], group_arn("webapp-b"));
    let why: Vec<_> = selection.skipped.iter().map(|s| format!("{} {}", s.route, s.reason)).collect();
    assert_eq!(why, ["80 rule 30 redirects", "443 rule 30 forwards to other groups only: third"]);
}

#[test]
fn skipped_routes_have_a_reason() {
    let (mut plan, mut world) = (plan(), live_resources());
    plan.workloads[0].routes[0].listeners = vec![ListenerRef::Port(443)];
    each_route(&mut world, |r| match r.priority {
        Some(15) => r.content = forward(&[("webapp-a", 0), ("third", 1)]),
        Some(20) => r.content = forward(&[("webapp-a", 0), ("webapp-b", 5)]),
        _ => {}
    });
    let selection = select(&plan, &world);
    assert_eq!(labels(&selection), ["443 default"]);
    let why: Vec<_> = selection
        .skipped
        .iter()
        .filter(|s| s.route != "443 rule 30")
        .map(|s| format!("{} {}", s.route, s.reason))
        .collect();
    assert_eq!(why[0], "80 default listener 80 is not in the plan");
    assert!(
        why.contains(&"443 rule 15 has webapp-a at weight 0; other groups carry its traffic".to_owned()),
        "{why:?}"
    );
    assert!(why.contains(&"443 rule 20 already sends its traffic to webapp-b".to_owned()), "{why:?}");
}

#[test]
fn a_listener_of_one_entry_is_in_the_plan_whatever_the_other_entries_list() {
    let (mut plan, mut world) = (plan(), live_resources());
    let mut other = plan.workloads[0].clone();
    other.name = "other".to_owned();
    other.routes[0].listeners = vec![ListenerRef::Port(443)];
    plan.workloads[0].routes[0].listeners = vec![ListenerRef::Port(80)];
    plan.workloads.push(other);
    each_route(&mut world, |r| {
        if r.port == 80 && r.priority.is_none() {
            r.content = redirect();
        }
    });
    let selection = select(&plan, &world);
    let why = selection.skipped.iter().find(|s| s.route == "80 default").map(|s| s.reason.to_string());
    assert_eq!(why.as_deref(), Some("redirects"));
}

#[test]
fn a_name_that_is_almost_right_suggests_the_near_one() {
    let (plan, mut world) = (plan(), live_resources());
    world.load_balancers.values_mut().for_each(|found| *found = Ok(Vec::new()));
    world.groups.insert(Selector::Name("webapp-b".to_owned()), Ok(Vec::new()));
    world.existing.load_balancers = vec!["shop".to_owned(), "alpa".to_owned()];
    world.existing.groups = vec!["webapp-green".to_owned(), "other".to_owned()];
    let said: Vec<_> = select(&plan, &world).findings.into_iter().map(|f| f.message).collect();
    assert!(said[0].ends_with("; did you mean `alpa`?"), "{said:?}");
    assert!(said[1].contains("webapp-green"), "{said:?}");
}

#[test]
fn single_group_without_a_weight_has_all_traffic() {
    let mut world = live_resources();
    each_route(&mut world, |r| r.content = single_group());
    let selection = select(&plan(), &world);
    assert_eq!(codes(&selection), []);
    assert_eq!(selection.routes.len(), 8);
}

fn single_group() -> RouteContent {
    let member = Member::new(group_arn("webapp-a"), None);
    forward(&[]).with_split(&Split { members: vec![member] })
}

fn listeners_of(world: &mut LiveResources) -> &mut Vec<(Listener, Vec<LiveRoute>)> {
    world.listeners.get_mut(LB).and_then(|l| l.as_mut().ok()).expect("the fixture has listeners")
}

/// Adds rule 40 of listener 80 that cannot be read.
fn add_unread_route(world: &mut LiveResources, groups: &[&str], why: Unreadable) {
    let id = route(80, Some(40), forward(&[])).id;
    let groups = groups.iter().map(|g| group_arn(g)).collect();
    listeners_of(world)[0].0.unread.push(UnreadRoute { id, label: "80 rule 40".into(), groups, why });
}

#[test]
fn unreadable_route_of_other_groups_is_not_reported() {
    let mut changed = live_resources();
    add_unread_route(&mut changed, &["third"], Unreadable::Unrepresentable("Quantum".into()));
    assert_eq!(select(&plan(), &changed).findings, select(&plan(), &live_resources()).findings);
}

/// Each change of the plan or of the live resources causes exactly one finding.
#[test]
fn each_problem_causes_its_finding() {
    type Change = fn(&mut Plan, &mut LiveResources);
    let cases: &[(&str, Code, Change)] = &[
        ("no load balancer", Code::CUT040, |p, w| {
            w.load_balancers.insert(p.workloads[0].routes[0].load_balancer.clone(), Ok(Vec::new()));
        }),
        ("two groups", Code::CUT041, |p, w| {
            w.groups.insert(p.workloads[0].routes[0].target_groups[1].1.clone(), Ok(vec![group("x"), group("y")]));
        }),
        ("group unreadable", Code::CUT052, |p, w| {
            w.groups.insert(p.workloads[0].routes[0].target_groups[1].1.clone(), Err(Unreadable::Throttled));
        }),
        ("unknown element", Code::CUT053, |_, w| {
            w.listeners.insert(
                LB.to_owned(),
                Err(Unreadable::Unrepresentable("443 rule 15: Action.QuantumConfig".to_owned())),
            );
        }),
        ("one route has an unknown element", Code::CUT053, |_, w| {
            add_unread_route(w, &["webapp-a"], Unreadable::Unrepresentable("Quantum".into()));
        }),
        ("one route cannot be read at all", Code::CUT052, |_, w| add_unread_route(w, &[], Unreadable::Throttled)),
        ("tags cannot be read", Code::CUT052, |_, w| {
            listeners_of(w)[0].0.tags_unread = Some(Unreadable::Denied("DescribeTags".into()));
        }),
        ("no listener 8080", Code::CUT043, |p, _| {
            p.workloads[0].routes[0].listeners = vec![ListenerRef::Port(80), ListenerRef::Port(8080)];
        }),
        ("no rule 99", Code::CUT044, |p, _| {
            p.workloads[0].routes[0].rules = Some(vec![RuleRef::Priority(15), RuleRef::Priority(99)]);
        }),
        ("explicit rule elsewhere", Code::CUT045, |p, w| {
            p.workloads[0].routes[0].rules = Some(vec![RuleRef::Default, RuleRef::Priority(30)]);
            each_route(w, |r| {
                if r.port == 80 && r.priority == Some(30) {
                    r.content = forward(&[("webapp-a", 100)]);
                }
            });
        }),
        ("expect", Code::CUT046, |p, _| p.workloads[0].routes[0].expect = Some(36)),
        ("swapped", Code::CUT048, |p, _| {
            std::mem::swap(&mut p.strategy.from, &mut p.strategy.to);
            p.strategy.start = Some(shares(0, 100));
        }),
        ("already moving", Code::CUT049, |_, w| {
            each_route(w, |r| {
                if r.port == 80 && r.priority == Some(15) {
                    r.content = forward(&[("webapp-a", 99), ("webapp-b", 1)]);
                }
            });
        }),
        ("not attached", Code::CUT050, |p, w| {
            p.strategy.steps.retain(|s| s.kind != StepKind::Bind);
            each_route(w, |r| {
                if r.priority == Some(20) {
                    r.content = forward(&[("webapp-a", 100)]);
                }
            });
        }),
        ("one group twice", Code::CUT051, |p, w| {
            w.groups.insert(p.workloads[0].routes[0].target_groups[1].1.clone(), Ok(vec![group("webapp-a")]));
        }),
    ];
    for (name, code, change) in cases {
        let (mut plan, mut world) = (plan(), live_resources());
        change(&mut plan, &mut world);
        let selection = select(&plan, &world);
        assert_eq!(codes(&selection), [*code], "{name}: {:#?}", selection.findings);
        assert!(selection.findings[0].help.is_some(), "the finding must have a help text: {name}");
    }
}

#[test]
fn routes_of_two_workloads_are_errors() {
    let (mut plan, world) = (plan(), live_resources());
    let mut second = plan.workloads[0].clone();
    second.name = "other".to_owned();
    plan.workloads.push(second);
    let found = codes(&select(&plan, &world));
    assert_eq!(found.iter().filter(|c| **c == Code::CUT047).count(), 6);
}

#[test]
fn help_asks_whether_the_clusters_are_swapped() {
    let mut plan = plan();
    std::mem::swap(&mut plan.strategy.from, &mut plan.strategy.to);
    plan.strategy.start = Some(shares(0, 100));
    let finding = select(&plan, &live_resources()).findings.remove(0);
    assert!(finding.help.is_some_and(|h| h.contains("swapped")), "{}", finding.message);
}

/// Regression test: with a misspelled target group, `check` listed each route with "has no forward action".
#[test]
fn routes_of_an_entry_that_is_not_resolved_are_not_listed_as_skipped() {
    let (plan, mut world) = (plan(), live_resources());
    world.groups.insert(plan.workloads[0].routes[0].target_groups[1].1.clone(), Ok(Vec::new()));
    let selection = select(&plan, &world);
    assert_eq!(codes(&selection), [Code::CUT041]);
    assert!(selection.skipped.is_empty(), "{:#?}", selection.skipped);
}

#[test]
fn an_unexpected_number_of_routes_names_the_workload_and_the_line_of_the_plan() {
    let (mut plan, world) = (plan(), live_resources());
    plan.text =
        "spec:\n  workloads:\n    - name: webapp\n      routes:\n        - alb:\n            expect: 36\n".into();
    plan.workloads[0].routes[0].expect = Some(36);
    let finding = select(&plan, &world).findings.remove(0);
    let message = format!("workload webapp selects 6 routes of alpha, but `expect` is 36 ({}, line 6)", plan.source);
    assert_eq!(finding.message, message);
    assert!(finding.help.is_some_and(|help| help.contains("lists the routes that are not selected")));
}

#[test]
fn rule_on_one_of_two_listeners_is_a_warning() {
    let (mut plan, mut world) = (plan(), live_resources());
    plan.workloads[0].routes[0].rules = Some(vec![RuleRef::Priority(40)]);
    if let Some(Ok(listeners)) = world.listeners.get_mut(LB) {
        listeners[1].1.push(route(443, Some(40), forward(&[("webapp-a", 1)])));
    }
    let selection = select(&plan, &world);
    assert_eq!(labels(&selection), ["443 rule 40"]);
    assert_eq!(selection.findings.iter().map(|f| f.severity).collect::<Vec<_>>(), [Severity::Warning]);
}

#[test]
fn selection_at_a_later_step_requires_the_shares_of_that_step() {
    let mut world = live_resources();
    each_route(&mut world, |r| {
        if r.priority != Some(30) {
            r.content = forward(&[("webapp-a", 1), ("webapp-b", 1)]);
        }
    });
    let selection = select_at(&plan(), &world, Some(&shares(50, 50)));
    assert_eq!((codes(&selection), selection.routes.len()), (Vec::new(), 6));
    assert!(codes(&select_at(&plan(), &world, Some(&shares(95, 5)))).contains(&Code::CUT049));
    let mut split = plan();
    split.strategy.start = None;
    assert_eq!(select(&split, &world).routes.len(), 6);
}

#[test]
fn route_with_an_unknown_element_is_reported() {
    let mut changed = live_resources();
    add_unread_route(
        &mut changed,
        &["webapp-a"],
        Unreadable::Unrepresentable("this build does not know Quantum".into()),
    );
    let reason = |selection: &Selection| {
        let skipped = selection.skipped.iter().find(|s| s.route == "80 rule 40");
        skipped.map(|s| s.reason.to_string()).unwrap_or_default()
    };
    let all = select(&plan(), &changed);
    assert_eq!(
        (codes(&all), reason(&all)),
        (vec![Code::CUT053], "cannot be written: this build does not know Quantum".into())
    );
    assert_eq!(
        all.routes.len(),
        select(&plan(), &live_resources()).routes.len(),
        "all other routes must still be selected"
    );
    let mut listed = plan();
    listed.workloads[0].routes[0].rules = Some(vec![RuleRef::Default]);
    listed.workloads[0].routes[0].expect = None;
    assert_eq!(codes(&select(&listed, &changed)), [], "a plan that does not list the route must have no finding");
    listed.workloads[0].routes[0].rules = Some(vec![RuleRef::Default, RuleRef::Priority(40)]);
    assert!(codes(&select(&listed, &changed)).contains(&Code::CUT053));
}
