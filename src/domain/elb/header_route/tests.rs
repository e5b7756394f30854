use super::*;
use crate::domain::elb::action::{Action, Config};
use crate::domain::elb::rule::ConditionValue;
use crate::domain::fixture;

fn header() -> Vec<HeaderMatch> {
    vec![HeaderMatch { name: "X-Canary".into(), value: "yes".into() }]
}

fn condition(field: &str, values: &[&str]) -> Condition {
    let values = values.iter().map(|v| ConditionValue::Plain((*v).to_owned())).collect();
    Condition { field: field.to_owned(), values, ..Condition::default() }
}

/// Returns a rule (a default action without a priority) on port 443 with these paths.
fn route(priority: Option<u32>, paths: &[&str]) -> LiveRoute {
    let mut live = fixture::route(443, priority, fixture::forward(&[("webapp-a", 100), ("webapp-b", 0)]));
    if priority.is_some() {
        live.rule.conditions = vec![condition("path-pattern", paths)];
    }
    live
}

fn planned(routes: Vec<LiveRoute>, moved: &[Option<u32>], headers: &[HeaderMatch]) -> HeaderRoutePlan {
    let ids: Vec<_> = routes.iter().filter(|r| moved.contains(&r.priority)).map(|r| r.id.clone()).collect();
    plan(&[(fixture::listener(443), routes)], |id| ids.contains(id).then_some("group-b"), headers)
}

fn priorities(plan: &HeaderRoutePlan) -> Vec<u32> {
    assert_eq!(plan.misfits, []);
    plan.rules.iter().map(|rule| rule.spec.priority).collect()
}

#[test]
fn rule_has_the_conditions_of_its_route_and_the_headers() {
    let all = planned(vec![route(None, &[]), route(Some(15), &["/api*"])], &[None, Some(15)], &header());
    let specs: Vec<_> = all.rules.iter().map(|r| (r.spec.priority, r.spec.conditions.clone())).collect();
    let headers = Condition::header("X-Canary", "yes");
    assert_eq!(specs, [(50_000, vec![headers.clone()]), (14, vec![condition("path-pattern", &["/api*"]), headers])]);
    assert!(all.rules.iter().all(|r| r.content.split.weight("group-b") == Some(1) && r.content.sticky().is_none()));
}

#[test]
fn five_values_are_spread_over_two_rules() {
    let paths = ["/api*", "/ad*", "/admin*", "/api_internal*", "/vv/*"];
    let all = planned(vec![route(Some(15), &paths)], &[Some(15)], &header());
    assert_eq!(priorities(&all), [13, 14]);
    let values: Vec<_> = all.rules.iter().map(|r| r.spec.conditions[0].values.len()).collect();
    assert_eq!(values, [4, 1]);
    assert!(all.rules.iter().all(|r| r.spec.conditions.iter().map(|c| c.values.len()).sum::<usize>() <= MAX_VALUES));
}

#[test]
fn every_combination_of_values_has_a_rule() {
    let mut live = route(Some(15), &["/a", "/b", "/c"]);
    live.rule.conditions.push(condition("host-header", &["x.example", "y.example"]));
    let two = [header(), vec![HeaderMatch { name: "X-Team".into(), value: "web".into() }]].concat();
    let all = planned(vec![live], &[Some(15)], &two);
    let mut pairs: Vec<_> = all
        .rules
        .iter()
        .flat_map(|r| {
            let texts = |at: usize| r.spec.conditions[at].texts().unwrap_or_default();
            texts(0).into_iter().flat_map(|a| texts(1).into_iter().map(move |b| format!("{a} {b}"))).collect::<Vec<_>>()
        })
        .collect();
    pairs.sort();
    let mut expected: Vec<_> =
        ["/a", "/b", "/c"].iter().flat_map(|a| ["x", "y"].map(|b| format!("{a} {b}.example"))).collect();
    expected.sort();
    assert_eq!(pairs, expected);
    assert!(all.rules.iter().all(|r| r.spec.conditions.iter().map(|c| c.values.len()).sum::<usize>() <= MAX_VALUES));
}

#[test]
fn routes_of_the_plan_without_a_gap_are_fitted_before_the_first() {
    let routes = vec![route(Some(10), &["/a*"]), route(Some(11), &["/b*"]), route(Some(12), &["/*"])];
    let all = planned(routes, &[Some(10), Some(11), Some(12)], &header());
    assert_eq!(priorities(&all), [7, 8, 9], "each header rule must keep the order of its route");
}

#[test]
fn rule_of_someone_else_stays_before_a_header_rule_only_if_it_may_match_the_same_request() {
    let with = |other: &str| {
        let routes = vec![route(Some(10), &[other]), route(Some(11), &["/api/*"])];
        planned(routes, &[Some(11)], &header())
    };
    assert_eq!(priorities(&with("/static/*")), [9]);
    let blocked = with("/*");
    assert_eq!(blocked.rules, []);
    let why = "one priority must be free between 443 rule 10 and 443 rule 11, which may match the same requests";
    assert_eq!(blocked.misfits, [("443 rule 11".to_owned(), why.to_owned())]);
}

#[test]
fn first_priorities_in_use_are_named() {
    let routes = vec![route(Some(1), &["/a*"]), route(Some(2), &["/b*"])];
    let all = planned(routes, &[Some(1), Some(2)], &header());
    assert_eq!(all.misfits.len(), 2);
    assert_eq!(all.misfits[0].1, "one priority must be free before 443 rule 1; 443 rule 1 is in the way");
}

#[test]
fn login_is_copied_and_oidc_is_left_out() {
    let login = |action| {
        let forward = fixture::forward(&[("webapp-a", 100)]);
        let mut actions = vec![action];
        actions.extend(crate::domain::elb::actions(&forward).expect("the fixture must be valid"));
        LiveRoute { content: crate::domain::elb::content(&actions), ..route(Some(15), &["/a"]) }
    };
    let config = Config::from([("UserPoolArn".to_owned(), "pool".into())]);
    let cognito = Action::AuthenticateCognito { order: Some(1), authenticate_cognito_config: config };
    let all = planned(vec![login(cognito)], &[Some(15)], &header());
    assert_eq!(crate::domain::elb::kinds(&all.rules[0].content), ["authenticate-cognito", "forward"]);
    let oidc = Action::AuthenticateOidc { order: Some(1), authenticate_oidc_config: Config::new() };
    let all = planned(vec![login(oidc)], &[Some(15)], &header());
    assert_eq!((all.rules.len(), all.left_out.len()), (0, 1));
}

#[test]
fn specification_survives_the_journal() {
    let all = planned(vec![route(Some(15), &["/a"])], &[Some(15)], &header());
    let spec = &all.rules[0].spec;
    assert_eq!(RuleSpec::from_config(&spec.to_config()).as_ref(), Ok(spec));
    let mut other = spec.to_config();
    other.v = 2;
    assert!(RuleSpec::from_config(&other).is_err());
}
