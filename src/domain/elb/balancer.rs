//! Load balancers, listeners, rules and target groups as plain values, which the adapter fills from ELBv2. Do not add
//! SDK types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::arn;
use crate::domain::traffic::{RouteContent, RouteId, Split, Tags, UnreadRoute, Unreadable};

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancer {
    /// ARN.
    pub arn: String,
    /// Name.
    pub name: String,
    /// DNS name.
    pub dns_name: String,
    /// `application`, `network`, `gateway`.
    pub kind: String,
    /// `internal`, `internet-facing`.
    pub scheme: String,
    /// `active`, `provisioning`, …
    pub state: String,
    /// VPC.
    pub vpc_id: String,
    /// `ipv4`, `dualstack`, …
    pub ip_address_type: String,
    /// Enabled availability zones.
    pub zones: Vec<String>,
    /// Attributes such as `load_balancing.cross_zone.enabled`.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: Tags,
}

impl LoadBalancer {
    /// Returns a load balancer of which only the ARN is known, because it may not be read.
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

/// A listener, apart from its default action, which is a [`LiveRoute`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// ARN.
    pub arn: String,
    /// ARN of its load balancer.
    pub load_balancer: String,
    /// 1–65535.
    pub port: u16,
    /// `HTTP`, `HTTPS`.
    pub protocol: String,
    /// Tags.
    pub tags: Tags,
    /// Routes of this listener that could not be read; they are missing from its list of routes.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unread: Vec<UnreadRoute>,
    /// Why the tags of the listener and of its routes are empty, if they could not be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tags_unread: Option<Unreadable>,
}

/// A listener's default action or a rule, as read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveRoute {
    /// The route's id.
    pub id: RouteId,
    /// ARN of the listener.
    pub listener: String,
    /// The listener's port.
    pub port: u16,
    /// The rule's priority; `None` for the default action.
    pub priority: Option<u32>,
    /// Conditions in words, such as `path /api* /ad*`; empty for the default action.
    pub conditions: String,
    /// What the route does.
    pub content: RouteContent,
    /// The rule's own tags (for a default action, the listener's); empty if tags were not read.
    pub tags: Tags,
}

impl LiveRoute {
    /// Returns a short name: `443 default`, `443 rule 15`.
    pub fn label(&self) -> String {
        match self.priority {
            None => format!("{} default", self.port),
            Some(p) => format!("{} rule {p}", self.port),
        }
    }

    /// Members and weights, if the route forwards.
    pub fn forwards(&self) -> Option<&Split> {
        self.content.forward_split()
    }
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroup {
    /// ARN.
    pub arn: String,
    /// Name.
    pub name: String,
    /// `HTTP`, `HTTPS`.
    pub protocol: String,
    /// `HTTP1`, `HTTP2`, `GRPC`.
    pub protocol_version: String,
    /// Default port of its targets.
    pub port: u16,
    /// `ip`, `instance`, `lambda`, `alb`.
    pub target_type: String,
    /// VPC.
    pub vpc_id: String,
    /// `ipv4`, `ipv6`.
    pub ip_address_type: String,
    /// How its targets are health-checked.
    pub health_check: HealthCheck,
    /// ARNs of the load balancers that it is attached to.
    pub load_balancers: Vec<String>,
    /// Attributes such as `stickiness.enabled`, `deregistration_delay.timeout_seconds`.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: Tags,
}

/// A target group's health check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// Whether it is enabled.
    pub enabled: bool,
    /// `HTTP`, `HTTPS`.
    pub protocol: String,
    /// `traffic-port` or a number.
    pub port: String,
    /// Path.
    pub path: String,
    /// Expected status codes, such as `200-299`.
    pub matcher: String,
    /// Seconds between checks, 5–300.
    pub interval_seconds: u32,
    /// Seconds until a check counts as failed.
    pub timeout_seconds: u32,
    /// Passed checks until a target is healthy again, 2–10.
    pub healthy_threshold: u32,
    /// Failed checks until a target is unhealthy, 2–10.
    pub unhealthy_threshold: u32,
}
