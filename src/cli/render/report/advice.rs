//! Returns the advice for a person after the run: the routes that are not restored, with the action for each reason,
//! and the commands to type.

use super::{EventKind, ReportInput};
use crate::base::number::count;
use crate::cli::render::status::{break_stickiness, commands_of_a_real_run, next_commands};
use crate::domain::run::event::{Event, RunOutcome, StopReason};
use crate::domain::run::state::Phase;
use crate::domain::run::unresolved::grouped;

impl ReportInput<'_> {
    /// Returns the remarks and the unresolved routes of the run's end.
    fn ended(&self) -> (Vec<String>, Vec<String>) {
        let named = |texts: &[String]| texts.iter().map(|text| self.with_plan(text)).collect();
        let last = self.records.iter().rev().find_map(|record| match &record.event {
            Event::Finished { remarks, unresolved, .. } => Some((named(remarks), named(unresolved))),
            _ => None,
        });
        last.filter(|_| self.history.state.finished.is_some()).unwrap_or_default()
    }

    /// Returns a text of the journal with commands that can be typed: in a rehearsal they name the plan, because no
    /// command can reach its run.
    pub(super) fn with_plan(&self, text: &str) -> String {
        text.replace(&self.history.state.run, &self.view.run)
    }

    /// Returns the result of the run in a few words, and the kind of this result.
    pub(super) fn badge(&self) -> (String, EventKind) {
        let (remarks, left) = self.ended();
        if left.is_empty() && self.unseen_failures().is_some() {
            return ("Completed, but requests failed".to_owned(), EventKind::Trouble);
        }
        let (text, kind) = match self.history.state.finished {
            Some(RunOutcome::Completed) if self.view.retired => {
                ("Completed, the old cluster is retired", EventKind::Good)
            }
            Some(RunOutcome::Completed) => ("Completed", EventKind::Good),
            Some(RunOutcome::RolledBack) => ("Rolled back", EventKind::Trouble),
            Some(RunOutcome::Aborted) => ("Rolled back on request", EventKind::Person),
            None if self.view.phase == Phase::RollingBack => ("Rolling back", EventKind::Trouble),
            None if self.view.frozen.is_some() => ("Frozen", EventKind::Trouble),
            None if self.view.paused.is_some() => ("Paused", EventKind::Person),
            None => ("Unfinished", EventKind::Plain),
        };
        let completed = self.history.state.finished == Some(RunOutcome::Completed);
        match left.len() {
            0 if remarks.is_empty() || completed => (text.into(), kind),
            0 => (format!("{text}, but some clients are not back"), EventKind::Trouble),
            n => {
                let not = if completed { "NOT as planned" } else { "NOT restored" };
                (format!("{text}, {n} {not}"), EventKind::Trouble)
            }
        }
    }

    /// Returns the actions that a person must take, one sentence for each reason; empty if none is needed.
    pub(super) fn actions(&self) -> Vec<String> {
        let (remarks, left) = self.ended();
        let completed = self.history.state.finished == Some(RunOutcome::Completed);
        let not = if completed { "NOT as planned" } else { "NOT restored" };
        let left = grouped(&left);
        let routes = left.iter().map(|group| format!("{not}: {}", group.text()));
        routes.chain(remarks.clone()).chain(self.unfinished_rollback()).chain(self.unseen_failures()).collect()
    }

    /// Returns why the last process left an unfinished rollback.
    fn unfinished_rollback(&self) -> Option<String> {
        let rolling_back = self.history.state.finished.is_none() && self.view.phase == Phase::RollingBack;
        let Event::Stopped { reason: StopReason::Stuck, message } = &self.records.last()?.event else { return None };
        rolling_back.then(|| self.with_plan(message))
    }

    /// Returns the sentence about the actions of [`Self::actions`], for the head of the report.
    pub(super) fn left_text(&self) -> String {
        let (remarks, left) = self.ended();
        let acts = "A person must act: see What to do.";
        match left.len() {
            0 if self.unfinished_rollback().is_some() => format!(" The rollback is not finished. {acts}"),
            0 if remarks.is_empty() => String::new(),
            0 => format!(" {}.", with_capital(&remarks.join("; "))),
            n if self.history.state.finished == Some(RunOutcome::Completed) => {
                format!(" {} NOT as planned. {acts}", are(n))
            }
            n => format!(" {} NOT restored. {acts}", are(n)),
        }
    }

    /// Returns the commands to type next, each with its meaning. For a rehearsal, returns the commands that a real run
    /// of the plan would offer.
    pub(super) fn commands(&self) -> Vec<String> {
        if self.is_rehearsal() {
            return commands_of_a_real_run(&self.view);
        }
        match self.history.state.finished {
            Some(RunOutcome::Completed) if self.view.retired => return Vec::new(),
            Some(RunOutcome::Completed) => return commands_of_a_real_run(&self.view),
            Some(_) if self.view.aborted_to.is_some() => return next_commands(&self.view),
            Some(_) => {
                let plan = self.view.plan_file.as_ref();
                let again = plan.map(|plan| format!("cutover run {plan}   # a new run, when the cause is gone"));
                let sticky = self.view.sticky_clients_left.then(|| break_stickiness(&self.view));
                return sticky.into_iter().chain(again).collect();
            }
            None => {}
        }
        let status = format!("cutover status {}   # what it does now", self.view.run);
        std::iter::once(status).chain(next_commands(&self.view)).collect()
    }

    /// Returns the line above the commands.
    pub(super) fn commands_text(&self) -> String {
        if self.is_rehearsal() {
            "This is a rehearsal. A real run of the plan would offer:".into()
        } else if self.history.state.finished.is_some() {
            "The run is finished.".into()
        } else {
            format!("As of {}, the last record; the run may have gone on.", self.stamp(self.history.time.1))
        }
    }

    pub(super) fn is_rehearsal(&self) -> bool {
        self.clients.is_some()
    }
}

/// Returns a text as the start of a sentence.
fn with_capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn are(n: usize) -> String {
    let verb = if n == 1 { "is" } else { "are" };
    format!("{} {verb}", count(n, "route"))
}
