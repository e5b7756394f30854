//! Refuses a rollback on a load balancer that is not an Application Load Balancer. The refusal has the `aws` CLI
//! commands that do the same on a Network Load Balancer.

use super::{EmergencyError, LoadBalancerReading, PreparedRollback, script};
use crate::base::arn;
use crate::domain::elb::other_type::{advice, other_type, refusal};

/// Returns the refusal if one of the load balancers is of another type. `rollback` has the weights that would be
/// written.
pub(super) fn refuse(seen: &[LoadBalancerReading], rollback: Option<&PreparedRollback>) -> Option<EmergencyError> {
    let (reading, kind) = seen.iter().find_map(|s| Some((s, other_type(&s.load_balancer)?)))?;
    let mut instead = vec![advice(kind).to_owned()];
    if kind == "network" {
        instead.extend(commands(reading, rollback));
    }
    Some(EmergencyError::OtherType { refusal: refusal(&reading.load_balancer.name, kind), instead })
}

/// Returns one command per listener: with the weights of the rollback, or with places for the ARNs if the target groups
/// do not determine the rollback.
fn commands(reading: &LoadBalancerReading, rollback: Option<&PreparedRollback>) -> Vec<String> {
    let routes = rollback.iter().flat_map(|rollback| &rollback.started.routes);
    let exact: Vec<String> = routes
        .filter(|route| route.load_balancer == reading.load_balancer.arn)
        .filter_map(script::write_command)
        .collect();
    if !exact.is_empty() {
        return exact;
    }
    let region = arn::region(&reading.load_balancer.arn);
    let command = |listener: &str| {
        format!(
            "aws elbv2 modify-listener --region {region} --listener-arn {listener} --default-actions \
             'Type=forward,ForwardConfig={{TargetGroups=[{{TargetGroupArn=<ARN OF THE OLD GROUP>,Weight=100}},\
             {{TargetGroupArn=<ARN OF THE NEW GROUP>,Weight=0}}]}}'"
        )
    };
    reading.listeners.iter().map(|(listener, _)| command(&listener.arn)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::elb::balancer::{LiveRoute, LoadBalancer};
    use crate::domain::emergency::{from_names, from_tags};
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

    fn refused(found: Result<PreparedRollback, EmergencyError>) -> (String, String) {
        match found {
            Err(EmergencyError::OtherType { refusal, instead }) => (refusal, instead.join("\n")),
            other => panic!("the rollback must be refused, but is {other:?}"),
        }
    }

    #[test]
    fn rollback_on_a_network_load_balancer_is_refused_with_the_commands() {
        let to =
            |seen: &LoadBalancerReading| from_names::started(seen, &["webapp-a".to_owned()], &["webapp-b".to_owned()]);
        let half = [("webapp-a", 50), ("webapp-b", 50)];
        assert!(to(&reading(fixture::load_balancer(), &half)).is_ok(), "an ALB must not be refused");
        // Only the ARN shows the type, because the load balancer itself could not be read.
        let (said, instead) = refused(to(&reading(LoadBalancer::named(NLB), &half)));
        assert!(said.contains("alpha is a network load balancer"), "{said}");
        let (old, new) = (fixture::group_arn("webapp-a"), fixture::group_arn("webapp-b"));
        assert!(instead.contains("aws elbv2 modify-listener") && !instead.contains('<'), "{instead}");
        assert!(instead.contains(&old) && instead.contains(&new) && instead.contains("\"Weight\":100"), "{instead}");
        // The target groups are not both attached.
        let (_, instead) = refused(to(&reading(LoadBalancer::named(NLB), &[("webapp-b", 1)])));
        assert!(instead.contains(&fixture::listener(80).arn), "{instead}");
    }

    #[test]
    fn rollback_from_tags_and_on_a_gateway_load_balancer_is_refused() {
        let network = LoadBalancer { kind: "network".into(), ..fixture::load_balancer() };
        let found = from_tags::started(&[reading(network, &[("webapp-b", 1)])], None).map(|found| found.rollback);
        assert!(refused(found).0.contains("network load balancer"));
        let gateway = LoadBalancer { kind: "gateway".into(), ..fixture::load_balancer() };
        let found = from_names::started(&reading(gateway, &[("g", 1)]), &["h".to_owned()], &["g".to_owned()]);
        let (said, instead) = refused(found);
        assert!(said.contains("gateway load balancer") && !instead.contains("modify-listener"), "{said} {instead}");
    }
}
