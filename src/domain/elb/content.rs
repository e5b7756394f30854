//! Converts ELBv2 actions to the content of a route, and back. No other module reads or writes the opaque part
//! (`vendor_config`) of an ELBv2 route.
//!
//! The opaque part is the list of actions in canonical form. In this form, the forward action has no configuration,
//! because `split` and `stickiness` contain it; and a single action has no order, because the order has no effect.

use serde_json::{Map, Value};

use super::action::{Action, Forward, Stickiness, Tuple};
use crate::domain::traffic::{ClientStickiness, Limits, Member, RouteContent, Split, VendorConfig};

/// The limits of ELBv2: the maximum weight, and the maximum number of target groups of an action. AWS does not increase
/// these limits on request.
pub const LIMITS: Limits = Limits { max_weight: 999, max_members: 5, fixed_total: false };

/// The name in `vendor_config` that identifies the opaque part as ELBv2's.
const VENDOR: &str = "elbv2";
/// The version of the format of the opaque part.
const VERSION: u32 = 1;

/// Why a content cannot be written to ELBv2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The content belongs to another kind of load balancer, or has a version that this build does not know.
    #[error(
        "the recorded actions have the format {0} version {1}; this build can write only {VENDOR} version {VERSION}"
    )]
    Version(String, u32),
    /// The opaque part is not a list of actions, or has an element that this build does not know.
    #[error("the recorded actions are not valid: {0}")]
    Malformed(String),
    /// The content has members but no forward action, or a forward action but no members.
    #[error("the recorded actions and the recorded target groups do not match")]
    Mismatch,
}

/// Converts the actions of a listener or rule to the content of a route.
pub fn content(actions: &[Action]) -> RouteContent {
    let at = actions.iter().position(|a| a.forward().is_some());
    let forward = at.and_then(|at| actions[at].forward());
    let single = actions.len() == 1;
    let value = actions.iter().enumerate().map(|(n, action)| to_canonical(action, Some(n) == at, single)).collect();
    RouteContent {
        split: forward.map(split).unwrap_or_default(),
        stickiness: forward.and_then(|f| f.target_group_stickiness_config.as_ref()).map(sticky),
        process: None,
        vendor_config: VendorConfig { vendor: VENDOR.to_owned(), v: VERSION, value: Value::Array(value) },
    }
}

/// Returns the actions to write: the actions as read, with the members and weights of the content.
///
/// # Errors
/// [`ContentError`] if the content was not made by [`content`].
pub fn actions(content: &RouteContent) -> Result<Vec<Action>, ContentError> {
    let VendorConfig { vendor, v, value } = &content.vendor_config;
    if (vendor.as_str(), *v) != (VENDOR, VERSION) {
        return Err(ContentError::Version(vendor.clone(), *v));
    }
    let list = value.as_array().ok_or_else(|| ContentError::Malformed("not a list".to_owned()))?;
    let mut forward = content.forward_split().map(|split| config(split, content.stickiness.as_ref()));
    let actions = list.iter().map(|action| restore_action(action, &mut forward)).collect::<Result<Vec<_>, _>>()?;
    if forward.is_some() { Err(ContentError::Mismatch) } else { Ok(actions) }
}

/// Returns the types of a content's actions in order, such as `redirect`; empty if the types are not known.
pub fn kinds(content: &RouteContent) -> Vec<&str> {
    content.vendor_config.value.as_array().into_iter().flatten().filter_map(|action| action["Type"].as_str()).collect()
}

fn split(forward: &Forward) -> Split {
    let member = |t: &Tuple| Member::new(t.target_group_arn.clone(), t.weight);
    Split { members: forward.target_groups.iter().map(member).collect() }
}

fn sticky(config: &Stickiness) -> ClientStickiness {
    ClientStickiness { enabled: config.enabled, seconds: config.duration_seconds.and_then(|s| u32::try_from(s).ok()) }
}

fn config(split: &Split, sticky: Option<&ClientStickiness>) -> Forward {
    let tuple = |m: &Member| Tuple { target_group_arn: m.id.clone(), weight: m.weight };
    let stickiness = |s: &ClientStickiness| Stickiness {
        enabled: s.enabled,
        duration_seconds: s.seconds.and_then(|seconds| i32::try_from(seconds).ok()),
    };
    Forward {
        target_groups: split.members.iter().map(tuple).collect(),
        target_group_stickiness_config: sticky.map(stickiness),
    }
}

fn to_canonical(action: &Action, is_forward: bool, single: bool) -> Value {
    let mut value = serde_json::to_value(action).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        if is_forward {
            fields.shift_remove("ForwardConfig");
        }
        if single {
            fields.shift_remove("Order");
        }
    }
    value
}

/// Converts one action of the opaque part back. The forward action gets `forward` as its configuration.
fn restore_action(action: &Value, forward: &mut Option<Forward>) -> Result<Action, ContentError> {
    let malformed = |error: serde_json::Error| ContentError::Malformed(error.to_string());
    let mut fields: Map<String, Value> =
        action.as_object().cloned().ok_or_else(|| ContentError::Malformed("not an action".to_owned()))?;
    if fields.get("Type").is_some_and(|kind| kind == "forward") && !fields.contains_key("ForwardConfig") {
        let config = forward.take().ok_or(ContentError::Mismatch)?;
        fields.insert("ForwardConfig".to_owned(), serde_json::to_value(config).map_err(malformed)?);
    }
    serde_json::from_value(Value::Object(fields)).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: Value) -> Vec<Action> {
        serde_json::from_value(json).unwrap()
    }

    fn forward(order: Option<i32>, sticky: Value) -> Value {
        let mut config =
            json!({"TargetGroups": [{"TargetGroupArn": "a", "Weight": 90}, {"TargetGroupArn": "b", "Weight": 10}]});
        if !sticky.is_null() {
            config["TargetGroupStickinessConfig"] = sticky;
        }
        let mut action = json!({"Type": "forward", "ForwardConfig": config});
        if let Some(order) = order {
            action["Order"] = order.into();
        }
        action
    }

    #[test]
    fn unchanged_content_is_written_as_read() {
        let oidc = json!({"Type": "authenticate-oidc", "Order": 1,
            "AuthenticateOidcConfig": {"ClientId": "x", "UseExistingClientSecret": true}});
        let redirect = json!({"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}});
        let single = json!({"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": "a"}]}});
        for list in [
            json!([oidc, forward(Some(2), json!({"Enabled": true, "DurationSeconds": 600}))]),
            json!([forward(None, json!({"Enabled": false, "DurationSeconds": 5}))]),
            json!([forward(None, Value::Null)]),
            json!([redirect]),
            json!([single]),
        ] {
            let list = read(list);
            let content = content(&list);
            assert_eq!(actions(&content).unwrap(), list);
            let journalled: RouteContent = serde_json::from_value(serde_json::to_value(&content).unwrap()).unwrap();
            assert_eq!(journalled, content);
        }
    }

    #[test]
    fn new_split_changes_only_the_weights() {
        let list = read(json!([forward(None, json!({"Enabled": true, "DurationSeconds": 600}))]));
        let written = actions(&content(&list).with_split(&Split::of([("a", 0), ("b", 100)]))).unwrap();
        let sticky = written[0].forward().and_then(|f| f.target_group_stickiness_config.clone());
        assert_eq!(sticky, Some(Stickiness { enabled: true, duration_seconds: Some(600) }));
        assert_eq!(content(&written).split, Split::of([("a", 0), ("b", 100)]));
    }

    #[test]
    fn equivalent_contents_have_the_same_effect() {
        let of = |order, sticky| content(&read(json!([forward(order, sticky)])));
        let plain = of(None, Value::Null);
        assert!(
            plain.equivalent(&of(Some(1), json!({"Enabled": false}))),
            "the order of a single action and disabled stickiness must not matter"
        );
        assert!(plain.equivalent(&of(None, json!({"Enabled": false, "DurationSeconds": 9}))));
        assert!(!plain.equivalent(&of(None, json!({"Enabled": true, "DurationSeconds": 9}))));
        let redirect =
            |code: &str| content(&read(json!([{"Type": "redirect", "RedirectConfig": {"StatusCode": code}}])));
        assert!(
            !redirect("HTTP_301").equivalent(&redirect("HTTP_302")) && redirect("HTTP_301").forward_split().is_none()
        );
        assert_eq!(kinds(&redirect("HTTP_301")), ["redirect"]);
    }

    #[test]
    fn unknown_content_is_refused() {
        let good = content(&read(json!([forward(None, Value::Null)])));
        let with = |change: fn(&mut RouteContent)| {
            let mut content = good.clone();
            change(&mut content);
            actions(&content).unwrap_err()
        };
        assert_eq!(with(|c| c.vendor_config.v = 2), ContentError::Version("elbv2".into(), 2));
        assert_eq!(with(|c| c.vendor_config.vendor = "haproxy".into()), ContentError::Version("haproxy".into(), 1));
        assert_eq!(with(|c| c.split.members.clear()), ContentError::Mismatch);
        assert_eq!(with(|c| c.vendor_config.value = json!([])), ContentError::Mismatch);
        assert!(matches!(with(|c| c.vendor_config.value = json!([{"Type": "teleport"}])), ContentError::Malformed(_)));
    }
}
