//! Observes everything once a poll, then informs the audience and writes the heartbeat.

use jiff::{SignedDuration, Timestamp};

use super::Run;
use crate::base::time::signed;
use crate::domain::run::event::{Wait, WaitReason};
use crate::domain::run::state::Phase;
use crate::engine::{Settings, look};
use crate::port::store::Look;

/// How often all rules are counted. A new rule is not urgent, and a count takes several calls.
const CENSUS: SignedDuration = SignedDuration::from_mins(1);

impl Run<'_> {
    /// Reads the autoscalers' limits while a raise waits, because they may explain it.
    pub(super) async fn ask_ceilings(&mut self, waits: &[Wait], now: Timestamp) {
        let due = self.asked.is_none_or(|at| now.duration_since(at) >= SignedDuration::from_mins(1));
        if due && waits.iter().any(|w| w.reason == WaitReason::RaiseGate) {
            self.asked = Some(now);
            self.watch.ceilings = look::ceilings(&self.subject, &self.ports.clusters).await;
        }
    }

    pub(super) fn due(&self, now: Timestamp) -> bool {
        now.duration_since(self.watch.tried) >= self.poll()
    }

    pub(super) fn poll(&self) -> SignedDuration {
        signed(self.ease.apart(self.settings.poll))
    }

    pub(super) async fn look(&mut self) {
        let at = self.ports.clock.now();
        let mut seen = look::whole(&self.subject, &self.ports.balancer, &self.ports.clusters, &*self.ports.clock).await;
        let begun = self.ports.clock.now();
        if self.counted.is_none_or(|at| begun.duration_since(at) >= CENSUS)
            && !matches!(self.state.phase, Phase::RollingBack | Phase::Detaching)
        {
            self.counted = Some(begun);
            seen.census = look::census(&self.subject, &*self.ports.balancer.traffic).await;
        }
        let now = self.ports.clock.now();
        self.ease.looked(seen.throttled());
        self.watch.expect(self.settings.gap.max(self.ease.apart(self.settings.poll) * 3));
        self.watch.absorb(now, seen, true);
        self.seen = self.all_as_known().then_some(at);
        self.turn(now).await;
    }

    /// Informs the audience and writes the heartbeat.
    pub(super) async fn turn(&mut self, now: Timestamp) {
        self.audience.turn(&self.state, &self.watch, &self.waits, now);
        let message = self.waits.first().map_or_else(|| format!("step {}", self.state.step), |w| w.message.clone());
        self.sign(now, true, message).await;
    }

    pub(super) async fn sign(&self, at: Timestamp, watching: bool, message: String) {
        let Settings { owner, host, pid, .. } = self.settings.clone();
        let every = Some(self.ease.apart(self.settings.poll).as_secs());
        let look = Look { owner, host, pid, at, watching, message, seen: self.seen, every };
        if let Err(error) = self.ports.store.put_look(&self.state.run, &look).await {
            tracing::warn!("the run's heartbeat cannot be written: {error}; `status` may show the run as unguarded");
        }
    }
}
