//! Listener and rule actions, in the shape and spelling of the ELBv2 API, so that they can be given to the `aws` CLI as they are.
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

impl Action {
    /// The forward configuration, if this is a forward action.
    pub fn forward(&self) -> Option<&Forward> {
        match self {
            Self::Forward { forward_config, .. } => Some(forward_config),
            _ => None,
        }
    }
}
