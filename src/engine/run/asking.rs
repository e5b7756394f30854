//! Questions to metrics that are under way, beside the loop.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::domain::metric::gate::{Question, Seen};
use crate::port::Metrics;

/// Questions under way. Dropping it drops them.
#[derive(Default)]
pub struct Asking {
    tasks: JoinSet<Vec<(Question, Seen)>>,
    pub(super) busy: BTreeSet<String>,
    /// Answers that somebody waited for.
    early: Vec<(Question, Seen)>,
}

impl Asking {
    pub fn ask(&mut self, metrics: &Arc<dyn Metrics>, questions: Vec<Question>) {
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

    pub fn answers(&mut self) -> Vec<(Question, Seen)> {
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
