//! Health checks of targets: when a check is due, who runs it, and what its result changes.

use std::sync::Arc;

use jiff::Timestamp;

use super::group::LabTargetState;
use super::queue::{LabEvent, TargetRef};
use super::{PodAnswer, Probe, ProbeResult, Requester, World};

impl World {
    /// Returns the health checks that the caller must run now. Empty if the model runs the checks itself.
    pub fn probes_due(&mut self, now: Timestamp) -> Vec<Probe> {
        self.advance(now);
        std::mem::take(&mut self.probes)
    }

    /// Records the result of a health check that the caller ran.
    pub fn report_probe(&mut self, probe: &Probe, result: ProbeResult, now: Timestamp) {
        self.advance(now);
        let Some(group) = self.group_index.get(&probe.group).copied() else { return };
        let found = self.groups[group].targets.iter().find(|(_, t)| t.registration == probe.registration);
        let Some(((id, port), _)) = found else { return };
        let target = TargetRef { group, id: Arc::clone(id), port: *port, registration: probe.registration };
        self.record_probe(&target, result);
    }

    pub(super) fn probe(&mut self, target: &TargetRef) {
        let Some(found) = self.target_mut(target) else { return };
        if !found.state.checked() {
            return;
        }
        let pod = found.pod;
        let check = &self.groups[target.group].check;
        let (interval, timeout) = (check.interval, check.timeout);
        let port = check.port.parse().unwrap_or(target.port);
        let path = Arc::clone(&check.path);
        self.schedule_in(interval, LabEvent::Probe(target.clone()));
        if !self.self_probing {
            let pod_ip = pod.and_then(|p| self.pods.get(p.0 as usize)).map(|p| p.ip);
            let ip = pod_ip.or_else(|| target.id.parse().ok()).unwrap_or(std::net::Ipv4Addr::UNSPECIFIED);
            let group = Arc::clone(&self.groups[target.group].arn);
            let registration = target.registration;
            self.probes.push(Probe { group, pod, ip, target_port: target.port, port, path, timeout, registration });
            return;
        }
        let answer = pod.map_or(PodAnswer::Silent, |pod| self.respond(pod, Requester::HealthCheck));
        match answer {
            PodAnswer::Status { status, delay } if delay < timeout => {
                self.record_probe(target, ProbeResult::Status(status));
            }
            PodAnswer::Refused => self.record_probe(target, ProbeResult::Refused),
            _ => self.schedule_in(timeout, LabEvent::Probed(target.clone(), ProbeResult::Timeout)),
        }
    }

    pub(super) fn record_probe(&mut self, target: &TargetRef, result: ProbeResult) {
        let check = self.groups[target.group].check.clone();
        let Some(found) = self.target_mut(target).filter(|t| t.state.checked()) else { return };
        let before = found.state.clone();
        found.record_check(&check, result);
        if found.state == before {
            return;
        }
        let (state, pod) = (found.state.clone(), found.pod);
        self.groups[target.group].routable = None;
        if let Some(pod) = pod
            && state == LabTargetState::Healthy
        {
            self.pass_readiness_gates(pod);
        }
    }
}
