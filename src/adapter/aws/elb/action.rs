//! Converts actions between the SDK's types and the domain's types, either without loss or with an error.

use aws_sdk_elasticloadbalancingv2::types as sdk;
use aws_sdk_elasticloadbalancingv2::types::ActionTypeEnum as Type;

use super::config;
use crate::domain::elb::LIMITS;
use crate::domain::elb::action::{Action, Forward, Stickiness, Tuple};

/// Converts the actions of a route, in evaluation order. The error names the part that cannot be represented.
pub(super) fn from_sdk(actions: &[sdk::Action]) -> Result<Vec<Action>, String> {
    let mut read = actions.iter().map(one_from_sdk).collect::<Result<Vec<_>, _>>()?;
    read.sort_by_key(|a| order(a).unwrap_or(0));
    Ok(read)
}

/// Converts the actions for a write. The error names the part that must not be written.
pub(super) fn to_sdk(actions: &[Action]) -> Result<Vec<sdk::Action>, String> {
    if actions.is_empty() {
        return Err("there are no actions to write".to_owned());
    }
    actions.iter().map(one_to_sdk).collect()
}

fn order(action: &Action) -> Option<i32> {
    match action {
        Action::Forward { order, .. }
        | Action::Redirect { order, .. }
        | Action::FixedResponse { order, .. }
        | Action::AuthenticateOidc { order, .. }
        | Action::AuthenticateCognito { order, .. }
        | Action::JwtValidation { order, .. } => *order,
    }
}

fn one_from_sdk(action: &sdk::Action) -> Result<Action, String> {
    let order = action.order();
    let lacks = |what: &str| format!("an action lacks {what}");
    check_single_configuration(action)?;
    match action.r#type().ok_or_else(|| lacks("a type"))? {
        Type::Forward => Ok(Action::Forward { order, forward_config: forward(action)? }),
        Type::Redirect => {
            let c = action.redirect_config().ok_or_else(|| lacks("RedirectConfig"))?;
            Ok(Action::Redirect { order, redirect_config: config::redirect(c) })
        }
        Type::FixedResponse => {
            let c = action.fixed_response_config().ok_or_else(|| lacks("FixedResponseConfig"))?;
            Ok(Action::FixedResponse { order, fixed_response_config: config::fixed_response(c) })
        }
        Type::AuthenticateOidc => {
            let c = action.authenticate_oidc_config().ok_or_else(|| lacks("AuthenticateOidcConfig"))?;
            Ok(Action::AuthenticateOidc { order, authenticate_oidc_config: config::oidc(c) })
        }
        Type::AuthenticateCognito => {
            let c = action.authenticate_cognito_config().ok_or_else(|| lacks("AuthenticateCognitoConfig"))?;
            Ok(Action::AuthenticateCognito { order, authenticate_cognito_config: config::cognito(c) })
        }
        Type::JwtValidation => {
            let c = action.jwt_validation_config().ok_or_else(|| lacks("JwtValidationConfig"))?;
            Ok(Action::JwtValidation { order, jwt_validation_config: config::jwt(c) })
        }
        unknown => Err(format!("this build does not know the action type {}", unknown.as_str())),
    }
}

/// Checks that an action has only the configuration of its own type. Another configuration would be lost on a write.
fn check_single_configuration(action: &sdk::Action) -> Result<(), String> {
    let kind = action.r#type();
    let configs = [
        (action.forward_config().is_some() || action.target_group_arn().is_some(), Type::Forward),
        (action.redirect_config().is_some(), Type::Redirect),
        (action.fixed_response_config().is_some(), Type::FixedResponse),
        (action.authenticate_oidc_config().is_some(), Type::AuthenticateOidc),
        (action.authenticate_cognito_config().is_some(), Type::AuthenticateCognito),
        (action.jwt_validation_config().is_some(), Type::JwtValidation),
    ];
    match configs.iter().find(|(is_present, of)| *is_present && Some(of) != kind) {
        None => Ok(()),
        Some((_, other)) => Err(format!(
            "an action of type {} has a configuration of {}",
            kind.map_or("?", Type::as_str),
            other.as_str()
        )),
    }
}

/// Reads the forward of an action, which has `ForwardConfig`, `TargetGroupArn`, or both.
fn forward(action: &sdk::Action) -> Result<Forward, String> {
    let mut target_groups = Vec::new();
    for tuple in action.forward_config().map(sdk::ForwardActionConfig::target_groups).unwrap_or_default() {
        let arn = tuple.target_group_arn().ok_or("a forward action has a group without an ARN")?;
        target_groups.push(Tuple {
            target_group_arn: arn.to_owned(),
            weight: tuple.weight().map(|w| weight(arn, w)).transpose()?,
        });
    }
    match action.target_group_arn() {
        Some(arn) if target_groups.is_empty() => {
            target_groups.push(Tuple { target_group_arn: arn.to_owned(), weight: None });
        }
        Some(arn) if !target_groups.iter().any(|t| t.target_group_arn == arn) => {
            return Err(format!("a forward action has TargetGroupArn {arn}, which is not in its ForwardConfig"));
        }
        _ => {}
    }
    if target_groups.is_empty() {
        return Err("a forward action has no target group".to_owned());
    }
    let stickiness = action.forward_config().and_then(|f| f.target_group_stickiness_config());
    let target_group_stickiness_config = stickiness
        .map(|s| Stickiness { enabled: s.enabled().unwrap_or(false), duration_seconds: s.duration_seconds() });
    Ok(Forward { target_groups, target_group_stickiness_config })
}

fn weight(arn: &str, weight: i32) -> Result<u16, String> {
    let most = LIMITS.max_weight;
    u16::try_from(weight)
        .ok()
        .filter(|w| *w <= most)
        .ok_or_else(|| format!("weight {weight} of {arn} is not between 0 and {most}"))
}

fn one_to_sdk(action: &Action) -> Result<sdk::Action, String> {
    let mut builder = sdk::Action::builder().set_order(order(action));
    builder = match action {
        Action::Forward { forward_config, .. } => {
            builder.r#type(Type::Forward).forward_config(forward_to_sdk(forward_config)?)
        }
        Action::Redirect { redirect_config, .. } => {
            builder.r#type(Type::Redirect).redirect_config(config::redirect_to_sdk(redirect_config)?)
        }
        Action::FixedResponse { fixed_response_config, .. } => builder
            .r#type(Type::FixedResponse)
            .fixed_response_config(config::fixed_response_to_sdk(fixed_response_config)?),
        Action::AuthenticateOidc { authenticate_oidc_config, .. } => builder
            .r#type(Type::AuthenticateOidc)
            .authenticate_oidc_config(config::oidc_to_sdk(authenticate_oidc_config)?),
        Action::AuthenticateCognito { authenticate_cognito_config, .. } => builder
            .r#type(Type::AuthenticateCognito)
            .authenticate_cognito_config(config::cognito_to_sdk(authenticate_cognito_config)?),
        Action::JwtValidation { jwt_validation_config, .. } => {
            builder.r#type(Type::JwtValidation).jwt_validation_config(config::jwt_to_sdk(jwt_validation_config)?)
        }
    };
    Ok(builder.build())
}

/// Converts a forward and checks its limits. The SDK does not check limits, so this is the last check before a write.
fn forward_to_sdk(forward: &Forward) -> Result<sdk::ForwardActionConfig, String> {
    let tuples = &forward.target_groups;
    match tuples.len() {
        0 => return Err("a forward action has no target group".to_owned()),
        1 => {}
        n if n > LIMITS.max_members => {
            return Err(format!("an action has {n} target groups; ELBv2 allows {}", LIMITS.max_members));
        }
        _ if tuples.iter().any(|t| t.weight.is_none()) => {
            return Err("a forward action has several groups, and one of them has no weight".to_owned());
        }
        _ if tuples.iter().all(|t| t.weight == Some(0)) => return Err("all weights are 0".to_owned()),
        _ => {}
    }
    let mut builder = sdk::ForwardActionConfig::builder();
    for t in tuples {
        let checked = t.weight.map(|w| weight(&t.target_group_arn, i32::from(w))).transpose()?;
        builder = builder.target_groups(
            sdk::TargetGroupTuple::builder()
                .target_group_arn(&t.target_group_arn)
                .set_weight(checked.map(i32::from))
                .build(),
        );
    }
    let stickiness = forward.target_group_stickiness_config.as_ref();
    Ok(builder
        .set_target_group_stickiness_config(stickiness.map(|s| {
            sdk::TargetGroupStickinessConfig::builder()
                .enabled(s.enabled)
                .set_duration_seconds(s.duration_seconds)
                .build()
        }))
        .build())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(value: Value) -> Vec<Action> {
        serde_json::from_value(value).expect("valid actions")
    }

    #[test]
    fn every_action_type_survives_conversion_to_the_sdk_and_back() {
        let actions = parse(json!([
            {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": {"Issuer": "https://i", "AuthorizationEndpoint": "https://a", "TokenEndpoint": "https://t",
                "UserInfoEndpoint": "https://u", "ClientId": "c", "SessionCookieName": "n", "Scope": "openid", "SessionTimeout": 604_800,
                "AuthenticationRequestExtraParams": {"b": "2", "a": "1"}, "OnUnauthenticatedRequest": "authenticate", "UseExistingClientSecret": true}},
            {"Type": "authenticate-cognito", "Order": 2, "AuthenticateCognitoConfig": {"UserPoolArn": "p", "UserPoolClientId": "c", "UserPoolDomain": "d", "SessionCookieName": "n",
                "Scope": "openid", "SessionTimeout": 1, "AuthenticationRequestExtraParams": {}, "OnUnauthenticatedRequest": "deny"}},
            {"Type": "jwt-validation", "Order": 3, "JwtValidationConfig": {"JwksEndpoint": "j", "Issuer": "i",
                "AdditionalClaims": [{"Format": "string-array", "Name": "n", "Values": ["a", "b"]}]}},
            {"Type": "redirect", "Order": 4, "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "Host": "#{host}", "Path": "/", "Query": "", "StatusCode": "HTTP_301"}},
            {"Type": "fixed-response", "Order": 5, "FixedResponseConfig": {"MessageBody": " <b>\n", "StatusCode": "503", "ContentType": "text/html"}},
            {"Type": "forward", "Order": 6, "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": "a", "Weight": 0}, {"TargetGroupArn": "b", "Weight": 999}],
                "TargetGroupStickinessConfig": {"Enabled": true, "DurationSeconds": 60}}},
        ]));
        assert_eq!(from_sdk(&to_sdk(&actions).expect("must be writable")).expect("must be readable"), actions);
    }

    #[test]
    fn client_secret_is_neither_stored_nor_sent() {
        let secret =
            sdk::AuthenticateOidcActionConfig::builder().issuer("i").client_id("c").client_secret("S3CRET").build();
        let read =
            from_sdk(&[sdk::Action::builder().r#type(Type::AuthenticateOidc).authenticate_oidc_config(secret).build()])
                .expect("must be readable");
        let json_text = serde_json::to_string(&read).expect("must serialize");
        assert!(
            !json_text.contains("S3CRET")
                && !json_text.contains("ClientSecret\":\"")
                && json_text.contains(r#""UseExistingClientSecret":true"#),
            "{json_text}"
        );
        let with_secret = parse(
            json!([{"Type": "authenticate-oidc", "AuthenticateOidcConfig": {"ClientId": "c", "ClientSecret": "S3CRET"}}]),
        );
        let sent = to_sdk(&with_secret).expect("must be writable");
        let oidc = sent[0].authenticate_oidc_config().expect("an OIDC configuration");
        assert_eq!((oidc.client_secret(), oidc.use_existing_client_secret()), (None, Some(true)));
    }

    #[test]
    fn single_group_is_read_in_all_three_forms() {
        let config = sdk::ForwardActionConfig::builder()
            .target_groups(sdk::TargetGroupTuple::builder().target_group_arn("a").build())
            .build();
        let base = sdk::Action::builder().r#type(Type::Forward);
        for action in [
            base.clone().target_group_arn("a"),
            base.clone().forward_config(config.clone()),
            base.clone().target_group_arn("a").forward_config(config),
        ] {
            let read = from_sdk(&[action.build()]).expect("must be readable");
            assert_eq!(read[0].forward().map(|f| f.target_groups.len()), Some(1));
        }
    }

    #[test]
    fn invalid_forward_is_not_written() {
        let forward = |groups: Value| {
            to_sdk(&parse(json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}])))
                .err()
                .unwrap_or_default()
        };
        let of = |w: u16| json!({"TargetGroupArn": format!("g{w}"), "Weight": w});
        assert_eq!(forward(json!([of(0), of(0)])), "all weights are 0");
        assert_eq!(
            forward(json!([of(1), {"TargetGroupArn": "b"}])),
            "a forward action has several groups, and one of them has no weight"
        );
        assert_eq!(forward(json!([of(1000), of(1)])), "weight 1000 of g1000 is not between 0 and 999");
        assert_eq!(
            forward(json!([of(1), of(2), of(3), of(4), of(5), of(6)])),
            "an action has 6 target groups; ELBv2 allows 5"
        );
        assert_eq!(forward(json!([of(0)])), "");
        let unknown =
            parse(json!([{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Teleport": "x"}}]));
        assert_eq!(to_sdk(&unknown).err().as_deref(), Some("this build does not support RedirectConfig.Teleport"));
        assert!(to_sdk(&[]).is_err());
    }

    #[test]
    fn unknown_action_is_refused() {
        let base = sdk::Action::builder();
        assert_eq!(
            from_sdk(&[base.clone().r#type(Type::from("teleport")).build()]).err().as_deref(),
            Some("this build does not know the action type teleport")
        );
        let redirect = sdk::RedirectActionConfig::builder().build();
        let mixed = base.r#type(Type::Forward).target_group_arn("a").redirect_config(redirect).build();
        assert_eq!(
            from_sdk(&[mixed]).err().as_deref(),
            Some("an action of type forward has a configuration of redirect")
        );
    }
}
