//! The faults of a scenario. The lab has no other source of failures.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::build::cluster_name;
use super::cluster::NamespacedName;
use super::difference::Changed;
use super::pod::{ErrorFault, Phase};
use super::queue::LabEvent;
use super::unhappened::Effect;
use super::{OperatorRequest, PodId, World};
use crate::base::duration::format_exact;
use crate::base::time::later;
use crate::lab::scenario::fault::{Fault, GateResult, ShareReached};
use crate::lab::scenario::period::Period;
use crate::lab::scenario::places::Places;

/// The faults of the scenario, and the faults that are active now.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    pub list: Vec<Fault>,
    /// Where the faults are in the file of the scenario.
    pub places: Places,
    /// For each fault, by index: whether its condition has been met.
    pub triggered: Vec<bool>,
    /// For each fault, by index: whether it has happened.
    pub effects: Vec<Effect>,
    /// Whether the AWS API is unreachable.
    pub aws_down: bool,
    /// Indices of the clusters whose API is unreachable.
    pub clusters_down: Vec<usize>,
    /// Whether the AWS credentials have expired.
    pub expired: bool,
    /// Percentage of the AWS calls that are throttled.
    pub throttled: u32,
    /// Remaining fraction of the token buckets' burst and fill rate, 0–1.
    pub capacity: f64,
    /// The age of the state that reads return.
    pub stale: Duration,
    /// Writes that will get no response: for each, the delay after which it takes effect; `None` if it never takes
    /// effect.
    pub unanswered_writes: Vec<Option<Duration>>,
    /// If set, the process must crash now and restart after this time.
    pub crash: Option<Duration>,
    pub requests: Vec<OperatorRequest>,
    /// Results of the metric gates that do not pass, by gate name, each with the index of its fault.
    pub gates: BTreeMap<String, (GateResult, usize)>,
    /// Names of the commands and hooks that fail (`true` if the undo command fails instead), each with the index of its
    /// fault.
    pub hooks: BTreeMap<(String, bool), usize>,
    /// The earlier state of the parts that each fault `differ` changed, by the index of the fault.
    pub changed: BTreeMap<usize, Vec<Changed>>,
    /// Messages that describe what the faults have done, with their times.
    pub messages: Vec<(Timestamp, String)>,
}

impl Faults {
    pub fn new(list: Vec<Fault>, places: Places) -> Self {
        Self {
            places,
            triggered: vec![false; list.len()],
            effects: vec![Effect::NotBegun; list.len()],
            list,
            aws_down: false,
            clusters_down: Vec::new(),
            expired: false,
            throttled: 0,
            capacity: 1.0,
            stale: Duration::ZERO,
            unanswered_writes: Vec::new(),
            crash: None,
            requests: Vec::new(),
            gates: BTreeMap::new(),
            hooks: BTreeMap::new(),
            changed: BTreeMap::new(),
            messages: Vec::new(),
        }
    }
}

impl World {
    /// Records that the run starts a step, because faults may wait for this step.
    pub fn step_started(&mut self, number: usize, name: Option<&str>, now: Timestamp) {
        self.advance(now);
        for index in 0..self.faults.list.len() {
            let wanted = self.faults.list[index].at.step.as_deref();
            let this = wanted.is_some_and(|w| Some(w) == name || w.parse() == Ok(number));
            self.trigger_fault(index, this);
        }
    }

    /// Returns the operator requests that the scenario has sent since the last call.
    pub fn operator_requests(&mut self, now: Timestamp) -> Vec<OperatorRequest> {
        self.advance(now);
        std::mem::take(&mut self.faults.requests)
    }

    /// Returns after how long to restart the process, if a fault makes it crash now. Later calls return `None`.
    pub fn crash_due(&mut self, now: Timestamp) -> Option<Duration> {
        self.advance(now);
        self.faults.crash.take()
    }

    /// Returns the messages that describe what the faults have done so far, with their times.
    pub fn fault_messages(&self) -> &[(Timestamp, String)] {
        &self.faults.messages
    }

    /// Triggers the faults whose condition on shares is met. Must be called after every write.
    pub(crate) fn check_share_faults(&mut self) {
        for index in 0..self.faults.list.len() {
            let holds = !self.faults.triggered[index]
                && self.faults.list[index].at.share.clone().is_some_and(|s| self.has_reached_share(&s));
            self.trigger_fault(index, holds);
        }
    }

    fn has_reached_share(&self, wanted: &ShareReached) -> bool {
        let Some(cluster) = self.cluster_index(&wanted.cluster) else { return false };
        let Some((low, high)) = self.written_share_range(cluster) else { return false };
        // Weights are integers, so a share counts as reached at a difference of half a percentage point.
        wanted.at_least.is_none_or(|least| low * 100.0 >= least - 0.5)
            && wanted.at_most.is_none_or(|most| high * 100.0 <= most + 0.5)
    }

    fn trigger_fault(&mut self, index: usize, holds: bool) {
        if holds && !self.faults.triggered[index] {
            self.faults.triggered[index] = true;
            let delay = self.faults.list[index].at.after.0;
            self.schedule_in(delay, LabEvent::Fault(index));
        }
    }

    pub(super) fn cluster_index(&self, name: &str) -> Option<usize> {
        let name = cluster_name(&self.plan, name);
        self.clusters.iter().position(|c| &*c.name == name)
    }

    pub(super) fn begin_fault(&mut self, index: usize) {
        let fault = self.faults.list[index].clone();
        self.add_fault_message(index, "begins", &fault);
        let missing = self.missing_workload(&fault);
        self.begin_on_pods(index, &fault);
        self.begin_on_clusters(&fault);
        if let Some(differ) = &fault.differ {
            let changed = self.differ(differ);
            self.faults.changed.insert(index, changed);
        }
        self.begin_on_aws(&fault);
        let foreign = self.begin_on_rules(&fault).err();
        let instance = fault.haproxy.as_ref().and_then(|fault| self.begin_on_instance(fault).err());
        self.faults.effects[index] = match missing.or(foreign).or(instance) {
            Some(reason) => Effect::NoTarget(reason),
            None if fault.gate.is_some() || fault.hook.is_some() => Effect::NotAsked,
            None => Effect::Happened,
        };
        if let Some(crash) = &fault.crash {
            self.faults.crash = Some(crash.down.0);
        }
        self.faults.requests.extend(fault.operator);
        self.faults.gates.extend(fault.gate.iter().map(|gate| (gate.name.clone(), (gate.says, index))));
        self.faults.hooks.extend(fault.hook.iter().map(|hook| ((hook.name.clone(), hook.undo), index)));
        if let Some(lasts) = fault.lasts() {
            self.schedule_in(lasts, LabEvent::FaultEnds(index));
        }
    }

    fn begin_on_rules(&mut self, fault: &Fault) -> Result<(), String> {
        if let Some(write) = &fault.foreign_write {
            self.apply_foreign_write(write)?;
        }
        if let Some(rule) = &fault.delete_rule {
            self.apply_foreign_delete(rule)?;
        }
        if let Some(remake) = &fault.remake_rule {
            self.apply_foreign_remake(remake)?;
        }
        if let Some(change) = &fault.change_conditions {
            self.apply_foreign_conditions(change)?;
        }
        Ok(())
    }

    fn add_fault_message(&mut self, index: usize, verb: &str, fault: &Fault) {
        let line = self.faults.places.line_of_fault(index).map_or_else(String::new, |line| format!(" (line {line})"));
        let text = format!("fault {}{line} {verb}: {}", index + 1, fault.description());
        self.faults.messages.push((self.now, text));
    }

    fn begin_on_pods(&mut self, index: usize, fault: &Fault) {
        if let Some(kill) = &fault.kill {
            for pod in self.affected_pods(&kill.cluster, kill.workload.as_deref(), kill.percent) {
                self.set_dead(pod, true);
            }
        }
        if let Some(slow) = &fault.slow {
            for pod in self.affected_pods(&slow.cluster, slow.workload.as_deref(), slow.percent) {
                self.pods[pod.0 as usize].faults.slow = slow.by.0;
            }
        }
        if let Some(error) = &fault.error {
            for pod in self.affected_pods(&error.cluster, error.workload.as_deref(), error.percent) {
                let percent = error.requests.unwrap_or(100).min(100);
                let failing = ErrorFault {
                    status: error.status.unwrap_or(500),
                    percent,
                    clients_only: error.clients_only,
                    due: Cell::default(),
                };
                self.pods[pod.0 as usize].faults.error = Some(failing);
            }
        }
        if let Some(flap) = &fault.flap {
            self.flap(index, true, flap.times);
        }
    }

    /// Stops or restarts flapping pods.
    pub(super) fn flap(&mut self, index: usize, down: bool, left: Option<u32>) {
        let Some(flap) = self.faults.list[index].flap.clone() else { return };
        if left == Some(0) {
            return;
        }
        for pod in self.affected_pods(&flap.cluster, flap.workload.as_deref(), flap.percent) {
            self.set_dead(pod, down);
        }
        let left = if down { left } else { left.map(|n| n - 1) };
        self.schedule_in(
            if down { flap.down.0 } else { flap.up.0 },
            LabEvent::Flap { fault: index, down: !down, left },
        );
    }

    fn begin_on_clusters(&mut self, fault: &Fault) {
        if let Some(scale) = &fault.scale {
            for (cluster, deployment) in self.deployments(&scale.cluster, scale.workload.as_deref()) {
                self.rescale(cluster, &deployment, scale.replicas, scale.min, scale.max);
            }
        }
        if let Some(deploy) = &fault.deploy {
            for (cluster, deployment) in self.deployments(&deploy.cluster, deploy.workload.as_deref()) {
                self.roll_out_version(cluster, &deployment, deploy.health_status.unwrap_or(200));
            }
        }
        if let Some(partition) = &fault.partition {
            self.faults.aws_down |= partition.aws;
            let cluster = partition.cluster.as_deref().and_then(|c| self.cluster_index(c));
            self.faults.clusters_down.extend(cluster);
        }
        if let Some(repair) = &fault.repair {
            self.repair(repair.cluster.as_deref());
        }
    }

    fn begin_on_aws(&mut self, fault: &Fault) {
        if let Some(throttle) = &fault.throttle {
            self.faults.throttled = throttle.percent.min(100);
            self.faults.capacity = f64::from(throttle.capacity.unwrap_or(100).min(100)) / 100.0;
        }
        if let Some(stale) = &fault.stale {
            self.faults.stale = stale.by.0;
        }
        if let Some(late) = &fault.late_write {
            let writes = usize::try_from(late.writes.unwrap_or(1)).unwrap_or(1).min(10_000);
            self.faults.unanswered_writes.extend(std::iter::repeat_n(late.by.map(|p| p.0), writes));
        }
        self.faults.expired |= fault.expire_credentials.is_some();
    }

    pub(super) fn end_fault(&mut self, index: usize) {
        let fault = self.faults.list[index].clone();
        self.add_fault_message(index, "ends", &fault);
        if let Some(kill) = &fault.kill {
            self.clear_pod_faults(&kill.cluster, kill.workload.as_deref());
        }
        if let Some(slow) = &fault.slow {
            self.clear_pod_faults(&slow.cluster, slow.workload.as_deref());
        }
        if let Some(error) = &fault.error {
            self.clear_pod_faults(&error.cluster, error.workload.as_deref());
        }
        if let Some(partition) = &fault.partition {
            self.faults.aws_down &= !partition.aws;
            let cluster = partition.cluster.as_deref().and_then(|c| self.cluster_index(c));
            self.faults.clusters_down.retain(|c| Some(*c) != cluster);
        }
        let changed = self.faults.changed.remove(&index).unwrap_or_default();
        self.restore(changed);
        if fault.throttle.is_some() {
            (self.faults.throttled, self.faults.capacity) = (0, 1.0);
        }
        if fault.stale.is_some() {
            self.faults.stale = Duration::ZERO;
        }
        self.faults.expired &= fault.expire_credentials.is_none();
        if let Some(fault) = &fault.haproxy {
            self.end_on_instance(fault);
        }
        if let Some(gate) = &fault.gate {
            self.faults.gates.remove(&gate.name);
        }
        if let Some(hook) = &fault.hook {
            self.faults.hooks.remove(&(hook.name.clone(), hook.undo));
        }
    }

    fn repair(&mut self, cluster: Option<&str>) {
        let names: Vec<String> = self.clusters.iter().map(|c| c.name.to_string()).collect();
        let only = cluster.and_then(|c| self.cluster_index(c));
        for (index, name) in names.iter().enumerate().filter(|(i, _)| only.is_none_or(|o| o == *i)) {
            self.clear_pod_faults(name, None);
            self.faults.clusters_down.retain(|c| *c != index);
        }
        self.restore_differences(only);
        if cluster.is_none() {
            self.faults.aws_down = false;
            self.faults.expired = false;
            (self.faults.throttled, self.faults.capacity) = (0, 1.0);
            self.faults.stale = Duration::ZERO;
            self.faults.unanswered_writes.clear();
            self.faults.gates.clear();
            self.faults.hooks.clear();
            self.repair_instances();
        }
    }

    /// Ends all faults of the pods of a cluster.
    fn clear_pod_faults(&mut self, cluster: &str, workload: Option<&str>) {
        for pod in self.affected_pods(cluster, workload, None) {
            let own = &mut self.pods[pod.0 as usize];
            (own.faults.slow, own.faults.error) = (Duration::ZERO, None);
            self.set_dead(pod, false);
        }
    }

    fn set_dead(&mut self, pod: PodId, dead: bool) {
        self.pods[pod.0 as usize].faults.dead = dead;
        self.schedule_pod_observation(pod);
    }

    /// Returns the pods of a workload in a cluster, or the first `percent` of them, at least one.
    fn affected_pods(&self, cluster: &str, workload: Option<&str>, percent: Option<u32>) -> Vec<PodId> {
        let mut all = Vec::new();
        for (cluster, deployment) in self.deployments(cluster, workload) {
            let own = self.clusters[cluster].index.pods_of(&deployment).iter().copied();
            let pods: Vec<PodId> = own.filter(|id| self.pods[id.0 as usize].phase != Phase::Gone).collect();
            let share = usize::try_from(percent.unwrap_or(100).min(100)).unwrap_or(100);
            all.extend(pods.iter().take((pods.len() * share).div_ceil(100)));
        }
        all
    }

    pub(super) fn deployments(&self, cluster: &str, workload: Option<&str>) -> Vec<(usize, NamespacedName)> {
        let Some(index) = self.cluster_index(cluster) else { return Vec::new() };
        let all = &self.clusters[index].deployments;
        all.iter()
            .filter(|(_, b)| workload.is_none_or(|w| w == b.workload))
            .map(|(key, _)| (index, key.clone()))
            .collect()
    }

    /// Returns the time that is `delay` after now.
    pub(super) fn later(&self, delay: Duration) -> Timestamp {
        later(self.now, delay)
    }
}

impl Fault {
    fn lasts(&self) -> Option<Duration> {
        let of = [
            self.kill.as_ref().and_then(|f| f.lasts),
            self.slow.as_ref().and_then(|f| f.lasts),
            self.error.as_ref().and_then(|f| f.lasts),
            self.partition.as_ref().and_then(|f| f.lasts),
            self.throttle.as_ref().and_then(|f| f.lasts),
            self.stale.as_ref().and_then(|f| f.lasts),
            self.gate.as_ref().and_then(|f| f.lasts),
            self.hook.as_ref().and_then(|f| f.lasts),
            self.differ.as_ref().and_then(|f| f.lasts),
            self.expire_credentials.as_ref().and_then(|f| f.lasts),
            self.haproxy.as_ref().and_then(|f| f.lasts),
        ];
        of.into_iter().flatten().next().map(|p| p.0)
    }

    /// Returns the verb of the fault and its parameters, such as `kill {cluster: b, for: 5m}`.
    fn description(&self) -> String {
        let Ok(Value::Object(mut fields)) = serde_json::to_value(self) else { return String::new() };
        fields.remove("at");
        let verb = fields.iter().next();
        verb.map_or_else(String::new, |(verb, parameters)| format!("{verb} {}", flow_text(parameters)))
    }
}

/// Returns a value of a scenario as in its file, without the parameters that are not set.
fn flow_text(value: &Value) -> String {
    match value {
        Value::String(text) => {
            // A period of less than a second stays in milliseconds.
            let period = Period::from_text(text).filter(|period| period.0.subsec_millis() == 0);
            period.map_or_else(|| text.clone(), |period| format_exact(period.0))
        }
        Value::Object(fields) => {
            let set = fields.iter().filter(|(_, value)| !matches!(value, Value::Null | Value::Bool(false)));
            let parts: Vec<_> = set.map(|(name, value)| format!("{name}: {}", flow_text(value))).collect();
            format!("{{{}}}", parts.join(", "))
        }
        other => other.to_string(),
    }
}
