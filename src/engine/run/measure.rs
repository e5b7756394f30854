//! Queries the sources of metric gates and journals the results. Queries run beside the loop, so that a slow source
//! never delays the guard.

use super::RunLoop;
use crate::domain::decide::metrics;
use crate::domain::metric::gate::Measurement;
use crate::domain::run::event::Event;
use crate::engine::EngineError;
use crate::plan::model::metric::MetricSource;

impl RunLoop<'_> {
    /// Journals the results that arrived, and starts the queries that are due.
    pub(super) async fn measure(&mut self) -> Result<(), EngineError> {
        for (question, seen) in self.metric_queries.take_results() {
            // A result does not count if it was measured at other shares.
            let current = metrics::in_force(self.plan, &self.state).iter().any(|g| g.name == question.gate.name);
            if current && question.to >= self.state.shares_since && !metrics::shares_changing(self.plan, &self.state) {
                let measurement = Measurement { from: question.from, to: question.to, seen };
                self.journal(Event::GateMeasured { gate: question.gate.name, measurement }).await?;
            }
        }
        let now = self.ports.clock.now();
        let questions = metrics::due_measurements(self.plan, &self.state, &self.metric_queries.pending_gates, now);
        // CloudWatch handles many queries in one call. Queries of other sources do not wait for each other.
        let (together, alone): (Vec<_>, Vec<_>) = questions
            .into_iter()
            .partition(|q| matches!(q.gate.source, MetricSource::CloudWatch(_) | MetricSource::CloudWatchAlarms(_)));
        for questions in alone.into_iter().map(|q| vec![q]).chain([together]).filter(|q| !q.is_empty()) {
            self.metric_queries.ask(&self.ports.metrics, questions);
        }
        Ok(())
    }
}
