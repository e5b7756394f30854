//! Registration of targets, and what happens to targets when a group is attached to a route or detached.

use std::sync::Arc;
use std::time::Duration;

use super::group::{LabTargetState, RegisteredTarget};
use super::queue::{LabEvent, TargetRef};
use super::{World, weights};
use crate::base::time::later;

impl World {
    /// Registers a target. Nothing changes for a registered target; a draining target is registered again.
    pub(crate) fn register(&mut self, group: usize, id: &str, port: u16, pod: Option<super::PodId>) {
        let key = (Arc::<str>::from(id), port);
        let known = self.groups[group].targets.get_mut(&key);
        if let Some(target) = known
            && !matches!(target.state, LabTargetState::Draining(_))
        {
            target.pod = pod.or(target.pod);
            return;
        }
        let pod = pod.or_else(|| id.parse().ok().and_then(|ip| self.pod_by_ip.get(&ip).copied()));
        self.registrations += 1;
        let registration = self.registrations;
        let number: u32 = id.bytes().map(u32::from).sum();
        let zone = format!("{}{}", self.region, if number.is_multiple_of(2) { "a" } else { "c" });
        let attached = !self.groups[group].attached.is_empty();
        let state = if attached { LabTargetState::Registering } else { LabTargetState::Unused };
        self.groups[group]
            .targets
            .insert(key.clone(), RegisteredTarget { registration, pod, zone, state, passed: 0, failed: 0 });
        self.groups[group].routable = None;
        let delay = self.latency.registration.0.mul_f64(0.5 + self.random.f64());
        self.schedule_in(delay, LabEvent::Registered(TargetRef { group, id: key.0, port, registration }));
    }

    /// Deregisters a target. It drains for the deregistration delay of the group, or is removed at once if the group is
    /// not attached.
    pub(crate) fn deregister(&mut self, group: usize, id: &str, port: u16) {
        let until = later(self.now, self.groups[group].deregistration_delay());
        let delay = self.groups[group].deregistration_delay();
        let key = (Arc::<str>::from(id), port);
        let Some(target) = self.groups[group].targets.get_mut(&key) else { return };
        match target.state {
            LabTargetState::Draining(_) => return,
            LabTargetState::Unused => {
                self.groups[group].targets.remove(&key);
            }
            _ => {
                target.state = LabTargetState::Draining(until);
                let registration = target.registration;
                self.schedule_in(delay, LabEvent::Drained(TargetRef { group, id: key.0, port, registration }));
            }
        }
        self.groups[group].routable = None;
    }

    pub(super) fn remove_drained(&mut self, target: &TargetRef) {
        let key = (Arc::clone(&target.id), target.port);
        let group = &mut self.groups[target.group];
        if group
            .targets
            .get(&key)
            .is_some_and(|t| t.registration == target.registration && matches!(t.state, LabTargetState::Draining(_)))
        {
            group.targets.remove(&key);
            group.routable = None;
        }
    }

    /// Completes the registration of a target. Health checks start if the group is attached.
    pub(super) fn finish_registration(&mut self, target: &TargetRef) {
        let group = &self.groups[target.group];
        let state = match (group.attached.is_empty(), group.check.enabled) {
            (true, _) => LabTargetState::Unused,
            (false, true) => LabTargetState::Checking,
            (false, false) => LabTargetState::Unchecked,
        };
        let interval = group.check.interval;
        let Some(found) = self.target_mut(target) else { return };
        if matches!(found.state, LabTargetState::Registering | LabTargetState::Unused) {
            found.state = state;
            self.groups[target.group].routable = None;
            // Spread the checks of a group's targets over the interval.
            let delay = interval.mul_f64(self.random.f64() * 0.5);
            self.schedule_in(delay, LabEvent::Probe(target.clone()));
        }
    }

    pub(super) fn target_mut(&mut self, target: &TargetRef) -> Option<&mut RegisteredTarget> {
        let key = (Arc::clone(&target.id), target.port);
        self.groups[target.group].targets.get_mut(&key).filter(|t| t.registration == target.registration)
    }

    /// Recomputes which groups are attached. Must be called after every change of actions. Targets of a newly attached
    /// group are registered again; targets of a detached group are no longer checked.
    pub(crate) fn update_attachments(&mut self) {
        let mut attached = vec![Vec::new(); self.groups.len()];
        for route in self.routes.iter().filter(|r| !r.deleted) {
            let balancer = self.listeners[route.listener].balancer;
            for (arn, _) in weights(&route.actions) {
                if let Some(group) = self.group_index.get(arn)
                    && !attached[*group].contains(&balancer)
                {
                    attached[*group].push(balancer);
                }
            }
        }
        for (group, now_on) in attached.into_iter().enumerate() {
            let (was, is) = (!self.groups[group].attached.is_empty(), !now_on.is_empty());
            self.groups[group].attached = now_on;
            if was != is {
                self.groups[group].routable = None;
                self.apply_attachment_change(group, is);
            }
        }
    }

    fn apply_attachment_change(&mut self, group: usize, used: bool) {
        let mut planned = Vec::new();
        for ((id, port), target) in &mut self.groups[group].targets {
            match (&target.state, used) {
                (LabTargetState::Unused, true) => {
                    target.state = LabTargetState::Registering;
                    planned.push(TargetRef {
                        group,
                        id: Arc::clone(id),
                        port: *port,
                        registration: target.registration,
                    });
                }
                (LabTargetState::Draining(_), _) | (_, true) => {}
                (_, false) => {
                    target.state = LabTargetState::Unused;
                    (target.passed, target.failed) = (0, 0);
                }
            }
        }
        for target in planned {
            let delay = self.latency.registration.0.mul_f64(0.5 + self.random.f64());
            self.schedule_in(delay.max(Duration::from_millis(1)), LabEvent::Registered(target));
        }
    }
}
