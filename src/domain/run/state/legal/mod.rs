//! Decides which events are legal in which state.

use super::model::{Phase, State};
use crate::domain::hand_over::ItemDrained;
use crate::domain::run::event::{Event, RunOutcome};
use crate::domain::run::header_rule::HeaderRuleEvent;

/// The parts of a run's state that determine which events are legal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateSummary {
    /// The phase of the run.
    pub phase: Phase,
    /// Whether the run is paused or frozen, so that no share is raised.
    pub raises_stopped: bool,
    /// Whether drifted routes must be written again (`resume --reassert`).
    pub reassert: bool,
    /// Whether the old groups are detached from the routes or are being detached, so that a rollback is impossible.
    pub retired: bool,
}

/// An event that the current state does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event `{event}` is not legal {}", match stand {
    Some(s) => format!("in the phase {:?}{}", s.phase, if s.raises_stopped { ", while raises are stopped" } else { "" }),
    None => "before `started`".into(),
})]
pub struct IllegalEvent {
    /// The state when the event occurred; `None` before the event `started`.
    pub stand: Option<StateSummary>,
    /// The name of the event.
    pub event: String,
}

impl State {
    /// Returns the parts of the state that determine which events are legal.
    pub fn summary(&self) -> StateSummary {
        StateSummary {
            phase: self.phase,
            raises_stopped: self.raises_stopped(),
            reassert: self.routes.values().any(|r| r.reassert),
            retired: self.retirement.is_some(),
        }
    }

    /// Checks that the state allows this event.
    pub fn check(&self, event: &Event) -> Result<(), IllegalEvent> {
        let stand = self.summary();
        // Only a completed run can be retired. After a rollback, both clusters are still needed.
        let outcome_allows =
            !matches!(event, Event::RetireStarted { .. }) || self.finished == Some(RunOutcome::Completed);
        if is_legal(stand, event) && outcome_allows {
            Ok(())
        } else {
            Err(IllegalEvent { stand: Some(stand), event: event_name(event) })
        }
    }
}

/// Whether an event is legal. Writes that restore belong to a rollback; other writes belong to a step while raises are
/// not stopped. A finished run can only be rolled back or retired. A retired run cannot be rolled back.
fn is_legal(stand: StateSummary, event: &Event) -> bool {
    use Phase::{
        AwaitingApproval, Baking, Finished, HandingOver, Ready, Retiring, RollingBack, RoutingHeaders, RunningCommand,
        Shifting,
    };
    let StateSummary { phase, raises_stopped: held, reassert, retired: detached } = stand;
    let stepping =
        matches!(phase, Ready | Shifting | Baking | AwaitingApproval | RunningCommand | RoutingHeaders | HandingOver);
    match event {
        Event::Started(_) | Event::ClientsMeasured(_) | Event::Notified { .. } => false,
        Event::ProcessStarted { .. } | Event::Notice { .. } | Event::Stopped { .. } | Event::Unknown { .. } => true,
        Event::RollbackStarted { .. } | Event::RampStarted { .. } => !detached,
        Event::RetireStarted { .. } => phase == Finished,
        Event::BindingRemoved { .. } => phase == Retiring,
        Event::StepStarted { .. } => phase == Ready && !held,
        Event::BindingDone { .. } => phase == Shifting,
        Event::Settled { .. } => matches!(phase, Shifting | RoutingHeaders),
        Event::HeaderRules(HeaderRuleEvent::Planned { .. } | HeaderRuleEvent::Sent { .. }) => {
            phase == RoutingHeaders && !held
        }
        Event::Intended { restore: true, .. }
        | Event::Ramped { .. }
        | Event::ItemDrained(ItemDrained { assumed_by: Some(_), .. }) => phase == RollingBack,
        Event::Intended { restore: false, .. } => {
            phase == Retiring || (stepping && (reassert || (phase == Shifting && !held)))
        }
        Event::StepDone { .. } => {
            matches!(phase, Shifting | Baking | AwaitingApproval | RunningCommand | RoutingHeaders | HandingOver)
                && !held
        }
        Event::ItemIntended(_) => phase == RollingBack || (phase == HandingOver && !held),
        Event::ItemOutcome(_) | Event::ItemDrained(_) => matches!(phase, RollingBack | HandingOver),
        Event::Baked { .. } => phase == Baking,
        Event::Approved { .. } | Event::TimedOut { .. } => phase == AwaitingApproval,
        Event::Promoted { full, .. } => stepping && (*full || matches!(phase, Baking | AwaitingApproval)),
        Event::HookStarted { hook, .. } if hook.at.is_rollback() => phase == RollingBack,
        Event::HookStarted { .. } => matches!(phase, Ready | Shifting | RunningCommand) && !held,
        // A run without any route has nothing left to do.
        Event::LeftOut { routes, .. } => stepping && !routes.is_empty(),
        Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::Frozen { .. }
        | Event::GateFailed { .. }
        | Event::ConditionsChanged { .. }
        | Event::RuleCreated { .. }
        | Event::WeightsTagged { .. } => stepping,
        Event::Unfrozen {} => stepping && held,
        Event::HookEnded { .. }
        | Event::Outcome { .. }
        | Event::Drifted { .. }
        | Event::Waiting { .. }
        | Event::Health { .. }
        | Event::GateMeasured { .. }
        | Event::VerdictChanged { .. }
        | Event::Compared(_)
        | Event::HeaderRules(HeaderRuleEvent::Made { .. } | HeaderRuleEvent::Ended { .. })
        | Event::Finished { .. } => phase != Finished,
    }
}

/// Returns the name of an event, as in its record.
pub(super) fn event_name(event: &Event) -> String {
    match event {
        Event::Unknown { kind } => kind.clone(),
        event => serde_json::to_value(event)
            .ok()
            .and_then(|json| json["event"].as_str().map(str::to_owned))
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
