//! Renders the verdicts of the compare gate.

use super::Tone;
use super::line::EventText;
use crate::domain::run::comparison::Comparison;
use crate::domain::view::comparison;

pub(super) fn text(verdict: &Comparison) -> EventText {
    let (tone, mark, verb) =
        if verdict.allows_raises() { (Tone::Good, "✓", "passes") } else { (Tone::Warn, "!", "holds") };
    EventText::new(tone, mark, format!("gate compare {verb}: {}", comparison::text(verdict)))
}
