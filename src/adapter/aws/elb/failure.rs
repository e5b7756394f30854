//! Converts errors of the SDK to the errors of this crate.
//!
//! The text of an SDK error contains the complete response and sometimes the request. Only codes and short messages may
//! leave this module.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_elasticloadbalancingv2::config::http::HttpResponse;
use aws_sdk_elasticloadbalancingv2::error::{ProvideErrorMetadata, SdkError};
use hyper_util::client::legacy::Error as HttpError;

use super::unknown_elements::UnknownElement;
use crate::adapter::aws::credentials;
use crate::adapter::foreign_text;
use crate::adapter::network::{ConnectError, find};
use crate::domain::preflight::permission::explain_refusal;
use crate::domain::traffic::Unreadable;
use crate::port::WriteError;

/// The maximum length of a text from a response, in characters.
const MAX_TEXT_CHARS: usize = 300;

const THROTTLING_CODES: [&str; 8] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "SlowDown",
];

/// A failed call, by the meaning for the resource.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Failure {
    /// AWS throttled the call.
    Throttled,
    /// Credentials are missing, expired or invalid.
    Credentials(String),
    /// The caller lacks a permission.
    Denied(String),
    /// The resource does not exist.
    NotFound(String),
    /// The response has an element that this build would remove on a write.
    Unrepresentable(String),
    /// AWS refused the call for another reason.
    Refused(String),
    /// The call was not sent. A retry may succeed.
    NotSent(String),
    /// The call was not sent, because the configuration of this machine is wrong. A retry does not succeed.
    Setup(String),
    /// Any other failure. A write may have taken effect.
    Unknown(String),
}

impl<E> From<SdkError<E, HttpResponse>> for Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let status = error.raw_response().map(|r| r.status().as_u16());
        match &error {
            SdkError::TimeoutError(_) => Self::Unknown("no response in time".to_owned()),
            SdkError::ConstructionFailure(_) => credentials_failure(&error)
                .or_else(|| endpoint_failure(&error))
                .unwrap_or_else(|| Self::NotSent("the request could not be built".to_owned())),
            SdkError::DispatchFailure(_) => credentials_failure(&error)
                .or_else(|| endpoint_failure(&error))
                .unwrap_or_else(|| dispatch_failure(&error)),
            SdkError::ServiceError(_) => failure_from_response(error.code(), error.message(), status),
            _ => unreadable_response_failure(&error, status),
        }
    }
}

/// Returns the first error of this type in the chain of causes.
fn find_cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(e) = next {
        if let Some(found) = e.downcast_ref() {
            return Some(found);
        }
        next = e.source();
    }
    None
}

fn credentials_failure(error: &(dyn Error + 'static)) -> Option<Failure> {
    find_cause::<CredentialsError>(error).map(|why| Failure::Credentials(credentials::explain(why)))
}

/// Returns a failure if the settings of this machine give no endpoint, or no region for the signature.
fn endpoint_failure(error: &(dyn Error + 'static)) -> Option<Failure> {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).find_map(|text| explain_endpoint(&text)).map(Failure::Setup)
}

/// Explains a text of the SDK about endpoints and regions; `None` if the text is about something else.
fn explain_endpoint(text: &str) -> Option<String> {
    let both = |variable: &str, key: &str| {
        format!(
            "AWS_ENDPOINT_URL (`endpoint_url` of the AWS profile) cannot be used together with {variable} (`{key}` of \
             the AWS profile); unset one of them"
        )
    };
    if text.contains("Missing Region") || text.contains("missing signing region") {
        Some("no AWS region is set: set AWS_REGION, or `region` of the AWS profile".to_owned())
    } else if text.contains("FIPS and custom endpoint") {
        Some(both("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"))
    } else if text.contains("Dualstack and custom endpoint") {
        Some(both("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"))
    } else if text.contains("but this partition does not support") {
        Some(format!("{text} (AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT and the AWS profile)"))
    } else {
        text.starts_with("Invalid Configuration: ").then(|| text.to_owned())
    }
}

fn dispatch_failure(error: &(dyn Error + 'static)) -> Failure {
    match find::<ConnectError>(error) {
        Some(why) if why.is_temporary() => return Failure::NotSent(why.to_string()),
        Some(why) => return Failure::Setup(why.to_string()),
        None => {}
    }
    match find_cause::<HttpError>(error) {
        Some(e) if e.is_connect() => Failure::NotSent("cannot connect to the endpoint".to_owned()),
        _ => {
            let kind = find_cause::<std::io::Error>(error).map(|e| format!(" ({})", e.kind())).unwrap_or_default();
            Failure::Unknown(format!("the connection failed{kind}"))
        }
    }
}

/// Returns the failure for a response that is not from the API (the page of a proxy, an incomplete body), or that has
/// an unknown element.
fn unreadable_response_failure(error: &(dyn Error + 'static), status: Option<u16>) -> Failure {
    match (unknown_element(error), status) {
        (Some(element), _) => Failure::Unrepresentable(element.to_string()),
        (None, Some(429)) => Failure::Throttled,
        (None, Some(status)) => undecodable(status),
        (None, None) => Failure::Unknown("the response cannot be read".to_owned()),
    }
}

fn undecodable(status: u16) -> Failure {
    Failure::Unknown(format!("the response cannot be read (HTTP {status})"))
}

/// Returns the element of a response that this build does not know; `None` if the error is about something else, such
/// as a response that is not XML.
pub(super) fn unknown_element<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a UnknownElement> {
    find_cause(error).filter(|found| matches!(found, UnknownElement::Element { .. }))
}

/// Returns why a response of another service with this protocol is a failure.
pub(in crate::adapter::aws) fn response_failure(
    code: Option<&str>,
    message: Option<&str>,
    status: Option<u16>,
) -> Unreadable {
    failure_from_response(code, message, status).into()
}

fn failure_from_response(code: Option<&str>, message: Option<&str>, status: Option<u16>) -> Failure {
    let status = status.unwrap_or_default();
    let code = code.map(safe_text).unwrap_or_default();
    if status == 429
        || THROTTLING_CODES.contains(&code.as_str())
        || message.is_some_and(|m| m.contains("Rate exceeded"))
    {
        return Failure::Throttled;
    }
    if let Some(why) = credentials::explain_code(&code, message) {
        return Failure::Credentials(why);
    }
    let text = text(&code, message, status);
    match status {
        200..=299 if code.is_empty() => undecodable(status),
        500.. => Failure::Unknown(text),
        _ if code.is_empty() => Failure::Unknown(text),
        _ if code.ends_with("NotFound") || code.ends_with("NotFoundException") => Failure::NotFound(text),
        403 => Failure::Denied(explain_refusal(&text)),
        _ if code.starts_with("AccessDenied") || code == "UnauthorizedOperation" => {
            Failure::Denied(explain_refusal(&text))
        }
        400..=499 => Failure::Refused(text),
        _ => Failure::Unknown(text),
    }
}

fn text(code: &str, message: Option<&str>, status: u16) -> String {
    let code = if code.is_empty() { format!("HTTP {status}") } else { code.to_owned() };
    match message.map(safe_text).filter(|m| !m.is_empty()) {
        Some(m) => format!("{code}: {m}"),
        None => code,
    }
}

fn safe_text(text: &str) -> String {
    foreign_text::safe_line(text, MAX_TEXT_CHARS)
}

impl From<Failure> for Unreadable {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Throttled => Self::Throttled,
            Failure::Credentials(t) => Self::Credentials(t),
            Failure::Denied(t) => Self::Denied(t),
            Failure::NotFound(t) => Self::NotFound(t),
            Failure::Unrepresentable(t) => Self::Unrepresentable(t),
            Failure::Setup(t) => Self::Setup(t),
            Failure::Refused(t) | Failure::NotSent(t) | Failure::Unknown(t) => Self::Unavailable(t),
        }
    }
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Throttled => Self::Throttled,
            Failure::Credentials(t) => Self::Credentials(t),
            Failure::Denied(t) => Self::Refused(format!("access denied: {t}")),
            Failure::NotFound(t) => Self::NotFound(t),
            Failure::Refused(t) => Self::Refused(t),
            Failure::NotSent(t) | Failure::Setup(t) => Self::NotSent(t),
            Failure::Unrepresentable(t) | Failure::Unknown(t) => Self::Unanswered(t),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_code_determines_the_failure() {
        let kind = |code: &str, message: &str, status| failure_from_response(Some(code), Some(message), Some(status));
        assert_eq!(kind("Throttling", "Rate exceeded", 400), Failure::Throttled);
        assert_eq!(kind("ValidationError", "Rate exceeded", 400), Failure::Throttled);
        assert_eq!(kind("Throttling", "", 503), Failure::Throttled);
        assert_eq!(kind("RuleNotFound", "gone", 400), Failure::NotFound("RuleNotFound: gone".into()));
        assert_eq!(kind("AccessDenied", "no", 403), Failure::Denied("AccessDenied: no".into()));
        assert_eq!(
            kind("InvalidConfigurationRequest", "x", 400),
            Failure::Refused("InvalidConfigurationRequest: x".into())
        );
        assert_eq!(kind("InternalFailure", "x", 500), Failure::Unknown("InternalFailure: x".into()));
        assert_eq!(failure_from_response(None, None, Some(503)), Failure::Unknown("HTTP 503".into()));
        let unread = failure_from_response(None, None, Some(200));
        assert_eq!(unread, Failure::Unknown("the response cannot be read (HTTP 200)".into()));
        assert_eq!(failure_from_response(None, None, Some(403)), Failure::Unknown("HTTP 403".into()));
    }

    #[test]
    fn failure_contains_no_secret_and_no_page() {
        let quoted = "The Canonical String for this request should have been 'POST / x-amz-security-token:SECRET'";
        assert_eq!(
            failure_from_response(Some("SignatureDoesNotMatch"), Some(quoted), Some(403)),
            Failure::Credentials(
                "the secret access key does not belong to the access key (SignatureDoesNotMatch)".into()
            )
        );
        assert_eq!(failure_from_response(Some("Weird"), Some(quoted), Some(400)), Failure::Refused("Weird".into()));
        assert_eq!(
            failure_from_response(Some("Weird"), Some("<html><body>hello"), Some(500)),
            Failure::Unknown("Weird".into())
        );
        let long = failure_from_response(Some("Weird"), Some(&"ä".repeat(5000)), Some(400));
        assert!(matches!(long, Failure::Refused(t) if t.chars().count() < 320));
    }
}
