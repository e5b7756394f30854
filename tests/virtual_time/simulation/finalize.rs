//! Judges whether the old groups may be detached, as `cutover finalize` does.

use std::time::Duration;

use cutover::app::exit::Exit;
use cutover::domain::decide::finalize::{ConditionStatus, judge, worst_status};
use cutover::domain::run::state::{Phase, State};
use cutover::engine::{Ports, finalize};
use cutover::port::store::Request;

use super::processes::{ProcessEnd, Simulation};

/// How long the old cluster must have had no requests before its groups are detached.
pub const QUIET_PERIOD: Duration = Duration::from_mins(15);

impl Simulation {
    /// Judges as `cutover finalize --detach --force` does, for an operator who knows that the old cluster gets no
    /// requests. Returns the request to the run, if the detaching has not begun.
    pub async fn judge_finalize(&self, ports: &Ports) -> Result<Option<Request>, ProcessEnd> {
        let records = ports.store.read(&self.run).await.unwrap_or_default();
        let Ok(Some(state)) = State::fold(&records) else {
            return Err(ProcessEnd::Failed(Exit::Internal.code(), "the run has no valid journal".into()));
        };
        if state.phase == Phase::Retiring {
            return Ok(None);
        }
        let facts = finalize::read_facts(&self.engine_plan, &state, ports, QUIET_PERIOD).await;
        let mut items = judge(&self.engine_plan, &state, &records, &facts, QUIET_PERIOD, ports.clock.now());
        items.retain(|item| item.what != "requests");
        let exit = match worst_status(&items) {
            ConditionStatus::Yes => return Ok(Some(Request::Detach { by: "bob@lab".into(), bindings: false })),
            ConditionStatus::Drift => Exit::Drift,
            ConditionStatus::Wait => Exit::Waiting,
            ConditionStatus::Unknown | ConditionStatus::No => Exit::Refused,
        };
        Err(ProcessEnd::Failed(exit.code(), format!("{items:?}")))
    }
}
