//! Whether the old cluster may go, as somebody finds who types `finalize`.

use std::time::Duration;

use cutover::app::exit::Exit;
use cutover::domain::decide::finalize::{ConditionStatus, judge, worst_status};
use cutover::domain::run::state::{Phase, State};
use cutover::engine::{Ports, finalize, inventory};
use cutover::port::store::Request;

use super::life::{Life, Theatre};

/// For so long nobody asked the old cluster anything before it is let go.
pub const QUIET: Duration = Duration::from_mins(15);

impl Theatre {
    /// As `cutover finalize --detach --force` looks, of somebody who knows that nobody asks the old cluster anything:
    /// what is asked of the run, if that has not begun.
    pub async fn may_go(&self, ports: &Ports) -> Result<Option<Request>, Life> {
        let records = ports.store.read(&self.run).await.unwrap_or_default();
        let Ok(Some(state)) = State::fold(&records) else {
            return Err(Life::Failed(Exit::Internal.code(), "no run".into()));
        };
        if state.phase == Phase::Retiring {
            return Ok(None);
        }
        let patient = inventory::with_retries(&ports.balancer, &ports.clock);
        let facts = finalize::read_facts(&self.told, &state, ports, &patient, QUIET).await;
        let mut items = judge(&self.told, &state, &records, &facts, QUIET, ports.clock.now());
        items.retain(|item| item.what != "requests");
        let exit = match worst_status(&items) {
            ConditionStatus::Yes => return Ok(Some(Request::Detach { by: "bob@lab".into(), bindings: false })),
            ConditionStatus::Drift => Exit::Drift,
            ConditionStatus::Wait => Exit::Waiting,
            ConditionStatus::Unknown | ConditionStatus::No => Exit::Refused,
        };
        Err(Life::Failed(exit.code(), format!("{items:?}")))
    }
}
