//! Writes a run's journal in order and without gaps. An event that cannot be written is buffered and is written first
//! when the store works again. A journal that lacks its last events is still usable, but a journal with a gap is not.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::run::event::{Event, Record};
use crate::port::store::{Store, StoreError};

/// Writes the journal of one run.
pub struct JournalWriter {
    store: Arc<dyn Store>,
    run: String,
    /// The events that could not be written yet, oldest first.
    buffered: Vec<(Timestamp, Event)>,
}

impl JournalWriter {
    /// Creates a writer for the journal of an existing run.
    pub fn new(store: Arc<dyn Store>, run: &str) -> Self {
        Self { store, run: run.to_owned(), buffered: Vec::new() }
    }

    /// Returns whether all events are on disk.
    pub fn is_flushed(&self) -> bool {
        self.buffered.is_empty()
    }

    /// Writes the buffered events, then this event.
    pub async fn write(&mut self, time: Timestamp, event: &Event) -> Result<Record, StoreError> {
        while let Some((at, first)) = self.buffered.first() {
            self.store.append(&self.run, *at, first).await?;
            self.buffered.remove(0);
        }
        self.store.append(&self.run, time, event).await
    }

    /// Writes an event, or buffers the event if the write fails. The record of a buffered event has the number 0. The
    /// error is logged only once, not for every event.
    pub async fn write_or_buffer(&mut self, time: Timestamp, event: Event) -> Record {
        match self.write(time, &event).await {
            Ok(record) => record,
            Err(error) => {
                if self.buffered.is_empty() {
                    tracing::error!(
                        "the journal cannot be written: {error}; no share is raised until the journal can be written; \
                         a rollback does not need the journal"
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
    async fn buffered_events_are_written_first_after_a_full_disk() {
        let store = Arc::new(MemoryStore::new());
        store.create("alpha-1").await.unwrap();
        let mut journal = JournalWriter::new(Arc::clone(&store) as Arc<dyn Store>, "alpha-1");
        let at = Timestamp::UNIX_EPOCH;
        store.set_full(true);
        assert_eq!(journal.write_or_buffer(at, notice("one")).await.seq, 0);
        assert!(
            journal.write(at, &notice("an intent")).await.is_err(),
            "a failed write must return an error and buffer nothing"
        );
        store.set_full(false);
        assert_eq!(journal.write_or_buffer(at, notice("two")).await.seq, 2);
        assert!(journal.is_flushed());
        let events: Vec<_> = store.read("alpha-1").await.unwrap().iter().map(|r| r.event.clone()).collect();
        assert_eq!(events, [notice("one"), notice("two")]);
    }
}
