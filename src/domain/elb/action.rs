//! Listener and rule actions, in the shape and spelling of the ELBv2 API, so that what the journal keeps can be given to the `aws` CLI as it is.
//!
//! Only what this build represents completely may be written back: the adapter refuses an action with an element that is not here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One action of a listener or rule. The routing action is the last by `Order`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Forwards to target groups by weight: the one that cutovers change.
    #[serde(rename_all = "PascalCase")]
    Forward {
        /// Evaluation order, 1–50000; required where there are several actions.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<i32>,
        /// The groups.
        forward_config: Forward,
    },
    /// Answers with a redirect.
    #[serde(rename_all = "PascalCase")]
    Redirect {
        /// See [`Action::Forward`].
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<i32>,
        /// `RedirectConfig`, opaque to us.
        redirect_config: Config,
    },
    /// Answers by itself.
    #[serde(rename_all = "PascalCase")]
    FixedResponse {
        /// See [`Action::Forward`].
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<i32>,
        /// `FixedResponseConfig`, opaque to us.
        fixed_response_config: Config,
    },
    /// Authenticates at an OIDC provider. The client secret is never kept: `UseExistingClientSecret` is set instead.
    #[serde(rename_all = "PascalCase")]
    AuthenticateOidc {
        /// See [`Action::Forward`].
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<i32>,
        /// `AuthenticateOidcConfig`, without a secret.
        authenticate_oidc_config: Config,
    },
    /// Authenticates at Cognito.
    #[serde(rename_all = "PascalCase")]
    AuthenticateCognito {
        /// See [`Action::Forward`].
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<i32>,
        /// `AuthenticateCognitoConfig`.
        authenticate_cognito_config: Config,
    },
    /// Validates a JSON web token.
    #[serde(rename_all = "PascalCase")]
    JwtValidation {
        /// See [`Action::Forward`].
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<i32>,
        /// `JwtValidationConfig`.
        jwt_validation_config: Config,
    },
}

/// A configuration that is carried along unchanged, by the API's own field names.
pub type Config = BTreeMap<String, serde_json::Value>;

/// `ForwardConfig`: a lone group, or up to five with weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Forward {
    /// The groups, in the order they were read.
    pub target_groups: Vec<Tuple>,
    /// Group stickiness; echoed on every write, because AWS does not say what omitting it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target_group_stickiness_config: Option<Stickiness>,
}

/// A target group in a forward action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Tuple {
    /// The group's ARN.
    pub target_group_arn: String,
    /// 0–999; may be absent on a lone group, where it means nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<u16>,
}

/// `TargetGroupStickinessConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Stickiness {
    /// Whether it is on.
    #[serde(default)]
    pub enabled: bool,
    /// 1–604800 seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_seconds: Option<i32>,
}

impl Forward {
    /// The weight of a group, a lone group's being 1 whatever it says; `None` where the group is not attached.
    pub fn weight(&self, arn: &str) -> Option<u16> {
        let tuple = self.target_groups.iter().find(|t| t.target_group_arn == arn)?;
        if self.target_groups.len() == 1 { Some(1) } else { Some(tuple.weight.unwrap_or(0)) }
    }

    /// Whether group stickiness is on.
    pub fn sticky(&self) -> bool {
        self.target_group_stickiness_config.as_ref().is_some_and(|s| s.enabled)
    }

    /// Whether two forwards mean the same to the load balancer: same groups and weights in any order, same stickiness (absent and off are equal).
    pub fn same(&self, other: &Self) -> bool {
        let weights = |f: &Self| -> BTreeMap<String, Option<u16>> {
            f.target_groups.iter().map(|t| (t.target_group_arn.clone(), f.weight(&t.target_group_arn))).collect()
        };
        let stickiness = |f: &Self| f.target_group_stickiness_config.clone().filter(|s| s.enabled);
        weights(self) == weights(other) && stickiness(self) == stickiness(other)
    }
}

impl Action {
    /// The forward configuration, if this is a forward action.
    pub fn forward(&self) -> Option<&Forward> {
        match self {
            Self::Forward { forward_config, .. } => Some(forward_config),
            _ => None,
        }
    }
}

/// The forward action of a listener's or rule's actions, if it has one.
pub fn forward(actions: &[Action]) -> Option<&Forward> {
    actions.iter().find_map(Action::forward)
}

/// The same actions with the forward configuration replaced, everything else as it was.
pub fn with_forward(actions: &[Action], set: &Forward) -> Vec<Action> {
    actions
        .iter()
        .map(|a| match a {
            Action::Forward { order, .. } => Action::Forward { order: *order, forward_config: set.clone() },
            other => other.clone(),
        })
        .collect()
}

/// Whether two action lists mean the same: forwards by [`Forward::same`], all else equal.
pub fn same(a: &[Action], b: &[Action]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(x, y)| match (x, y) {
            (Action::Forward { forward_config: left, order: l }, Action::Forward { forward_config: right, order: r }) => {
                left.same(right) && (l == r || a.len() == 1)
            }
            _ => x == y,
        })
}
