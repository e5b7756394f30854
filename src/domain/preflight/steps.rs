//! Reports effects of a plan's steps that a reader may overlook. These checks need no facts.

use super::context::{Context, finding};
use crate::base::finding::{Code, Finding};
use crate::plan::model::metric::{GateScope, MetricGate};
use crate::plan::model::{Plan, Step, StepKind};

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    findings.extend(notes(context.plan));
}

pub(super) fn notes(plan: &Plan) -> Vec<Finding> {
    gates_without_comparison(plan).into_iter().chain(lowered_shares(plan)).collect()
}

/// Reports gates that compare the clusters, if a pause follows after the old cluster has lost all traffic.
fn gates_without_comparison(plan: &Plan) -> Option<Finding> {
    let (from, to) = (&plan.strategy.from, &plan.strategy.to);
    let steps = &plan.strategy.steps;
    let last =
        steps.iter().rposition(|step| share(step, to).is_some()).filter(|at| share(&steps[*at], to) == Some(100))?;
    let pause = steps[last..].iter().find(|step| matches!(step.kind, StepKind::Bake(_) | StepKind::Approval(_)))?;
    let guards = |gate: &&MetricGate| {
        gate.guard && !gate.dry_run && gate.needs_old_traffic() && !matches!(gate.scope, GateScope::Step(_))
    };
    let gates: Vec<_> = plan.strategy.metrics.iter().filter(guards).map(|gate| gate.name.as_str()).collect();
    if gates.is_empty() {
        return None;
    }
    let (one, compare) = if gates.len() == 1 { ("gate", "compares") } else { ("gates", "compare") };
    let subject = format!("{one} {}", gates.join(", "));
    let message = format!(
        "{subject} {compare} {to} with {from}: after step {}, {from} has no requests to compare with, so this comparison \
         does not guard {to} in step {}",
        steps[last].number, pause.number
    );
    let help = "target health still guards. To guard by a metric, too, add a gate with `successCondition`, which needs no \
                comparison (`cutover help gates`)";
    Some(finding(Code::CUT310, &subject, message, help))
}

/// Reports steps after which the new cluster has less traffic than before.
fn lowered_shares(plan: &Plan) -> Vec<Finding> {
    let to = &plan.strategy.to;
    let shares: Vec<_> = plan.strategy.steps.iter().filter_map(|step| Some((step.number, share(step, to)?))).collect();
    let lowered = shares.windows(2).filter(|pair| pair[1].1 < pair[0].1);
    let finding = |pair: &[(usize, u32)]| {
        let [(_, before), (number, after)] = [pair[0], pair[1]];
        let message = format!("step {number} lowers the share of {to} from {before} % to {after} %");
        let help = "the run will do this. If it is a mistake, correct `setWeight`";
        finding(Code::CUT311, &format!("step {number}"), message, help)
    };
    lowered.map(finding).collect()
}

fn share(step: &Step, cluster: &str) -> Option<u32> {
    match &step.kind {
        StepKind::Shares(shares) => shares.get(cluster).copied(),
        _ => None,
    }
}
