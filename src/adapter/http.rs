//! Background deliveries: a bounded queue and a task that delivers, retries and gives up. A delivery never blocks a
//! run.
//!
//! What is delivered, and to whom, must not be added here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::base::retry::DELIVER;

/// Why a delivery failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryError {
    /// Another try may help.
    Temporary(String),
    /// Another try does not help.
    Permanent(String),
}

/// A target of deliveries.
#[async_trait]
pub trait Deliver<T>: Send + Sync + 'static {
    /// Delivers the items in order, within a limited time.
    async fn deliver(&self, parcels: &[T]) -> Result<(), DeliveryError>;
}

/// Limits of a queue.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Length of the queue; further items are dropped.
    pub queue: usize,
    /// Maximum number of items in one delivery.
    pub at_once: usize,
    /// Time to collect more items before each delivery.
    pub gather: Duration,
}

/// A queue of items with the task that delivers them.
pub struct DeliveryQueue<T> {
    name: String,
    queue: Sender<T>,
    /// Number of items that are neither delivered nor given up.
    open: Arc<AtomicUsize>,
    /// Number of items dropped since the queue last had room.
    dropped: usize,
    task: JoinHandle<()>,
}

impl<T: Send + Sync + 'static> DeliveryQueue<T> {
    /// Starts the task in the caller's runtime. `name` is for the log, such as `notifications to slack`.
    pub fn new(name: String, patience: QueueLimits, to: impl Deliver<T>) -> Self {
        let (queue, taken) = mpsc::channel(patience.queue);
        let open = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(work(name.clone(), patience, to, taken, Arc::clone(&open)));
        Self { name, queue, open, dropped: 0, task }
    }

    /// Adds an item to the queue, or drops it if the queue is full.
    pub fn take(&mut self, parcel: T) {
        self.open.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(parcel) {
            Ok(()) => self.dropped = 0,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                self.open.fetch_sub(1, Ordering::Relaxed);
                if self.dropped == 0 {
                    tracing::warn!("{}: the queue is full; some are dropped", self.name);
                }
                self.dropped += 1;
            }
        }
    }

    /// Waits until every item is delivered or given up, at the latest until `until`.
    pub async fn finish(self, until: Instant) {
        let Self { name, queue, open, mut task, .. } = self;
        drop(queue);
        if tokio::time::timeout_at(until, &mut task).await.is_err() {
            task.abort();
            tracing::warn!("{name}: {} not delivered when this process ended", open.load(Ordering::Relaxed));
        }
    }
}

async fn work<T: Send + Sync>(
    name: String,
    patience: QueueLimits,
    to: impl Deliver<T>,
    mut taken: Receiver<T>,
    open: Arc<AtomicUsize>,
) {
    let mut parcels = Vec::new();
    while taken.recv_many(&mut parcels, patience.at_once).await > 0 {
        if !patience.gather.is_zero() && !taken.is_closed() && parcels.len() < patience.at_once {
            gather(&mut taken, &mut parcels, patience).await;
        }
        if let Err(why) = patiently(&to, &parcels).await {
            let more = if parcels.len() > 1 { format!("{} of them ", parcels.len()) } else { String::new() };
            tracing::warn!("{name}: {more}not delivered: {why}");
        }
        open.fetch_sub(parcels.len(), Ordering::Relaxed);
        parcels.clear();
    }
}

/// Collects more items until there are enough, the time is over or the queue is closed.
async fn gather<T>(taken: &mut Receiver<T>, parcels: &mut Vec<T>, patience: QueueLimits) {
    let until = Instant::now() + patience.gather;
    while parcels.len() < patience.at_once {
        let room = patience.at_once - parcels.len();
        match tokio::time::timeout_at(until, taken.recv_many(parcels, room)).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
}

async fn patiently<T: Sync>(to: &impl Deliver<T>, parcels: &[T]) -> Result<(), String> {
    for pause in DELIVER.pauses() {
        match to.deliver(parcels).await {
            Ok(()) => return Ok(()),
            Err(DeliveryError::Permanent(why)) => return Err(why),
            Err(DeliveryError::Temporary(why)) => {
                tracing::debug!("a delivery is tried again in {pause:?}: {why}");
                tokio::time::sleep(pause).await;
            }
        }
    }
    match to.deliver(parcels).await {
        Ok(()) => Ok(()),
        Err(DeliveryError::Permanent(why) | DeliveryError::Temporary(why)) => {
            Err(format!("{why} ({} tries)", DELIVER.count()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const PATIENCE: QueueLimits = QueueLimits { queue: 4, at_once: 1, gather: Duration::ZERO };

    /// Returns these results in order, and then never returns.
    #[derive(Clone)]
    struct FakeTarget(Arc<Mutex<Answers>>);

    type Answers = (Vec<Result<(), DeliveryError>>, Vec<u32>);

    #[async_trait]
    impl Deliver<u32> for FakeTarget {
        async fn deliver(&self, parcels: &[u32]) -> Result<(), DeliveryError> {
            let answer = {
                let mut door = self.0.lock().expect("nobody panics");
                door.1.extend(parcels);
                if door.0.is_empty() { None } else { Some(door.0.remove(0)) }
            };
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    }

    async fn told(
        answers: Vec<Result<(), DeliveryError>>,
        parcels: u32,
        patience: QueueLimits,
    ) -> (Vec<u32>, Duration) {
        let door = FakeTarget(Arc::new(Mutex::new((answers, Vec::new()))));
        let mut courier = DeliveryQueue::new("x".into(), patience, door.clone());
        let begun = Instant::now();
        (1..=parcels).for_each(|n| courier.take(n));
        assert_eq!(begun.elapsed(), Duration::ZERO, "nobody waits for a courier");
        courier.finish(begun + Duration::from_mins(1)).await;
        let seen = door.0.lock().expect("nobody panics").1.clone();
        (seen, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_again_and_what_lasts_is_not() {
        let (passing, lasting) =
            (|| Err(DeliveryError::Temporary("busy".into())), || Err(DeliveryError::Permanent("no".into())));
        assert_eq!(
            told(vec![passing(), passing(), Ok(()), Ok(())], 2, PATIENCE).await,
            (vec![1, 1, 1, 2], Duration::from_secs(4))
        );
        assert_eq!(told(vec![lasting(), Ok(())], 2, PATIENCE).await, (vec![1, 2], Duration::ZERO));
        let four = vec![passing(), passing(), passing(), passing(), Ok(())];
        assert_eq!(told(four, 2, PATIENCE).await, (vec![1, 1, 1, 1, 2], Duration::from_secs(13)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_door_that_never_answers_holds_up_nobody_for_longer_than_was_said() {
        assert_eq!(told(Vec::new(), 3, PATIENCE).await, (vec![1], Duration::from_mins(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_place_is_dropped_and_the_rest_goes_together_where_that_is_wanted() {
        let patience = QueueLimits { at_once: 3, gather: Duration::from_secs(2), ..PATIENCE };
        let (seen, took) = told(vec![Ok(()), Ok(())], 9, patience).await;
        assert_eq!(
            (seen, took),
            (vec![1, 2, 3, 4], Duration::ZERO),
            "the queue has four places, and nobody waits for more at the end"
        );
    }
}
