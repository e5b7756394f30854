//! Load balancers, listeners, rules and target groups as plain values, which the adapter fills from ELBv2. Do not add
//! SDK types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rule::RuleConfig;
use crate::base::arn;
use crate::domain::traffic::{Limits, RouteContent, RouteId, Split, Tags, UnreadRoute, Unreadable};

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancer {
    /// The ARN of the resource.
    pub arn: String,
    /// The name of the resource.
    pub name: String,
    /// The DNS name that AWS assigned.
    pub dns_name: String,
    /// The type: `application`, `network` or `gateway`.
    pub kind: String,
    /// The scheme: `internal` or `internet-facing`.
    pub scheme: String,
    /// The state, such as `active` or `provisioning`.
    pub state: String,
    /// The ID of the VPC, `vpc-…`.
    pub vpc_id: String,
    /// The type of IP addresses, such as `ipv4` or `dualstack`.
    pub ip_address_type: String,
    /// The names of the enabled availability zones.
    pub zones: Vec<String>,
    /// The attributes by name, such as `load_balancing.cross_zone.enabled`.
    pub attributes: BTreeMap<String, String>,
    /// The tags of the resource.
    pub tags: Tags,
}

impl LoadBalancer {
    /// Returns a load balancer with only an ARN and a name, for a load balancer that could not be read.
    pub fn named(arn: &str) -> Self {
        Self {
            arn: arn.to_owned(),
            name: arn::name(arn).to_owned(),
            dns_name: String::new(),
            kind: String::new(),
            scheme: String::new(),
            state: String::new(),
            vpc_id: String::new(),
            ip_address_type: String::new(),
            zones: Vec::new(),
            attributes: BTreeMap::new(),
            tags: Tags::new(),
        }
    }
}

/// A listener without its default action, which is a [`LiveRoute`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// The ARN of the resource.
    pub arn: String,
    /// The ARN of the listener's load balancer.
    pub load_balancer: String,
    /// The port, 1–65535.
    pub port: u16,
    /// The protocol: `HTTP` or `HTTPS`.
    pub protocol: String,
    /// The tags of the resource.
    pub tags: Tags,
    /// The routes of this listener that could not be read. The listener's list of routes does not contain them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unread: Vec<UnreadRoute>,
    /// Why the tags of the listener and its routes could not be read; `None` if they were read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tags_unread: Option<Unreadable>,
}

/// A listener's default action or a rule, as read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveRoute {
    /// The route's id.
    pub id: RouteId,
    /// The ARN of the listener.
    pub listener: String,
    /// The listener's port.
    pub port: u16,
    /// The rule's priority; `None` for the default action.
    pub priority: Option<u32>,
    /// The conditions as text, such as `path /api* /ad*`; empty for the default action.
    pub conditions: String,
    /// The conditions and transforms of a rule; empty for a default action.
    #[serde(skip_serializing_if = "RuleConfig::is_empty", default)]
    pub rule: RuleConfig,
    /// The content of the route: its actions, with target groups and weights.
    pub content: RouteContent,
    /// The tags of the rule, or of the listener for a default action; empty if tags were not read.
    pub tags: Tags,
    /// The limits of the load balancer for this route.
    pub limits: Limits,
    /// The name of a route that has no port and priority; `None` for a default action or a rule of a listener.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
}

impl LiveRoute {
    /// Returns a short name, such as `443 default` or `443 rule 15`.
    pub fn label(&self) -> String {
        match self.priority {
            _ if self.name.is_some() => self.name.clone().unwrap_or_default(),
            None => format!("{} default", self.port),
            Some(p) => format!("{} rule {p}", self.port),
        }
    }

    /// Returns the members and weights; `None` if the route does not forward.
    pub fn forwards(&self) -> Option<&Split> {
        self.content.forward_split()
    }
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroup {
    /// The ARN of the resource.
    pub arn: String,
    /// The name of the resource.
    pub name: String,
    /// The protocol: `HTTP` or `HTTPS`.
    pub protocol: String,
    /// The protocol version: `HTTP1`, `HTTP2` or `GRPC`.
    pub protocol_version: String,
    /// The default port of the group's targets.
    pub port: u16,
    /// The type of the targets: `ip`, `instance`, `lambda` or `alb`.
    pub target_type: String,
    /// The ID of the VPC, `vpc-…`.
    pub vpc_id: String,
    /// The type of IP addresses: `ipv4` or `ipv6`.
    pub ip_address_type: String,
    /// The health check of the group's targets.
    pub health_check: HealthCheck,
    /// The ARNs of the load balancers that the group is attached to.
    pub load_balancers: Vec<String>,
    /// The attributes by name, such as `deregistration_delay.timeout_seconds`.
    pub attributes: BTreeMap<String, String>,
    /// The tags of the resource.
    pub tags: Tags,
}

/// A target group's health check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// Whether health checks are enabled.
    pub enabled: bool,
    /// The protocol: `HTTP` or `HTTPS`.
    pub protocol: String,
    /// The port: `traffic-port` or a number.
    pub port: String,
    /// The path of the request.
    pub path: String,
    /// The expected status codes, such as `200-299`.
    pub matcher: String,
    /// The seconds between two checks, 5–300.
    pub interval_seconds: u32,
    /// The seconds after which a check without a response fails.
    pub timeout_seconds: u32,
    /// The number of passed checks until a target is healthy again, 2–10.
    pub healthy_threshold: u32,
    /// The number of failed checks until a target is unhealthy, 2–10.
    pub unhealthy_threshold: u32,
}
