//! The model behind a lock, the lab's clock, and a signal that wakes the ticker when the model may have a new event.
//! The live servers and the virtual-time servers both use this module.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::model::World;
use crate::adapter::clock::LabClock;
use crate::port::Clock;

/// A shared handle of the model. Calls of the model are synchronous and short, so that a plain lock is enough.
#[derive(Clone)]
pub struct SharedModel {
    inner: Arc<SharedState>,
}

struct SharedState {
    world: Mutex<World>,
    clock: LabClock,
    changed: Notify,
}

impl SharedModel {
    /// Shares `world`. The time that the model gets comes from `clock`.
    pub fn new(world: World, clock: LabClock) -> Self {
        Self { inner: Arc::new(SharedState { world: Mutex::new(world), clock, changed: Notify::new() }) }
    }

    /// Returns the lab's clock.
    pub fn clock(&self) -> LabClock {
        self.inner.clock.clone()
    }

    /// Calls the model with the current time. The time is read inside the lock, so that it never decreases between two
    /// calls.
    pub fn call<T>(&self, call: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let mut world = self.inner.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.inner.clock.now();
        call(&mut world, now)
    }

    /// Calls the model and wakes the ticker, because the call may have scheduled an event before the next known event.
    pub fn change<T>(&self, change: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let result = self.call(change);
        self.inner.changed.notify_one();
        result
    }

    /// Waits for this duration on the lab's clock. Returns at once when that is less than half a millisecond of real
    /// time.
    pub async fn wait(&self, duration: Duration) {
        if duration.div_f64(self.inner.clock.speed()) >= Duration::from_micros(500) {
            self.inner.clock.sleep(duration).await;
        }
    }

    /// Waits until the time `next` on the lab's clock (`None` for no time limit), at least 1 ms of real time. Returns
    /// early when the model changes.
    pub async fn until(&self, next: Option<Timestamp>) {
        let tick = Duration::from_millis(1);
        let Some(next) = next else { return self.inner.changed.notified().await };
        let lab = Duration::try_from(next.duration_since(self.inner.clock.now()).max(SignedDuration::ZERO))
            .unwrap_or_default();
        let real = lab.div_f64(self.inner.clock.speed()).max(tick);
        tokio::select! {
            biased;
            () = self.inner.changed.notified() => {}
            () = tokio::time::sleep(real) => {}
        }
    }
}
