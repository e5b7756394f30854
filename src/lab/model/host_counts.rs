//! The counts of healthy and unhealthy targets that CloudWatch has: one sample a minute, available a minute later. A
//! sample is taken only when a client reads the counts, at most once a minute.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::World;
use super::group::LabTargetState;
use crate::domain::health::HostCounts;

/// The time between two samples, and the time until a sample is available.
const INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// The number of samples that are kept.
const KEPT: usize = 8;

/// The samples, oldest first: the time, and the counts of each group.
#[derive(Debug, Clone, Default)]
pub(super) struct HostSamples(VecDeque<(Timestamp, Vec<HostCounts>)>);

impl World {
    /// Takes a sample of every group, unless the last sample is less than a minute old.
    pub fn sample_hosts(&mut self) {
        let now = self.now;
        if self.host_samples.0.back().is_some_and(|(at, _)| now.duration_since(*at) < INTERVAL) {
            return;
        }
        let count = |group: &super::Group, wanted: fn(&LabTargetState) -> bool| {
            u32::try_from(group.targets.values().filter(|target| wanted(&target.state)).count()).unwrap_or(u32::MAX)
        };
        let sample = self.groups.iter().map(|group| HostCounts {
            healthy: count(group, |state| *state == LabTargetState::Healthy),
            unhealthy: count(group, |state| matches!(state, LabTargetState::Unhealthy(_))),
        });
        self.host_samples.0.push_back((now, sample.collect()));
        if self.host_samples.0.len() > KEPT {
            self.host_samples.0.pop_front();
        }
    }

    /// Returns the newest counts of a group between two times that are available. `group` is the group's ARN or its end.
    pub fn host_counts(&self, group: &str, from: Timestamp, to: Timestamp) -> Option<HostCounts> {
        let index = self.group_index.get(group).copied();
        let index = index.or_else(|| self.groups.iter().position(|g| g.arn.ends_with(group)))?;
        let available = self.now.checked_sub(INTERVAL).ok()?.min(to);
        let mut newest = self.host_samples.0.iter().rev();
        let (_, sample) = newest.find(|(at, _)| *at <= available && from <= *at)?;
        sample.get(index).copied()
    }
}
