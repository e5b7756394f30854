//! Replaces the `{{…}}` placeholders in the texts of a gate. Do not add other placeholders of a plan.

use crate::domain::metric::gate::MeasurementRequest;
use crate::plan::model::metric::GateScope;
use crate::plan::template;

/// Replaces `{{cluster}}`, `{{workload}}` and `{{window}}` for one cluster of a measurement.
pub fn fill(text: &str, measurement: &MeasurementRequest, cluster: &str) -> String {
    template::fill(text, |name| match (name, &measurement.gate.scope) {
        ("cluster", _) => Some(cluster.to_owned()),
        ("workload", GateScope::Workload(name)) => Some(name.clone()),
        ("window", _) => Some(format!("{}s", measurement.gate.window.as_secs().max(1))),
        _ => None,
    })
}
