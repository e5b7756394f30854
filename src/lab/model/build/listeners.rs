//! Builds listeners, rules and their actions as the scenario defines them, otherwise as the plan implies them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::RouteEntryGroups;
use super::settings::Settings;
use crate::base::arn;
use crate::lab::model::routing::EffectiveAction;
use crate::lab::model::{Condition, Listener, Route, TCP, World};
use crate::lab::scenario::ScenarioError;
use crate::lab::scenario::model::{Listener as ListenerSettings, Rule};
use crate::plan::model::{ListenerRef, RuleRef, Selector, TargetType};

/// Path patterns of the rules that the plan implies, in order. Further rules get numbered paths.
const RULE_PATHS: [&[&str]; 17] = [
    &["/api*", "/ad*", "/admin*", "/api_internal*", "/vv/*"],
    &["/health_check"],
    &["/login*", "/logout*"],
    &["/static/*"],
    &["/images/*"],
    &["/search*"],
    &["/cart*"],
    &["/checkout/*"],
    &["/orders/*"],
    &["/account*"],
    &["/events/*"],
    &["/feed*"],
    &["/partner/*"],
    &["/webhooks/*"],
    &["/reports/*"],
    &["/m/*"],
    &["/legacy/*"],
];

/// Rules that the plan names by ARN get priorities above this number.
const ARN_PRIORITY_BASE: u32 = 40_000;

/// Settings of a listener that is to be created.
struct ListenerSpec {
    port: u16,
    protocol: String,
    arn: Option<String>,
    tags: BTreeMap<String, String>,
    rules: Vec<Rule>,
}

impl World {
    pub(super) fn build_listeners(
        &mut self,
        settings: &Settings<'_>,
        entries: &[RouteEntryGroups<'_>],
    ) -> Result<(), ScenarioError> {
        for balancer in 0..self.balancers.len() {
            let own: Vec<&RouteEntryGroups<'_>> = entries.iter().filter(|e| e.balancer == balancer).collect();
            if self.balancers[balancer].haproxy.is_some() {
                for entry in &own {
                    self.add_haproxy_route(settings, entry);
                }
                continue;
            }
            let name = self.balancers[balancer].name.clone();
            let listed: Vec<&ListenerSettings> = settings.balancer(&name).flat_map(|l| &l.listeners).collect();
            let network = self.balancers[balancer].network;
            let third = self.add_third_party_groups(settings, &name, network);
            for wanted in listener_specs(&own, &listed, network) {
                self.add_listener(settings, balancer, &own, &third, wanted)?;
            }
        }
        Ok(())
    }

    fn add_third_party_groups(&mut self, settings: &Settings<'_>, name: &str, network: bool) -> BTreeMap<String, u16> {
        let third_party = settings.balancer(name).filter_map(|l| l.third_party.clone()).last();
        let implied = || if network { BTreeMap::new() } else { BTreeMap::from([(format!("{name}-default"), 0)]) };
        let groups = third_party.unwrap_or_else(implied);
        for group in groups.keys() {
            if !self.groups.iter().any(|g| g.name == *group) {
                let selector = Selector::Name(group.clone());
                let index = self.add_group(settings, None, (&selector, group), TargetType::Ip.name(), network);
                self.add_external_servers(index);
            }
        }
        groups
    }

    fn add_listener(
        &mut self,
        settings: &Settings<'_>,
        balancer: usize,
        entries: &[&RouteEntryGroups<'_>],
        third: &BTreeMap<String, u16>,
        wanted: ListenerSpec,
    ) -> Result<(), ScenarioError> {
        let id = self.identifier();
        let path = arn::resource(&self.balancers[balancer].arn).trim_start_matches("loadbalancer/").to_owned();
        let prefix = format!("arn:{}:elasticloadbalancing:{}:{}", self.partition(), self.region, self.account);
        let arn = wanted.arn.unwrap_or_else(|| format!("{prefix}:listener/{path}/{id}"));
        let rule_prefix = arn.replacen(":listener/", ":listener-rule/", 1);
        let encrypted = ["HTTPS", "TLS"].contains(&wanted.protocol.as_str());
        let index = self.listeners.len();
        let certificate = format!(
            "arn:{}:acm:{}:{}:certificate/3d1f8f4e-0000-4000-8000-{}",
            self.partition(),
            self.region,
            self.account,
            &id[..12]
        );
        self.listeners.push(Listener {
            arn: arn.as_str().into(),
            balancer,
            port: wanted.port,
            protocol: wanted.protocol,
            ssl_policy: encrypted.then(|| "ELBSecurityPolicy-TLS13-1-2-2021-06".into()),
            certificates: if encrypted { vec![certificate] } else { Vec::new() },
            tags: wanted.tags,
            default: 0,
            rules: Vec::new(),
        });
        let mut rules = wanted.rules;
        if !rules.iter().any(|r| r.priority.is_none()) && !self.balancers[balancer].network {
            rules.insert(0, Rule { fixed_response: Some(404), ..Rule::default() });
        }
        rules.sort_by_key(|r| r.priority);
        for rule in rules {
            let actions = self.build_actions(settings, balancer, entries, third, &rule)?;
            let named = rule.priority.and_then(|p| rule_arn(entries, p));
            let rule_arn = named.unwrap_or_else(|| format!("{rule_prefix}/{}", self.identifier()));
            let arn = if rule.priority.is_some() { rule_arn.as_str().into() } else { arn.as_str().into() };
            let route = self.routes.len();
            match rule.priority {
                None => self.listeners[index].default = route,
                Some(_) => self.listeners[index].rules.push(route),
            }
            let network = self.balancers[balancer].network;
            let conditions = if network { family_conditions(&rule) } else { rule_conditions(&rule) };
            self.routes.push(Route {
                arn,
                rule_arn,
                listener: index,
                priority: rule.priority,
                matcher: conditions.iter().map(Condition::read).collect(),
                conditions,
                actions,
                other_fields: Vec::new(),
                earlier_actions: Vec::new(),
                effective: EffectiveAction::default(),
                propagated_until: self.time(),
                tags: BTreeMap::new(),
                managed: false,
                deleted: false,
            });
        }
        Ok(())
    }

    fn build_actions(
        &self,
        settings: &Settings<'_>,
        balancer: usize,
        entries: &[&RouteEntryGroups<'_>],
        third: &BTreeMap<String, u16>,
        rule: &Rule,
    ) -> Result<Vec<Value>, ScenarioError> {
        if let Some(status) = rule.fixed_response {
            let config = json!({"StatusCode": status.to_string(), "ContentType": "text/plain"});
            return Ok(vec![json!({"Type": "fixed-response", "Order": "1", "FixedResponseConfig": config})]);
        }
        let name = &self.balancers[balancer].name;
        let entry = entries.iter().find(|e| rule.workload.as_ref().is_none_or(|w| *w == e.workload.name));
        let entry = entry.ok_or_else(|| {
            settings
                .scenario
                .entry("spec.loadBalancers", format!("the plan has no route of this workload on load balancer {name}"))
        })?;
        let mut tuples = Vec::new();
        for ((cluster, _), (group, attached)) in entry.entry.target_groups.iter().zip(&entry.groups) {
            let weight = if let Some(weights) = &rule.weights {
                weights.iter().find(|(k, _)| settings.cluster(k) == cluster).map(|(_, w)| *w)
            } else {
                let share = settings.starting_share(cluster);
                (*attached || share > 0).then_some(share)
            };
            tuples.extend(weight.map(|w| tuple(&self.groups[*group].arn, w)));
        }
        let others = third
            .iter()
            .map(|(name, weight)| (name, rule.weights.as_ref().and_then(|w| w.get(name)).unwrap_or(weight)));
        for (group, weight) in others {
            let arn = self.groups.iter().find(|g| g.name == *group).map(|g| &*g.arn);
            tuples.extend(arn.map(|a| tuple(a, *weight)));
        }
        let stickiness = rule.stickiness.or_else(|| settings.balancer(name).filter_map(|l| l.stickiness).last());
        let sticky = match stickiness {
            Some(_) if self.balancers[balancer].network => json!({"Enabled": "true"}),
            Some(s) => json!({"Enabled": "true", "DurationSeconds": s.duration.0.as_secs().to_string()}),
            None => json!({"Enabled": "false"}),
        };
        Ok(vec![json!({
            "Type": "forward", "Order": "1",
            "ForwardConfig": {"TargetGroups": tuples, "TargetGroupStickinessConfig": sticky},
        })])
    }
}

fn tuple(arn: &str, weight: u16) -> Value {
    json!({"TargetGroupArn": arn, "Weight": weight.to_string()})
}

fn rule_conditions(rule: &Rule) -> Vec<Value> {
    let condition = |field: &str, config: &str, values: &[String]| {
        (!values.is_empty()).then(|| json!({"Field": field, "Values": values, config: {"Values": values}}))
    };
    let both = [
        condition("host-header", "HostHeaderConfig", &rule.hosts),
        condition("path-pattern", "PathPatternConfig", &rule.paths),
    ];
    both.into_iter().flatten().collect()
}

/// Returns the condition of a rule of a Network Load Balancer, which can only be the IP family of the client.
fn family_conditions(rule: &Rule) -> Vec<Value> {
    let family = |priority: u32| if priority.is_multiple_of(2) { "ipv4" } else { "ipv6" };
    let condition = |priority| json!({"Field": "source-ip", "SourceIpConfig": {"IpAddressType": family(priority)}});
    rule.priority.map(condition).into_iter().collect()
}

/// Returns the listeners of a load balancer: those in the scenario, otherwise those in the plan, otherwise 80 and 443.
/// Rules in the scenario replace implied rules.
fn listener_specs(entries: &[&RouteEntryGroups<'_>], listed: &[&ListenerSettings], network: bool) -> Vec<ListenerSpec> {
    let protocol = |port: u16| match port % 1000 {
        _ if network => TCP.to_owned(),
        443 => "HTTPS".to_owned(),
        _ => "HTTP".to_owned(),
    };
    let mut wanted: Vec<ListenerSpec> = Vec::new();
    for listener in listed {
        let protocol = listener.protocol.clone().unwrap_or_else(|| protocol(listener.port));
        wanted.push(ListenerSpec {
            port: listener.port,
            protocol,
            arn: None,
            tags: listener.tags.clone(),
            rules: listener.rules.clone(),
        });
    }
    if listed.is_empty() {
        let mut unknown = 8000;
        for reference in entries.iter().flat_map(|e| &e.entry.listeners) {
            let (port, arn) = match reference {
                ListenerRef::Port(port) => (*port, None),
                ListenerRef::Arn(arn) => {
                    unknown += 1;
                    (unknown, Some(arn.clone()))
                }
            };
            if !wanted.iter().any(|w| if arn.is_some() { w.arn == arn } else { w.port == port }) {
                wanted.push(ListenerSpec {
                    port,
                    protocol: protocol(port),
                    arn,
                    tags: BTreeMap::new(),
                    rules: Vec::new(),
                });
            }
        }
        if wanted.is_empty() {
            let ports = if network { vec![443] } else { vec![80, 443] };
            for port in ports {
                wanted.push(ListenerSpec {
                    port,
                    protocol: protocol(port),
                    arn: None,
                    tags: BTreeMap::new(),
                    rules: Vec::new(),
                });
            }
        }
    }
    let own: Vec<_> = wanted.iter().map(|listener| listener.rules.clone()).collect();
    if network {
        // The listeners of a Network Load Balancer have a default action, and the rules that the plan names.
        for listener in wanted.iter_mut().filter(|listener| listener.rules.is_empty()) {
            let entry = entries.iter().find(|e| listens(e, listener));
            let named = entry.and_then(|e| e.entry.rules.as_deref());
            let priorities = named.map(|rules| priorities(Some(rules), 0, 0)).unwrap_or_default();
            let distinct: BTreeSet<Option<u32>> = priorities.into_iter().chain([None]).collect();
            let workload = entry.map(|e| e.workload.name.clone());
            listener.rules = distinct
                .into_iter()
                .map(|priority| Rule { priority, workload: workload.clone(), ..Rule::default() })
                .collect();
        }
        return wanted;
    }
    for (number, entry) in entries.iter().enumerate() {
        add_implied_rules(&mut wanted, &own, entry, number);
    }
    wanted
}

/// Whether an entry of the plan is about a listener.
fn listens(entry: &RouteEntryGroups<'_>, listener: &ListenerSpec) -> bool {
    let listed = &entry.entry.listeners;
    let same = |l: &ListenerRef| match l {
        ListenerRef::Port(port) => listener.port == *port && listener.arn.is_none(),
        ListenerRef::Arn(arn) => listener.arn.as_ref() == Some(arn),
    };
    listed.is_empty() || listed.iter().any(same)
}

/// Adds the implied rules of one route entry to each of the entry's listeners for which the scenario defines no rules
/// of its workload: as many as `expect` says, less those that the scenario defines on the other listeners. `own` has
/// the rules of the scenario by listener.
fn add_implied_rules(wanted: &mut [ListenerSpec], own: &[Vec<Rule>], entry: &RouteEntryGroups<'_>, number: usize) {
    let workload = Some(entry.workload.name.clone());
    let of_scenario = |at: &usize| own[*at].iter().any(|r| r.workload.is_none() || r.workload == workload);
    let forwards =
        |r: &&Rule| r.fixed_response.is_none() && (r.workload == workload || (r.workload.is_none() && number == 0));
    let listening: Vec<usize> = (0..wanted.len()).filter(|at| listens(entry, &wanted[*at])).collect();
    let defined = listening.iter().flat_map(|at| &own[*at]).filter(forwards).count();
    let indices: Vec<usize> = listening.into_iter().filter(|at| !of_scenario(at)).collect();
    let total = entry.entry.expect.map_or(3 * indices.len().max(1), |expect| expect.saturating_sub(defined));
    for (nth, index) in indices.iter().enumerate() {
        let count = total / indices.len() + usize::from(nth < total % indices.len());
        let mut priorities = priorities(entry.entry.rules.as_deref(), number, count);
        // A rule that is named by ARN exists on one listener only.
        priorities.retain(|p| nth == 0 || p.is_none_or(|p| p <= ARN_PRIORITY_BASE));
        priorities.sort_unstable();
        let defaults = priorities.iter().filter(|p| p.is_none()).count();
        for (position, priority) in priorities.into_iter().enumerate() {
            let rules = &mut wanted[*index].rules;
            if rules.iter().all(|r| r.priority != priority) {
                let paths = if priority.is_none() {
                    Vec::new()
                } else {
                    rule_paths(number, position.saturating_sub(defaults), &entry.workload.name)
                };
                rules.push(Rule { priority, paths, workload: workload.clone(), ..Rule::default() });
            }
        }
    }
}

/// Returns the priorities of an entry's rules. `None` stands for the default action, which belongs to the first entry
/// of a load balancer.
fn priorities(listed: Option<&[RuleRef]>, number: usize, count: usize) -> Vec<Option<u32>> {
    let Some(listed) = listed else {
        let base = u32::try_from(number * 1000).unwrap_or(0);
        let numbered = |n: usize| Some(base + u32::try_from(n).unwrap_or(0));
        return if number == 0 {
            std::iter::once(None).chain((1..count).map(numbered)).collect()
        } else {
            (1..=count).map(numbered).collect()
        };
    };
    let mut arns = 0;
    let read = |rule: &RuleRef| match rule {
        RuleRef::Default => None,
        RuleRef::Priority(priority) => Some(*priority),
        RuleRef::Arn(_) => {
            arns += 1;
            Some(ARN_PRIORITY_BASE + arns)
        }
    };
    listed.iter().map(read).collect()
}

/// Returns the ARN in the plan of the rule with this priority.
fn rule_arn(entries: &[&RouteEntryGroups<'_>], priority: u32) -> Option<String> {
    let nth = usize::try_from(priority.checked_sub(ARN_PRIORITY_BASE + 1)?).ok()?;
    let arn = |r: &RuleRef| if let RuleRef::Arn(arn) = r { Some(arn.clone()) } else { None };
    entries.iter().find_map(|e| e.entry.rules.iter().flatten().filter_map(arn).nth(nth))
}

fn rule_paths(number: usize, position: usize, workload: &str) -> Vec<String> {
    let prefix = if number == 0 { String::new() } else { format!("/w/{workload}") };
    match RULE_PATHS.get(position) {
        Some(paths) => paths.iter().map(|p| format!("{prefix}{p}")).collect(),
        None => vec![format!("{prefix}/section-{position}/*")],
    }
}
