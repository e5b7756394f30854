//! Reads the rules of a run's load balancers, to plan header rules or to search them. Changes nothing.

use std::collections::BTreeMap;

use crate::domain::elb::balancer::{Listener, LiveRoute};
use crate::domain::elb::header_route::{self, PlannedRule, RuleSpec};
use crate::domain::run::header_rule::{
    HeaderRule, HeaderRuleEvent, HeaderRuleProgress, HeaderRuleState, TAG_KEY, parse_tag,
};
use crate::domain::run::state::State;
use crate::domain::traffic::{RouteId, Unreadable};
use crate::plan::model::{HeaderMatch, Plan, StepKind};
use crate::port::{Detail, Inventory};

/// Plans the header rules of the current step.
///
/// # Errors
/// Returns why the rules of a load balancer cannot be read.
pub async fn plan(inventory: &dyn Inventory, plan: &Plan, state: &State) -> Result<HeaderRuleEvent, Unreadable> {
    let headers = headers(plan, state);
    let (mut rules, mut left_out, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for balancer in &state.started.load_balancers {
        let listeners = inventory.listeners(balancer, Detail::Listed).await?;
        refused.extend(unreadable_rules(&listeners, state));
        let group = |id: &RouteId| {
            let route = state.routes.get(id).filter(|route| !route.is_deleted())?;
            route.start.groups.get(&plan.strategy.to).map(String::as_str)
        };
        let planned = header_route::plan(&listeners, group, headers);
        let named = |(label, why): (String, String)| format!("{label}: {why}");
        left_out.extend(planned.left_out.into_iter().map(named));
        refused.extend(planned.misfits.into_iter().map(named));
        rules.extend(planned.rules.into_iter().map(|rule| (balancer, rule)));
    }
    let numbered = (state.header_rules.last_number + 1..).zip(rules);
    let rules = numbered.map(|(number, (balancer, rule))| to_header_rule(number, balancer, rule));
    let rules = if refused.is_empty() { rules.collect() } else { Vec::new() };
    let refused =
        (!refused.is_empty()).then(|| format!("a header route does not fit between the rules: {}", refused.join("; ")));
    Ok(HeaderRuleEvent::Planned { step: state.step, rules, left_out, refused })
}

fn headers<'a>(plan: &'a Plan, state: &State) -> &'a [HeaderMatch] {
    match state.step.checked_sub(1).and_then(|at| plan.strategy.steps.get(at)).map(|step| &step.kind) {
        Some(StepKind::HeaderRoute(headers)) => headers,
        _ => &[],
    }
}

/// Returns the rules that cannot be read on listeners with a route of the run. Their places are unknown.
fn unreadable_rules(listeners: &[(Listener, Vec<LiveRoute>)], state: &State) -> Vec<String> {
    let moved = |routes: &[LiveRoute]| routes.iter().any(|route| state.routes.contains_key(&route.id));
    let of_run = listeners.iter().filter(|(_, routes)| moved(routes));
    of_run
        .flat_map(|(listener, _)| &listener.unread)
        .map(|unread| format!("{}: {}", unread.label, unread.why))
        .collect()
}

fn to_header_rule(number: u32, balancer: &str, planned: PlannedRule) -> HeaderRule {
    HeaderRule {
        number,
        route: planned.route,
        load_balancer: balancer.to_owned(),
        listener: planned.listener,
        label: planned.label,
        rule: planned.spec.to_config(),
        content: planned.content,
    }
}

/// Searches the rules of a run that were sent and of which it is not known whether they exist: by their tag, or where
/// tags cannot be read, by their place and conditions. Returns the ARNs of the rules that exist, by number.
///
/// # Errors
/// Returns why the rules of a load balancer cannot be read.
pub async fn find(inventory: &dyn Inventory, state: &State) -> Result<BTreeMap<u32, String>, Unreadable> {
    let sent = || state.header_rules.rules.values().filter(|r| matches!(r.progress, HeaderRuleProgress::Sent(_)));
    let mut balancers: Vec<&str> = sent().map(|rule| rule.rule.load_balancer.as_str()).collect();
    balancers.dedup();
    let mut found = BTreeMap::new();
    for balancer in balancers {
        for (listener, routes) in inventory.listeners(balancer, Detail::Full).await? {
            if let Some(unread) = listener.unread.first() {
                return Err(unread.why.clone());
            }
            for rule in sent().filter(|rule| rule.rule.listener == listener.arn) {
                let live = routes.iter().find(|live| is_made_from(rule, live, &state.run));
                found.extend(live.map(|live| (rule.rule.number, live.id.id().to_owned())));
            }
        }
    }
    Ok(found)
}

fn is_made_from(rule: &HeaderRuleState, live: &LiveRoute, run: &str) -> bool {
    match live.tags.get(TAG_KEY).and_then(|value| parse_tag(value)) {
        Some((owner, number)) => owner == run && number == rule.rule.number,
        None => {
            RuleSpec::from_config(&rule.rule.rule).is_ok_and(|spec| spec.is_of(live))
                && live.content.equivalent(&rule.rule.content)
        }
    }
}
