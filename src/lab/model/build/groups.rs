//! Builds the plan's load balancers and target groups, which the plan selects by name, ARN or tags.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::RouteEntryGroups;
use super::settings::Settings;
use crate::base::arn::{Arn, last};
use crate::base::haproxy::is_haproxy;
use crate::lab::model::{Balancer, Group, HealthCheckSettings, Pairs, TCP, World};
use crate::plan::model::{BalancerKind, RouteEntry, Selector};

/// Attributes that a new application load balancer has and that clients read.
const BALANCER_ATTRIBUTES: [(&str, &str); 7] = [
    ("access_logs.s3.enabled", "false"),
    ("deletion_protection.enabled", "true"),
    ("idle_timeout.timeout_seconds", "60"),
    ("load_balancing.cross_zone.enabled", "true"),
    ("routing.http2.enabled", "true"),
    ("routing.http.drop_invalid_header_fields.enabled", "false"),
    ("zonal_shift.config.enabled", "false"),
];

/// Attributes that a new network load balancer has and that clients read.
const NETWORK_ATTRIBUTES: [(&str, &str); 4] = [
    ("access_logs.s3.enabled", "false"),
    ("deletion_protection.enabled", "true"),
    ("load_balancing.cross_zone.enabled", "false"),
    ("zonal_shift.config.enabled", "false"),
];

/// Attributes that a new target group of a network load balancer has and that clients read.
const NETWORK_GROUP_ATTRIBUTES: [(&str, &str); 8] = [
    ("deregistration_delay.timeout_seconds", "300"),
    ("deregistration_delay.connection_termination.enabled", "false"),
    ("load_balancing.cross_zone.enabled", "use_load_balancer_configuration"),
    ("preserve_client_ip.enabled", "false"),
    ("proxy_protocol_v2.enabled", "false"),
    ("stickiness.enabled", "false"),
    ("stickiness.type", "source_ip"),
    ("target_health_state.unhealthy.connection_termination.enabled", "true"),
];

/// Attributes that a new target group has and that clients read.
const GROUP_ATTRIBUTES: [(&str, &str); 12] = [
    ("deregistration_delay.timeout_seconds", "300"),
    ("load_balancing.algorithm.anomaly_mitigation", "off"),
    ("load_balancing.algorithm.type", "round_robin"),
    ("load_balancing.cross_zone.enabled", "use_load_balancer_configuration"),
    ("slow_start.duration_seconds", "0"),
    ("stickiness.enabled", "false"),
    ("stickiness.lb_cookie.duration_seconds", "86400"),
    ("stickiness.type", "lb_cookie"),
    ("target_group_health.dns_failover.minimum_healthy_targets.count", "1"),
    ("target_group_health.dns_failover.minimum_healthy_targets.percentage", "off"),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1"),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "off"),
];

impl World {
    pub(super) fn build_balancers_and_groups<'a>(&mut self, settings: &Settings<'a>) -> Vec<RouteEntryGroups<'a>> {
        let mut balancers: BTreeMap<Selector, usize> = BTreeMap::new();
        let mut groups: BTreeMap<Selector, usize> = BTreeMap::new();
        let mut entries = Vec::new();
        for workload in &settings.plan.workloads {
            for entry in &workload.routes {
                let balancer = match balancers.get(&entry.load_balancer) {
                    Some(known) => *known,
                    None if entry.kind == BalancerKind::Haproxy => self.add_haproxy(settings, entry),
                    None => self.add_balancer(settings, entry, &workload.name),
                };
                balancers.insert(entry.load_balancer.clone(), balancer);
                let mut own = Vec::new();
                for (cluster, selector) in &entry.target_groups {
                    let name = group_name(selector, &format!("{}-{cluster}", workload.name));
                    let attached = settings.group(Some(cluster), &name).3.unwrap_or(true);
                    let group = if let Some(known) = groups.get(selector) {
                        *known
                    } else {
                        let kind = settings.target_type(cluster, &name, workload.binding.target_type);
                        let network = entry.kind == BalancerKind::Nlb;
                        let group = self.add_group(settings, Some(cluster), (selector, &name), kind, network);
                        if entry.kind == BalancerKind::Haproxy {
                            self.set_haproxy_checks(settings, cluster, group);
                        }
                        group
                    };
                    groups.insert(selector.clone(), group);
                    own.push((group, attached));
                }
                entries.push(RouteEntryGroups { workload, entry, balancer, groups: own });
            }
        }
        entries
    }

    fn add_balancer(&mut self, settings: &Settings<'_>, entry: &RouteEntry, workload: &str) -> usize {
        let (selector, network) = (&entry.load_balancer, entry.kind == BalancerKind::Nlb);
        let name = selected_name(selector, workload);
        let id = self.identifier();
        let arn = match selector {
            Selector::Arn(arn) => arn.clone(),
            _ => format!(
                "arn:{}:elasticloadbalancing:{}:{}:loadbalancer/{}/{name}/{id}",
                self.partition(),
                self.region,
                self.account,
                if network { "net" } else { "app" }
            ),
        };
        let mut attributes = if network { pairs(&NETWORK_ATTRIBUTES) } else { pairs(&BALANCER_ATTRIBUTES) };
        let mut tags = selected_tags(selector);
        for entry in settings.balancer(&name) {
            attributes.extend(entry.attributes.clone());
            tags.extend(entry.tags.clone());
        }
        self.balancers.push(Balancer {
            arn: arn.into(),
            network,
            dns_name: format!(
                "{name}-{}.{}.elb.amazonaws.com",
                u32::from_str_radix(&id[..7], 16).unwrap_or(0),
                self.region
            ),
            name,
            scheme: "internet-facing".into(),
            vpc: "vpc-0a1b2c3d4e5f60718".into(),
            zones: ["a", "c"].iter().map(|z| format!("{}{z}", self.region)).collect(),
            created: self.time(),
            attributes,
            tags,
            missing_requests: BTreeMap::new(),
            haproxy: None,
        });
        self.balancers.len() - 1
    }

    /// Adds a group. `cluster` is `None` for a third-party group.
    pub(super) fn add_group(
        &mut self,
        settings: &Settings<'_>,
        cluster: Option<&str>,
        (selector, name): (&Selector, &str),
        target_type: &'static str,
        network: bool,
    ) -> usize {
        let (check_settings, attributes, tags, _) = settings.group(cluster, name);
        let arn: Arc<str> = if let Selector::Arn(arn) = selector {
            arn.as_str().into()
        } else {
            let id = self.identifier();
            format!(
                "arn:{}:elasticloadbalancing:{}:{}:targetgroup/{name}/{id}",
                self.partition(),
                self.region,
                self.account
            )
            .into()
        };
        let seconds = |setting: Option<crate::lab::scenario::period::Period>, default| {
            setting.map_or(Duration::from_secs(default), |p| p.0)
        };
        let protocol = if network { TCP } else { "HTTP" };
        let check = HealthCheckSettings {
            enabled: true,
            protocol: protocol.into(),
            port: "traffic-port".into(),
            path: check_settings.path.as_deref().unwrap_or("/health_check").into(),
            matcher: check_settings.matcher.unwrap_or_else(|| "200".into()),
            interval: seconds(check_settings.interval, 10),
            timeout: seconds(check_settings.timeout, 5),
            healthy: check_settings.healthy_threshold.unwrap_or(5),
            unhealthy: check_settings.unhealthy_threshold.unwrap_or(2),
        };
        let mut all_attributes = if network { pairs(&NETWORK_GROUP_ATTRIBUTES) } else { pairs(&GROUP_ATTRIBUTES) };
        all_attributes.extend(attributes);
        let mut all_tags = selected_tags(selector);
        all_tags.extend(tags);
        self.group_index.insert(Arc::clone(&arn), self.groups.len());
        self.groups.push(Group {
            arn,
            name: name.to_owned(),
            protocol: protocol.into(),
            protocol_version: if network { String::new() } else { "HTTP1".into() },
            port: 80,
            target_type: target_type.to_owned(),
            vpc: "vpc-0a1b2c3d4e5f60718".into(),
            cluster: cluster.and_then(|name| settings.plan.clusters.iter().position(|c| c.name == name)),
            check,
            attributes: all_attributes,
            tags: all_tags,
            attached: Vec::new(),
            targets: BTreeMap::new(),
            servers: Vec::new(),
            routable: None,
            next_index: 0,
        });
        self.groups.len() - 1
    }
}

/// Returns the name in a selector, or the name in its ARN. Returns `otherwise` if it selects by tags.
fn selected_name(selector: &Selector, otherwise: &str) -> String {
    match selector {
        Selector::Name(name) => name.clone(),
        Selector::Arn(arn) => Arn::parse(arn).and_then(|arn| arn.name()).unwrap_or(otherwise).to_owned(),
        Selector::Tags(_) => otherwise.to_owned(),
    }
}

/// Returns the name of a group; on HAProxy, the glob of its servers.
fn group_name(selector: &Selector, otherwise: &str) -> String {
    match selector {
        Selector::Arn(id) if is_haproxy(id) => last(id).to_owned(),
        _ => selected_name(selector, otherwise),
    }
}

fn selected_tags(selector: &Selector) -> Pairs {
    match selector {
        Selector::Tags(tags) => tags.clone(),
        _ => Pairs::new(),
    }
}

fn pairs(all: &[(&str, &str)]) -> Pairs {
    all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}
