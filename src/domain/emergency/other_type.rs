//! Refuses a rollback on a load balancer whose traffic cutover does not move.

use super::{EmergencyError, LoadBalancerReading};
use crate::domain::elb::other_type::{ADVICE, other_type, refusal};

/// Returns the refusal if one of the load balancers is of another type.
pub(super) fn refuse(seen: &[LoadBalancerReading]) -> Option<EmergencyError> {
    let (reading, kind) = seen.iter().find_map(|s| Some((s, other_type(&s.load_balancer)?)))?;
    let refusal = refusal(&reading.load_balancer.name, kind);
    Some(EmergencyError::OtherType { refusal, instead: vec![ADVICE.to_owned()] })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::elb::balancer::{LiveRoute, LoadBalancer};
    use crate::domain::emergency::{PreparedRollback, from_names, from_tags};
    use crate::domain::fixture;
    use crate::domain::traffic::RouteId;

    const NLB: &str =
        "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:loadbalancer/net/alpha/50dc6c495c0c9188";

    /// Returns a load balancer whose only listener forwards to these groups.
    fn reading(load_balancer: LoadBalancer, weights: &[(&str, u16)]) -> LoadBalancerReading {
        let listener = fixture::listener(80);
        let id = RouteId::default_route(&listener.arn);
        let route = LiveRoute { id, ..fixture::route(80, None, fixture::forward(weights)) };
        LoadBalancerReading {
            at: jiff::Timestamp::UNIX_EPOCH,
            load_balancer,
            listeners: vec![(listener, vec![route])],
            groups: Vec::new(),
            health: BTreeMap::new(),
            skipped: Vec::new(),
        }
    }

    fn to_named_groups(seen: &LoadBalancerReading) -> Result<PreparedRollback, EmergencyError> {
        from_names::prepare(seen, &["webapp-a".to_owned()], &["webapp-b".to_owned()])
    }

    /// Even if only the ARN shows the type, because the load balancer itself could not be read.
    #[test]
    fn rollback_on_a_network_load_balancer_says_that_connections_remain() {
        let half = [("webapp-a", 50), ("webapp-b", 50)];
        for (load_balancer, remain) in [(fixture::load_balancer(), false), (LoadBalancer::named(NLB), true)] {
            let rollback = to_named_groups(&reading(load_balancer, &half)).unwrap();
            let route = &rollback.started.routes[0];
            assert_eq!(route.content.split.weight(&fixture::group_arn("webapp-a")), Some(100));
            assert_eq!((route.keeps_connections, route.settle), (remain, None));
        }
    }

    #[test]
    fn rollback_on_a_gateway_load_balancer_is_refused() {
        let gateway = || LoadBalancer { kind: "gateway".into(), ..fixture::load_balancer() };
        let refused = |error: Option<EmergencyError>| {
            let Some(EmergencyError::OtherType { refusal, .. }) = error else { panic!("{error:?}") };
            assert!(refusal.contains("alpha is a gateway load balancer"), "{refusal}");
        };
        refused(to_named_groups(&reading(gateway(), &[("webapp-b", 1)])).err());
        refused(from_tags::started(&[reading(gateway(), &[("webapp-b", 1)])], None).err());
    }
}
