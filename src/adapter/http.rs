//! Delivers items in the background: a bounded queue and a task that delivers, retries and gives up. A delivery never
//! blocks a run.
//!
//! Do not add code about the content or the targets of the deliveries.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::base::retry::DELIVER;

/// The reason why a delivery failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryError {
    /// A retry may succeed.
    Temporary(String),
    /// A retry does not succeed.
    Permanent(String),
}

/// A target of deliveries, such as a webhook or a collector.
#[async_trait]
pub trait Deliver<T>: Send + Sync + 'static {
    /// Delivers the items in order. Takes a limited time.
    async fn deliver(&self, items: &[T]) -> Result<(), DeliveryError>;
}

/// The limits of a delivery queue.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// The length of the queue. Further items are dropped.
    pub queue: usize,
    /// The maximum number of items in one delivery.
    pub at_once: usize,
    /// The time to collect more items before each delivery.
    pub gather: Duration,
}

/// A queue of items, with the task that delivers them.
pub struct DeliveryQueue<T> {
    name: String,
    queue: Sender<T>,
    /// The number of items that still wait for delivery.
    open: Arc<AtomicUsize>,
    /// The number of items that were dropped since the queue last had room.
    dropped: usize,
    task: JoinHandle<()>,
}

impl<T: Send + Sync + 'static> DeliveryQueue<T> {
    /// Starts the delivery task in the caller's runtime. `name` is for the log, such as `notifications to slack`.
    pub fn new(name: String, limits: QueueLimits, to: impl Deliver<T>) -> Self {
        let (queue, receiver) = mpsc::channel(limits.queue);
        let open = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(deliver_all(name.clone(), limits, to, receiver, Arc::clone(&open)));
        Self { name, queue, open, dropped: 0, task }
    }

    /// Adds an item to the queue, or drops it if the queue is full.
    pub fn add(&mut self, item: T) {
        self.open.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(item) {
            Ok(()) => self.dropped = 0,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                self.open.fetch_sub(1, Ordering::Relaxed);
                if self.dropped == 0 {
                    tracing::warn!("{}: the queue is full; some items are dropped", self.name);
                }
                self.dropped += 1;
            }
        }
    }

    /// Waits until every item is delivered or given up, but not longer than until `until`.
    pub async fn finish(self, until: Instant) {
        let Self { name, queue, open, mut task, .. } = self;
        drop(queue);
        if tokio::time::timeout_at(until, &mut task).await.is_err() {
            task.abort();
            tracing::warn!("{name}: {} items were not delivered when this process ended", open.load(Ordering::Relaxed));
        }
    }
}

async fn deliver_all<T: Send + Sync>(
    name: String,
    limits: QueueLimits,
    to: impl Deliver<T>,
    mut receiver: Receiver<T>,
    open: Arc<AtomicUsize>,
) {
    let mut items = Vec::new();
    while receiver.recv_many(&mut items, limits.at_once).await > 0 {
        if !limits.gather.is_zero() && !receiver.is_closed() && items.len() < limits.at_once {
            gather(&mut receiver, &mut items, limits).await;
        }
        if let Err(why) = deliver_with_retries(&to, &items).await {
            let subject = if items.len() > 1 { format!("{} items were", items.len()) } else { "an item was".into() };
            tracing::warn!("{name}: {subject} not delivered: {why}");
        }
        open.fetch_sub(items.len(), Ordering::Relaxed);
        items.clear();
    }
}

/// Collects more items until there are enough, the time is over, or the queue is closed.
async fn gather<T>(receiver: &mut Receiver<T>, items: &mut Vec<T>, limits: QueueLimits) {
    let until = Instant::now() + limits.gather;
    while items.len() < limits.at_once {
        let room = limits.at_once - items.len();
        match tokio::time::timeout_at(until, receiver.recv_many(items, room)).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
}

async fn deliver_with_retries<T: Sync>(to: &impl Deliver<T>, items: &[T]) -> Result<(), String> {
    for pause in DELIVER.pauses() {
        match to.deliver(items).await {
            Ok(()) => return Ok(()),
            Err(DeliveryError::Permanent(why)) => return Err(why),
            Err(DeliveryError::Temporary(why)) => {
                tracing::debug!("a delivery is retried in {pause:?}: {why}");
                tokio::time::sleep(pause).await;
            }
        }
    }
    match to.deliver(items).await {
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

    const LIMITS: QueueLimits = QueueLimits { queue: 4, at_once: 1, gather: Duration::ZERO };

    /// A target that returns these results in order, and then never returns.
    #[derive(Clone)]
    struct FakeTarget(Arc<Mutex<Results>>);

    type Results = (Vec<Result<(), DeliveryError>>, Vec<u32>);

    #[async_trait]
    impl Deliver<u32> for FakeTarget {
        async fn deliver(&self, items: &[u32]) -> Result<(), DeliveryError> {
            let answer = {
                let mut target = self.0.lock().expect("the mutex must not be poisoned");
                target.1.extend(items);
                if target.0.is_empty() { None } else { Some(target.0.remove(0)) }
            };
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    }

    async fn deliver_items(
        answers: Vec<Result<(), DeliveryError>>,
        items: u32,
        limits: QueueLimits,
    ) -> (Vec<u32>, Duration) {
        let target = FakeTarget(Arc::new(Mutex::new((answers, Vec::new()))));
        let mut queue = DeliveryQueue::new("x".into(), limits, target.clone());
        let started_at = Instant::now();
        (1..=items).for_each(|n| queue.add(n));
        assert_eq!(started_at.elapsed(), Duration::ZERO, "adding an item must not wait");
        queue.finish(started_at + Duration::from_mins(1)).await;
        let delivered = target.0.lock().expect("the mutex must not be poisoned").1.clone();
        (delivered, started_at.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn temporary_failure_is_retried_and_permanent_failure_is_not() {
        let (temporary, permanent) =
            (|| Err(DeliveryError::Temporary("busy".into())), || Err(DeliveryError::Permanent("no".into())));
        assert_eq!(
            deliver_items(vec![temporary(), temporary(), Ok(()), Ok(())], 2, LIMITS).await,
            (vec![1, 1, 1, 2], Duration::from_secs(4))
        );
        assert_eq!(deliver_items(vec![permanent(), Ok(())], 2, LIMITS).await, (vec![1, 2], Duration::ZERO));
        let four = vec![temporary(), temporary(), temporary(), temporary(), Ok(())];
        assert_eq!(deliver_items(four, 2, LIMITS).await, (vec![1, 1, 1, 1, 2], Duration::from_secs(13)));
    }

    #[tokio::test(start_paused = true)]
    async fn unresponsive_target_delays_the_end_only_until_the_deadline() {
        assert_eq!(deliver_items(Vec::new(), 3, LIMITS).await, (vec![1], Duration::from_mins(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn items_beyond_the_limit_are_dropped_and_the_others_are_sent_together() {
        let limits = QueueLimits { at_once: 3, gather: Duration::from_secs(2), ..LIMITS };
        let (delivered, took) = deliver_items(vec![Ok(()), Ok(())], 9, limits).await;
        assert_eq!((delivered, took), (vec![1, 2, 3, 4], Duration::ZERO), "the first four items must be sent at once");
    }
}
