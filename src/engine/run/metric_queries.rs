//! Runs metric queries in the background, in parallel with the loop.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest};
use crate::port::Metrics;

/// The metric queries in progress. Dropping this value cancels them.
#[derive(Default)]
pub struct MetricQueries {
    tasks: JoinSet<Vec<(MeasurementRequest, MeasuredValue)>>,
    pub(super) pending_gates: BTreeSet<String>,
    /// The results that arrived during [`MetricQueries::wait`].
    early: Vec<(MeasurementRequest, MeasuredValue)>,
}

impl MetricQueries {
    pub fn ask(&mut self, metrics: &Arc<dyn Metrics>, requests: Vec<MeasurementRequest>) {
        self.pending_gates.extend(requests.iter().map(|q| q.gate.name.clone()));
        let metrics = Arc::clone(metrics);
        self.tasks.spawn(async move {
            let values = metrics.measure(&requests).await;
            requests.into_iter().zip(values).collect()
        });
    }

    /// Waits for a result. Returns `false` if no query is in progress.
    pub async fn wait(&mut self) -> bool {
        let Some(done) = self.tasks.join_next().await else { return false };
        self.early.extend(done.unwrap_or_default());
        true
    }

    pub fn take_results(&mut self) -> Vec<(MeasurementRequest, MeasuredValue)> {
        let mut all = std::mem::take(&mut self.early);
        while let Some(done) = self.tasks.try_join_next() {
            all.extend(done.unwrap_or_default());
        }
        for (request, _) in &all {
            self.pending_gates.remove(&request.gate.name);
        }
        // A query that panicked has no result; its gates are queried again.
        if self.tasks.is_empty() {
            self.pending_gates.clear();
        }
        all
    }
}
