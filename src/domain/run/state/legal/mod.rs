//! Which events are legal where.

use super::model::{Phase, State};
use crate::domain::run::event::{Event, Outcome};

/// Where a run stands, as far as legality goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stand {
    /// Its phase.
    pub phase: Phase,
    /// Whether raises are held (paused or frozen).
    pub held: bool,
    /// Whether drifted routes are to be written again.
    pub reassert: bool,
    /// Whether the way back has been taken away, or is being.
    pub detached: bool,
}

/// An event where it cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{event}` cannot happen {}", match stand { Some(s) => format!("in {:?}{}", s.phase, if s.held { ", held" } else { "" }), None => "before `started`".into() })]
pub struct Illegal {
    /// Where the run stood; `None`: before its start.
    pub stand: Option<Stand>,
    /// The event's name.
    pub event: &'static str,
}

impl State {
    /// Where this run stands.
    pub fn stand(&self) -> Stand {
        Stand {
            phase: self.phase,
            held: self.held(),
            reassert: self.routes.values().any(|r| r.reassert),
            detached: self.detach.is_some(),
        }
    }

    /// Whether this event can happen now.
    pub fn check(&self, event: &Event) -> Result<(), Illegal> {
        let stand = self.stand();
        // What went back has two clusters that are needed.
        let over = !matches!(event, Event::DetachStarted { .. }) || self.finished == Some(Outcome::Completed);
        if legal(stand, event) && over { Ok(()) } else { Err(Illegal { stand: Some(stand), event: kind(event) }) }
    }
}

/// Whether an event may happen there. Restoring writes belong to a rollback, moving writes to a step that is not held; nothing follows the end
/// but a rollback, which a person may ask for until then, or taking the old groups out, after which nothing leads back.
fn legal(stand: Stand, event: &Event) -> bool {
    use Phase::{Awaiting, Baking, Detaching, Finished, Moving, Ready, RollingBack, Working};
    let Stand { phase, held, reassert, detached } = stand;
    let stepping = matches!(phase, Ready | Moving | Baking | Awaiting | Working);
    match event {
        Event::Started(_) | Event::Measured(_) | Event::Notified { .. } => false,
        Event::Claimed { .. } | Event::Notice { .. } | Event::Stopped { .. } | Event::Unknown { .. } => true,
        Event::RollbackStarted { .. } | Event::RampStarted { .. } => !detached,
        Event::DetachStarted { .. } => phase == Finished,
        Event::Unbound { .. } => phase == Detaching,
        Event::StepStarted { .. } => phase == Ready && !held,
        Event::Bound { .. } | Event::Settled { .. } => phase == Moving,
        Event::Intended { restore: true, .. } | Event::Ramped { .. } => phase == RollingBack,
        Event::Intended { restore: false, .. } => {
            phase == Detaching || (stepping && (reassert || (phase == Moving && !held)))
        }
        Event::StepDone { .. } => matches!(phase, Moving | Baking | Awaiting | Working) && !held,
        Event::Baked { .. } => phase == Baking,
        Event::Approved { .. } | Event::TimedOut { .. } => phase == Awaiting,
        Event::Promoted { full, .. } => stepping && (*full || matches!(phase, Baking | Awaiting)),
        Event::HookStarted { hook, .. } if hook.at.of_rollback() => phase == RollingBack,
        Event::HookStarted { .. } => matches!(phase, Ready | Moving | Working) && !held,
        Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::Frozen { .. }
        | Event::GateFailed { .. }
        | Event::Appeared { .. }
        | Event::Kept { .. } => stepping,
        Event::Thawed {} => stepping && held,
        Event::HookEnded { .. }
        | Event::Outcome { .. }
        | Event::Drifted { .. }
        | Event::Waiting { .. }
        | Event::Health { .. }
        | Event::Sampled { .. }
        | Event::Judged { .. }
        | Event::Finished { .. } => phase != Finished,
    }
}

/// An event's name, as its record spells it.
pub(super) fn kind(event: &Event) -> &'static str {
    match event {
        Event::Started(_) => "started",
        Event::Claimed { .. } => "claimed",
        Event::StepStarted { .. } => "stepStarted",
        Event::Bound { .. } => "bound",
        Event::Intended { .. } => "intended",
        Event::Outcome { .. } => "outcome",
        Event::Settled { .. } => "settled",
        Event::StepDone { .. } => "stepDone",
        Event::Baked { .. } => "baked",
        Event::Approved { .. } => "approved",
        Event::TimedOut { .. } => "timedOut",
        Event::Promoted { .. } => "promoted",
        Event::Paused { .. } => "paused",
        Event::Resumed { .. } => "resumed",
        Event::Frozen { .. } => "frozen",
        Event::Thawed {} => "thawed",
        Event::Kept { .. } => "kept",
        Event::Drifted { .. } => "drifted",
        Event::Appeared { .. } => "appeared",
        Event::GateFailed { .. } => "gateFailed",
        Event::Sampled { .. } => "sampled",
        Event::Judged { .. } => "judged",
        Event::RollbackStarted { .. } => "rollbackStarted",
        Event::RampStarted { .. } => "rampStarted",
        Event::Ramped { .. } => "ramped",
        Event::HookStarted { .. } => "hookStarted",
        Event::HookEnded { .. } => "hookEnded",
        Event::DetachStarted { .. } => "detachStarted",
        Event::Unbound { .. } => "unbound",
        Event::Waiting { .. } => "waiting",
        Event::Health { .. } => "health",
        Event::Notice { .. } => "notice",
        Event::Finished { .. } => "finished",
        Event::Stopped { .. } => "stopped",
        Event::Unknown { .. } => "unknown",
        Event::Measured(_) => "measured",
        Event::Notified { .. } => "notified",
    }
}

#[cfg(test)]
mod tests;
