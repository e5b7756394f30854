//! Converts HAProxy's backends and servers to the values that all load balancers share.

use std::collections::BTreeMap;

use super::{READ_TIMEOUT, RuntimeApi, answer, malformed};
use crate::domain::elb::balancer::{HealthCheck, Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::elb::rule::RuleConfig;
use crate::domain::haproxy::{self, Backend, Group, Server, ServerHealth, StatBackend, attribute};
use crate::domain::health::{HEALTH_CHECK_DISABLED, Target, TargetState};
use crate::domain::traffic::{RouteContent, RouteId, Tags, Unreadable};

/// The interval of health checks, in seconds: HAProxy's default of `inter`. The runtime API does not tell the configured
/// interval (<https://docs.haproxy.org/2.6/configuration.html#5.2-inter>).
const CHECK_INTERVAL: u32 = 2;

/// Reads a backend as a load balancer, with what the preflight judges as attributes.
pub(super) async fn load_balancer(api: &RuntimeApi, backend: &Backend) -> Result<LoadBalancer, Unreadable> {
    let commands = ["show info", "show cli level"].map(str::to_owned);
    let third = match backend.map_file() {
        Some(file) => format!("show map {file}"),
        None => format!("show stat {} 6 -1", backend.name),
    };
    let commands = commands.into_iter().chain([third]).collect::<Vec<_>>();
    let answers = api.ask(&backend.address, &commands, READ_TIMEOUT).await?;
    let parsed = |why: String| malformed(backend, &why);
    let info = haproxy::parse_info(answer(backend, &answers, 0)?).map_err(parsed)?;
    let level = answer(backend, &answers, 1)?.trim().to_owned();
    let third = answer(backend, &answers, 2)?;
    let stat = match backend.map_file() {
        // A table takes every share, whatever the algorithm of its backends.
        Some(_) => StatBackend::default(),
        None => haproxy::parse_stat(third).map_err(parsed)?,
    };
    let attributes = [
        (attribute::VERSION, info.version),
        (attribute::LEVEL, level),
        (attribute::ALGORITHM, stat.algorithm),
        (attribute::COOKIE, stat.cookie),
        (attribute::BACKUPS, stat.backups.join(" ")),
    ];
    Ok(LoadBalancer {
        name: backend.label(),
        kind: attribute::KIND.to_owned(),
        state: "active".to_owned(),
        attributes: attributes.map(|(name, value)| (name.to_owned(), value)).into(),
        ..LoadBalancer::named(&backend.id())
    })
}

/// Returns a backend as a listener with one route.
pub(super) fn listener(backend: &Backend, content: RouteContent) -> (Listener, Vec<LiveRoute>) {
    let id = backend.id();
    let port = backend.place().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(0);
    let listener = Listener {
        arn: id.clone(),
        load_balancer: id.clone(),
        port,
        protocol: String::new(),
        tags: Tags::new(),
        unread: Vec::new(),
        tags_unread: None,
    };
    let limits = if backend.map_file().is_some() { haproxy::map_limits(&content) } else { haproxy::LIMITS };
    let route = LiveRoute {
        id: RouteId::default_route(id.clone()),
        listener: id,
        port,
        priority: None,
        conditions: String::new(),
        content,
        tags: Tags::new(),
        rule: RuleConfig::default(),
        limits,
        name: Some(backend.label()),
    };
    (listener, vec![route])
}

/// Returns a set of servers as a target group; `None` if no server of the backend is in the set.
pub(super) fn target_group(group: &Group, servers: &[Server]) -> Option<TargetGroup> {
    let (_, glob) = group.servers();
    let mut members = servers.iter().filter(|server| haproxy::matches(glob, &server.name)).peekable();
    let port = members.peek()?.port;
    let checked = members.any(Server::is_checked);
    Some(TargetGroup {
        arn: group.backend.group(&group.glob),
        name: format!("{} of {}", group.glob, group.backend.label()),
        protocol: String::new(),
        protocol_version: String::new(),
        port,
        target_type: "server".to_owned(),
        vpc_id: String::new(),
        ip_address_type: String::new(),
        health_check: HealthCheck {
            enabled: checked,
            protocol: String::new(),
            port: String::new(),
            path: String::new(),
            matcher: String::new(),
            interval_seconds: CHECK_INTERVAL,
            timeout_seconds: 0,
            healthy_threshold: 0,
            unhealthy_threshold: 0,
        },
        load_balancers: vec![group.backend.id()],
        attributes: BTreeMap::new(),
        tags: Tags::new(),
    })
}

/// Returns the servers of a set as targets.
pub(super) fn targets(glob: &str, servers: &[Server]) -> Vec<Target> {
    servers.iter().filter(|server| haproxy::matches(glob, &server.name)).map(target).collect()
}

fn target(server: &Server) -> Target {
    let (state, reason, explanation) = match server.health() {
        ServerHealth::Healthy => (TargetState::Healthy, None, None),
        ServerHealth::Initial => (TargetState::Initial, None, Some("was not checked yet")),
        ServerHealth::Unhealthy => (TargetState::Unhealthy, None, Some("fails its health checks")),
        ServerHealth::Leaving(why) => (TargetState::Draining, None, Some(why)),
        ServerHealth::Unchecked => (TargetState::Unavailable, Some(HEALTH_CHECK_DISABLED), Some("has no health check")),
    };
    Target {
        id: server.name.clone(),
        port: server.port,
        zone: None,
        state,
        reason: reason.map(str::to_owned),
        explanation: explanation.map(str::to_owned),
    }
}
