//! What both shells share: the model behind a lock, the lab's clock, and a bell that rings when the model may have something new to do.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::model::World;
use crate::adapter::clock::Scaled;
use crate::port::Clock;

/// The model as the shells' tasks hold it. Calls of the model are synchronous and short, so a plain lock serves.
#[derive(Clone)]
pub struct Shell {
    inner: Arc<Inner>,
}

struct Inner {
    world: Mutex<World>,
    clock: Scaled,
    bell: Notify,
}

impl Shell {
    /// Around `world`, whose time is `clock`'s.
    pub fn new(world: World, clock: Scaled) -> Self {
        Self { inner: Arc::new(Inner { world: Mutex::new(world), clock, bell: Notify::new() }) }
    }

    /// The lab's clock.
    pub fn clock(&self) -> Scaled {
        self.inner.clock.clone()
    }

    /// Calls the model. The time is read inside the lock, so that the model never sees it run backwards.
    pub fn call<T>(&self, call: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let mut world = self.inner.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.inner.clock.now();
        call(&mut world, now)
    }

    /// Calls the model in a way that may move its next event nearer, and wakes the ticker.
    pub fn change<T>(&self, change: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let result = self.call(change);
        self.inner.bell.notify_one();
        result
    }

    /// Waits on the lab's clock; what is too short for a timer is not waited for.
    pub async fn wait(&self, duration: Duration) {
        if duration.div_f64(self.inner.clock.speed()) >= Duration::from_micros(500) {
            self.inner.clock.sleep(duration).await;
        }
    }

    /// Waits until `next` on the lab's clock (`None`: for ever), but at least a tick of the runtime's timer, and at most until the bell rings.
    pub async fn until(&self, next: Option<Timestamp>) {
        let tick = Duration::from_millis(1);
        let Some(next) = next else { return self.inner.bell.notified().await };
        let lab = Duration::try_from(next.duration_since(self.inner.clock.now()).max(SignedDuration::ZERO))
            .unwrap_or_default();
        let real = lab.div_f64(self.inner.clock.speed()).max(tick);
        tokio::select! {
            biased;
            () = self.inner.bell.notified() => {}
            () = tokio::time::sleep(real) => {}
        }
    }
}
