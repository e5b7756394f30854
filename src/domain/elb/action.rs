//! Listener and rule actions in the spelling of the ELBv2 API, so that the `aws` CLI takes them as they are.
//!
//! Only a complete representation may be written back: the adapter refuses an action that has an element which is
//! missing here. Do not add interpretation of actions here; `content` turns them into a route's content.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One action of a listener or rule. The routing action is the last by `Order`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Forwards to target groups by weight. This is the action that a cutover changes.
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
        /// `RedirectConfig`, carried unchanged.
        redirect_config: Config,
    },
    /// Answers with a fixed response.
    #[serde(rename_all = "PascalCase")]
    FixedResponse {
        /// See [`Action::Forward`].
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<i32>,
        /// `FixedResponseConfig`, carried unchanged.
        fixed_response_config: Config,
    },
    /// Authenticates clients at an OIDC provider. The client secret is never stored: `UseExistingClientSecret` is set
    /// instead.
    #[serde(rename_all = "PascalCase")]
    AuthenticateOidc {
        /// See [`Action::Forward`].
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<i32>,
        /// `AuthenticateOidcConfig`, without a secret.
        authenticate_oidc_config: Config,
    },
    /// Authenticates clients at Amazon Cognito.
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

/// A configuration that is carried unchanged, keyed by the API's field names.
pub type Config = BTreeMap<String, serde_json::Value>;

/// `ForwardConfig`: one group, or up to five with weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Forward {
    /// The groups, in the order they were read.
    pub target_groups: Vec<Tuple>,
    /// Group stickiness; written back on every write, because AWS does not document what omitting it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target_group_stickiness_config: Option<Stickiness>,
}

/// A target group in a forward action (`TargetGroupTuple`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Tuple {
    /// The group's ARN.
    pub target_group_arn: String,
    /// 0–999. May be absent where the action has only one group; it has no effect there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<u16>,
}

/// `TargetGroupStickinessConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Stickiness {
    /// Whether stickiness is on.
    #[serde(default)]
    pub enabled: bool,
    /// 1–604800 seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_seconds: Option<i32>,
}

impl Action {
    /// Returns the forward configuration, if this is a forward action.
    pub fn forward(&self) -> Option<&Forward> {
        match self {
            Self::Forward { forward_config, .. } => Some(forward_config),
            _ => None,
        }
    }
}
