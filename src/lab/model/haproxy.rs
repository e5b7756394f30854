//! Instances of HAProxy: their processes, servers with weights, and maps of slots. A backend on one instance is a
//! [`Balancer`](super::Balancer) with one route, so that the data plane, the health checks and the clients are those of
//! every load balancer. The commands of the runtime API belong to `lab::wire::haproxy`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::queue::LabEvent;
use super::routing::FinalAction;
use super::{Caller, PodId, World};
use crate::base::haproxy::{Backend, Group};
use crate::base::time::later;
use crate::lab::scenario::verb::{HaproxyFault, InstanceFault};
use crate::lab::wire::haproxy;

/// The process of an instance.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// The address of the runtime API in the plan.
    pub address: String,
    pub pid: u32,
    pub started: Timestamp,
    pub down: bool,
    /// The delay of each answer, in addition to the usual one.
    pub slow: Duration,
    /// The tables of maps that are prepared and not committed, by version.
    pub prepared: BTreeMap<u64, Slots>,
}

/// A slot of a map, and the backend that it names.
pub(crate) type Slots = Vec<(String, String)>;

/// A server of a backend.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub name: String,
    /// The key of the target that the server is.
    pub target: (Arc<str>, u16),
    pub weight: u32,
    /// The weight of the configuration, which a reload restores.
    pub configured: u32,
}

/// The part of a load balancer that is a backend, or a map, of an instance.
#[derive(Debug, Clone)]
pub(crate) struct Frontend {
    pub backend: Backend,
    /// The slots, if it is a map.
    pub slots: Slots,
    /// The slots of the configuration, which a reload restores.
    pub configured: Slots,
}

/// What an instance sends back.
#[derive(Debug, Clone)]
pub struct RuntimeAnswer {
    /// The answers to all commands; `None` if the instance ends the connection without one.
    pub text: Option<String>,
    /// Time until the answer arrives.
    pub latency: Duration,
}

impl World {
    /// Returns the addresses of the runtime APIs.
    pub fn runtime_addresses(&self) -> Vec<String> {
        self.processes.iter().map(|process| process.address.clone()).collect()
    }

    /// Returns whether an instance accepts connections to its runtime API.
    pub fn accepts_commands(&mut self, address: &str, now: Timestamp) -> bool {
        self.advance(now);
        self.processes.iter().any(|process| process.address == address && !process.down)
    }

    /// Handles a line of commands to the runtime API of an instance.
    pub fn runtime_api(&mut self, address: &str, line: &str, now: Timestamp) -> RuntimeAnswer {
        self.advance(now);
        let process = self.processes.iter().find(|process| process.address == address && !process.down);
        let latency = self.latency.kubernetes.0;
        let Some(slow) = process.map(|process| process.slow) else { return RuntimeAnswer { text: None, latency } };
        let latency = latency + slow;
        let mutating = haproxy::mutating(line);
        let late = if mutating { self.faults.unanswered_writes.pop() } else { None };
        let (text, outcome) = match late {
            None => (Some(haproxy::answer(self, address, line)), "ok"),
            Some(None) => (None, "dropped"),
            Some(Some(Duration::ZERO)) => {
                haproxy::answer(self, address, line);
                (None, "ok, answer lost")
            }
            Some(Some(delay)) => {
                let late = LabEvent::LateLine { address: address.to_owned(), line: line.to_owned() };
                self.schedule_in(delay, late);
                (None, "late")
            }
        };
        let operation = line.split(';').next().unwrap_or_default().trim();
        self.log("haproxy", &format!("{address} {operation}"), mutating, Caller::Client, outcome);
        RuntimeAnswer { text, latency }
    }

    pub(super) fn apply_late_line(&mut self, address: &str, line: &str) {
        haproxy::answer(self, address, line);
        let operation = line.split(';').next().unwrap_or_default().trim();
        self.log("haproxy", &format!("{address} {operation}"), true, Caller::Client, "late: ok");
    }

    /// Returns the groups of servers of a backend on an instance, by index.
    pub(crate) fn backend_groups(&self, address: &str, name: &str) -> Vec<usize> {
        let of = |arn: &str| {
            let group = Group::parse(arn)?;
            let backend = group.servers().0.to_owned();
            Some(group.backend.address == address && backend == name)
        };
        (0..self.groups.len()).filter(|at| of(&self.groups[*at].arn) == Some(true)).collect()
    }

    /// Returns the load balancer that is a map on an instance.
    pub(crate) fn map_of(&self, address: &str, file: &str) -> Option<usize> {
        self.balancers.iter().position(|balancer| {
            let map = balancer.haproxy.as_ref().map(|frontend| &frontend.backend);
            map.is_some_and(|map| map.address == address && map.map_file().as_deref() == Some(file))
        })
    }

    /// Gives the data plane the weights of the servers and slots on an instance. Must be called after each change.
    pub(crate) fn apply_weights(&mut self, address: &str) {
        for route in 0..self.routes.len() {
            let balancer = self.listeners[self.routes[route].listener].balancer;
            let Some(frontend) = self.balancers[balancer].haproxy.as_ref() else { continue };
            if frontend.backend.address != address {
                continue;
            }
            let mut actions = self.routes[route].actions.clone();
            let tuples = actions.iter_mut().filter_map(|a| a["ForwardConfig"]["TargetGroups"].as_array_mut()).flatten();
            for tuple in tuples {
                let arn = tuple["TargetGroupArn"].as_str().unwrap_or_default();
                let Some(group) = self.group_index.get(arn).map(|at| &self.groups[*at]) else { continue };
                let weight: u32 = if frontend.slots.is_empty() {
                    group.servers.iter().map(|server| server.weight).sum()
                } else {
                    let named = frontend.slots.iter().filter(|(_, backend)| *backend == group.name);
                    u32::try_from(named.count()).unwrap_or(u32::MAX)
                };
                tuple["Weight"] = Value::String(weight.to_string());
            }
            if actions != self.routes[route].actions {
                self.write_actions(route, actions);
            }
        }
    }

    /// Returns the group that gets the next request, by weight. HAProxy sends nothing to servers that fail their checks:
    /// the servers of another group take over, except in a table of slots.
    pub(super) fn next_server(&mut self, route: usize, balancer: usize) -> Option<usize> {
        let chosen = self.routes[route].effective.next_group(&mut self.balancers[balancer].missing_requests)?;
        if self.balancers[balancer].haproxy.is_none() {
            return Some(chosen);
        }
        let is_table = self.balancers[balancer].haproxy.as_ref().is_some_and(|frontend| !frontend.slots.is_empty());
        if is_table || self.groups[chosen].has_healthy() {
            return Some(chosen);
        }
        let FinalAction::Forward(entries) = &self.routes[route].effective.action else { return None };
        entries
            .iter()
            .filter(|entry| entry.share > 0.0)
            .map(|entry| entry.group)
            .find(|at| self.groups[*at].has_healthy())
    }

    /// Makes pods of a Deployment the servers of the groups of its cluster.
    pub(super) fn add_servers(&mut self, group: usize, pods: &[PodId], weight: u32) {
        let glob = Group::parse(&self.groups[group].arn).map_or_else(String::new, |group| group.servers().1.to_owned());
        let is_map = glob == "*";
        for (number, pod) in (1..).zip(pods) {
            let name = if is_map {
                format!("{}-{number}", self.groups[group].name)
            } else {
                glob.replace(['*', '?'], &number.to_string())
            };
            let (ip, port) = (self.pods[pod.0 as usize].ip.to_string(), self.pods[pod.0 as usize].port);
            self.register(group, &ip, port, Some(*pod));
            let weight = if is_map { 100 } else { weight };
            let server = Server { name, target: (ip.as_str().into(), port), weight, configured: weight };
            self.groups[group].servers.push(server);
        }
    }

    /// Gives a new pod to the servers whose pods have ended, as HAProxy's resolvers do
    /// (<https://docs.haproxy.org/2.6/configuration.html#5.3>).
    pub(super) fn resolve_servers(&mut self, pod: PodId) {
        let new = &self.pods[pod.0 as usize];
        let (cluster, ip, port) = (new.cluster, new.ip.to_string(), new.port);
        let key: (Arc<str>, u16) = (ip.as_str().into(), port);
        for group in 0..self.groups.len() {
            if self.groups[group].cluster != cluster || self.groups[group].targets.contains_key(&key) {
                continue;
            }
            let ended = |server: &&Server| {
                let target = self.groups[group].targets.get(&server.target);
                target.and_then(|target| target.pod).is_none_or(|pod| {
                    let pod = &self.pods[pod.0 as usize];
                    !matches!(pod.phase, super::pod::Phase::Starting | super::pod::Phase::Running)
                })
            };
            let Some(old) = self.groups[group].servers.iter().find(ended).map(|server| server.target.clone()) else {
                continue;
            };
            self.groups[group].targets.remove(&old);
            self.register(group, &ip, port, Some(pod));
            if let Some(server) = self.groups[group].servers.iter_mut().find(|server| server.target == old) {
                server.target = key.clone();
            }
        }
    }

    /// Sets the weights of the servers of a cluster on the instance of a load balancer, as another operator does.
    pub(super) fn foreign_weights(&mut self, balancer: usize, group: usize, weight: u16) {
        let Some(frontend) = self.balancers[balancer].haproxy.as_mut() else { return };
        let (address, name) = (frontend.backend.address.clone(), self.groups[group].name.clone());
        for (_, backend) in frontend.slots.iter_mut().take(usize::from(weight)) {
            backend.clone_from(&name);
        }
        for server in &mut self.groups[group].servers {
            server.weight = u32::from(weight.min(256));
        }
        self.log("haproxy", &format!("{address} set server"), true, Caller::Foreign, "ok");
        self.apply_weights(&address);
    }

    /// Begins a fault of instances. Returns what is missing, if there is no such instance.
    pub(super) fn begin_on_instance(&mut self, fault: &HaproxyFault) -> Result<(), String> {
        let address = fault.instance.clone().or_else(|| self.processes.first().map(|p| p.address.clone()));
        let at = self.processes.iter().position(|process| Some(&process.address) == address.as_ref());
        let at = at.ok_or_else(|| match &fault.instance {
            Some(name) => format!("the plan has no instance of HAProxy {name}"),
            None => "the plan has no instance of HAProxy".to_owned(),
        })?;
        match fault.does {
            InstanceFault::Reload => self.restart(at),
            InstanceFault::Down => self.processes[at].down = true,
            InstanceFault::Slow => self.processes[at].slow = fault.by.map_or(Duration::from_secs(10), |by| by.0),
        }
        Ok(())
    }

    /// Ends a fault of instances: an instance that was down starts again.
    pub(super) fn end_on_instance(&mut self, fault: &HaproxyFault) {
        for at in 0..self.processes.len() {
            let process = &self.processes[at];
            if fault.instance.as_ref().is_some_and(|name| *name != process.address) {
                continue;
            }
            match fault.does {
                InstanceFault::Down if process.down => self.restart(at),
                InstanceFault::Slow => self.processes[at].slow = Duration::ZERO,
                InstanceFault::Down | InstanceFault::Reload => {}
            }
        }
    }

    /// Ends all faults of instances.
    pub(super) fn repair_instances(&mut self) {
        for does in [InstanceFault::Down, InstanceFault::Slow] {
            self.end_on_instance(&HaproxyFault { does, ..HaproxyFault::default() });
        }
    }

    /// Starts a new process with the weights and slots of the configuration.
    fn restart(&mut self, at: usize) {
        let now = later(self.now, Duration::ZERO);
        let process = &mut self.processes[at];
        process.pid += 1;
        (process.started, process.down) = (now, false);
        process.prepared.clear();
        let address = process.address.clone();
        for group in &mut self.groups {
            if Group::parse(&group.arn).is_some_and(|own| own.backend.address == address) {
                for server in &mut group.servers {
                    server.weight = server.configured;
                }
            }
        }
        for frontend in self.balancers.iter_mut().filter_map(|balancer| balancer.haproxy.as_mut()) {
            if frontend.backend.address == address {
                frontend.slots.clone_from(&frontend.configured);
            }
        }
        self.apply_weights(&address);
    }

    /// Returns whether the instance of a load balancer is down, so that it refuses connections.
    pub(super) fn instance_is_down(&self, balancer: usize) -> bool {
        let frontend = self.balancers[balancer].haproxy.as_ref();
        frontend.is_some_and(|frontend| {
            self.processes.iter().any(|process| process.address == frontend.backend.address && process.down)
        })
    }
}

/// Returns the action of the only route of a backend.
pub(super) fn action(tuples: &[(Arc<str>, u16)]) -> Value {
    let tuple = |(arn, weight): &(Arc<str>, u16)| json!({"TargetGroupArn": &**arn, "Weight": weight.to_string()});
    json!({
        "Type": "forward", "Order": "1",
        "ForwardConfig": {"TargetGroups": tuples.iter().map(tuple).collect::<Vec<_>>()},
    })
}
