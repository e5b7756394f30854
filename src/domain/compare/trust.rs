//! Evaluates the trust policy of an IAM role for a service account, as STS does for AssumeRoleWithWebIdentity.
//!
//! Sources: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>,
//! <https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html>.

use serde_json::Value;
use wildmatch::WildMatch;

/// The action that a pod calls with the token of its service account.
const ACTION: &str = "sts:AssumeRoleWithWebIdentity";

/// The token of a service account.
pub struct Identity<'a> {
    /// The OIDC issuer without `https://`.
    pub issuer: &'a str,
    /// The subject, `system:serviceaccount:NAMESPACE:NAME`.
    pub subject: &'a str,
    /// The audience.
    pub audience: &'a str,
}

/// Whether a role can be assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The role can be assumed.
    Trusts,
    /// The role cannot be assumed, and why.
    Refuses(String),
    /// The policy has this condition, which this build cannot evaluate.
    Unclear(String),
}

/// The result of a condition or of all conditions of a statement.
enum Outcome {
    Holds,
    Fails(String),
    Unclear(String),
}

/// Returns whether a trust policy allows an identity to assume the role.
pub fn trusts(policy: &Value, identity: &Identity<'_>) -> Trust {
    let mut why = None;
    let (mut allowed, mut unclear) = (false, None);
    for statement in many(&policy["Statement"]) {
        if !concerns(statement, identity) {
            continue;
        }
        let denies = statement["Effect"] == "Deny";
        match conditions(&statement["Condition"], identity) {
            Outcome::Holds if denies => return Trust::Refuses("a statement of its trust policy denies it".to_owned()),
            Outcome::Holds => allowed = true,
            Outcome::Fails(reason) if !denies => why = why.or(Some(reason)),
            Outcome::Fails(_) => {}
            // An unknown condition of a Deny may forbid the role, so it matters even if another statement allows the
            // role.
            Outcome::Unclear(condition) if denies => return Trust::Unclear(condition),
            Outcome::Unclear(condition) => unclear = unclear.or(Some(condition)),
        }
    }
    match (allowed, unclear, why) {
        (true, ..) => Trust::Trusts,
        (false, Some(condition), _) => Trust::Unclear(condition),
        (false, None, Some(why)) => Trust::Refuses(why),
        (false, None, None) => {
            Trust::Refuses(format!("its trust policy does not name the OIDC provider {}", identity.issuer))
        }
    }
}

/// Returns the elements of a list, or the only value.
fn many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn texts(value: &Value) -> Vec<&str> {
    many(value).into_iter().filter_map(Value::as_str).collect()
}

/// Returns whether the action and the principal of a statement are those of the identity.
fn concerns(statement: &Value, identity: &Identity<'_>) -> bool {
    let acts = |patterns: &Value| {
        let fits = |pattern: &&str| WildMatch::new(&pattern.to_ascii_lowercase()).matches(&ACTION.to_ascii_lowercase());
        texts(patterns).iter().any(fits)
    };
    let action =
        if statement["NotAction"].is_null() { acts(&statement["Action"]) } else { !acts(&statement["NotAction"]) };
    let provider = format!(":oidc-provider/{}", identity.issuer);
    let principal = &statement["Principal"];
    let named = texts(&principal["Federated"]).iter().any(|arn| *arn == "*" || arn.ends_with(&provider));
    action && (named || principal == "*")
}

/// Evaluates all conditions of a statement.
fn conditions(all: &Value, identity: &Identity<'_>) -> Outcome {
    let (mut fails, mut unclear) = (None, None);
    for (operator, keys) in all.as_object().into_iter().flatten() {
        for (key, wanted) in keys.as_object().into_iter().flatten() {
            match condition(operator, key, wanted, identity) {
                Outcome::Holds => {}
                Outcome::Fails(why) => fails = fails.or(Some(why)),
                Outcome::Unclear(condition) => unclear = unclear.or(Some(condition)),
            }
        }
    }
    // A failed condition decides. The other conditions do not matter.
    fails.map(Outcome::Fails).or(unclear.map(Outcome::Unclear)).unwrap_or(Outcome::Holds)
}

fn condition(operator: &str, key: &str, wanted: &Value, identity: &Identity<'_>) -> Outcome {
    // For a key with one value, these prefixes change nothing, except where the key is missing.
    let all = operator.strip_prefix("ForAllValues:");
    let plain = all.or(operator.strip_prefix("ForAnyValue:")).unwrap_or(operator);
    let (plain, if_exists) = plain.strip_suffix("IfExists").map_or((plain, false), |plain| (plain, true));
    let shown = || format!("{operator} {key}");
    let (issuer, claim) = key.rsplit_once(':').unwrap_or((key, ""));
    let own = issuer.eq_ignore_ascii_case(identity.issuer);
    let value = match claim {
        "sub" if own => Some(identity.subject),
        "aud" if own => Some(identity.audience),
        // The token of another issuer has no such key here.
        "sub" | "aud" if issuer.contains('.') => None,
        _ => return Outcome::Unclear(shown()),
    };
    if plain == "Null" {
        let missing = texts(wanted).contains(&"true") || *wanted == true;
        return if missing == value.is_none() {
            Outcome::Holds
        } else {
            Outcome::Fails(format!("{} is not met", shown()))
        };
    }
    let wanted = texts(wanted);
    let any = |fits: &dyn Fn(&str, &str) -> bool| value.is_some_and(|v| wanted.iter().any(|w| fits(w, v)));
    let equal = |wanted: &str, value: &str| wanted == value;
    let equal_any_case = |wanted: &str, value: &str| wanted.eq_ignore_ascii_case(value);
    let like = |wanted: &str, value: &str| WildMatch::new(wanted).matches(value);
    let (found, negative) = match plain {
        "StringEquals" => (any(&equal), false),
        "StringNotEquals" => (any(&equal), true),
        "StringEqualsIgnoreCase" => (any(&equal_any_case), false),
        "StringNotEqualsIgnoreCase" => (any(&equal_any_case), true),
        "StringLike" => (any(&like), false),
        "StringNotLike" => (any(&like), true),
        _ => return Outcome::Unclear(shown()),
    };
    if found != negative || (value.is_none() && (if_exists || all.is_some())) {
        return Outcome::Holds;
    }
    let what = if negative { "excludes" } else { "allows only" };
    Outcome::Fails(format!("its trust policy {what} {} as `{claim}` of {issuer}", wanted.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "oidc.eks.eu-central-1.amazonaws.com/id/NEW";
    const OLD: &str = "oidc.eks.eu-central-1.amazonaws.com/id/OLD";
    const SUBJECT: &str = "system:serviceaccount:shop:checkout";

    fn statement(issuer: &str, condition: Value) -> Value {
        json!({
            "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition,
            "Principal": {"Federated": format!("arn:aws:iam::123456789012:oidc-provider/{issuer}")},
        })
    }

    fn judged(statements: Value) -> Trust {
        let identity = Identity { issuer: ISSUER, subject: SUBJECT, audience: "sts.amazonaws.com" };
        trusts(&json!({"Version": "2012-10-17", "Statement": statements}), &identity)
    }

    fn key(claim: &str) -> String {
        format!("{ISSUER}:{claim}")
    }

    #[test]
    fn policy_with_provider_subject_and_audience_trusts() {
        let both = |subject: Value| json!({key("sub"): subject, key("aud"): "sts.amazonaws.com"});
        for condition in [
            Value::Null,
            json!({"StringEquals": both(json!(SUBJECT))}),
            json!({"StringEquals": both(json!(["system:serviceaccount:shop:other", SUBJECT]))}),
            json!({"StringLike": {key("sub"): "system:serviceaccount:shop:*"}, "StringEquals": {key("aud"): "sts.amazonaws.com"}}),
            json!({"StringLike": {key("sub"): "system:serviceaccount:*:check?ut"}}),
            json!({"ForAnyValue:StringEquals": {key("aud"): ["sts.amazonaws.com", "x"]}}),
            json!({"StringNotEquals": {key("sub"): "system:serviceaccount:shop:admin"}}),
            json!({"StringEqualsIfExists": {format!("{OLD}:sub"): "x"}}),
            json!({"Null": {key("sub"): "false"}}),
        ] {
            assert_eq!(judged(json!([statement(ISSUER, condition.clone())])), Trust::Trusts, "{condition}");
        }
        // One statement for each cluster, or one with two providers.
        let of_old = statement(OLD, json!({"StringEquals": {format!("{OLD}:sub"): SUBJECT}}));
        assert_eq!(
            judged(json!([of_old, statement(ISSUER, json!({"StringEquals": both(json!(SUBJECT))}))])),
            Trust::Trusts
        );
        let mut two = statement(ISSUER, Value::Null);
        two["Principal"] = json!({"Federated": [format!("arn:aws:iam::1:oidc-provider/{OLD}"), format!("arn:aws:iam::1:oidc-provider/{ISSUER}")]});
        assert_eq!(judged(two), Trust::Trusts);
    }

    #[test]
    fn policy_for_another_cluster_account_or_audience_refuses_and_says_why() {
        for (statements, why) in [
            (json!([statement(OLD, Value::Null)]), "does not name the OIDC provider"),
            (json!([]), "does not name the OIDC provider"),
            (
                json!([statement(ISSUER, json!({"StringEquals": {key("sub"): "system:serviceaccount:shop:cart"}}))]),
                "shop:cart as `sub`",
            ),
            (
                json!([statement(ISSUER, json!({"StringLike": {key("sub"): "system:serviceaccount:store:*"}}))]),
                "store:* as `sub`",
            ),
            (
                json!([statement(ISSUER, json!({"StringEquals": {key("sub"): "system:serviceaccount:shop:*"}}))]),
                "shop:* as `sub`",
            ),
            (json!([statement(ISSUER, json!({"StringEquals": {key("aud"): "vault"}}))]), "vault as `aud`"),
            // The new provider is named, but the condition is about the old one: a common mistake.
            (json!([statement(ISSUER, json!({"StringEquals": {format!("{OLD}:sub"): SUBJECT}}))]), "`sub` of"),
        ] {
            let Trust::Refuses(found) = judged(statements.clone()) else { panic!("{statements}") };
            assert!(found.contains(why), "{found} should contain {why}");
        }
        let mut deny = statement(ISSUER, Value::Null);
        deny["Effect"] = "Deny".into();
        assert!(matches!(judged(json!([statement(ISSUER, Value::Null), deny])), Trust::Refuses(_)));
        let mut other = statement(ISSUER, Value::Null);
        other["Action"] = "sts:AssumeRole".into();
        assert!(matches!(judged(json!([other])), Trust::Refuses(_)));
    }

    #[test]
    fn condition_that_is_not_known_is_unclear_unless_another_decides() {
        let by_address = json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}});
        assert_eq!(
            judged(json!([statement(ISSUER, by_address.clone())])),
            Trust::Unclear("IpAddress aws:SourceIp".to_owned())
        );
        let plain = statement(ISSUER, Value::Null);
        assert_eq!(judged(json!([statement(ISSUER, by_address.clone()), plain.clone()])), Trust::Trusts);
        let mut deny = statement(ISSUER, by_address);
        deny["Effect"] = "Deny".into();
        assert!(matches!(judged(json!([plain, deny])), Trust::Unclear(_)));
        let wrong = json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "StringEquals": {key("sub"): "x"}});
        assert!(matches!(judged(json!([statement(ISSUER, wrong)])), Trust::Refuses(_)));
    }
}
