//! The verdicts of the compare gate for people.

use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::run::comparison::Comparison;

/// The name of the compare gate in lists of gates.
pub const NAME: &str = "compare";

/// Returns the verdict of a comparison.
pub fn result(comparison: &Comparison) -> GateResult {
    if comparison.allows_raises() { GateResult::Pass } else { GateResult::Hold }
}

/// Returns the numbers of a comparison, and the reasons why it holds a raise.
pub fn text(comparison: &Comparison) -> String {
    let reasons = if comparison.allows_raises() { String::new() } else { format!(": {}", comparison.reason()) };
    format!("{}{reasons}", comparison.counts())
}
