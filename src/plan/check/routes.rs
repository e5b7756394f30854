//! Checks routes (load balancers, listeners, rules, one target group per cluster), and converts them to the model.

use std::collections::BTreeMap;

use super::{Diagnostic, Place, Placed, PlanContext, UniqueValues, arn, haproxy, note};
use crate::base::finding::Code;
use crate::plan::binding_fields::Binding;
use crate::plan::decode::Table;
use crate::plan::file::{Alb, Nlb, Route, Rule};
use crate::plan::model::{
    BalancerKind, BindingMode, BindingSpec, ListenerRef, RouteEntry, RuleRef, Selector, TargetType,
};
use crate::plan::scalar::{ListenerName, Mode, Resource, TargetKind};

/// The target groups that were checked so far, by name, each with its cluster and its place in the file.
#[derive(Default)]
pub(super) struct UsedGroups(BTreeMap<String, (String, Place)>);

pub(super) fn binding(binding: Option<&Placed<Binding>>) -> Option<BindingSpec> {
    let Some(binding) = binding else {
        return Some(BindingSpec::default());
    };
    let Binding { mode, target_type, extra } = &binding.value;
    let mode = match mode.as_ref()?.value {
        Mode::Create => BindingMode::Create,
        Mode::Verify => BindingMode::Verify,
    };
    let target_type = match target_type.as_ref()?.value {
        TargetKind::Ip => TargetType::Ip,
        TargetKind::Instance => TargetType::Instance,
    };
    Some(BindingSpec { mode, target_type, extra: extra.clone() })
}

pub(super) fn entries(
    routes: Option<&Placed<Vec<Placed<Route>>>>,
    scope: &PlanContext,
    groups: &mut UsedGroups,
    out: &mut Vec<Diagnostic>,
) -> Option<Vec<RouteEntry>> {
    let routes = routes?;
    if routes.value.is_empty() {
        note(out, Code::CUT004, routes.head, "the workload has no route")
            .help("add one: `- alb: {loadBalancer: …, targetGroups: …}`");
    }
    let mut checked = Vec::new();
    for Placed { value: Route { alb, nlb, haproxy }, .. } in &routes.value {
        match (alb, nlb, haproxy) {
            (Some(alb), None, None) => checked.extend(entry(BalancerKind::Alb, &alb.value, scope, groups, out)),
            (None, Some(nlb), None) => checked.extend(network_entry(&nlb.value, scope, groups, out)),
            (None, None, Some(at)) => checked.extend(haproxy::entries(at, scope, groups, out).unwrap_or_default()),
            // The decoder has already added the error.
            _ => {}
        }
    }
    Some(checked)
}

fn network_entry(
    nlb: &Nlb,
    scope: &PlanContext,
    groups: &mut UsedGroups,
    out: &mut Vec<Diagnostic>,
) -> Option<RouteEntry> {
    let Nlb { load_balancer, listeners, target_groups, rules, expect, settle } = nlb.clone();
    let fields = Alb { load_balancer, listeners, target_groups, rules, expect };
    let entry = entry(BalancerKind::Nlb, &fields, scope, groups, out)?;
    Some(RouteEntry { settle: Some(settle?.value.0), ..entry })
}

/// Checks the fields that every kind of load balancer of AWS has.
fn entry(
    kind: BalancerKind,
    fields: &Alb,
    scope: &PlanContext,
    groups: &mut UsedGroups,
    out: &mut Vec<Diagnostic>,
) -> Option<RouteEntry> {
    if let Some(Placed { value: Resource(Selector::Arn(text)), place, .. }) = &fields.load_balancer {
        arn::check(text, &[arn::load_balancer(kind)], *place, scope, out);
    }
    let listeners = fields.listeners.as_ref().map(|l| listeners(kind, &l.value, scope, out));
    let target_groups = fields.target_groups.as_ref().map(|t| target_groups(t, scope, groups, out));
    let rules = fields.rules.as_ref().map(|r| rules(kind, &r.value, scope, out));
    let rules = rules?;
    Some(RouteEntry {
        kind,
        load_balancer: fields.load_balancer.as_ref()?.value.0.clone(),
        listeners: listeners?,
        target_groups: target_groups?,
        rules: (!rules.is_empty()).then_some(rules),
        expect: fields.expect.as_ref().and_then(|e| usize::try_from(e.value.0).ok()),
        settle: None,
        reasserts: false,
    })
}

fn listeners(
    kind: BalancerKind,
    list: &[Placed<ListenerName>],
    scope: &PlanContext,
    out: &mut Vec<Diagnostic>,
) -> Vec<ListenerRef> {
    let mut unique_names = UniqueValues::new("listeners of this route are", Code::CUT019);
    for listener in list {
        let name = match &listener.value.0 {
            ListenerRef::Port(port) => port.to_string(),
            ListenerRef::Arn(text) => {
                arn::check(text, &[arn::listener(kind)], listener.place, scope, out);
                text.clone()
            }
        };
        unique_names.check_value(&name, listener.place, out);
    }
    list.iter().map(|l| l.value.0.clone()).collect()
}

fn rules(kind: BalancerKind, list: &[Placed<Rule>], scope: &PlanContext, out: &mut Vec<Diagnostic>) -> Vec<RuleRef> {
    let mut unique_names = UniqueValues::new("rules of this route are", Code::CUT019);
    let mut checked = Vec::new();
    for rule in list {
        let Rule { default, priority, arn: by_arn } = &rule.value;
        let (name, found) = match (default, priority, by_arn) {
            (Some(_), ..) => ("default".to_owned(), RuleRef::Default),
            (_, Some(priority), _) => (format!("priority {}", priority.value.0), RuleRef::Priority(priority.value.0)),
            (.., Some(text)) => {
                arn::check(&text.value.0, &[arn::rule(kind), arn::listener(kind)], text.place, scope, out);
                (text.value.0.clone(), RuleRef::Arn(text.value.0.clone()))
            }
            _ => continue,
        };
        unique_names.check_value(&name, rule.place, out);
        checked.push(found);
    }
    checked
}

/// Returns one target group per cluster, in the order of the clusters.
fn target_groups(
    table: &Placed<Table<Resource>>,
    scope: &PlanContext,
    groups: &mut UsedGroups,
    out: &mut Vec<Diagnostic>,
) -> Vec<(String, Selector)> {
    for (cluster, group) in &table.value.0 {
        scope.check_cluster(&cluster.value, cluster.place, out);
        let Some(group) = group else { continue };
        if let Selector::Arn(text) = &group.value.0 {
            arn::check(text, &[arn::TARGET_GROUP], group.place, scope, out);
        }
        groups.check_group(&cluster.value, group, out);
    }
    let of = |cluster: &String| table.value.0.iter().find(|(name, _)| name.value == *cluster);
    for cluster in scope.clusters.iter().filter(|c| of(c).is_none()) {
        note(out, Code::CUT017, table.head, format!("no target group for cluster `{cluster}`"))
            .help(format!("add `{cluster}: …` to `targetGroups`: a name, an ARN, or `tag:KEY=VALUE`"));
    }
    scope.clusters.iter().filter_map(|c| Some((c.clone(), of(c)?.1.as_ref()?.value.0.clone()))).collect()
}

impl UsedGroups {
    /// Returns the cluster and the place that use a group already. Otherwise records this use.
    pub(super) fn first_use(&mut self, name: &str, cluster: &str, place: Place) -> Option<(String, Place)> {
        let used = self.0.get(name).cloned();
        if used.is_none() {
            self.0.insert(name.to_owned(), (cluster.to_owned(), place));
        }
        used
    }

    fn check_group(&mut self, cluster: &str, group: &Placed<Resource>, out: &mut Vec<Diagnostic>) {
        let name = match &group.value.0 {
            Selector::Name(name) => name.clone(),
            Selector::Arn(text) => crate::base::arn::name(text).to_owned(),
            Selector::Tags(tags) => tags.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(","),
        };
        let Some((owner, first)) = self.first_use(&name, cluster, group.place) else { return };
        let message = format!("target group `{name}` already belongs to cluster `{owner}` on line {}", first.line);
        let help = if owner == cluster {
            "a target group belongs to one route entry: put all listeners and rules of the group into this entry"
        } else {
            "use one target group per cluster: two clusters on one target group deregister each other's targets"
        };
        note(out, Code::CUT018, group.place, message).help(help);
    }
}
