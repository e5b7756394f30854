//! Carries out the decisions about items: reads them; journals an intent, writes, and journals the outcome.

use super::RunLoop;
use crate::domain::hand_over::{ItemIntent, ItemOutcome, ItemPlace, ItemResult};
use crate::domain::run::event::Event;
use crate::domain::run::state::Phase;
use crate::engine::EngineError;
use crate::engine::items::{self, Writer};

impl RunLoop<'_> {
    pub(super) async fn read_items(&mut self, places: &[ItemPlace]) {
        let readings = items::read(&self.ports.items, &*self.ports.clock, places).await;
        self.watch.items.extend(readings);
    }

    pub(super) async fn move_item(&mut self, intent: ItemIntent) -> Result<(), EngineError> {
        let now = self.ports.clock.now();
        if !self.check_ownership() {
            return Ok(());
        }
        if let Err(error) = self.journal(Event::ItemIntended(intent.clone())).await {
            return self.wait_for_journal(error, now).await;
        }
        // On the way back, only another owner stops the run.
        if self.state.phase != Phase::RollingBack && !self.lock_confirmed(&[]).await {
            let (result, value) = (ItemResult::Unknown, intent.set);
            let detail = Some("not sent: the lock expired before the write".to_owned());
            let ItemIntent { step, item, cluster, .. } = intent;
            let outcome = ItemOutcome { step, item, cluster, result, value, last_schedule: None, detail };
            return self.journal(Event::ItemOutcome(Box::new(outcome))).await;
        }
        let place = (intent.cluster.clone(), intent.item.clone());
        // A reading from before the write says nothing any more.
        self.watch.items.remove(&place);
        let writer = Writer {
            ports: &self.ports.items,
            clock: &*self.ports.clock,
            pinned: &self.state.started.clusters,
            readings: &self.watch.items,
            run: &self.state.run,
        };
        let (outcome, reading) = writer.carry_out(&intent).await;
        self.journal(Event::ItemOutcome(Box::new(outcome))).await?;
        if let Some(reading) = reading {
            self.watch.items.insert(place, reading);
        }
        Ok(())
    }
}
