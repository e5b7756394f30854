//! Converts the configurations that a write must not change, by the API's field names, in both directions.

use aws_sdk_elasticloadbalancingv2::types as sdk;
use serde_json::{Value, json};

use super::fields::{ConfigBuilder, ConfigReader};
use crate::domain::elb::action::Config;

pub(super) fn redirect(c: &sdk::RedirectActionConfig) -> Config {
    ConfigBuilder::default()
        .put("Protocol", c.protocol())
        .put("Port", c.port())
        .put("Host", c.host())
        .put("Path", c.path())
        .put("Query", c.query())
        .put("StatusCode", c.status_code().map(sdk::RedirectActionStatusCodeEnum::as_str))
        .finish()
}

pub(super) fn redirect_to_sdk(config: &Config) -> Result<sdk::RedirectActionConfig, String> {
    let mut from = ConfigReader::new("RedirectConfig", config);
    let built = sdk::RedirectActionConfig::builder()
        .set_protocol(from.text("Protocol")?)
        .set_port(from.text("Port")?)
        .set_host(from.text("Host")?)
        .set_path(from.text("Path")?)
        .set_query(from.text("Query")?)
        .set_status_code(from.text("StatusCode")?.map(|s| s.as_str().into()))
        .build();
    from.finish().map(|()| built)
}

pub(super) fn fixed_response(c: &sdk::FixedResponseActionConfig) -> Config {
    ConfigBuilder::default()
        .put("MessageBody", c.message_body())
        .put("StatusCode", c.status_code())
        .put("ContentType", c.content_type())
        .finish()
}

pub(super) fn fixed_response_to_sdk(config: &Config) -> Result<sdk::FixedResponseActionConfig, String> {
    let mut from = ConfigReader::new("FixedResponseConfig", config);
    let built = sdk::FixedResponseActionConfig::builder()
        .set_message_body(from.text("MessageBody")?)
        .set_status_code(from.text("StatusCode")?)
        .set_content_type(from.text("ContentType")?)
        .build();
    from.finish().map(|()| built)
}

/// Converts an OIDC configuration and removes the client secret. AWS never returns the secret, but a test server may.
/// `UseExistingClientSecret` tells AWS to keep the stored secret.
pub(super) fn oidc(c: &sdk::AuthenticateOidcActionConfig) -> Config {
    ConfigBuilder::default()
        .put("Issuer", c.issuer())
        .put("AuthorizationEndpoint", c.authorization_endpoint())
        .put("TokenEndpoint", c.token_endpoint())
        .put("UserInfoEndpoint", c.user_info_endpoint())
        .put("ClientId", c.client_id())
        .put("SessionCookieName", c.session_cookie_name())
        .put("Scope", c.scope())
        .put("SessionTimeout", c.session_timeout())
        .map("AuthenticationRequestExtraParams", c.authentication_request_extra_params())
        .put(
            "OnUnauthenticatedRequest",
            c.on_unauthenticated_request().map(sdk::AuthenticateOidcActionConditionalBehaviorEnum::as_str),
        )
        .put("UseExistingClientSecret", Some(true))
        .finish()
}

pub(super) fn oidc_to_sdk(config: &Config) -> Result<sdk::AuthenticateOidcActionConfig, String> {
    let mut from = ConfigReader::new("AuthenticateOidcConfig", config);
    from.discard("ClientSecret");
    from.discard("UseExistingClientSecret");
    let built = sdk::AuthenticateOidcActionConfig::builder()
        .set_issuer(from.text("Issuer")?)
        .set_authorization_endpoint(from.text("AuthorizationEndpoint")?)
        .set_token_endpoint(from.text("TokenEndpoint")?)
        .set_user_info_endpoint(from.text("UserInfoEndpoint")?)
        .set_client_id(from.text("ClientId")?)
        .set_session_cookie_name(from.text("SessionCookieName")?)
        .set_scope(from.text("Scope")?)
        .set_session_timeout(from.number("SessionTimeout")?)
        .set_authentication_request_extra_params(from.map("AuthenticationRequestExtraParams")?)
        .set_on_unauthenticated_request(from.text("OnUnauthenticatedRequest")?.map(|s| s.as_str().into()))
        .use_existing_client_secret(true)
        .build();
    from.finish().map(|()| built)
}

pub(super) fn cognito(c: &sdk::AuthenticateCognitoActionConfig) -> Config {
    ConfigBuilder::default()
        .put("UserPoolArn", c.user_pool_arn())
        .put("UserPoolClientId", c.user_pool_client_id())
        .put("UserPoolDomain", c.user_pool_domain())
        .put("SessionCookieName", c.session_cookie_name())
        .put("Scope", c.scope())
        .put("SessionTimeout", c.session_timeout())
        .map("AuthenticationRequestExtraParams", c.authentication_request_extra_params())
        .put(
            "OnUnauthenticatedRequest",
            c.on_unauthenticated_request().map(sdk::AuthenticateCognitoActionConditionalBehaviorEnum::as_str),
        )
        .finish()
}

pub(super) fn cognito_to_sdk(config: &Config) -> Result<sdk::AuthenticateCognitoActionConfig, String> {
    let mut from = ConfigReader::new("AuthenticateCognitoConfig", config);
    let built = sdk::AuthenticateCognitoActionConfig::builder()
        .set_user_pool_arn(from.text("UserPoolArn")?)
        .set_user_pool_client_id(from.text("UserPoolClientId")?)
        .set_user_pool_domain(from.text("UserPoolDomain")?)
        .set_session_cookie_name(from.text("SessionCookieName")?)
        .set_scope(from.text("Scope")?)
        .set_session_timeout(from.number("SessionTimeout")?)
        .set_authentication_request_extra_params(from.map("AuthenticationRequestExtraParams")?)
        .set_on_unauthenticated_request(from.text("OnUnauthenticatedRequest")?.map(|s| s.as_str().into()))
        .build();
    from.finish().map(|()| built)
}

pub(super) fn jwt(c: &sdk::JwtValidationActionConfig) -> Config {
    let claims = c.additional_claims.as_ref().map(|claims| claims.iter().map(claim).collect::<Vec<_>>());
    ConfigBuilder::default()
        .put("JwksEndpoint", c.jwks_endpoint())
        .put("Issuer", c.issuer())
        .put("AdditionalClaims", claims)
        .finish()
}

fn claim(c: &sdk::JwtValidationActionAdditionalClaim) -> Value {
    let format = c.format().map(sdk::JwtValidationActionAdditionalClaimFormatEnum::as_str);
    json!(ConfigBuilder::default().put("Format", format).put("Name", c.name()).put("Values", c.values.clone()).finish())
}

pub(super) fn jwt_to_sdk(config: &Config) -> Result<sdk::JwtValidationActionConfig, String> {
    let mut from = ConfigReader::new("JwtValidationConfig", config);
    let claims = from
        .list("AdditionalClaims")?
        .map(|all| all.into_iter().map(claim_to_sdk).collect::<Result<Vec<_>, _>>())
        .transpose()?;
    let built = sdk::JwtValidationActionConfig::builder()
        .set_jwks_endpoint(from.text("JwksEndpoint")?)
        .set_issuer(from.text("Issuer")?)
        .set_additional_claims(claims)
        .build();
    from.finish().map(|()| built)
}

fn claim_to_sdk(value: Value) -> Result<sdk::JwtValidationActionAdditionalClaim, String> {
    let config: Config = serde_json::from_value(value)
        .map_err(|_| "JwtValidationConfig.AdditionalClaims is not a list of objects".to_owned())?;
    let mut from = ConfigReader::new("AdditionalClaims", &config);
    let values = from
        .list("Values")?
        .map(|all| all.into_iter().map(serde_json::from_value).collect::<Result<Vec<String>, _>>())
        .transpose();
    let built = sdk::JwtValidationActionAdditionalClaim::builder()
        .set_format(from.text("Format")?.map(|s| s.as_str().into()))
        .set_name(from.text("Name")?)
        .set_values(values.map_err(|_| "AdditionalClaims.Values is not a list of strings".to_owned())?)
        .build();
    from.finish().map(|()| built)
}
