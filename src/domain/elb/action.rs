//! Represents actions of listeners and rules with the field names of the ELBv2 API, so that the `aws` CLI accepts the
//! JSON unchanged.
//!
//! Only a complete action may be written back: the adapter refuses an action with an element that this module does not
//! represent. Do not interpret actions here; `content` converts actions to a route's content.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One action of a listener or rule. The action with the largest `Order` is the routing action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Forwards requests to target groups by weight. This is the action that a cutover changes.
    #[serde(rename_all = "PascalCase")]
    Forward {
        /// The evaluation order, 1–50000; required if the listener or rule has several actions.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<i32>,
        /// The target groups and their stickiness.
        forward_config: Forward,
    },
    /// Redirects requests.
    #[serde(rename_all = "PascalCase")]
    Redirect {
        /// The evaluation order, as for [`Action::Forward`].
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<i32>,
        /// The API's `RedirectConfig`, unchanged.
        redirect_config: Config,
    },
    /// Returns a fixed response.
    #[serde(rename_all = "PascalCase")]
    FixedResponse {
        /// The evaluation order, as for [`Action::Forward`].
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<i32>,
        /// The API's `FixedResponseConfig`, unchanged.
        fixed_response_config: Config,
    },
    /// Authenticates clients at an OIDC provider. The client secret is never stored: `UseExistingClientSecret` is set
    /// instead.
    #[serde(rename_all = "PascalCase")]
    AuthenticateOidc {
        /// The evaluation order, as for [`Action::Forward`].
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<i32>,
        /// The API's `AuthenticateOidcConfig`, without the client secret.
        authenticate_oidc_config: Config,
    },
    /// Authenticates clients at Amazon Cognito.
    #[serde(rename_all = "PascalCase")]
    AuthenticateCognito {
        /// The evaluation order, as for [`Action::Forward`].
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<i32>,
        /// The API's `AuthenticateCognitoConfig`, unchanged.
        authenticate_cognito_config: Config,
    },
    /// Validates a JSON web token.
    #[serde(rename_all = "PascalCase")]
    JwtValidation {
        /// The evaluation order, as for [`Action::Forward`].
        #[serde(skip_serializing_if = "Option::is_none", default)]
        order: Option<i32>,
        /// The API's `JwtValidationConfig`, unchanged.
        jwt_validation_config: Config,
    },
}

/// A configuration that is written back unchanged, by the API's field names.
pub type Config = BTreeMap<String, serde_json::Value>;

/// The API's `ForwardConfig`: one target group, or up to five with weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Forward {
    /// The target groups, in the order in which they were read.
    pub target_groups: Vec<Tuple>,
    /// The group stickiness. It is part of every write, because AWS does not document the effect of omitting it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target_group_stickiness_config: Option<Stickiness>,
}

/// A target group in a forward action (the API's `TargetGroupTuple`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Tuple {
    /// The group's ARN.
    pub target_group_arn: String,
    /// The weight, 0–999. May be absent in an action with only one group, where a weight has no effect.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<u16>,
}

/// The API's `TargetGroupStickinessConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Stickiness {
    /// Whether stickiness is on.
    #[serde(default)]
    pub enabled: bool,
    /// The duration of the stickiness, 1–604800 seconds.
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
