//! The model behind a lock, the lab's clock, and a signal that wakes the ticker when the model may have a new event.
//! The live and the virtual servers both use it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::model::World;
use crate::adapter::clock::LabClock;
use crate::port::Clock;

/// A shared handle of the model. Calls of the model are synchronous and short, so a plain lock is enough.
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
    /// Wraps `world`; its time comes from `clock`.
    pub fn new(world: World, clock: LabClock) -> Self {
        Self { inner: Arc::new(SharedState { world: Mutex::new(world), clock, changed: Notify::new() }) }
    }

    /// The lab's clock.
    pub fn clock(&self) -> LabClock {
        self.inner.clock.clone()
    }

    /// Calls the model. The time is read inside the lock, so that the model never sees it run backwards.
    pub fn call<T>(&self, call: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let mut world = self.inner.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.inner.clock.now();
        call(&mut world, now)
    }

    /// Calls the model, and wakes the ticker because the call may have created an earlier event.
    pub fn change<T>(&self, change: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let result = self.call(change);
        self.inner.changed.notify_one();
        result
    }

    /// Waits on the lab's clock. Returns at once when the wait is under half a millisecond of real time.
    pub async fn wait(&self, duration: Duration) {
        if duration.div_f64(self.inner.clock.speed()) >= Duration::from_micros(500) {
            self.inner.clock.sleep(duration).await;
        }
    }

    /// Waits until `next` on the lab's clock (`None`: no limit), at least 1 ms of real time, and returns early when the
    /// model changes.
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
