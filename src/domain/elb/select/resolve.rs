//! Resolves the selectors of a plan's entry to one load balancer and one target group per cluster, or to findings.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{LiveResources, SelectedGroup, Selection, selector_text};
use crate::base::finding::{Code, Finding};
use crate::domain::elb::balancer::{LoadBalancer, TargetGroup};
use crate::domain::traffic::Unreadable;
use crate::plan::model::{ClusterName, Plan, RouteEntry, Selector, Workload};
use crate::plan::place;
use crate::plan::suggest::instead_of;

/// The resolved resources of an entry.
pub(super) struct ResolvedEntry {
    pub load_balancer: LoadBalancer,
    /// The ARNs of the target groups, by cluster.
    pub groups: BTreeMap<ClusterName, String>,
}

/// Resolves the selectors of an entry. Every selector that cannot be resolved becomes a finding.
pub(super) fn entry(
    plan: &Plan,
    live_resources: &LiveResources,
    workload: &Workload,
    spec: &RouteEntry,
    selection: &mut Selection,
) -> Option<ResolvedEntry> {
    let subject = &workload.name;
    let load_balancer = match exactly_one(
        &spec.load_balancer,
        live_resources.load_balancers.get(&spec.load_balancer),
        |lb: &LoadBalancer| lb.name.clone(),
    ) {
        Ok(found) => Some(found.clone()),
        Err(problem) => {
            let existing = &live_resources.existing.load_balancers;
            let place = place::in_workload(plan, subject, &["loadBalancer", &selector_text(&spec.load_balancer)]);
            let finding = problem.finding(Code::CUT040, subject, "load balancer", &plan.region, existing);
            selection.findings.push(finding.at(place));
            None
        }
    };
    if let Some(load_balancer) = &load_balancer {
        selection.load_balancers.insert(load_balancer.arn.clone(), load_balancer.clone());
    }
    let mut groups = BTreeMap::new();
    for (cluster, selector) in &spec.target_groups {
        match exactly_one(selector, live_resources.groups.get(selector), |g: &TargetGroup| g.name.clone()) {
            Ok(group) => {
                groups.insert(cluster.clone(), group.arn.clone());
                let load_balancer = load_balancer.as_ref().map(|lb| lb.arn.clone()).unwrap_or_default();
                register_group(selection, workload, cluster, group, load_balancer);
            }
            Err(problem) => {
                let existing = &live_resources.existing.groups;
                let place = place::in_workload(plan, subject, &["targetGroups", &selector_text(selector)]);
                let finding = problem.finding(Code::CUT041, subject, "target group", &plan.region, existing);
                selection.findings.push(finding.at(place));
            }
        }
    }
    let distinct: BTreeSet<&String> = groups.values().collect();
    let complete = distinct.len() == spec.target_groups.len();
    load_balancer.filter(|_| complete).map(|load_balancer| ResolvedEntry { load_balancer, groups })
}

/// Adds a group to the selection, and reports a group that is used for two clusters or workloads.
fn register_group(
    selection: &mut Selection,
    workload: &Workload,
    cluster: &str,
    group: &TargetGroup,
    load_balancer: String,
) {
    if let Some(other) = selection.groups.get(&group.arn) {
        if other.cluster != cluster || other.workload != workload.name {
            let message = format!(
                "target group {} is used for cluster {} of workload {} and for cluster {cluster} of workload {}",
                group.name, other.cluster, other.workload, workload.name
            );
            selection.findings.push(Finding::new(Code::CUT051, &group.name, message).help(
                "use a separate target group for each cluster of each workload; clusters that share a target group \
                 deregister each other's targets",
            ));
        }
        return;
    }
    let selected = SelectedGroup {
        group: group.clone(),
        cluster: cluster.to_owned(),
        workload: workload.name.clone(),
        load_balancer,
    };
    selection.groups.insert(group.arn.clone(), selected);
}

enum SelectorProblem {
    None(String),
    Several(String, Vec<String>),
    Unreadable(String, Unreadable),
}

impl SelectorProblem {
    fn finding(self, code: Code, subject: &str, what: &str, region: &str, existing: &[String]) -> Finding {
        match self {
            Self::None(selector) | Self::Unreadable(selector, Unreadable::NotFound(_)) => {
                let instead = Some(instead_of(&selector, existing)).filter(|text| !text.is_empty());
                let instead = instead.map_or_else(String::new, |text| format!("; {text}"));
                let place = if region.is_empty() { String::new() } else { format!(" in {region}") };
                Finding::new(code, subject, format!("no {what} matches `{selector}`{place}{instead}")).help(format!(
                    "check the spelling; `cutover status --load-balancer NAME` lists what a load \
                        balancer has. A {what} is selected by name, ARN or `tag:KEY=VALUE`"
                ))
            }
            Self::Several(selector, names) => Finding::new(
                code,
                subject,
                format!("`{selector}` matches {} {what}s: {}", names.len(), names.join(", ")),
            )
            .help("use the ARN or add tags: a selector must match exactly one resource"),
            Self::Unreadable(selector, why) => unreadable(subject, &format!("{what} `{selector}`"), &why),
        }
    }
}

/// Returns a finding about a resource that could not be read.
pub fn unreadable(subject: &str, what: &str, why: &Unreadable) -> Finding {
    match why {
        Unreadable::Unrepresentable(element) => {
            Finding::new(Code::CUT053, subject, format!("{what} cannot be written: {element}")).help(
                "a write would remove this element from the action, so cutover never writes the action. Use a newer version \
                    of cutover, remove the element, or list the other routes in `rules`. If you accept this finding, \
                    the route is not changed and keeps its traffic",
            )
        }
        _ => Finding::new(Code::CUT052, subject, format!("{what} cannot be read: {why}")).help(match why {
            Unreadable::Credentials(_) => {
                "correct the credentials, then repeat the command (`cutover help network` lists those that cutover \
                can use)"
            }
            Unreadable::Denied(_) => {
                "grant the missing Describe permission (examples/iam-policy.json lists all of them)"
            }
            Unreadable::Throttled => {
                "other callers in the account use the API's rate limit; repeat the command in \
                a minute"
            }
            Unreadable::Setup(_) => "correct this setting, then repeat the command (`cutover help network`)",
            _ => "repeat the command; if it fails again, check the network and AWS_ENDPOINT_URL",
        }),
    }
}

fn exactly_one<'a, T>(
    selector: &Selector,
    found: Option<&'a Result<Vec<T>, Unreadable>>,
    name: impl Fn(&T) -> String,
) -> Result<&'a T, SelectorProblem> {
    let text = selector_text(selector);
    match found {
        None => Err(SelectorProblem::None(text)),
        Some(Err(why)) => Err(SelectorProblem::Unreadable(text, why.clone())),
        Some(Ok(all)) => match all.as_slice() {
            [] => Err(SelectorProblem::None(text)),
            [one] => Ok(one),
            several => Err(SelectorProblem::Several(text, several.iter().map(name).collect())),
        },
    }
}
