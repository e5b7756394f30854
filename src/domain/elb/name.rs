//! Converts between ARNs and routes: the route that an ARN names, and the listener of a route.

use crate::base::arn::Arn;
use crate::domain::traffic::{RouteId, RouteKind};

/// Returns the route that an ARN names: a rule, or the default action of a listener.
pub fn route(arn: &str) -> RouteId {
    if Arn::parse(arn).is_some_and(|arn| arn.kind() == "listener-rule") {
        RouteId::rule(arn)
    } else {
        RouteId::default_route(arn)
    }
}

/// Returns the ARN of the listener that a route belongs to.
pub fn listener(route: &RouteId) -> String {
    match (route.kind(), route.id().rsplit_once('/')) {
        (RouteKind::Rule, Some((listener, _))) => listener.replacen(":listener-rule/", ":listener/", 1),
        _ => route.id().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener-rule/app/web/50dc/f2f7/9683";

    #[test]
    fn listener_is_read_from_the_arn_of_a_rule() {
        let of = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/web/50dc/f2f7";
        assert_eq!((route(RULE), route(of)), (RouteId::rule(RULE), RouteId::default_route(of)));
        assert_eq!((listener(&route(RULE)), listener(&route(of))), (of.to_owned(), of.to_owned()));
    }
}
