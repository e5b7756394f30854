//! Observes everything once per poll interval, then notifies the subscribers and writes the heartbeat.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::RunLoop;
use super::census::CensusParts;
use crate::base::time::signed;
use crate::domain::decide::{self, Context};
use crate::domain::run::event::{Wait, WaitReason};
use crate::domain::run::observation::Observation;
use crate::domain::run::state::Phase;
use crate::domain::traffic::{FoundRoute, Reading, RouteId, Unreadable};
use crate::engine::Settings;
use crate::engine::observation::{self, Part};
use crate::port::store::{Heartbeat, OldestHealth};

/// The interval at which all rules are counted between two steps. A new rule is not urgent then, and a count takes
/// several calls. Before a share is raised, and before the end of the run, the rules are always counted.
const RULE_COUNT_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// The interval at which the rules are counted while a route of the run is deleted and no rule replaces it.
const REPLACEMENT_INTERVAL: SignedDuration = SignedDuration::from_secs(10);

impl RunLoop<'_> {
    /// Reads the autoscalers' limits while the increase of a share waits, because the limits may explain the wait.
    pub(super) async fn read_autoscalers(&mut self, waits: &[Wait], now: Timestamp) {
        let due = self.autoscalers_read_at.is_none_or(|at| now.duration_since(at) >= SignedDuration::from_mins(1));
        if due && waits.iter().any(|w| w.reason == WaitReason::RaiseGate) {
            self.autoscalers_read_at = Some(now);
            self.watch.autoscaler_limits =
                observation::read_autoscaler_limits(&self.watch_list, &self.ports.clusters).await;
        }
    }

    pub(super) fn observation_due(&self, now: Timestamp) -> bool {
        now.duration_since(self.watch.last_attempt) >= self.poll() || self.hints.found_suspect
    }

    /// Returns the time between two observations, or between two parts of an observation.
    pub(super) fn poll(&self) -> SignedDuration {
        signed(self.round() / u32::try_from(self.settings.parts).unwrap_or(u32::MAX))
    }

    /// Returns the time in which everything is observed once.
    fn round(&self) -> Duration {
        self.slowdown.stretch(self.settings.poll)
    }

    /// Observes everything, or the next part of a round.
    pub(super) async fn observe(&mut self) {
        let mut part = self.next_part();
        let at = self.ports.clock.now();
        let part_began = self.planned_time(at);
        let mut seen = observation::observe_part(
            &self.watch_list,
            &part,
            &self.ports.balancer,
            &self.ports.clusters,
            &*self.ports.clock,
        )
        .await;
        seen.census = self.list_routes_if_due(&seen).await;
        let now = self.ports.clock.now();
        self.slowdown.record_observation(seen.is_throttled());
        if self.settings.parts > 1 && self.hints.rounds.repeat_throttled(&part, &seen) {
            part.completes = None;
        }
        self.watch.set_max_gap(self.settings.gap.max(self.round() * 3));
        self.watch.add(now, seen, part.completes.is_some());
        // The parts of a round follow each other at the same pace, however long a part takes.
        self.watch.last_attempt = if self.settings.parts > 1 { part_began } else { now };
        for arn in &part.groups {
            if let Some(sample) = self.watch.samples_of(arn).back() {
                self.hints.rounds.record_reading(arn, sample.counts.healthy, sample.at);
            }
        }
        if let Some(began) = part.completes {
            self.seen_intact_at = self.matches_journal().then_some(began);
        }
        self.end_iteration(now).await;
    }

    /// Returns the time at which a part was due, if it begins only a little later. Otherwise many small delays would make
    /// a round longer.
    fn planned_time(&self, at: Timestamp) -> Timestamp {
        let planned = self.watch.last_attempt.checked_add(self.poll()).unwrap_or(at);
        let late = at.duration_since(planned);
        if !late.is_negative() && late < self.poll() / 2 { planned } else { at }
    }

    /// Lists all routes of the load balancers if this is due. In a large run, a list that is not urgent is read in parts.
    async fn list_routes_if_due(&mut self, seen: &Observation) -> Option<Reading<Vec<FoundRoute>>> {
        if matches!(self.state.phase, Phase::RollingBack | Phase::Retiring) {
            self.census = None;
            return None;
        }
        let now = self.ports.clock.now();
        let interval = self.rule_count_interval(seen);
        let urgent = interval < RULE_COUNT_INTERVAL;
        let due = self.rules_counted_at.is_none_or(|at| now.duration_since(at) >= interval);
        let traffic = &*self.ports.balancer.traffic;
        if due && (urgent || self.settings.parts <= 1) {
            (self.rules_counted_at, self.census) = (Some(now), None);
            return Some(Reading { at: now, value: observation::list_routes(&self.watch_list, traffic).await });
        }
        if due && self.census.is_none() {
            self.rules_counted_at = Some(now);
            self.census = Some(CensusParts::new(self.watch_list.load_balancers(), self.settings.parts, now));
        }
        let complete = self.census.as_mut()?.read_next(traffic).await;
        if complete.is_some() {
            self.census = None;
        }
        complete
    }

    /// Chooses the resources that the next part of a round reads. Groups with traffic, and groups that may be
    /// unhealthy, come first.
    fn next_part(&mut self) -> Part {
        let now = self.ports.clock.now();
        if self.settings.parts <= 1 {
            return self.watch_list.everything(now);
        }
        self.hints.found_suspect = false;
        let context = Context { plan: self.plan, state: &self.state, observed: &self.watch, now };
        // Without a new share or a new reading, the guard's verdict on a group stays the same.
        let is_judged =
            |arn: &str| self.state.shares_changed_at >= self.hints.judged_at || self.hints.rounds.is_recent(arn);
        let failing = decide::failing_groups(&context, is_judged);
        self.hints.rounds.set_failing(failing);
        self.hints.judged_at = now;
        let carrying = self.state.groups_with_traffic();
        let calls = self.watch_list.calls().div_ceil(self.settings.parts).max(2);
        self.hints.rounds.next(&self.watch_list, |arn| carrying.contains_key(arn), calls, now)
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
        } else if self.settings.parts > 1 {
            RULE_COUNT_INTERVAL.max(signed(self.round()))
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

    /// Returns the group with traffic whose health was read longest ago, if an observation has several parts.
    fn oldest_health(&self) -> Option<OldestHealth> {
        if self.settings.parts <= 1 {
            return None;
        }
        let read = |arn: &str| self.watch.samples_of(arn).back().map(|sample| sample.at);
        let carrying = self.state.groups_with_traffic();
        let arn = carrying.keys().min_by_key(|arn| read(arn))?;
        let group = self.state.started.groups.get(arn)?.name.clone();
        Some(OldestHealth { group, at: read(arn), noticed_by: self.hints.noticed_by(arn) })
    }

    pub(super) async fn write_heartbeat(&self, at: Timestamp, watching: bool, message: String) {
        let Settings { owner, host, pid, .. } = self.settings.clone();
        let every = Some(self.poll().unsigned_abs().as_secs());
        let heartbeat = Heartbeat {
            owner,
            host,
            pid,
            observed_at: at,
            guarding: watching,
            message,
            verified_at: self.seen_intact_at,
            interval_seconds: every,
            oldest_health: self.oldest_health(),
        };
        if let Err(error) = self.ports.store.put_heartbeat(&self.state.run, &heartbeat).await {
            tracing::warn!("the run's heartbeat cannot be written: {error}; `status` may show the run as unguarded");
        }
    }
}
