//! Compares both clusters before a run, if the plan has a compare gate. The gate of a run is in `engine`.

use crate::base::finding::{Code, Finding, Source};
use crate::domain::compare::gate;
use crate::domain::run::comparison::Comparison;
use crate::domain::view::check::CheckReport;
use crate::domain::view::comparison::{NAME, text};
use crate::engine::{Ports, compare_platform};
use crate::plan::model::Plan;

/// The findings and the verdict that a comparison adds to the report of the preflight.
pub struct ComparisonBefore {
    /// The errors that refuse a start, entries of the plan that match nothing, or a note that nothing was compared.
    findings: Vec<Finding>,
    /// The verdict; `None` without the gate.
    verdict: Option<Comparison>,
}

/// Compares both clusters. Without the gate, nothing is read.
pub async fn before_run(plan: &Plan, ports: &Ports) -> ComparisonBefore {
    if plan.strategy.compare.is_none() {
        return ComparisonBefore { findings: not_compared(plan).into_iter().collect(), verdict: None };
    }
    let (from, to) = Box::pin(compare_platform::read_both(plan, &ports.compared, ports.clock.now())).await;
    let (findings, verdict) = gate::judge(plan, &from, &to, None);
    let concerns = |finding: &Finding| finding.refuses() || finding.code.source() != Source::Compare;
    ComparisonBefore { findings: findings.into_iter().filter(concerns).collect(), verdict: Some(verdict) }
}

/// Returns the note that a run does not compare the clusters; `None` if there is nothing to compare.
fn not_compared(plan: &Plan) -> Option<Finding> {
    let (from, to) = (&plan.strategy.from, &plan.strategy.to);
    plan.workloads.iter().find(|w| w.service(from).is_some() && w.service(to).is_some())?;
    let message = format!("{from} and {to} are not compared: the plan has no compare gate");
    let help = format!(
        "to compare them once: `cutover compare {}`; to hold raises while {to} is not fit to take over, add \
         `compare: {{}}` below `strategy.gates`",
        plan.source
    );
    Some(Finding::new(Code::CUT320, "", message).help(help))
}

impl ComparisonBefore {
    /// Adds the comparison to a report.
    pub fn add_to(self, report: &mut CheckReport) {
        report.findings.extend(self.findings);
        report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let gate = report.gates.iter_mut().find(|gate| gate.gate == NAME && self.verdict.is_some());
        if let (Some(gate), Some(verdict)) = (gate, &self.verdict) {
            let verb = if verdict.allows_raises() { "passes" } else { "holds" };
            let all = format!("to show all: cutover compare {}", report.source);
            gate.answer = Some(format!("{verb} with {}; {all}", text(verdict)));
        }
    }
}
