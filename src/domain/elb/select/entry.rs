//! Selects the routes of one entry of a plan on one load balancer, and reports problems as findings.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{LiveResources, SelectedRoute, Selection, SkipReason, without_forward};
use super::resolve::{ResolvedEntry, unreadable};
use crate::base::arn::name as short_name;
use crate::base::finding::{Code, Finding, Severity};
use crate::base::number::count;
use crate::domain::elb::balancer::{Listener, LiveRoute};
use crate::domain::traffic::{RouteId, RouteKind, UnreadRoute, Unreadable, shares};
use crate::plan::model::{ListenerRef, Plan, RouteEntry, RuleRef, Shares, StepKind};
use crate::plan::place;

/// A route entry of the plan together with its resolved resources.
pub(super) struct EntrySelection<'a> {
    pub plan: &'a Plan,
    pub start: Option<&'a Shares>,
    pub spec: &'a RouteEntry,
    pub workload: &'a str,
    pub resolved: ResolvedEntry,
}

impl EntrySelection<'_> {
    /// Adds the routes and findings of this entry to `selection`. Adds to `reasons` why other routes are skipped.
    /// `taken` maps each selected route to its workload.
    pub fn select(
        &self,
        live_resources: &LiveResources,
        selection: &mut Selection,
        reasons: &mut BTreeMap<RouteId, SkipReason>,
        taken: &mut BTreeMap<RouteId, String>,
    ) {
        let name = self.resolved.load_balancer.name.clone();
        let listeners = match live_resources.listeners.get(&self.resolved.load_balancer.arn) {
            Some(Ok(listeners)) => listeners,
            Some(Err(why)) => return selection.findings.push(unreadable(&name, &format!("load balancer {name}"), why)),
            None => return,
        };
        self.report_unread(listeners, selection);
        self.report_missing_listeners(listeners, selection);
        self.report_missing_rules(listeners, selection);
        let (mut found, mut at_start) = (0, Vec::new());
        for (listener, routes) in listeners {
            for route in routes {
                match self.check_route(listener, route, selection) {
                    Ok(()) => {
                        found += 1;
                        if self.add_route(route, selection, taken) {
                            at_start.push(route);
                        }
                    }
                    Err(skip) => {
                        let reason = reasons.entry(route.id.clone()).or_insert_with(|| skip.clone());
                        *reason = reason.clone().max(skip);
                    }
                }
            }
        }
        self.check_count(found, listeners, selection);
        self.check_start_shares(&at_start, selection);
        self.check_attachment(&at_start, selection);
    }

    /// Checks whether the entry selects this route. The error is the reason why the entry does not select the route.
    fn check_route(&self, listener: &Listener, route: &LiveRoute, selection: &mut Selection) -> Result<(), SkipReason> {
        let listed = self.spec.rules.as_ref().map(|rules| rules.iter().any(|r| names_route(r, route)));
        if !self.in_plan(listener) {
            return Err(SkipReason::Listener { port: listener.port });
        }
        if listed == Some(false) {
            return Err(SkipReason::NotListed);
        }
        let why = match route.forwards() {
            None => without_forward(route),
            Some(forward) => {
                let attached: Vec<&String> =
                    self.resolved.groups.values().filter(|g| forward.weight(g).is_some()).collect();
                if attached.is_empty() {
                    SkipReason::OtherGroups { groups: forward.ids().map(|id| short_name(id).to_owned()).collect() }
                } else if self.carries(route) {
                    return Ok(());
                } else {
                    let names = |on: bool| {
                        let groups = attached.iter().filter(|g| forward.weight(g).is_some_and(|w| (w > 0) == on));
                        groups.map(|g| short_name(g).to_owned()).collect::<Vec<_>>()
                    };
                    let carrying = names(true);
                    if carrying.is_empty() {
                        SkipReason::AtZero { groups: names(false) }
                    } else {
                        SkipReason::Elsewhere { groups: carrying }
                    }
                }
            }
        };
        if listed == Some(true) {
            let message = format!("{} is listed in `rules`, but {}", route.label(), refusal_reason(&why));
            selection.findings.push(
                Finding::new(Code::CUT045, self.workload, message).at(self.place(&["rules"])).help(
                    "remove this route from `rules`, or move its traffic to the cluster from which the plan starts",
                ),
            );
            return Err(SkipReason::Refused);
        }
        Err(why)
    }

    /// Whether a group that must have traffic at the start has weight on this route.
    fn carries(&self, route: &LiveRoute) -> bool {
        let Some(forward) = route.forwards() else { return false };
        self.resolved.groups.iter().any(|(cluster, arn)| {
            self.start.is_none_or(|s| s.get(cluster).is_some_and(|share| *share > 0)) && forward.carries(arn)
        })
    }

    fn add_route(&self, route: &LiveRoute, selection: &mut Selection, taken: &mut BTreeMap<RouteId, String>) -> bool {
        if let Some(other) = taken.get(&route.id) {
            let message = if other == self.workload {
                format!("{} is selected twice by workload {other}", route.label())
            } else {
                format!("{} is selected by workload {other} and by workload {}", route.label(), self.workload)
            };
            selection.findings.push(
                Finding::new(Code::CUT047, route.label(), message)
                    .help("list `listeners` or `rules` in each entry, so that no route belongs to two workloads"),
            );
            return false;
        }
        taken.insert(route.id.clone(), self.workload.to_owned());
        selection.routes.push(SelectedRoute {
            route: route.clone(),
            load_balancer: self.resolved.load_balancer.arn.clone(),
            workload: self.workload.to_owned(),
            groups: self.resolved.groups.clone(),
            settle: self.spec.settle,
            reasserts: self.spec.reasserts,
        });
        true
    }

    fn in_plan(&self, listener: &Listener) -> bool {
        self.spec.listeners.is_empty() || self.spec.listeners.iter().any(|l| names_listener(l, listener))
    }

    /// Reports routes and tags of the plan's listeners that could not be read and may concern the plan. A route that
    /// cannot be read cannot be written.
    fn report_unread(&self, listeners: &[(Listener, Vec<LiveRoute>)], selection: &mut Selection) {
        for (listener, _) in listeners.iter().filter(|(l, _)| self.in_plan(l)) {
            let concerns = |u: &&UnreadRoute| u.may_concern(self.resolved.groups.values()) && !self.is_left_out(u);
            for route in listener.unread.iter().filter(concerns) {
                selection.findings.push(unreadable(&route.label, &route.label, &route.why));
            }
            if let Some(why) = &listener.tags_unread {
                let what = format!("the tags of listener {} and of its rules", listener.port);
                selection.findings.push(unreadable(self.workload, &what, why));
            }
        }
    }

    /// Whether this route can be ignored, because the plan lists `rules` and this route is not listed.
    fn is_left_out(&self, route: &UnreadRoute) -> bool {
        let known = matches!(route.why, Unreadable::Unrepresentable(_));
        known && self.spec.rules.as_ref().is_some_and(|rules| !rules.iter().any(|rule| names_unread(rule, route)))
    }

    fn report_missing_listeners(&self, listeners: &[(Listener, Vec<LiveRoute>)], selection: &mut Selection) {
        let ports: Vec<String> = listeners.iter().map(|(l, _)| l.port.to_string()).collect();
        for wanted in self.spec.listeners.iter().filter(|w| !listeners.iter().any(|(l, _)| names_listener(w, l))) {
            let name = match wanted {
                ListenerRef::Port(port) => port.to_string(),
                ListenerRef::Arn(arn) => arn.clone(),
            };
            let load_balancer = &self.resolved.load_balancer.name;
            selection.findings.push(
                Finding::new(
                    Code::CUT043,
                    self.workload,
                    format!("load balancer {load_balancer} has no listener {name}"),
                )
                .at(self.place(&["listeners", &name]))
                .help(if ports.is_empty() {
                    "the load balancer has no listeners".to_owned()
                } else {
                    format!("the load balancer has listeners on these ports: {}", ports.join(", "))
                }),
            );
        }
    }

    fn report_missing_rules(&self, listeners: &[(Listener, Vec<LiveRoute>)], selection: &mut Selection) {
        let inside: Vec<_> = listeners.iter().filter(|(l, _)| self.in_plan(l)).collect();
        for rule in self.spec.rules.iter().flatten() {
            let without: Vec<String> = inside
                .iter()
                .filter(|(listener, routes)| {
                    let unread = listener.unread.iter().any(|u| names_unread(rule, u));
                    !unread && !routes.iter().any(|r| names_route(rule, r))
                })
                .map(|(l, _)| l.port.to_string())
                .collect();
            if without.is_empty() || (matches!(rule, RuleRef::Arn(_)) && without.len() < inside.len()) {
                continue;
            }
            let name = rule_name(rule);
            let finding = if without.len() == inside.len() {
                let message = format!("no listener of this entry has {name}; listeners found: {}", without.join(", "));
                Finding::new(Code::CUT044, self.workload, message)
                    .at(self.place(&["rules"]))
                    .help("`cutover status --load-balancer` lists the rules with their priorities and ARNs")
            } else {
                let message =
                    format!("{name} is not on listener {}, but on other listeners of the entry", without.join(", "));
                Finding::new(Code::CUT044, self.workload, message)
                    .help("to select only one of these rules, list its ARN in `rules`")
                    .lowered(Severity::Warning)
            };
            selection.findings.push(finding);
        }
    }

    /// Checks the number of routes against `expect`, and reports if no route has traffic of the plan.
    fn check_count(&self, found: usize, listeners: &[(Listener, Vec<LiveRoute>)], selection: &mut Selection) {
        if found == 0 && self.spec.rules.is_none() {
            selection.findings.push(self.no_traffic_finding(listeners));
        }
        if let Some(expect) = self.spec.expect.filter(|e| *e != found) {
            let message = format!(
                "workload {} selects {} of {}, but `expect` is {expect}",
                self.workload,
                count(found, "route"),
                self.resolved.load_balancer.name
            );
            let total: usize = listeners.iter().map(|(_, routes)| routes.len()).sum();
            let list = if total > found {
                "`cutover check` lists the routes that are not selected, with the reason of each. "
            } else {
                ""
            };
            let help =
                format!("someone may have added or removed a rule. {list}Correct the plan or `expect`, or the rule");
            let place = self.place(&["expect", &expect.to_string()]);
            selection.findings.push(Finding::new(Code::CUT046, self.workload, message).at(place).help(help));
        }
    }

    /// Finds a line of the plan: see [`place::in_workload`].
    fn place(&self, words: &[&str]) -> Option<String> {
        place::in_workload(self.plan, self.workload, words)
    }

    fn no_traffic_finding(&self, listeners: &[(Listener, Vec<LiveRoute>)]) -> Finding {
        let load_balancer = &self.resolved.load_balancer.name;
        let carried = |cluster: &str| {
            let arn = self.resolved.groups.get(cluster);
            let routes = listeners.iter().filter(|(l, _)| self.in_plan(l)).flat_map(|(_, r)| r);
            routes.filter(|r| arn.is_some_and(|arn| r.content.split.carries(arn))).count()
        };
        let (from, to) = (&self.plan.strategy.from, &self.plan.strategy.to);
        let name = |cluster: &str| self.resolved.groups.get(cluster).map_or("", |a| short_name(a)).to_owned();
        if self.start.is_none() {
            return Finding::new(
                Code::CUT048,
                self.workload,
                format!("no route of {load_balancer} sends traffic to a target group of the plan"),
            )
            .help("check the names of the load balancer, its listeners and the target groups");
        }
        let message = format!(
            "cluster {from} ({}) carries no traffic on {load_balancer}; cluster {to} ({}) carries traffic on {} routes",
            name(from),
            name(to),
            carried(to)
        );
        let place = place::of(self.plan, &["strategy", "from", from]);
        Finding::new(Code::CUT048, self.workload, message).at(place).help(if carried(to) > 0 {
            format!(
                "are `from` and `to` swapped? The traffic is on {to}. To move it to {from}, write `from: {to}` \
                and `to: {from}`"
            )
        } else {
            "check the names of the load balancer, its listeners and the target groups".to_owned()
        })
    }

    /// Checks that the live shares are the shares with which the plan starts.
    fn check_start_shares(&self, routes: &[&LiveRoute], selection: &mut Selection) {
        let Some(start) = self.start else { return };
        let managed: Vec<_> = self.resolved.groups.iter().map(|(c, arn)| (c.clone(), arn.clone())).collect();
        let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for route in routes {
            let Some(forward) = route.forwards().filter(|f| !shares::matches_shares(f, &managed, start)) else {
                continue;
            };
            if let Some(live) = shares::live_shares(forward, &managed) {
                let text: Vec<String> =
                    live.iter().filter(|(_, s)| **s > 0.0).map(|(c, s)| format!("{c} {}", percent(*s))).collect();
                wrong.entry(text.join(", ")).or_default().push(route.label());
            }
        }
        let wanted: Vec<String> = start.iter().filter(|(_, s)| **s > 0).map(|(c, s)| format!("{c} {s} %")).collect();
        for (live, labels) in wrong {
            let message = format!(
                "the plan starts with {}, but the live shares are {live} on {}",
                wanted.join(", "),
                labels.join(", ")
            );
            selection.findings.push(Finding::new(Code::CUT049, self.workload, message).help(
                "if a run of this plan was stopped, continue with `cutover resume` or `cutover rollback`; to begin at \
                 a later step, use `cutover run --from-step N`; otherwise restore the shares with which the plan \
                 starts",
            ));
        }
    }

    /// Checks that every group that ever gets a share is attached, or that the plan has a `bind` step, which attaches
    /// the group.
    fn check_attachment(&self, routes: &[&LiveRoute], selection: &mut Selection) {
        let steps = &self.plan.strategy.steps;
        if steps.iter().any(|s| s.kind == StepKind::Bind) {
            return;
        }
        let ever: BTreeSet<&String> = steps
            .iter()
            .filter_map(|s| match &s.kind {
                StepKind::Shares(shares) => Some(shares.iter().filter(|(_, share)| **share > 0).map(|(c, _)| c)),
                _ => None,
            })
            .flatten()
            .collect();
        for cluster in ever {
            let Some(arn) = self.resolved.groups.get(cluster) else { continue };
            let without_group: Vec<String> = routes
                .iter()
                .filter(|r| r.forwards().is_some_and(|f| f.weight(arn).is_none()))
                .map(|r| r.label())
                .collect();
            if !without_group.is_empty() {
                let name = short_name(arn);
                let message = format!(
                    "{} of {} routes do not have the target group {name}: {}",
                    without_group.len(),
                    routes.len(),
                    without_group.join(", ")
                );
                selection.findings.push(
                    Finding::new(Code::CUT050, name, message)
                        .help("begin `steps` with `- bind: {}`, which attaches the group at weight 0"),
                );
            }
        }
    }
}

fn refusal_reason(skip: &SkipReason) -> String {
    match skip {
        SkipReason::AtZero { groups } => {
            format!("carries no traffic of the cluster from which the plan starts ({})", groups.join(", "))
        }
        other => other.to_string(),
    }
}

fn names_listener(wanted: &ListenerRef, listener: &Listener) -> bool {
    match wanted {
        ListenerRef::Port(port) => *port == listener.port,
        ListenerRef::Arn(arn) => *arn == listener.arn,
    }
}

fn names_route(rule: &RuleRef, route: &LiveRoute) -> bool {
    match rule {
        RuleRef::Default => route.priority.is_none(),
        RuleRef::Priority(priority) => route.priority == Some(*priority),
        RuleRef::Arn(arn) => arn == route.id.id(),
    }
}

/// Whether a rule of the plan names this route, which could not be read.
fn names_unread(rule: &RuleRef, route: &UnreadRoute) -> bool {
    match rule {
        RuleRef::Default => route.id.kind() == RouteKind::Default,
        RuleRef::Priority(priority) => route.label.ends_with(&format!(" rule {priority}")),
        RuleRef::Arn(arn) => arn == route.id.id(),
    }
}

fn rule_name(rule: &RuleRef) -> String {
    match rule {
        RuleRef::Default => "default action".to_owned(),
        RuleRef::Priority(priority) => format!("rule {priority}"),
        RuleRef::Arn(arn) => format!("rule {arn}"),
    }
}

/// Formats a share in percent with at most two decimal places, such as `2.5 %`.
fn percent(share: f64) -> String {
    let rounded = (share * 100.0).round() / 100.0;
    format!("{rounded} %")
}
