//! Advice for AWS settings and permissions that a rollback needs.

use crate::domain::traffic::Unreadable;

/// The message if no AWS region is set.
pub const NO_REGION: &str = "no AWS region is set: set AWS_REGION, or name the load balancer by its ARN";

/// Returns what the operator can do about an unreadable resource.
pub fn remedy(why: &Unreadable) -> Option<&'static str> {
    match why {
        Unreadable::Credentials(_) => {
            Some("log in (such as `aws sso login`) or set AWS_PROFILE, then repeat the command")
        }
        Unreadable::Denied(_) => {
            Some("these credentials lack the permission: use others (AWS_PROFILE), then repeat the command")
        }
        Unreadable::Throttled | Unreadable::Unavailable(_) => Some("repeat the command"),
        Unreadable::Setup(_) | Unreadable::NotFound(_) | Unreadable::Unrepresentable(_) => None,
    }
}
