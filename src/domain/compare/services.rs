//! Rules about the Services of the plan's workloads and the NetworkPolicies of their pods.

use serde_json::Value;

use super::context::Context;
use super::facts::{ClusterFacts, Kind};
use super::normal::{by_name, normal};
use super::object::{Object, selects};
use crate::base::finding::{Code, Finding};

/// The fields of a Service that decide where its traffic goes.
const FIELDS: &[(&str, &str)] = &[
    ("type", "ClusterIP"),
    ("selector", ""),
    ("sessionAffinity", "None"),
    ("externalTrafficPolicy", "Cluster"),
    ("publishNotReadyAddresses", ""),
];

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, pairs, .. } = context;
    for pair in &pairs.services {
        let mut differences = Vec::new();
        for (field, default) in FIELDS {
            let value = |object: &Object, cluster| match object.at(&format!("/spec/{field}")) {
                Value::Null => Value::from(*default),
                other => normal(other, cluster),
            };
            let (old, new) = (value(pair.from, from), value(pair.to, to));
            if old != new {
                differences.push(format!("{field} is {old} in {}, {new} in {}", from.name, to.name));
            }
        }
        if ports(pair.from) != ports(pair.to) {
            let (old, new) = (Value::from(ports(pair.from)), Value::from(ports(pair.to)));
            differences.push(format!("ports are {old} in {}, {new} in {}", from.name, to.name));
        }
        if !differences.is_empty() {
            let name = pair.from.full_name();
            let message = format!("Service {name} differs: {}", differences.join("; "));
            let help = "the traffic may reach another port or other pods: make the Services equal";
            findings.push(Finding::new(Code::CUT132, name, message).help(help));
        }
    }
    network_policies(context, findings);
}

/// Returns the ports without the numbers that the cluster chose.
fn ports(service: &Object) -> Vec<Value> {
    let ports = service.list("/spec/ports").iter().map(|port| {
        let mut port = port.clone();
        if let Some(fields) = port.as_object_mut() {
            fields.remove("nodePort");
            fields.entry("protocol").or_insert_with(|| "TCP".into());
            if let Some(number) = fields.get("port").cloned() {
                fields.entry("targetPort").or_insert(number);
            }
        }
        port
    });
    by_name(&ports.collect::<Vec<_>>(), "name")
}

fn network_policies(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, pairs, .. } = context;
    if !from.knows(Kind::NetworkPolicy) || !to.knows(Kind::NetworkPolicy) {
        return;
    }
    for pair in &pairs.workloads {
        let of = |cluster: &ClusterFacts, owner: &Object| -> Vec<(String, Value)> {
            let labels = owner.at("/spec/template/metadata/labels");
            let policies = cluster.within(Kind::NetworkPolicy, &owner.namespace);
            let fitting = policies.filter(|policy| selects(policy.at("/spec/podSelector"), labels));
            fitting.map(|policy| (policy.name.clone(), normal(policy.at("/spec"), cluster))).collect()
        };
        let (old, new) = (of(from, pair.from), of(to, pair.to));
        let mut names: Vec<_> = old.iter().chain(&new).filter(|one| !old.contains(one) || !new.contains(one)).collect();
        names.dedup_by(|a, b| a.0 == b.0);
        let mut names: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if !names.is_empty() {
            let name = pair.from.full_name();
            let message = format!(
                "the NetworkPolicies of {:?} {name} differ between {} and {}: {}",
                pair.kind,
                from.name,
                to.name,
                names.join(", ")
            );
            let help = "connections may be blocked, or open, in only one cluster: make the policies equal";
            findings.push(Finding::new(Code::CUT133, name, message).help(help));
        }
    }
}
