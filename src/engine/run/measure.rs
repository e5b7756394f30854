//! Queries the sources of metric gates and journals their answers. Queries run beside the loop, so that a slow source
//! never delays the guard.

use super::Run;
use crate::domain::decide::metrics;
use crate::domain::metric::gate::Measurement;
use crate::domain::run::event::Event;
use crate::engine::EngineError;
use crate::plan::model::metric::Source;

impl Run<'_> {
    /// Journals the answers that arrived, and starts the queries that are due.
    pub(super) async fn measure(&mut self) -> Result<(), EngineError> {
        for (question, seen) in self.asking.answers() {
            // An answer about the time of other shares does not count.
            let current = metrics::in_force(self.plan, &self.state).iter().any(|g| g.name == question.gate.name);
            if current && question.to >= self.state.shares_since && !metrics::moving(self.plan, &self.state) {
                let measurement = Measurement { from: question.from, to: question.to, seen };
                self.journal(Event::Sampled { gate: question.gate.name, measurement }).await?;
            }
        }
        let now = self.ports.clock.now();
        let questions = metrics::questions(self.plan, &self.state, &self.asking.busy, now);
        // CloudWatch answers many queries in one call; the others do not wait for each other.
        let (together, alone): (Vec<_>, Vec<_>) = questions
            .into_iter()
            .partition(|q| matches!(q.gate.source, Source::CloudWatch(_) | Source::CloudWatchAlarms(_)));
        for questions in alone.into_iter().map(|q| vec![q]).chain([together]).filter(|q| !q.is_empty()) {
            self.asking.ask(&self.ports.metrics, questions);
        }
        Ok(())
    }
}
