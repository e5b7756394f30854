//! Writes a run's journal in order and without gaps. An event that cannot be written is buffered and is written first
//! once the store works again: a journal without its end is still a lower bound, but one with a gap is useless.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::run::event::{Event, Record};
use crate::port::store::{Store, StoreError};

/// The journal of one run.
pub struct JournalWriter {
    store: Arc<dyn Store>,
    run: String,
    /// Events that could not be written yet, oldest first.
    buffered: Vec<(Timestamp, Event)>,
}

impl JournalWriter {
    /// The journal of an existing run.
    pub fn new(store: Arc<dyn Store>, run: &str) -> Self {
        Self { store, run: run.to_owned(), buffered: Vec::new() }
    }

    /// Whether all events are on disk.
    pub fn is_flushed(&self) -> bool {
        self.buffered.is_empty()
    }

    /// Writes the buffered events, then this one.
    pub async fn write(&mut self, time: Timestamp, event: &Event) -> Result<Record, StoreError> {
        while let Some((at, first)) = self.buffered.first() {
            self.store.append(&self.run, *at, first).await?;
            self.buffered.remove(0);
        }
        self.store.append(&self.run, time, event).await
    }

    /// Writes an event, or buffers it if that fails. The record of a buffered event has the number 0. The error is
    /// logged once, not for every event.
    pub async fn write_or_buffer(&mut self, time: Timestamp, event: Event) -> Record {
        match self.write(time, &event).await {
            Ok(record) => record,
            Err(error) => {
                if self.buffered.is_empty() {
                    tracing::error!(
                        "the journal cannot be written: {error}; no share is raised until it can be written; \
                         a rollback does not need it"
                    );
                }
                self.buffered.push((time, event.clone()));
                Record::new(0, time, self.run.clone(), event)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::store::memory::MemoryStore;

    fn notice(message: &str) -> Event {
        Event::Notice { message: message.into(), refused: None, request: None }
    }

    #[tokio::test]
    async fn what_a_full_disk_kept_out_comes_first_once_there_is_room() {
        let store = Arc::new(MemoryStore::new());
        store.create("alpha-1").await.unwrap();
        let mut journal = JournalWriter::new(Arc::clone(&store) as Arc<dyn Store>, "alpha-1");
        let at = Timestamp::UNIX_EPOCH;
        store.set_full(true);
        assert_eq!(journal.write_or_buffer(at, notice("one")).await.seq, 0);
        assert!(
            journal.write(at, &notice("an intent")).await.is_err(),
            "what must be on disk first is refused, not kept"
        );
        store.set_full(false);
        assert_eq!(journal.write_or_buffer(at, notice("two")).await.seq, 2);
        assert!(journal.is_flushed());
        let events: Vec<_> = store.read("alpha-1").await.unwrap().iter().map(|r| r.event.clone()).collect();
        assert_eq!(events, [notice("one"), notice("two")]);
    }
}
