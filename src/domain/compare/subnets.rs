//! The rule about free addresses in the subnets of the new cluster.

use std::collections::BTreeMap;

use super::capacity::lacking;
use super::context::Context;
use super::facts::Kind;
use crate::base::finding::{Code, Finding, Severity};
use crate::base::number::count;

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, pairs, .. } = context;
    let Some(platform) = &to.platform else { return };
    let (Ok(subnets), Ok(cluster)) = (&platform.subnets, &platform.cluster) else { return };
    if subnets.is_empty() || cluster.ipv6 || !from.knows(Kind::Pod) || !to.knows(Kind::Pod) {
        return;
    }
    let has_address = |pair: &&super::pair::Pair<'_>| pair.to.at("/spec/template/spec/hostNetwork") != true;
    let pods: i128 = pairs.workloads.iter().filter(has_address).map(|pair| lacking(context, pair)).sum();
    let Ok(pods) = u64::try_from(pods) else { return };
    let mut zones: BTreeMap<&str, u64> = BTreeMap::new();
    for subnet in subnets {
        *zones.entry(&subnet.zone).or_default() += subnet.free;
    }
    let free: u64 = zones.values().sum();
    // The scheduler spreads pods over the zones, and a pod gets an address of its zone.
    let each = pods.div_ceil(u64::try_from(zones.len()).unwrap_or(u64::MAX).max(1));
    let small: Vec<_> =
        zones.iter().filter(|(_, free)| **free < each).map(|(z, free)| format!("{z}: {free}")).collect();
    let come = count(usize::try_from(pods).unwrap_or(usize::MAX), "pod");
    let severity = match () {
        () if pods == 0 || small.is_empty() => return,
        () if free < pods => Severity::Error,
        () => Severity::Warning,
    };
    let message = if severity == Severity::Error {
        format!("the subnets of {} have {free} free addresses, and {come} will come", to.name)
    } else {
        format!(
            "the subnets of {} have few free addresses in some zones ({}), and {come} will come",
            to.name,
            small.join(", ")
        )
    };
    let help = "pods without an address do not start: add subnets or a secondary address range, or remove unused network \
                interfaces";
    findings.push(Finding::new(Code::CUT161, to.name.clone(), message).help(help).lowered(severity));
}
