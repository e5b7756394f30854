//! Observes everything once per poll interval, then notifies the subscribers and writes the heartbeat.

use jiff::{SignedDuration, Timestamp};

use super::RunLoop;
use crate::base::time::signed;
use crate::domain::run::event::{Wait, WaitReason};
use crate::domain::run::observation::Observation;
use crate::domain::run::state::Phase;
use crate::domain::traffic::{Reading, RouteId, Unreadable};
use crate::engine::{Settings, observation};
use crate::port::store::Heartbeat;

/// The interval at which all rules are counted between two steps. A new rule is not urgent there, and a count takes
/// several calls. Before a raise and before the end of the run, the rules are counted in any case.
const RULE_COUNT_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// The interval at which the rules are counted while a route of the run is deleted and no rule replaces it.
const REPLACEMENT_INTERVAL: SignedDuration = SignedDuration::from_secs(10);

impl RunLoop<'_> {
    /// Reads the autoscalers' limits while a raise waits, because the limits may explain the wait.
    pub(super) async fn read_autoscalers(&mut self, waits: &[Wait], now: Timestamp) {
        let due = self.autoscalers_read_at.is_none_or(|at| now.duration_since(at) >= SignedDuration::from_mins(1));
        if due && waits.iter().any(|w| w.reason == WaitReason::RaiseGate) {
            self.autoscalers_read_at = Some(now);
            self.watch.autoscaler_limits =
                observation::read_autoscaler_limits(&self.watch_list, &self.ports.clusters).await;
        }
    }

    pub(super) fn observation_due(&self, now: Timestamp) -> bool {
        now.duration_since(self.watch.last_attempt) >= self.poll()
    }

    pub(super) fn poll(&self) -> SignedDuration {
        signed(self.slowdown.stretch(self.settings.poll))
    }

    pub(super) async fn observe(&mut self) {
        let at = self.ports.clock.now();
        let mut seen =
            observation::observe_all(&self.watch_list, &self.ports.balancer, &self.ports.clusters, &*self.ports.clock)
                .await;
        let count_started_at = self.ports.clock.now();
        let interval = self.rule_count_interval(&seen);
        if self.rules_counted_at.is_none_or(|at| count_started_at.duration_since(at) >= interval)
            && !matches!(self.state.phase, Phase::RollingBack | Phase::Retiring)
        {
            self.rules_counted_at = Some(count_started_at);
            let value = observation::list_routes(&self.watch_list, &*self.ports.balancer.traffic).await;
            seen.census = Some(Reading { at, value });
        }
        let now = self.ports.clock.now();
        self.slowdown.record_observation(seen.is_throttled());
        self.watch.set_max_gap(self.settings.gap.max(self.slowdown.stretch(self.settings.poll) * 3));
        self.watch.add(now, seen, true);
        self.seen_intact_at = self.matches_journal().then_some(at);
        self.end_iteration(now).await;
    }

    /// Returns the time between two counts of the rules. A rule that replaces a deleted route is urgent, because the
    /// freeze names it.
    fn rule_count_interval(&self, seen: &Observation) -> SignedDuration {
        let deleted =
            |id: &RouteId| matches!(seen.routes.get(id), Some(Reading { value: Err(Unreadable::NotFound(_)), .. }));
        let routes = || self.state.routes.iter();
        if self.watch.census_error.is_some() || routes().any(|(id, route)| !route.is_deleted() && deleted(id)) {
            SignedDuration::ZERO
        } else if routes().any(|(_, route)| route.is_deleted() && self.state.replacements(route).next().is_none()) {
            REPLACEMENT_INTERVAL
        } else {
            RULE_COUNT_INTERVAL
        }
    }

    /// Adds readings that a decision requires between two full observations.
    pub(super) async fn add_readings(&mut self, seen: Observation) {
        let now = self.ports.clock.now();
        self.watch.add(now, seen, false);
        // If the readings are still too old, the next observation follows.
        self.end_iteration(now).await;
        tokio::task::yield_now().await;
    }

    /// Notifies the subscribers and writes the heartbeat.
    pub(super) async fn end_iteration(&mut self, now: Timestamp) {
        self.subscriber.iteration_ended(&self.state, &self.watch, &self.waits, now);
        let message = self.waits.first().map_or_else(|| format!("step {}", self.state.step), |w| w.message.clone());
        self.write_heartbeat(now, true, message).await;
    }

    pub(super) async fn write_heartbeat(&self, at: Timestamp, watching: bool, message: String) {
        let Settings { owner, host, pid, .. } = self.settings.clone();
        let every = Some(self.slowdown.stretch(self.settings.poll).as_secs());
        let heartbeat = Heartbeat {
            owner,
            host,
            pid,
            observed_at: at,
            guarding: watching,
            message,
            verified_at: self.seen_intact_at,
            interval_seconds: every,
        };
        if let Err(error) = self.ports.store.put_heartbeat(&self.state.run, &heartbeat).await {
            tracing::warn!("the run's heartbeat cannot be written: {error}; `status` may show the run as unguarded");
        }
    }
}
