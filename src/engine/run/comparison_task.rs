//! Compares both clusters in the background, in parallel with the loop.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::domain::compare::gate;
use crate::domain::run::comparison::Comparison;
use crate::engine::{Ports, compare_platform};
use crate::plan::model::Plan;

/// The time in which both clusters must be read.
const READ_TIMEOUT: Duration = Duration::from_mins(2);

/// The comparison in progress. Dropping this value cancels it.
#[derive(Default)]
pub struct ComparisonTask {
    task: JoinSet<Comparison>,
    /// The result that arrived during [`ComparisonTask::wait`].
    early: Option<Comparison>,
}

impl ComparisonTask {
    /// Whether no comparison is in progress.
    pub fn is_idle(&self) -> bool {
        self.task.is_empty()
    }

    /// Starts a comparison. `earlier` is the last verdict of the run.
    pub fn start(&mut self, plan: Plan, ports: Ports, earlier: Option<Comparison>) {
        self.task.spawn(async move {
            let reads = ports.reads.read(0, compare_platform::read_both(&plan, &ports.compared, ports.clock.now()));
            match tokio::time::timeout(READ_TIMEOUT, reads).await {
                Ok((from, to)) => gate::judge(&plan, &from, &to, earlier.as_ref()).1,
                Err(_) => gate::not_compared("the clusters could not be read within 2m", earlier.as_ref()),
            }
        });
    }

    /// Waits until the comparison ends. Waits forever if none is in progress.
    pub async fn wait(&mut self) {
        match self.task.join_next().await {
            Some(done) => self.early = Some(done.unwrap_or_else(|_| ended_early())),
            None => std::future::pending().await,
        }
    }

    /// Returns the result of a comparison that has ended.
    pub fn take_result(&mut self) -> Option<Comparison> {
        let done = self.task.try_join_next().map(|done| done.unwrap_or_else(|_| ended_early()));
        self.early.take().or(done)
    }
}

fn ended_early() -> Comparison {
    gate::not_compared("the comparison ended early, because of a fault in this program", None)
}
