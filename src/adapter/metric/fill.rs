//! Fills in the `{{…}}` in texts of a gate. Other placeholders of a plan must not be added here.

use crate::domain::metric::gate::MeasurementRequest;
use crate::plan::model::metric::GateScope;
use crate::plan::template;

/// Replaces `{{cluster}}`, `{{workload}}` and `{{window}}` for one side of a question.
pub fn fill(text: &str, question: &MeasurementRequest, cluster: &str) -> String {
    template::fill(text, |name| match (name, &question.gate.scope) {
        ("cluster", _) => Some(cluster.to_owned()),
        ("workload", GateScope::Workload(name)) => Some(name.clone()),
        ("window", _) => Some(format!("{}s", question.gate.window.as_secs().max(1))),
        _ => None,
    })
}
