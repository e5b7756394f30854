//! The JSON forms of load balancers, listeners, rules and target groups.

use serde_json::{Map, Value, json};

use crate::lab::model::{Balancer, Group, LAMBDA, Listener, Pairs, Route, TCP, World};

/// Returns the JSON form of a load balancer.
pub(super) fn balancer(balancer: &Balancer) -> Value {
    let zone = |(n, z): (usize, &String)| {
        json!({
            "ZoneName": z, "SubnetId": format!("subnet-0a1b2c3d4e5f6071{n}"), "LoadBalancerAddresses": [],
        })
    };
    json!({
        "LoadBalancerArn": &*balancer.arn,
        "DNSName": balancer.dns_name,
        "CanonicalHostedZoneId": "ZWKZPGTI48KDX",
        "CreatedTime": balancer.created.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string(),
        "LoadBalancerName": balancer.name,
        "Scheme": balancer.scheme,
        "VpcId": balancer.vpc,
        "State": {"Code": "active"},
        "Type": if balancer.network { "network" } else { "application" },
        "AvailabilityZones": balancer.zones.iter().enumerate().map(zone).collect::<Vec<_>>(),
        "SecurityGroups": ["sg-0a1b2c3d4e5f60718"],
        "IpAddressType": if balancer.network { "dualstack" } else { "ipv4" },
    })
}

/// Returns the JSON form of a listener with the default actions that a read returns at this time. They can be older
/// than the last write.
pub(super) fn listener(world: &World, listener: &Listener) -> Value {
    let default = world.routes[listener.default].actions_at(world.as_of());
    let certificates: Vec<Value> = listener.certificates.iter().map(|c| json!({"CertificateArn": c})).collect();
    json!({
        "ListenerArn": &*listener.arn,
        "LoadBalancerArn": &*world.balancers[listener.balancer].arn,
        "Port": listener.port,
        "Protocol": listener.protocol,
        "Certificates": if certificates.is_empty() { Value::Null } else { certificates.into() },
        "SslPolicy": listener.ssl_policy,
        "DefaultActions": actions(default),
    })
}

/// Returns the JSON form of a rule, or of a listener's default action as a rule.
pub(super) fn rule(world: &World, route: &Route) -> Value {
    let mut map = Map::new();
    map.insert("RuleArn".into(), json!(route.rule_arn));
    map.insert("Priority".into(), route.priority.map_or_else(|| "default".to_owned(), |p| p.to_string()).into());
    map.insert("Conditions".into(), Value::Array(route.conditions.clone()));
    map.insert("Actions".into(), actions(route.actions_at(world.as_of())));
    map.insert("IsDefault".into(), route.priority.is_none().into());
    map.extend(route.other_fields.iter().cloned());
    Value::Object(map)
}

/// Returns actions as reads return them: the ARN of a single group also appears outside of the configuration.
pub(super) fn actions(actions: &[Value]) -> Value {
    let shown = actions.iter().map(|action| {
        let mut action = action.clone();
        if let Some([group]) = action["ForwardConfig"]["TargetGroups"].as_array().map(Vec::as_slice) {
            action["TargetGroupArn"] = group["TargetGroupArn"].clone();
        }
        action
    });
    Value::Array(shown.collect())
}

/// Returns the JSON form of a target group.
pub(super) fn group(world: &World, group: &Group) -> Value {
    let attached: Vec<&str> = group.attached.iter().map(|b| &*world.balancers[*b].arn).collect();
    let http = |value: Value| if group.protocol == TCP { Value::Null } else { value };
    json!({
        "TargetGroupArn": &*group.arn,
        "TargetGroupName": group.name,
        "Protocol": group.protocol,
        "Port": group.port,
        "VpcId": group.vpc,
        "HealthCheckProtocol": group.check.protocol,
        "HealthCheckPort": group.check.port,
        "HealthCheckEnabled": group.check.enabled && group.target_type != LAMBDA,
        "HealthCheckIntervalSeconds": group.check.interval.as_secs(),
        "HealthCheckTimeoutSeconds": group.check.timeout.as_secs(),
        "HealthyThresholdCount": group.check.healthy,
        "UnhealthyThresholdCount": group.check.unhealthy,
        "HealthCheckPath": http(json!(&*group.check.path)),
        "Matcher": http(json!({"HttpCode": group.check.matcher})),
        "LoadBalancerArns": attached,
        "TargetType": group.target_type,
        "ProtocolVersion": http(json!(group.protocol_version)),
        "IpAddressType": "ipv4",
    })
}

/// Returns the JSON form of tags or attributes.
pub(super) fn pairs(pairs: &Pairs) -> Value {
    pairs.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}
