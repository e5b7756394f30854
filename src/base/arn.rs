//! Parses ARNs. All knowledge of the ARN format belongs here; what a resource means to a balancer does not.

use super::haproxy;

/// An ARN: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'a> {
    /// The partition, such as `aws` or `aws-cn`.
    pub partition: &'a str,
    /// The service's code, such as `elasticloadbalancing`.
    pub service: &'a str,
    /// The region's code; empty for a global resource.
    pub region: &'a str,
    /// The account's ID, twelve digits; empty for a resource that belongs to no account.
    pub account: &'a str,
    /// The kind and path of the resource, such as `loadbalancer/app/NAME/ID`, `targetgroup/NAME/ID`,
    /// `listener/app/NAME/LB/ID`, `listener-rule/app/NAME/LB/LISTENER/ID`.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Parses an ARN; `None` if the text is not an ARN.
    pub fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, service, region, account, resource] = parts[..] else { return None };
        Some(Self { partition, service, region, account, resource })
    }

    /// Returns the kind of the resource: its text before the first `/`.
    pub fn kind(&self) -> &'a str {
        self.resource.split('/').next().unwrap_or_default()
    }

    /// Returns the name of the target group, or of the load balancer that the resource belongs to.
    pub fn name(&self) -> Option<&'a str> {
        let mut parts = self.resource.split('/').skip(1);
        match self.kind() {
            "targetgroup" => parts.next(),
            "loadbalancer" | "listener" | "listener-rule" => parts.nth(1),
            _ => None,
        }
    }
}

/// Whether a text begins like an ARN. The rest of the text is not checked.
pub fn begins(text: &str) -> bool {
    text.starts_with("arn:")
}

/// Returns the name in a load balancer's or target group's ARN; the text itself if it is not an ARN.
pub fn name(arn: &str) -> &str {
    Arn::parse(arn).and_then(|arn| arn.name()).unwrap_or(arn)
}

/// Returns the region of an ARN; empty if there is none.
pub fn region(arn: &str) -> &str {
    Arn::parse(arn).map_or("", |arn| arn.region)
}

/// Returns the account of an ARN; empty if there is none.
pub fn account(arn: &str) -> &str {
    Arn::parse(arn).map_or("", |arn| arn.account)
}

/// Returns the resource of an ARN; empty if the text is not an ARN.
pub fn resource(arn: &str) -> &str {
    Arn::parse(arn).map_or("", |arn| arn.resource)
}

/// Returns the last segment of an ARN's resource: unique among resources of its kind in one account and region.
pub fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Returns a short name for people: a target group's name, the resource of a rule or listener, or the glob of a set of
/// servers.
pub fn short(arn: &str) -> &str {
    match Arn::parse(arn) {
        Some(parts) if parts.kind() == "targetgroup" => parts.name().unwrap_or(arn),
        Some(parts) => parts.resource,
        None if haproxy::Group::parse(arn).is_some() => last(arn),
        None => arn,
    }
}

/// Returns the command of the AWS CLI that deletes a rule.
pub fn delete_rule(rule: &str) -> String {
    format!("aws elbv2 delete-rule --region {} --rule-arn {rule}", region(rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LB: &str = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/web/50dc";
    const RULE: &str = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener-rule/app/web/50dc/f2f7/9683";

    #[test]
    fn name_region_and_account_are_read_from_an_arn() {
        assert_eq!((name(LB), region(LB), account(LB), last(LB)), ("web", "eu-central-1", "123456789012", "50dc"));
        assert_eq!(
            (name(RULE), name(&LB.replace("loadbalancer/app", "targetgroup")), name("web")),
            ("web", "web", "web")
        );
        assert_eq!((region("web"), account("arn:aws"), short(RULE)), ("", "", "listener-rule/app/web/50dc/f2f7/9683"));
    }
}
