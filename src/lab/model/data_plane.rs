//! The data plane of the load balancers: which route a request matches, and which group and target get this request.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::routing::{EffectiveAction, FinalAction};
use super::{ClientRequest, Condition, LabEvent, Pick, PodId, Route, RoutingOutcome, World};
use crate::base::time::later;

impl World {
    /// Routes the request of a client as the load balancer does.
    pub fn pick(&mut self, request: &ClientRequest<'_>, now: jiff::Timestamp) -> Pick {
        if self.queue.next().is_some_and(|at| at <= now) {
            self.advance(now);
        }
        let Some(route) = self.match_route(request) else {
            return Pick {
                route: Arc::from(""),
                group: None,
                cluster: None,
                outcome: RoutingOutcome::Reset,
                set_cookie: None,
            };
        };
        let balancer = self.listeners[self.routes[route].listener].balancer;
        if self.balancers[balancer].network {
            return self.pick_connection(route, balancer, request.cookie, now);
        }
        if self.instance_is_down(balancer) {
            let route = Arc::clone(&self.routes[route].arn);
            return Pick { route, group: None, cluster: None, outcome: RoutingOutcome::Reset, set_cookie: None };
        }
        let bound_group = request.cookie.and_then(|cookie| self.sticky_group(route, cookie));
        let route_arn = Arc::clone(&self.routes[route].arn);
        let effective = &mut self.routes[route].effective;
        if let FinalAction::Status(status) = effective.action {
            return Pick {
                route: route_arn,
                group: None,
                cluster: None,
                outcome: RoutingOutcome::Status(status),
                set_cookie: None,
            };
        }
        let sticky = effective.sticky.filter(|_| bound_group.is_none());
        let chosen = bound_group.or_else(|| self.next_server(route, balancer));
        let Some(group) = chosen else {
            return Pick {
                route: route_arn,
                group: None,
                cluster: None,
                outcome: RoutingOutcome::Status(503),
                set_cookie: None,
            };
        };
        let set_cookie =
            sticky.map(|seconds| format!("{group:x}-{:x}", now.as_second() + i64::try_from(seconds).unwrap_or(0)));
        self.pick_target(route_arn, group, set_cookie)
    }

    /// Returns the target of a request through a Network Load Balancer, which chooses a group and a target for each
    /// connection. An open connection stays with its target, whatever the weights, for as long as the target runs.
    fn pick_connection(&mut self, route: usize, balancer: usize, open: Option<&str>, now: jiff::Timestamp) -> Pick {
        let route_arn = Arc::clone(&self.routes[route].arn);
        if let Some((group, outcome)) = open.and_then(|open| self.open_connection(open)) {
            self.use_connection(balancer, open.unwrap_or_default(), now);
            let group = Some(Arc::clone(&self.groups[group].arn));
            return Pick { route: route_arn, group, cluster: None, outcome, set_cookie: None };
        }
        let reset =
            |route| Pick { route, group: None, cluster: None, outcome: RoutingOutcome::Reset, set_cookie: None };
        let Some(group) = self.routes[route].effective.next_group(&mut self.balancers[balancer].missing_requests)
        else {
            return reset(route_arn);
        };
        let pick = self.pick_target(Arc::clone(&route_arn), group, None);
        let RoutingOutcome::Target { pod, port, .. } = pick.outcome else { return reset(route_arn) };
        self.count_connection(group, now);
        let number = self.new_connection();
        let connection = format!("{group:x}-{:x}-{port:x}-{number:x}", pod.0);
        self.use_connection(balancer, &connection, now);
        Pick { set_cookie: Some(connection), ..pick }
    }

    /// Returns the group and the target of an open connection; `None` if the target does not run any more.
    fn open_connection(&self, open: &str) -> Option<(usize, RoutingOutcome)> {
        let mut parts = open.split('-').map(|part| usize::from_str_radix(part, 16).ok());
        let (group, pod, port) = (parts.next()??, parts.next()??, parts.next()??);
        let target = self.pods.get(pod).filter(|pod| pod.alive())?;
        let outcome = RoutingOutcome::Target {
            pod: PodId(u32::try_from(pod).ok()?),
            ip: target.ip,
            port: u16::try_from(port).ok()?,
        };
        (group < self.groups.len()).then_some((group, outcome))
    }

    fn pick_target(&mut self, route: Arc<str>, group: usize, set_cookie: Option<String>) -> Pick {
        let pods = &self.pods;
        let target = self.groups[group].next_target(|pod| pods.get(pod.0 as usize).map(|p| p.ip));
        let group = &self.groups[group];
        let outcome = target.map_or(RoutingOutcome::Status(503), |t| RoutingOutcome::Target {
            pod: t.pod,
            ip: t.ip,
            port: t.port,
        });
        let cluster = group.cluster.map(|c| Arc::clone(&self.clusters[c].name));
        Pick { route, group: Some(Arc::clone(&group.arn)), cluster, outcome, set_cookie }
    }

    fn match_route(&self, request: &ClientRequest<'_>) -> Option<usize> {
        let named = |l: &&super::Listener| {
            request.load_balancer.is_empty() || self.balancers[l.balancer].name == request.load_balancer
        };
        let listener = self.listeners.iter().filter(|l| l.port == request.port).find(named)?;
        let lower;
        let host = if request.host.bytes().any(|b| b.is_ascii_uppercase()) {
            lower = request.host.to_ascii_lowercase();
            &lower
        } else {
            request.host
        };
        // The data plane learns a new rule together with its action.
        let known = |route: &Route| !matches!(route.effective.action, FinalAction::Unknown);
        let rule = listener.rules.iter().find(|r| {
            let route = &self.routes[**r];
            known(route) && route.matcher.iter().all(|c| c.matches(host, request.path, request.headers))
        });
        Some(*rule.unwrap_or(&listener.default))
    }

    /// Returns the group that a cookie binds a client to, whatever the group's weight; `None` if the cookie has expired
    /// or the action no longer has the group.
    fn sticky_group(&self, route: usize, cookie: &str) -> Option<usize> {
        let effective = &self.routes[route].effective;
        effective.sticky?;
        let (group, expires) = cookie.split_once('-')?;
        let (group, expires) = (usize::from_str_radix(group, 16).ok()?, i64::from_str_radix(expires, 16).ok()?);
        (expires > self.now.as_second() && effective.entries().iter().any(|e| e.group == group)).then_some(group)
    }

    /// Returns how a pod answers a request. With a fault that lets some requests fail, the number of earlier requests
    /// decides which requests fail.
    pub fn respond(&self, pod: PodId, requester: super::Requester) -> super::PodAnswer {
        self.pods.get(pod.0 as usize).map_or(super::PodAnswer::Refused, |p| p.answer(requester))
    }

    /// Returns every pod that has not ended.
    pub fn pods(&self) -> Vec<super::PodEndpoint> {
        let numbered = (0..).zip(&self.pods);
        numbered
            .filter(|(_, p)| p.phase != super::pod::Phase::Gone)
            .map(|(id, p)| super::PodEndpoint {
                id: PodId(id),
                cluster: p.cluster.map(|c| Arc::clone(&self.clusters[c].name)),
                name: Arc::clone(&p.name),
                ip: p.ip,
                port: p.port,
                alive: p.alive(),
            })
            .collect()
    }

    /// Schedules the current actions of a route for the data plane, after the propagation delay and never before an
    /// earlier change of the same route.
    pub(crate) fn schedule_propagation(&mut self, route: usize) {
        let phase = self.random.f64();
        let effective = EffectiveAction::read(&self.routes[route].actions, &self.group_index, phase);
        let (low, high) = (self.latency.propagation_min.0, self.latency.propagation_max.0);
        let listener = self.routes[route].listener;
        if self.balancers[self.listeners[listener].balancer].haproxy.is_some() {
            // A weight of HAProxy has effect at once.
            return self.propagate(route, effective);
        }
        let delay = low + high.saturating_sub(low).mul_f64(self.random.f64());
        let at = later(self.now, delay).max(self.routes[route].propagated_until);
        self.routes[route].propagated_until = at;
        self.queue.schedule(at, LabEvent::Propagate { route, effective: Box::new(effective) });
    }

    pub(super) fn propagate(&mut self, route: usize, mut effective: EffectiveAction) {
        effective.keep_owed(&self.routes[route].effective);
        self.routes[route].effective = effective;
    }

    /// Returns the smallest and the largest written share (0–1) of a cluster on any managed route.
    pub(crate) fn written_share_range(&self, cluster: usize) -> Option<(f64, f64)> {
        let mut range: Option<(f64, f64)> = None;
        for route in self.routes.iter().filter(|r| !r.deleted && r.managed) {
            let mut managed: BTreeMap<usize, u32> = BTreeMap::new();
            for (arn, weight) in super::weights(&route.actions) {
                if let Some(owner) = self.group_index.get(arn).and_then(|g| self.groups[*g].cluster) {
                    *managed.entry(owner).or_default() += weight;
                }
            }
            let total: u32 = managed.values().sum();
            if total > 0 && managed.contains_key(&cluster) {
                let share = f64::from(managed[&cluster]) / f64::from(total);
                range = Some(range.map_or((share, share), |(low, high)| (low.min(share), high.max(share))));
            }
        }
        range
    }

    /// Returns load balancer, port, host and path of a request that matches a route; `None` if the clients of the lab
    /// cannot send a request that meets the route's conditions.
    pub(super) fn sample_request(&self, route: &Route) -> Option<(String, u16, String, String)> {
        let listener = &self.listeners[route.listener];
        let balancer = &self.balancers[listener.balancer];
        let (mut host, mut path) = match &balancer.haproxy {
            Some(frontend) => (format!("{}.example.com", frontend.backend.name), "/".to_owned()),
            None => (format!("{}.example.com", balancer.name), "/".to_owned()),
        };
        if route.priority.is_none() {
            "/somewhere/else".clone_into(&mut path);
        }
        for condition in &route.matcher {
            match condition {
                Condition::Path(patterns) => path = patterns.first()?.replace('*', "x").replace('?', "y"),
                Condition::Host(patterns) => host = patterns.first()?.replace('*', "www").replace('?', "y"),
                Condition::Always => {}
                Condition::Method(methods) if methods.iter().any(|m| m == "GET") => {}
                Condition::Method(_) | Condition::Header(..) | Condition::Never => return None,
            }
        }
        Some((balancer.name.clone(), listener.port, host, path))
    }
}
