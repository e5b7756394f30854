//! From a plan's entry to one load balancer and one target group per cluster, or to findings.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{LiveWorld, SelectedGroup, Selection, spelled};
use crate::base::finding::{Code, Finding};
use crate::domain::elb::balancer::{LoadBalancer, TargetGroup};
use crate::domain::traffic::Unreadable;
use crate::plan::model::{ClusterName, Plan, RouteEntry, Selector, Workload};

/// An entry's resources.
pub(super) struct Resolved {
    pub load_balancer: LoadBalancer,
    /// ARN by cluster.
    pub groups: BTreeMap<ClusterName, String>,
}

/// Resolves an entry; what does not resolve becomes findings, all at once.
pub(super) fn entry(
    plan: &Plan,
    world: &LiveWorld,
    workload: &Workload,
    spec: &RouteEntry,
    selection: &mut Selection,
) -> Option<Resolved> {
    let subject = &workload.name;
    let load_balancer =
        match one(&spec.load_balancer, world.load_balancers.get(&spec.load_balancer), |lb: &LoadBalancer| {
            lb.name.clone()
        }) {
            Ok(found) => Some(found.clone()),
            Err(problem) => {
                selection.findings.push(problem.finding(Code::CUT040, subject, "load balancer", &plan.region));
                None
            }
        };
    if let Some(load_balancer) = &load_balancer {
        selection.load_balancers.insert(load_balancer.arn.clone(), load_balancer.clone());
    }
    let mut groups = BTreeMap::new();
    for (cluster, selector) in &spec.target_groups {
        match one(selector, world.groups.get(selector), |g: &TargetGroup| g.name.clone()) {
            Ok(group) => {
                groups.insert(cluster.clone(), group.arn.clone());
                let load_balancer = load_balancer.as_ref().map(|lb| lb.arn.clone()).unwrap_or_default();
                claim(selection, workload, cluster, group, load_balancer);
            }
            Err(problem) => {
                selection.findings.push(problem.finding(Code::CUT041, subject, "target group", &plan.region))
            }
        }
    }
    let distinct: BTreeSet<&String> = groups.values().collect();
    let complete = distinct.len() == spec.target_groups.len();
    load_balancer.filter(|_| complete).map(|load_balancer| Resolved { load_balancer, groups })
}

/// One target group belongs to one cluster and one workload.
fn claim(selection: &mut Selection, workload: &Workload, cluster: &str, group: &TargetGroup, load_balancer: String) {
    if let Some(other) = selection.groups.get(&group.arn) {
        if other.cluster != cluster || other.workload != workload.name {
            let message = format!(
                "target group {} stands for cluster {} of workload {} and for cluster {cluster} of workload {}",
                group.name, other.cluster, other.workload, workload.name
            );
            selection.findings.push(Finding::new(Code::CUT051, &group.name, message).help(
                "give every cluster of every workload a target group of its own; clusters that share one deregister each other's targets",
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

enum Problem {
    None(String),
    Several(String, Vec<String>),
    Unreadable(String, Unreadable),
}

impl Problem {
    fn finding(self, code: Code, subject: &str, what: &str, region: &str) -> Finding {
        match self {
            Self::None(selector) | Self::Unreadable(selector, Unreadable::NotFound(_)) => {
                Finding::new(code, subject, format!("no {what} matches `{selector}` in {region}"))
                    .help(format!("check the spelling; `cutover status --load-balancer NAME` shows what a load balancer has. A {what} is named by name, ARN or `tag:KEY=VALUE`"))
            }
            Self::Several(selector, names) => {
                Finding::new(code, subject, format!("`{selector}` matches {} {what}s: {}", names.len(), names.join(", ")))
                    .help("name it by ARN, or give more tags: a selector must match exactly one")
            }
            Self::Unreadable(selector, why) => unreadable(subject, &format!("{what} `{selector}`"), &why),
        }
    }
}

/// The finding for something that could not be read.
pub fn unreadable(subject: &str, what: &str, why: &Unreadable) -> Finding {
    match why {
        Unreadable::Unrepresentable(element) => {
            Finding::new(Code::CUT053, subject, format!("{what}: {element} is not known to this build"))
                .help("writing the action back would strip that element, so nothing is touched; use a newer build, or take the element out")
        }
        _ => Finding::new(Code::CUT052, subject, format!("{what} cannot be read: {why}")).help(match why {
            Unreadable::Credentials(_) => "log in again (`aws sso login`, or renew what AWS_PROFILE names), then repeat",
            Unreadable::Denied(_) => "give the caller the Describe permissions that the README lists",
            Unreadable::Throttled => "other callers of the account use up the API's rate; repeat in a minute",
            _ => "repeat; if it persists, look at the network and at AWS_ENDPOINT_URL",
        }),
    }
}

fn one<'a, T>(
    selector: &Selector,
    found: Option<&'a Result<Vec<T>, Unreadable>>,
    name: impl Fn(&T) -> String,
) -> Result<&'a T, Problem> {
    let text = spelled(selector);
    match found {
        None => Err(Problem::None(text)),
        Some(Err(why)) => Err(Problem::Unreadable(text, why.clone())),
        Some(Ok(all)) => match all.as_slice() {
            [] => Err(Problem::None(text)),
            [one] => Ok(one),
            several => Err(Problem::Several(text, several.iter().map(name).collect())),
        },
    }
}
