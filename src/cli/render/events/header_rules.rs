//! Renders changes of header rules.

use super::Tone;
use super::line::EventText;
use crate::app::names::Names;
use crate::base::number::count;
use crate::domain::run::header_rule::{HeaderRuleEnd, HeaderRuleEvent};

/// Returns the text of a change; `None` if another event has the text. A rule that is made or removed has a text only if
/// it is the last one.
pub(super) fn text(change: &HeaderRuleEvent, names: &Names) -> Option<EventText> {
    let rule = |number: &u32| names.header_rule(*number);
    match change {
        HeaderRuleEvent::Planned { refused: Some(why), .. } => Some(EventText::new(Tone::Bad, "✗", why.clone())),
        HeaderRuleEvent::Planned { rules, left_out, .. } => {
            let mut lines = vec![format!("planned {}", count(rules.len(), "header rule"))];
            lines.extend(left_out.iter().map(|route| format!("no header route for {route}")));
            let (tone, mark) = if left_out.is_empty() { (Tone::Faint, "·") } else { (Tone::Warn, "!") };
            Some(EventText::new(tone, mark, lines.join("\n")))
        }
        HeaderRuleEvent::Sent { rules, .. } => {
            Some(EventText::new(Tone::Faint, "·", format!("making {}", count(rules.len(), "header rule"))))
        }
        HeaderRuleEvent::Made { .. } => names.header_rules_are_made().then(|| {
            let what = count(names.header_rule_count(), "header rule");
            EventText::new(Tone::Good, "✓", format!("{what} made and read back"))
        }),
        HeaderRuleEvent::Ended { result: HeaderRuleEnd::Removed, .. } => {
            (names.header_rule_count() == 0).then(|| EventText::new(Tone::Good, "✓", "every header rule is removed"))
        }
        HeaderRuleEvent::Ended { result: HeaderRuleEnd::NotMade, detail, .. } if detail.is_empty() => None,
        HeaderRuleEvent::Ended { rule: number, result: HeaderRuleEnd::NotMade, detail } => {
            Some(EventText::new(Tone::Faint, "·", format!("{} is not made yet: {detail}", rule(number))))
        }
        HeaderRuleEvent::Ended { rule: number, result: HeaderRuleEnd::Refused, detail } => {
            Some(EventText::new(Tone::Bad, "✗", format!("{} was not made: {detail}", rule(number))))
        }
        HeaderRuleEvent::Ended { rule: number, result: HeaderRuleEnd::Kept, detail } => {
            Some(EventText::new(Tone::Bad, "✗", format!("{} was not removed: {detail}", rule(number))))
        }
    }
}
