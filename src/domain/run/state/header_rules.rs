//! Applies events about header rules to the state of a run.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::run::header_rule::{
    HeaderRuleEnd, HeaderRuleEvent, HeaderRuleProgress, HeaderRuleState, HeaderRules, LiveHeaderRule,
};

impl HeaderRules {
    /// Returns the rules that exist at the start of a run.
    pub(super) fn found(live: &[LiveHeaderRule], time: Timestamp) -> Self {
        let state = |(number, live): (u32, &LiveHeaderRule)| {
            let progress = HeaderRuleProgress::Made(live.id.clone(), time);
            (number, HeaderRuleState { rule: live.rule.clone(), step: 0, progress })
        };
        let rules: BTreeMap<_, _> = (1..).zip(live).map(state).collect();
        let last_number = rules.keys().next_back().copied().unwrap_or(0);
        Self { rules, last_number, ..Self::default() }
    }

    pub(super) fn apply(&mut self, change: &HeaderRuleEvent, time: Timestamp) {
        self.changed_at = Some(time);
        match change {
            HeaderRuleEvent::Planned { step, rules, left_out, refused } => {
                self.rules.retain(|_, rule| rule.progress != HeaderRuleProgress::Planned);
                for rule in rules {
                    self.last_number = self.last_number.max(rule.number);
                    let progress = HeaderRuleProgress::Planned;
                    self.rules.insert(rule.number, HeaderRuleState { rule: rule.clone(), step: *step, progress });
                }
                self.planned_for = Some(*step);
                self.left_out.clone_from(left_out);
                self.refused.clone_from(refused);
            }
            HeaderRuleEvent::Sent { rules, deadline } => {
                for number in rules {
                    self.set(*number, HeaderRuleProgress::Sent(*deadline));
                }
            }
            HeaderRuleEvent::Made { rule, id } => self.set(*rule, HeaderRuleProgress::Made(id.clone(), time)),
            HeaderRuleEvent::Ended { rule, result, detail } => self.end(*rule, *result, detail),
        }
    }

    fn set(&mut self, number: u32, progress: HeaderRuleProgress) {
        if let Some(rule) = self.rules.get_mut(&number) {
            rule.progress = progress;
        }
    }

    fn end(&mut self, number: u32, result: HeaderRuleEnd, detail: &str) {
        match result {
            HeaderRuleEnd::Removed => drop(self.rules.remove(&number)),
            HeaderRuleEnd::NotMade => self.set(number, HeaderRuleProgress::Planned),
            HeaderRuleEnd::Refused => {
                let label = self.rules.remove(&number).map(|rule| rule.rule.label).unwrap_or_default();
                self.refused.get_or_insert_with(|| format!("{label} was not made: {detail}"));
            }
            HeaderRuleEnd::Kept => {
                if let Some(HeaderRuleProgress::Made(id, _)) = self.rules.get(&number).map(|rule| &rule.progress) {
                    self.set(number, HeaderRuleProgress::Kept(id.clone(), detail.to_owned()));
                }
            }
        }
    }

    /// Lets refused calls be sent again. After a refusal, the rules of the step are planned again from the start.
    pub(super) fn try_again(&mut self) {
        for rule in self.rules.values_mut() {
            if let HeaderRuleProgress::Kept(id, _) = &rule.progress {
                rule.progress = HeaderRuleProgress::Made(id.clone(), Timestamp::UNIX_EPOCH);
            }
        }
        if self.refused.take().is_some() {
            self.planned_for = None;
        }
    }
}
