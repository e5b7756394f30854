//! Texts of a gate with their `{{…}}` filled in.

use crate::domain::gate::metric::Question;
use crate::plan::model::metric::Scope;

/// `{{cluster}}`, `{{workload}}` and `{{window}}`, for a side of a question.
pub fn fill(text: &str, question: &Question, cluster: &str) -> String {
    let workload = if let Scope::Workload(name) = &question.gate.scope { name } else { "" };
    let window = format!("{}s", question.gate.window.as_secs().max(1));
    text.replace("{{cluster}}", cluster).replace("{{workload}}", workload).replace("{{window}}", &window)
}
