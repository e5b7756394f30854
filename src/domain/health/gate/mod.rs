//! Evaluates the target health gates over samples of one group: `raise` before a raise (an increase of a share),
//! `guard` while the group has traffic. The caller supplies the samples. Do not read health here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::base::number::count;
use crate::base::time::later;
use crate::domain::health::HealthCounts;
use crate::domain::health::{Target, TargetState};
use crate::plan::model::{GuardGate, RaiseGate};

/// One reading of a group's targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The time at which the reading was requested.
    pub at: Timestamp,
    /// The number of targets in each state.
    pub counts: HealthCounts,
    /// The number of healthy targets by zone, for targets with a zone.
    pub zones: BTreeMap<String, u32>,
    /// The number of unavailable targets whose health checks are off, such as a Lambda function by default. The health
    /// of these targets is unknown, and the load balancer sends requests to them.
    pub unchecked: u32,
    /// The load balancer's explanation for most of the unused targets; `None` if no target is unused.
    pub unused: Option<String>,
}

/// Samples of one group, oldest first. The caller removes samples before a long gap.
pub type Samples = VecDeque<Sample>;

/// The health that a group needs before its share is raised.
#[derive(Debug, Clone, PartialEq)]
pub struct RaiseNeed {
    /// The group's share after the increase, in percent.
    pub share: u32,
    /// The number of healthy targets that the group must have in total.
    pub healthy: u32,
    /// The number of healthy targets that the group must have in each of these zones; empty if cross-zone load
    /// balancing is on.
    pub zones: BTreeMap<String, u32>,
    /// The percentage of the registered targets that must be healthy.
    pub percent: f64,
    /// How long these conditions must be met without interruption.
    pub stable_for: Duration,
}

/// The verdict of the raise gate.
#[derive(Debug, Clone, PartialEq)]
pub enum RaiseVerdict {
    /// The gate passes, and the larger share may be written.
    Holds,
    /// The group is healthy enough, but not for long enough. The gate can pass at this time at the earliest.
    NotBefore(Timestamp),
    /// The group is not healthy enough, for this reason.
    Shortfall(String),
    /// The health is unknown, because there is no fresh sample.
    Unknown,
}

/// The verdict of the guard.
#[derive(Debug, Clone, PartialEq)]
pub enum GuardVerdict {
    /// The group is healthy enough.
    Passing,
    /// The group is not healthy enough since this time, for this reason, but not long enough to fail.
    Failing(Timestamp, String),
    /// The guard has failed, for this reason.
    Failed(String),
    /// The health is unknown, because there is no sample.
    Unknown,
}

/// Maximum age of a fresh sample.
pub const MAX_SAMPLE_AGE: SignedDuration = SignedDuration::from_secs(10);

/// The guard fails if the capacity is below this fraction of the capacity that the current share needs.
const GUARD_CAPACITY: f64 = 0.7;

impl Sample {
    /// Counts the targets by state, and the healthy targets by zone.
    pub fn of(at: Timestamp, targets: &[Target]) -> Self {
        let unused = reason_of_unused(targets);
        let mut sample = Self { at, counts: HealthCounts::default(), zones: BTreeMap::new(), unchecked: 0, unused };
        for target in targets {
            let counts = &mut sample.counts;
            *match target.state {
                TargetState::Healthy => &mut counts.healthy,
                TargetState::Initial => &mut counts.initial,
                TargetState::Unhealthy => &mut counts.unhealthy,
                TargetState::Unused => &mut counts.unused,
                TargetState::Draining => &mut counts.draining,
                TargetState::Unavailable => &mut counts.unavailable,
            } += 1;
            sample.unchecked += u32::from(target.is_unchecked());
            if let (TargetState::Healthy, Some(zone)) = (target.state, &target.zone) {
                *sample.zones.entry(zone.clone()).or_default() += 1;
            }
        }
        sample
    }

    /// Returns the number of healthy targets; `None` if none is known to be healthy but some are not checked.
    pub fn healthy(&self) -> Option<u32> {
        (self.counts.healthy > 0 || self.unchecked == 0).then_some(self.counts.healthy)
    }

    /// Returns the number of registered targets, without draining targets.
    pub fn registered(&self) -> u32 {
        let c = self.counts;
        c.healthy + c.initial + c.unhealthy + c.unused + c.unavailable
    }

    fn shortfall(&self, need: &RaiseNeed) -> Option<String> {
        let why = self.counts_short_of(need)?;
        let unused = self.unused.as_ref().map(|reason| format!("; {} unused: {reason}", self.counts.unused));
        Some(why + &unused.unwrap_or_default())
    }

    fn counts_short_of(&self, need: &RaiseNeed) -> Option<String> {
        let (healthy, registered) = (self.counts.healthy, self.registered());
        if healthy < need.healthy {
            let needed = count(usize::try_from(need.healthy).unwrap_or(usize::MAX), "healthy target");
            return Some(format!("has {healthy} of the {needed} that {} % needs", need.share));
        }
        let percent = percentage(healthy, registered);
        if percent < need.percent {
            return Some(format!(
                "has {healthy} of {registered} targets healthy ({percent:.0} %); {} % are needed",
                need.percent
            ));
        }
        need.zones.iter().find_map(|(zone, wanted)| {
            let has = self.zones.get(zone).copied().unwrap_or(0);
            (has < *wanted).then(|| {
                format!("has {has} of the {wanted} healthy targets in zone {zone} that {} % needs", need.share)
            })
        })
    }
}

/// Returns the most frequent explanation of unused targets; `None` if no unused target has an explanation.
fn reason_of_unused(targets: &[Target]) -> Option<String> {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for target in targets.iter().filter(|target| target.state == TargetState::Unused) {
        let reason = target.explanation.as_deref().or(target.reason.as_deref());
        *reasons.entry(reason.unwrap_or_default()).or_default() += 1;
    }
    let (reason, _) = reasons.into_iter().filter(|(reason, _)| !reason.is_empty()).max_by_key(|(_, count)| *count)?;
    Some(reason.to_owned())
}

/// Returns the health that a share of `share` percent requires of a group: the number of healthy targets is the larger
/// of `minHealthy` and share × `capacity` × `total`. `total` is the larger of the baseline and the current healthy
/// total. Each of `zones` must have an equal part of this number; `zones` is empty if cross-zone load balancing is on.
pub fn need(gate: &RaiseGate, share: u32, total: u32, zones: &[String], interval: Duration) -> RaiseNeed {
    let capacity = gate.capacity * f64::from(share) / 100.0 * f64::from(total);
    let per_zone =
        if zones.is_empty() { 0 } else { ceil(capacity / f64::from(u32::try_from(zones.len()).unwrap_or(u32::MAX))) };
    RaiseNeed {
        share,
        healthy: gate.min_healthy.max(ceil(capacity)),
        zones: zones.iter().map(|z| (z.clone(), gate.min_healthy.max(per_zone))).collect(),
        percent: gate.min_healthy_percent,
        stable_for: gate.stable_for.unwrap_or(interval * 3),
    }
}

/// Evaluates the raise gate of a group. To pass, the group needs at least two samples, and the last sample must not be
/// older than `fresh`.
pub fn raise(samples: &Samples, need: &RaiseNeed, fresh: SignedDuration, now: Timestamp) -> RaiseVerdict {
    let Some(last) = samples.back().filter(|s| now.duration_since(s.at) <= fresh) else { return RaiseVerdict::Unknown };
    if let Some(short) = last.shortfall(need) {
        return RaiseVerdict::Shortfall(short);
    }
    let good_samples: Vec<_> = samples.iter().rev().take_while(|s| s.shortfall(need).is_none()).collect();
    let since = good_samples.last().map_or(last.at, |s| s.at);
    let until = later(since, need.stable_for);
    if good_samples.len() >= 2 && until <= now { RaiseVerdict::Holds } else { RaiseVerdict::NotBefore(until.max(now)) }
}

/// Evaluates the guard of a group that has `share` percent of the traffic. `total` has the same meaning as for
/// [`need`]. Targets in state `initial` and `unused` and targets without health checks do not count.
pub fn guard(
    samples: &Samples,
    gate: &GuardGate,
    share: u32,
    total: u32,
    capacity: f64,
    now: Timestamp,
) -> GuardVerdict {
    let Some(last) = samples.back() else { return GuardVerdict::Unknown };
    if last.healthy() == Some(0) {
        return GuardVerdict::Failed(format!("has no healthy target{}", state_list(last)));
    }
    let bound = capacity * GUARD_CAPACITY * f64::from(share) / 100.0 * f64::from(total);
    let why = |s: &Sample| -> Option<String> {
        let checked = s.counts.healthy + s.counts.unhealthy + s.counts.unavailable - s.unchecked;
        if checked == 0 && s.unchecked > 0 {
            return None;
        }
        let percent = percentage(s.counts.healthy, checked);
        if percent < gate.min_healthy_percent {
            return Some(format!(
                "has {} of {checked} targets healthy ({percent:.0} %); at least {} % are needed",
                s.counts.healthy, gate.min_healthy_percent
            ));
        }
        (f64::from(s.counts.healthy) < bound && s.unchecked == 0).then(|| {
            format!("has {} healthy targets; {share} % of the traffic needs at least {}", s.counts.healthy, ceil(bound))
        })
    };
    let Some(message) = why(last) else { return GuardVerdict::Passing };
    let since = samples.iter().rev().take_while(|s| why(s).is_some()).last().map_or(last.at, |s| s.at);
    if later(since, gate.for_) <= now && last.at != since {
        GuardVerdict::Failed(message)
    } else {
        GuardVerdict::Failing(since, message)
    }
}

/// Returns the number of targets in each state that is not healthy, such as ` (4 unhealthy)`; empty if all are healthy.
pub fn state_list(sample: &Sample) -> String {
    let c = sample.counts;
    let states = [
        (c.unhealthy, "unhealthy"),
        (c.initial, "initial"),
        (c.unused, "unused"),
        (c.draining, "draining"),
        (c.unavailable, "unavailable"),
    ];
    let states: Vec<_> = states.iter().filter(|(n, _)| *n > 0).map(|(n, name)| format!("{n} {name}")).collect();
    if states.is_empty() { String::new() } else { format!(" ({})", states.join(", ")) }
}

fn percentage(part: u32, whole: u32) -> f64 {
    if whole == 0 { 0.0 } else { f64::from(part) * 100.0 / f64::from(whole) }
}

/// Rounds up to a whole number from 0 to `u32::MAX`. A tiny excess from floating-point errors is ignored.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates, and the value is never negative
pub fn ceil(value: f64) -> u32 {
    (value - 1e-9).ceil().max(0.0) as u32
}

#[cfg(test)]
mod tests;
