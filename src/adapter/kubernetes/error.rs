//! Converts errors of the Kubernetes client to the errors of this crate. Texts that may contain a credential must not
//! pass.

use std::error::Error;

use kube::core::Status;

use super::access::Access;
use crate::adapter::foreign_text;
use crate::adapter::network::{ConnectError, find};
use crate::base::redact;
use crate::domain::compare::facts::DryRun;
use crate::domain::preflight::permission::explain_refusal;
use crate::domain::traffic::Unreadable;
use crate::port::WriteError;

/// The error of a bearer token that could not be created, or that the API does not accept: credentials are missing or
/// expired, or a plugin failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoToken(pub String);

const PROXY_LOGIN: &str = "a proxy between this machine and the Kubernetes API needs a user and a password (407); add \
                           them to HTTPS_PROXY, HTTP_PROXY or `proxy-url` of the kubeconfig";
const NOT_DECODED: &str = "the response of the Kubernetes API cannot be decoded; a proxy or a login page may have \
                           responded instead (`cutover help network`)";

/// Converts the error of a failed read.
pub fn read(error: &kube::Error) -> Unreadable {
    match error {
        kube::Error::Api(status) => match status.code {
            401 => Unreadable::Credentials(Access::default().not_accepted()),
            407 => Unreadable::Setup(PROXY_LOGIN.to_owned()),
            403 => Unreadable::Denied(explain_refusal(&api_message(status))),
            404 => Unreadable::NotFound(api_message(status)),
            429 => Unreadable::Throttled,
            code => Unreadable::Unavailable(format!("{code} {}", api_message(status))),
        },
        kube::Error::Auth(_) => Unreadable::Credentials(AUTH_FAILED.to_owned()),
        kube::Error::SerdeError(_) => Unreadable::Unavailable(NOT_DECODED.to_owned()),
        other => match (token_error(other), find::<ConnectError>(other)) {
            (Some(why), _) => Unreadable::Credentials(why),
            (None, Some(why)) if why.is_temporary() => Unreadable::Unavailable(why.to_string()),
            (None, Some(why)) => Unreadable::Setup(why.to_string()),
            (None, None) => Unreadable::Unavailable(joined_messages(other)),
        },
    }
}

/// Converts the error of a write that failed, or may have failed.
pub fn write(error: &kube::Error) -> WriteError {
    match error {
        kube::Error::Api(status) => match status.code {
            401 => WriteError::Credentials(Access::default().not_accepted()),
            404 => WriteError::NotFound(api_message(status)),
            409 => WriteError::Refused(conflict(status)),
            429 => WriteError::Throttled,
            // The API returns this for a server-side apply that does not match the schema. Such an apply is not carried
            // out.
            500 if status.message.starts_with(SCHEMA_MISMATCH) => WriteError::Refused(api_message(status)),
            403 => WriteError::Refused(explain_refusal(&api_message(status))),
            408 | 500.. => WriteError::Unanswered(format!("{} {}", status.code, api_message(status))),
            _ => WriteError::Refused(api_message(status)),
        },
        kube::Error::Auth(_) => WriteError::Credentials(AUTH_FAILED.to_owned()),
        kube::Error::BuildRequest(e) => WriteError::Refused(redact::clean(&e.to_string()).into_owned()),
        kube::Error::SerdeError(_) => WriteError::Unanswered(NOT_DECODED.to_owned()),
        other => match (token_error(other), find::<ConnectError>(other)) {
            (Some(why), _) => WriteError::Credentials(why),
            (None, Some(why)) => WriteError::NotSent(why.to_string()),
            (None, None) => WriteError::Unanswered(joined_messages(other)),
        },
    }
}

/// The first words of the message for a server-side apply that does not match the schema. Such an apply is never
/// carried out.
const SCHEMA_MISMATCH: &str = "failed to create typed patch object";

/// Returns the fields of `spec` that the cluster's schema does not have, if a server-side apply was refused because of
/// them.
pub fn undeclared_fields(error: &kube::Error) -> Vec<String> {
    let kube::Error::Api(status) = error else { return Vec::new() };
    let message = &status.message;
    if !(status.code == 400 || message.starts_with(SCHEMA_MISMATCH)) {
        return Vec::new();
    }
    let typed = message.split_whitespace().zip(message.split_whitespace().skip(1));
    let typed = typed.filter_map(|(path, next)| path.strip_suffix(':').filter(|_| next == "field"));
    let typed = typed.filter_map(|path| path.strip_prefix(".spec."));
    let strict = message.split("unknown field \"").skip(1).filter_map(|rest| rest.split('"').next());
    let strict = strict.filter_map(|path| path.strip_prefix("spec."));
    let mut all: Vec<String> = typed.chain(strict).map(str::to_owned).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Converts the error of an object that was sent to be created in a dry-run.
///
/// # Errors
/// Returns why the result of the dry-run is unknown.
pub fn dry_run(error: &kube::Error) -> Result<DryRun, Unreadable> {
    let kube::Error::Api(status) = error else { return Err(read(error)) };
    let (message, reason) = (&status.message, status.reason.as_str());
    let unknown = message.split("unknown field \"").skip(1).filter_map(|rest| rest.split('"').next());
    let unknown: Vec<_> = unknown.map(|field| foreign_text::safe_line(field, MAX_TEXT_CHARS)).collect();
    match status.code {
        // The API server looks for an object of this name last, after validation and admission.
        409 if reason == "AlreadyExists" => Ok(DryRun::Accepted),
        400 if !unknown.is_empty() => Ok(DryRun::UnknownFields(unknown)),
        // A webhook with side effects does not take part in dry-runs.
        400 if message.contains("does not support dry run") => Err(Unreadable::Unavailable(api_message(status))),
        // The refusal of the authorizer; admission also has the status 403.
        403 if message.contains(" cannot create resource ") => {
            Err(Unreadable::Denied(explain_refusal(&api_message(status))))
        }
        401 | 404 | 407 | 408 | 409 | 429 => Err(read(error)),
        400..=499 => Ok(DryRun::Refused(api_message(status))),
        _ => Err(read(error)),
    }
}

/// Converts the error of a TargetGroupBinding that was not applied. The text names fields that the schema lacks and
/// that cannot be left out, and what to do.
pub fn binding(error: &kube::Error, undeclared: &[String]) -> WriteError {
    match write(error) {
        WriteError::Refused(why) if !undeclared.is_empty() => WriteError::Refused(format!(
            "{why}; the TargetGroupBinding CRD of this cluster is older than {}: apply the CRDs of the controller's \
             version (Helm does not update CRDs), or remove the field from `binding`",
            undeclared.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(" and ")
        )),
        other => other,
    }
}

/// Converts the error of a read before a write. The write was not sent.
pub fn before_write(error: &kube::Error) -> WriteError {
    match write(error) {
        WriteError::Unanswered(why) => WriteError::NotSent(why),
        known => known,
    }
}

/// The maximum length of a text from a response, in characters. Messages of webhooks are long.
const MAX_TEXT_CHARS: usize = 1000;

/// Returns the API's message without credentials.
fn api_message(status: &Status) -> String {
    let text = foreign_text::safe_line(&status.message, MAX_TEXT_CHARS);
    if text.is_empty() { "(the message is not shown, because it may contain a credential)".to_owned() } else { text }
}

const AUTH_FAILED: &str = "the kubeconfig's token or credential plugin failed";

/// Describes the owners of the fields in conflict.
fn conflict(status: &Status) -> String {
    let causes = status.details.iter().flat_map(|d| &d.causes).filter(|c| c.reason == "FieldManagerConflict");
    let named: Vec<_> =
        causes.map(|c| format!("{} ({})", c.field, foreign_text::safe_line(&c.message, MAX_TEXT_CHARS))).collect();
    if named.is_empty() { api_message(status) } else { format!("owned by someone else: {}", named.join(", ")) }
}

fn token_error(error: &(dyn Error + 'static)) -> Option<String> {
    error_chain(error).find_map(|e| e.downcast_ref::<NoToken>()).map(|e| e.0.clone())
}

fn error_chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |e: &&'a (dyn Error + 'static)| (*e).source())
}

/// Joins the messages of an error and its causes, each only once and without credentials.
fn joined_messages(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in error_chain(error).map(ToString::to_string) {
        if !parts.iter().any(|p| p.contains(&part)) {
            parts.push(part);
        }
    }
    redact::clean(&parts.join(": ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Box::new(Status { code, message: message.to_owned(), ..Status::default() }))
    }

    #[test]
    fn undeclared_fields_are_read_from_every_form_of_the_refusal() {
        let typed = "failed to create typed patch object (shop/web; elbv2.k8s.aws/v1beta1, Kind=TargetGroupBinding): ";
        for (code, message, expected) in [
            (500, format!("{typed}.spec.vpcID: field not declared in schema"), vec!["vpcID"]),
            (
                500,
                format!(
                    "{typed}errors:\n  .spec.vpcID: field not declared in schema\n  .spec.ipAddressType: field not \
                     declared in schema"
                ),
                vec!["ipAddressType", "vpcID"],
            ),
            (
                400,
                "strict decoding error: unknown field \"spec.vpcID\", unknown field \"spec.x\"".into(),
                vec!["vpcID", "x"],
            ),
            (500, "etcdserver: .spec.vpcID: field not declared in schema".into(), vec![]),
            (403, "forbidden: unknown field \"spec.vpcID\"".into(), vec![]),
        ] {
            assert_eq!(undeclared_fields(&refusal(code, &message)), expected, "{message}");
        }
    }

    #[test]
    fn dry_run_tells_a_refused_object_from_a_missing_permission() {
        let of = |code: u16, reason: &str, message: &str| {
            let status = Status { code, reason: reason.to_owned(), message: message.to_owned(), ..Status::default() };
            dry_run(&kube::Error::Api(Box::new(status)))
        };
        let exists = "deployments.apps \"web\" already exists";
        assert_eq!(of(409, "AlreadyExists", exists), Ok(DryRun::Accepted));
        let denied =
            "deployments.apps is forbidden: User \"ci\" cannot create resource \"deployments\" in API group \"apps\"";
        assert!(matches!(of(403, "Forbidden", denied), Err(Unreadable::Denied(_))));
        let policy = "admission webhook \"policy.example\" denied the request: no latest tag";
        assert_eq!(of(403, "Forbidden", policy), Ok(DryRun::Refused(policy.to_owned())));
        let strict = "strict decoding error: unknown field \"spec.x\", unknown field \"spec.template.y\"";
        let fields = ["spec.x", "spec.template.y"].map(str::to_owned).to_vec();
        assert_eq!(of(400, "BadRequest", strict), Ok(DryRun::UnknownFields(fields)));
        let effects = "admission webhook \"w\" does not support dry run";
        assert!(matches!(of(400, "BadRequest", effects), Err(Unreadable::Unavailable(_))));
        assert!(matches!(of(422, "Invalid", "spec.replicas: Invalid value: -1"), Ok(DryRun::Refused(_))));
        assert!(of(503, "ServiceUnavailable", "busy").is_err());
    }

    #[test]
    fn refused_credentials_and_proxies_have_advice() {
        let Unreadable::Credentials(why) = read(&refusal(401, "Unauthorized")) else { panic!("credentials") };
        assert!(why.ends_with("does not accept the credentials (401); check the clock of this machine"), "{why}");
        let Unreadable::Setup(why) = read(&refusal(407, "<html>")) else { panic!("a setting") };
        assert!(why.contains("HTTPS_PROXY"), "{why}");
    }

    #[test]
    fn response_that_cannot_be_decoded_is_called_that_and_not_quoted() {
        let page = serde_json::from_str::<u8>("<html>S3CRET").expect_err("a page is not a number");
        let error = kube::Error::SerdeError(page);
        assert_eq!(read(&error), Unreadable::Unavailable(NOT_DECODED.to_owned()));
        assert_eq!(write(&error), WriteError::Unanswered(NOT_DECODED.to_owned()));
        assert_eq!(before_write(&error), WriteError::NotSent(NOT_DECODED.to_owned()));
    }

    #[test]
    fn missing_field_is_named_with_instructions() {
        let refused = refusal(400, "strict decoding error: unknown field \"spec.targetGroupProtocol\"");
        let WriteError::Refused(why) = binding(&refused, &["targetGroupProtocol".to_owned()]) else {
            panic!("refused")
        };
        assert!(why.contains("older than `targetGroupProtocol`: apply the CRDs"), "{why}");
    }
}
