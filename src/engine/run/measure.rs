//! Measuring: metric gates are asked beside the loop, so that a slow source never holds up the guard, and their answers are journalled.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Run;
use crate::domain::decide::metrics;
use crate::domain::metric::gate::{Measurement, Question, Seen};
use crate::domain::run::event::Event;
use crate::engine::EngineError;
use crate::plan::model::metric::Source;
use crate::port::Metrics;

/// Questions under way. Dropping it drops them.
#[derive(Default)]
pub struct Asking {
    tasks: JoinSet<Vec<(Question, Seen)>>,
    busy: BTreeSet<String>,
    /// Answers that somebody waited for.
    early: Vec<(Question, Seen)>,
}

impl Asking {
    fn ask(&mut self, metrics: &Arc<dyn Metrics>, questions: Vec<Question>) {
        self.busy.extend(questions.iter().map(|q| q.gate.name.clone()));
        let metrics = Arc::clone(metrics);
        self.tasks.spawn(async move {
            let seen = metrics.ask(&questions).await;
            questions.into_iter().zip(seen).collect()
        });
    }

    /// Waits until somebody has answered; `false`: nobody is asked.
    pub async fn wait(&mut self) -> bool {
        let Some(done) = self.tasks.join_next().await else { return false };
        self.early.extend(done.unwrap_or_default());
        true
    }

    fn answers(&mut self) -> Vec<(Question, Seen)> {
        let mut all = std::mem::take(&mut self.early);
        while let Some(done) = self.tasks.try_join_next() {
            all.extend(done.unwrap_or_default());
        }
        for (question, _) in &all {
            self.busy.remove(&question.gate.name);
        }
        // Whoever broke off says nothing, and is asked again.
        if self.tasks.is_empty() {
            self.busy.clear();
        }
        all
    }
}

impl Run<'_> {
    /// Journals what has been answered, and asks what is due.
    pub(super) async fn measure(&mut self) -> Result<(), EngineError> {
        for (question, seen) in self.asking.answers() {
            // What was asked while other shares stood says nothing of these.
            let current = metrics::in_force(self.plan, &self.state).iter().any(|g| g.name == question.gate.name);
            if current && question.to >= self.state.shares_since && !metrics::moving(self.plan, &self.state) {
                let measurement = Measurement { from: question.from, to: question.to, seen };
                self.journal(Event::Sampled { gate: question.gate.name, measurement }).await?;
            }
        }
        let now = self.ports.clock.now();
        let questions = metrics::questions(self.plan, &self.state, &self.asking.busy, now);
        // AWS takes many questions in one call; the others do not wait for each other.
        let (together, alone): (Vec<_>, Vec<_>) =
            questions.into_iter().partition(|q| matches!(q.gate.source, Source::CloudWatch(_) | Source::CloudWatchAlarms(_)));
        for questions in alone.into_iter().map(|q| vec![q]).chain([together]).filter(|q| !q.is_empty()) {
            self.asking.ask(&self.ports.metrics, questions);
        }
        Ok(())
    }
}
