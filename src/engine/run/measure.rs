//! Queries the sources of metric gates and journals the results. Queries run in parallel with the loop, so that a slow
//! source never delays the guard.

use super::RunLoop;
use crate::domain::decide::metrics;
use crate::domain::metric::gate::Measurement;
use crate::domain::run::event::Event;
use crate::engine::EngineError;
use crate::plan::model::metric::MetricSource;

impl RunLoop<'_> {
    /// Journals the results that arrived, and starts the queries that are due, unless the process is about to exit:
    /// queries that take longer than the interval of their gate would keep the process forever.
    pub(super) async fn measure(&mut self, exiting: bool) -> Result<(), EngineError> {
        self.journal_measurements().await?;
        if !exiting {
            self.start_measurements();
        }
        Ok(())
    }

    async fn journal_measurements(&mut self) -> Result<(), EngineError> {
        for (request, seen) in self.metric_queries.take_results() {
            // A result does not count if it was measured at other shares.
            let current = metrics::in_force(self.plan, &self.state).iter().any(|g| g.name == request.gate.name);
            if current && metrics::is_current(self.plan, &self.state, &request) {
                let measurement = Measurement { from: request.from, to: request.to, seen };
                self.journal(Event::GateMeasured { gate: request.gate.name, measurement }).await?;
            }
        }
        Ok(())
    }

    fn start_measurements(&mut self) {
        let now = self.ports.clock.now();
        let requests = metrics::due_measurements(self.plan, &self.state, &self.metric_queries.pending_gates, now);
        // CloudWatch handles many queries in one call. Queries of other sources do not wait for each other.
        let (together, alone): (Vec<_>, Vec<_>) = requests
            .into_iter()
            .partition(|q| matches!(q.gate.source, MetricSource::CloudWatch(_) | MetricSource::CloudWatchAlarms(_)));
        for requests in alone.into_iter().map(|q| vec![q]).chain([together]).filter(|q| !q.is_empty()) {
            self.metric_queries.ask(&self.ports.metrics, requests);
        }
    }
}
