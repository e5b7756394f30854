//! Which route an ARN names, and which listener a route belongs to.

use crate::base::arn::Arn;
use crate::domain::traffic::{RouteId, RouteKind};

/// Returns the route of a listener's ARN (its default action) or of a rule's ARN.
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
    fn a_rule_names_its_listener() {
        let of = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/web/50dc/f2f7";
        assert_eq!((route(RULE), route(of)), (RouteId::rule(RULE), RouteId::default_route(of)));
        assert_eq!((listener(&route(RULE)), listener(&route(of))), (of.to_owned(), of.to_owned()));
    }
}
