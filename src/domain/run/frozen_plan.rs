//! Restores the plan of a run from the journal, without the plan file. This must work for every old journal, even if
//! the plan does not satisfy the current rules.

use super::event::{Started, WaveStart};
use crate::base::arn;
use crate::plan::model::skeleton::Skeleton;
use crate::plan::model::{Plan, RouteEntry, Selector, Step, StepKind, WaveScope};
use crate::plan::read;

/// The end of the source of a plan that was read from a journal.
pub const FROM_JOURNAL: &str = " (from the journal)";

/// Returns the plan of a run. Parts of the plan's text that this build cannot read are derived from `started`.
pub fn plan(started: &Started) -> Plan {
    let source = format!("{}{FROM_JOURNAL}", started.plan);
    let plan = read(&source, started.text.as_bytes(), skeleton(started).plan());
    let plan = Plan { folder: started.folder.clone(), ..of_wave(plan, started.wave.as_ref()) };
    // The text has addresses in place of the names of the file, and the hash is that of the file.
    if started.hash.is_empty() { plan } else { Plan { hash: started.hash.clone(), ..plan } }
}

/// Returns the plan narrowed to the wave of a run. If the text does not have the wave, the run is never raised.
fn of_wave(plan: Plan, wave: Option<&WaveStart>) -> Plan {
    let Some(wave) = wave else { return plan };
    if let Some(narrowed) = plan.narrowed(&wave.name) {
        return narrowed;
    }
    let mut newer = plan.newer.clone();
    newer.push(format!("the plan has no wave `{}`", wave.name));
    Plan { newer, wave: Some(WaveScope { name: wave.name.clone(), others: Vec::new() }), ..plan }
}

fn skeleton(started: &Started) -> Skeleton {
    let mut clusters = vec![started.from.clone(), started.to.clone()];
    let mut workloads: Vec<(String, Vec<RouteEntry>)> = Vec::new();
    for route in &started.routes {
        let new: Vec<_> = route.groups.keys().filter(|name| !clusters.contains(name)).cloned().collect();
        clusters.extend(new);
        let groups = route.groups.iter().map(|(cluster, arn)| (cluster.clone(), Selector::Arn(arn.clone())));
        let entry = RouteEntry::of_arns(&route.load_balancer, groups.collect());
        match workloads.iter_mut().find(|(name, _)| *name == route.workload) {
            Some((_, entries)) if entries.contains(&entry) => {}
            Some((_, entries)) => entries.push(entry),
            None => workloads.push((route.workload.clone(), vec![entry])),
        }
    }
    // A run without a plan text is a rollback that was started without a plan.
    let shares = [(started.to.clone(), 0), (started.from.clone(), 100)].into();
    let rollback_step = Step { number: 1, name: None, kind: StepKind::Shares(shares), approval_timeout: None };
    let balancer = started.load_balancers.first().map_or("", String::as_str);
    Skeleton {
        name: started.plan.clone(),
        region: arn::region(balancer).to_owned(),
        account_id: arn::account(balancer).to_owned(),
        clusters,
        from: started.from.clone(),
        to: started.to.clone(),
        workloads,
        steps: if started.text.is_empty() { vec![rollback_step] } else { Vec::new() },
    }
}
