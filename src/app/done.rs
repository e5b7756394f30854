//! Says that a plan is done: its newest run has completed, so the traffic is where a new run would bring it.

use crate::base::finding::{Code, Finding};
use crate::domain::run::event::RunOutcome;
use crate::domain::view::check::CheckReport;
use crate::port::store::RunSummary;

/// Replaces the findings about traffic that is not on the old cluster (CUT048) by their cause, if the newest of the
/// plan's `runs` has completed.
pub fn explain_completed_run(report: &mut CheckReport, runs: &[RunSummary]) {
    let symptom = |finding: &Finding| finding.code == Code::CUT048 && finding.refuses();
    let Some(run) = runs.first().filter(|run| run.finished == Some(RunOutcome::Completed)) else { return };
    if !report.findings.iter().any(symptom) {
        return;
    }
    report.findings.retain(|finding| !symptom(finding));
    let ((from, to), id) = (&report.clusters, &run.id);
    let at = run.last.map_or_else(String::new, |at| format!(" at {}", at.strftime("%F %T UTC")));
    let message = format!("the plan is done: its run {id} has completed{at}, and the traffic is on {to}");
    let help = format!(
        "to take the traffic back to {from}: cutover rollback {id}\n\
         to ask whether {from} is still needed: cutover finalize {id}\n\
         to see what happened: cutover report {id}"
    );
    report.findings.insert(0, Finding::new(Code::CUT312, "run", message).help(help));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;

    fn report() -> CheckReport {
        let no_traffic = Finding::new(Code::CUT048, "webapp", "cluster a carries no traffic");
        CheckReport::offline(&fixture::plan(), vec![no_traffic])
    }

    fn codes(finished: Option<RunOutcome>) -> Vec<Code> {
        let mut report = report();
        explain_completed_run(&mut report, &[RunSummary { finished, ..RunSummary::of("alpha-1", &[]) }]);
        report.findings.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_plan_whose_newest_run_has_completed_is_done() {
        assert_eq!(codes(Some(RunOutcome::Completed)), [Code::CUT312]);
        for other in [Some(RunOutcome::RolledBack), Some(RunOutcome::Aborted), None] {
            assert_eq!(codes(other), [Code::CUT048], "{other:?}");
        }
        let mut report = report();
        explain_completed_run(&mut report, &[]);
        assert_eq!(report.findings[0].code, Code::CUT048);
    }

    #[test]
    fn a_completed_run_is_no_finding_where_the_traffic_is_back() {
        let mut report = CheckReport { findings: Vec::new(), ..report() };
        let run = RunSummary { finished: Some(RunOutcome::Completed), ..RunSummary::of("alpha-1", &[]) };
        explain_completed_run(&mut report, &[run]);
        assert!(report.findings.is_empty());
    }
}
