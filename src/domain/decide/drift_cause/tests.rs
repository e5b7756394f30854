use super::*;
use crate::domain::fixture;
use crate::domain::run::state::Drift;

/// Returns a route at 50 % each that another actor then changed to these weights.
fn drifted(owners: &[ExternalOwner], a: u16, b: u16) -> Route {
    let mut started = fixture::started(10);
    started.routes.truncate(1);
    started.routes[0].owners = owners.to_vec();
    let mut state = fixture::state(started);
    let mut route = state.routes.pop_first().unwrap().1;
    route.confirmed = fixture::forward(&[("webapp-a", 50), ("webapp-b", 50), ("webapp-default", 0)]);
    route.drift = Some(Drift::Changed(fixture::forward(&[("webapp-a", a), ("webapp-b", b), ("webapp-default", 0)])));
    route
}

#[test]
fn change_towards_the_start_looks_like_a_manual_rollback() {
    let terraform = [ExternalOwner { tool: OwnerTool::Terraform, tag: "terraform=true".into() }];
    assert_eq!(likely_cause(&drifted(&[], 90, 10)), "this looks like a manual rollback");
    assert!(likely_cause(&drifted(&terraform, 90, 10)).ends_with("or like Terraform (tag terraform=true)"));
    assert_eq!(likely_cause(&drifted(&terraform, 10, 90)), "probably Terraform (tag terraform=true)");
    assert!(likely_cause(&drifted(&[], 10, 90)).starts_with("probably a person"));
}

#[test]
fn deleted_rule_does_not_count_as_change_towards_the_start() {
    let mut route = drifted(&[], 0, 100);
    route.drift = Some(Drift::Gone);
    assert!(!towards_start(&route));
}

/// A load balancer with its weights only in memory forgets them when it restarts. That is no change by anyone.
#[test]
fn another_process_is_a_reload() {
    let mut route = drifted(&[], 100, 0);
    let of = |pid: &str| RouteContent {
        process: Some(pid.into()),
        ..fixture::forward(&[("webapp-a", 50), ("webapp-b", 50), ("webapp-default", 0)])
    };
    (route.confirmed, route.drift) = (of("pid 7"), Some(Drift::Changed(of("pid 8"))));
    assert!(has_restarted(&route) && likely_cause(&route).contains("reloaded or restarted"));
    route.drift = Some(Drift::Changed(of("pid 7")));
    assert!(!has_restarted(&route));
}
