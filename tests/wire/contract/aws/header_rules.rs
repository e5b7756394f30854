//! Header rules: made above every route that can have one, and deleted again. Nothing else may change.

use std::collections::BTreeMap;
use std::time::Duration;

use cutover::domain::elb::balancer::LiveRoute;
use cutover::domain::elb::{self, header_route};
use cutover::domain::run::header_rule::{HeaderRule, TAG_KEY};
use cutover::domain::traffic::{RouteId, Tags};
use cutover::plan::model::HeaderMatch;
use cutover::port::{Detail, Inventory, RuleStore, Traffic, WriteError};
use serde_json::Value;

use crate::contract::aws::endpoint::EndpointFixture;

const DEADLINE: Duration = Duration::from_mins(10);

/// Makes the header rules, reads them with the adapter and with botocore, and deletes them.
pub async fn made_and_deleted(fixture: &EndpointFixture) {
    let alb = fixture.alb().await;
    let original = fixture.show();
    let listeners =
        alb.listeners(&fixture.load_balancer, Detail::Full).await.expect("the listeners should be readable");
    let before: BTreeMap<RouteId, LiveRoute> =
        listeners.iter().flat_map(|(_, routes)| routes).map(|r| (r.id.clone(), r.clone())).collect();
    let headers = [HeaderMatch { name: "X-Canary".into(), value: "yes".into() }];
    let group = |id: &RouteId| before[id].forwards().map(|_| fixture.groups["b"].as_str());
    let plan = header_route::plan(&listeners, group, &headers);
    assert_eq!(plan.misfits, []);
    // 21 routes forward, and the client secret of four of them is never read.
    assert_eq!(plan.left_out.iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>(), OIDC);
    assert_eq!(plan.rules.len(), 21 - OIDC.len());
    let mut made = Vec::new();
    for (number, rule) in (1..).zip(plan.rules) {
        let rule = HeaderRule {
            number,
            route: rule.route,
            load_balancer: fixture.load_balancer.clone(),
            listener: rule.listener,
            label: rule.label,
            rule: rule.spec.to_config(),
            content: rule.content,
        };
        let tags: Tags = [(TAG_KEY.to_owned(), rule.tag_value("shop-1"))].into();
        let id = alb.create(&rule, &tags, DEADLINE).await.expect("the rule should be made");
        if number == 1 {
            let again = alb.create(&rule, &tags, DEADLINE).await;
            assert!(matches!(&again, Err(WriteError::Refused(why)) if why.contains("PriorityInUse")), "{again:?}");
        }
        made.push((id, rule));
    }
    let ids: Vec<_> = made.iter().map(|(id, _)| RouteId::rule(id)).collect();
    let read = alb.routes(&ids).await;
    let listeners =
        alb.listeners(&fixture.load_balancer, Detail::Full).await.expect("the listeners should be readable");
    let live: BTreeMap<_, _> =
        listeners.into_iter().flat_map(|(_, routes)| routes).map(|r| (r.id.clone(), r)).collect();
    for (id, rule) in &made {
        let id = RouteId::rule(id);
        let content = read[&id].as_ref().expect("the rule should be readable");
        assert!(content.equivalent(&rule.content), "{}: {content:?} is not {:?}", rule.label, rule.content);
        let spec = header_route::RuleSpec::from_config(&rule.rule).expect("the specification should be readable");
        assert!(spec.is_of(&live[&id]), "{}: {:?} is not {spec:?}", rule.label, live[&id]);
        assert_eq!(live[&id].tags.get(TAG_KEY), Some(&rule.tag_value("shop-1")));
    }
    let login = |id: &&RouteId| elb::kinds(&live[*id].content).contains(&"authenticate-cognito");
    assert_eq!(ids.iter().filter(login).count(), 1, "the login before a forward should be on the header rule");
    let mut during = fixture.show();
    during.retain(|arn, _| !ids.iter().any(|id| id.id() == arn));
    assert_eq!(during, original, "nothing but the new rules may change");
    for id in &ids {
        alb.delete(id.id(), DEADLINE).await.expect("the rule should be deleted");
    }
    let again = alb.delete(ids[0].id(), DEADLINE).await;
    // moto accepts the deletion of a rule that does not exist.
    assert!(matches!(again, Ok(()) | Err(WriteError::NotFound(_))), "{again:?}");
    let after: BTreeMap<String, Value> = fixture.show();
    assert_eq!(after, original, "everything should be as before");
}

/// The routes with the action `authenticate-oidc`.
const OIDC: [&str; 4] = ["443 rule 40", "443 rule 80", "443 rule 120", "443 rule 160"];
