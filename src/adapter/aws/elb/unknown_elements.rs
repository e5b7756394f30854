//! Rejects responses whose actions have elements that this build does not know.
//!
//! The SDK drops elements that its model lacks, and a write replaces the complete action. So an element that is dropped
//! in a read would be deleted by a write. Therefore the raw response of every read of actions is checked first.

use std::fmt;

use aws_sdk_elasticloadbalancingv2::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_elasticloadbalancingv2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_elasticloadbalancingv2::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use roxmltree::{Document, Node};

/// The allowed content of an element.
enum ElementShape {
    /// Only text.
    Text,
    /// A list of `member` elements of this shape.
    List(&'static ElementShape),
    /// A list of `entry` elements with `key` and `value`.
    Map,
    /// Child elements with these names and shapes.
    Fields(&'static [(&'static str, ElementShape)]),
}

use ElementShape::{Fields, List, Map, Text};

const ACTION_SHAPE: ElementShape = Fields(&[
    ("Type", Text),
    ("Order", Text),
    ("TargetGroupArn", Text),
    ("ForwardConfig", FORWARD_SHAPE),
    (
        "RedirectConfig",
        Fields(&[
            ("Protocol", Text),
            ("Port", Text),
            ("Host", Text),
            ("Path", Text),
            ("Query", Text),
            ("StatusCode", Text),
        ]),
    ),
    ("FixedResponseConfig", Fields(&[("MessageBody", Text), ("StatusCode", Text), ("ContentType", Text)])),
    ("AuthenticateOidcConfig", OIDC_SHAPE),
    ("AuthenticateCognitoConfig", COGNITO_SHAPE),
    (
        "JwtValidationConfig",
        Fields(&[("JwksEndpoint", Text), ("Issuer", Text), ("AdditionalClaims", List(&CLAIM_SHAPE))]),
    ),
]);

const FORWARD_SHAPE: ElementShape = Fields(&[
    ("TargetGroups", List(&Fields(&[("TargetGroupArn", Text), ("Weight", Text)]))),
    ("TargetGroupStickinessConfig", Fields(&[("Enabled", Text), ("DurationSeconds", Text)])),
]);

const OIDC_SHAPE: ElementShape = Fields(&[
    ("Issuer", Text),
    ("AuthorizationEndpoint", Text),
    ("TokenEndpoint", Text),
    ("UserInfoEndpoint", Text),
    ("ClientId", Text),
    ("ClientSecret", Text),
    ("UseExistingClientSecret", Text),
    ("SessionCookieName", Text),
    ("Scope", Text),
    ("SessionTimeout", Text),
    ("AuthenticationRequestExtraParams", Map),
    ("OnUnauthenticatedRequest", Text),
]);

const COGNITO_SHAPE: ElementShape = Fields(&[
    ("UserPoolArn", Text),
    ("UserPoolClientId", Text),
    ("UserPoolDomain", Text),
    ("SessionCookieName", Text),
    ("Scope", Text),
    ("SessionTimeout", Text),
    ("AuthenticationRequestExtraParams", Map),
    ("OnUnauthenticatedRequest", Text),
]);

const CLAIM_SHAPE: ElementShape = Fields(&[("Format", Text), ("Name", Text), ("Values", List(&Text))]);

const ENTRY_SHAPE: ElementShape = Fields(&[("key", Text), ("value", Text)]);

/// An element that this build does not know, or a response that cannot be checked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum UnknownElement {
    /// An unknown element, with its path.
    #[error("this build does not know {path}, and would lose it on a write ({route})")]
    Element {
        /// The ARN of the rule or listener.
        route: String,
        /// The path of the element, such as `Actions/member/QuantumConfig`.
        path: String,
    },
    /// The response is not valid XML.
    #[error("the response cannot be checked for unknown elements")]
    Opaque,
}

/// Checks a response of DescribeRules or DescribeListeners.
///
/// # Errors
/// Returns the first unknown element under an action.
pub(super) fn check(xml: &str) -> Result<(), UnknownElement> {
    let document = Document::parse(xml).map_err(|_| UnknownElement::Opaque)?;
    let lists = document
        .descendants()
        .filter(|n| n.is_element() && matches!(n.tag_name().name(), "Actions" | "DefaultActions"));
    for list in lists {
        let mut path = vec![list.tag_name().name()];
        if check_node(list, &List(&ACTION_SHAPE), &mut path).is_err() {
            return Err(UnknownElement::Element { route: route(list), path: path.join("/") });
        }
    }
    Ok(())
}

/// Checks a node and its children. On an error, `path` is the path of the first unknown element.
fn check_node<'a>(node: Node<'a, '_>, shape: &ElementShape, path: &mut Vec<&'a str>) -> Result<(), fmt::Error> {
    for child in node.children().filter(Node::is_element) {
        let name = child.tag_name().name();
        path.push(name);
        let inner = match shape {
            Text => None,
            List(of) => (name == "member").then_some(*of),
            Map => (name == "entry").then_some(&ENTRY_SHAPE),
            Fields(fields) => fields.iter().find(|(known, _)| *known == name).map(|(_, of)| of),
        };
        check_node(child, inner.ok_or(fmt::Error)?, path)?;
        path.pop();
    }
    Ok(())
}

fn route(actions: Node) -> String {
    let siblings = actions.parent().into_iter().flat_map(|p| p.children());
    let arn = siblings.filter(|n| matches!(n.tag_name().name(), "RuleArn" | "ListenerArn")).find_map(|n| n.text());
    arn.unwrap_or("a route without an ARN").to_owned()
}

/// An interceptor that fails a successful read of actions if the response has an element which the SDK would drop.
#[derive(Debug, Clone, Copy)]
pub(super) struct RejectUnknownElements;

#[dyn_dispatch_hint]
impl Intercept for RejectUnknownElements {
    fn name(&self) -> &'static str {
        "Known"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        if !response.status().is_success() {
            return Ok(());
        }
        let text = response.body().bytes().and_then(|b| std::str::from_utf8(b).ok()).ok_or(UnknownElement::Opaque)?;
        Ok(check(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(actions: &str) -> String {
        format!(
            "<R xmlns='x'><Rules><member><RuleArn>arn:1</RuleArn><Transforms><member><New/></member></Transforms><Actions><member>{actions}</member></Actions></member></Rules></R>"
        )
    }

    fn unknown(actions: &str) -> String {
        check(&rule(actions)).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn unknown_element_is_named_at_every_depth() {
        for (actions, path) in [
            ("<QuantumConfig/>", "Actions/member/QuantumConfig"),
            ("<ForwardConfig><Mirror>1</Mirror></ForwardConfig>", "Actions/member/ForwardConfig/Mirror"),
            (
                "<ForwardConfig><TargetGroups><member><Zone>a</Zone></member></TargetGroups></ForwardConfig>",
                "Actions/member/ForwardConfig/TargetGroups/member/Zone",
            ),
            ("<Type>forward<x/></Type>", "Actions/member/Type/x"),
            (
                "<AuthenticateOidcConfig><AuthenticationRequestExtraParams><entry><key>a</key><when/></entry></AuthenticationRequestExtraParams></AuthenticateOidcConfig>",
                "Actions/member/AuthenticateOidcConfig/AuthenticationRequestExtraParams/entry/when",
            ),
        ] {
            assert_eq!(
                unknown(actions),
                format!("this build does not know {path}, and would lose it on a write (arn:1)")
            );
        }
    }

    #[test]
    fn known_elements_pass() {
        let claims = "<JwtValidationConfig><AdditionalClaims><member><Values><member>a</member></Values></member></AdditionalClaims></JwtValidationConfig>";
        assert_eq!(unknown(&format!("<Type>jwt-validation</Type>{claims}<Order>1</Order>")), "");
        assert_eq!(check("not xml"), Err(UnknownElement::Opaque));
    }
}
