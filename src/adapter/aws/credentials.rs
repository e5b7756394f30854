//! Explains why there are no valid AWS credentials, from errors of the SDK's providers and from error codes of AWS.
//!
//! Do not load credentials here.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;

use crate::adapter::network::{has_profile, profile_setting};
use crate::base::redact;
use crate::base::text::line;

/// The maximum length of a provider's own text, in characters.
const MAX_TEXT_CHARS: usize = 300;

/// The profile keys that the SDK of this build cannot use, each with a description.
const UNSUPPORTED_PROFILE_KEYS: [(&str, &str); 2] =
    [("login_session", "a session of `aws login`"), ("mfa_serial", "a role that needs an MFA code")];

/// Explains a provider's error and how to get credentials. Removes credentials from the text, because a provider may
/// quote files and responses.
pub fn explain(error: &CredentialsError) -> String {
    let process = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let profile = process("AWS_PROFILE");
    if let (Some(path), None) = (process("AWS_WEB_IDENTITY_TOKEN_FILE"), &profile)
        && let Err(why) = std::fs::metadata(&path)
    {
        return format!("AWS_WEB_IDENTITY_TOKEN_FILE: {path}: {why}");
    }
    let source = profile_setting(&process, "source_profile");
    for (name, place) in [(&profile, "AWS_PROFILE"), (&source, "source_profile of the AWS profile")] {
        if let Some(name) = name.as_deref().filter(|name| !has_profile(&process, name)) {
            return format!("{place} is `{name}`, and neither ~/.aws/config nor ~/.aws/credentials has that profile");
        }
    }
    explain_with_profile(error, profile.as_deref(), |key| profile_setting(&process, key))
}

fn explain_with_profile(
    error: &CredentialsError,
    profile: Option<&str>,
    setting: impl Fn(&str) -> Option<String>,
) -> String {
    let name = profile.unwrap_or("default");
    let messages = provider_messages(error);
    let found = UNSUPPORTED_PROFILE_KEYS.iter().find(|(key, _)| setting(key).is_some());
    if let Some((key, what)) = found {
        return format!(
            "the AWS profile {name} has `{key}` ({what}), which this program cannot use; run `eval \"$(aws configure \
             export-credentials --profile {name} --format env)\"` and repeat the command"
        );
    }
    let sso = setting("sso_session").is_some() || setting("sso_start_url").is_some() || messages.contains("SSO");
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            "no credentials found in the environment, the AWS profile, web identity, ECS and EC2; log in \
             (`aws sso login`), or set AWS_PROFILE"
                .to_owned()
        }
        CredentialsError::ProviderTimedOut(_) => "the credential provider did not respond in time".to_owned(),
        _ if sso => {
            format!(
                "the AWS profile {name} has no valid SSO session; run `aws sso login --profile {name}` ({messages})"
            )
        }
        CredentialsError::InvalidConfiguration(_) => format!("the AWS profile {name} is not valid: {messages}"),
        _ => format!("the credential provider failed, or the login has expired: {messages}"),
    }
}

/// Joins the messages of an error and its causes, each only once and without credentials.
fn provider_messages(error: &CredentialsError) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = next {
        let text = line(&redact::clean(&error.to_string()), MAX_TEXT_CHARS);
        if !text.is_empty() && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    if parts.is_empty() { "the provider gave no reason".to_owned() } else { line(&parts.join(": "), MAX_TEXT_CHARS) }
}

/// Explains an error code of AWS that is about credentials; `None`: the code is not about credentials. Only the first
/// words of the message are used, because the message of a refused signature quotes the signed request.
pub fn explain_code(code: &str, message: Option<&str>) -> Option<String> {
    let skewed =
        message.is_some_and(|m| m.starts_with("Signature expired") || m.starts_with("Signature not yet current"));
    let text = match code {
        "RequestTimeTooSkewed" => "the clock of this machine is wrong; set the clock, then repeat the command",
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "RequestExpired" if skewed => {
            "the clock of this machine is wrong; set the clock, then repeat the command"
        }
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "TokenRefreshRequired" => {
            "the credentials have expired; log in again"
        }
        "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "UnrecognizedClientException"
        | "AuthFailure"
        | "InvalidToken" => "the access key does not exist; it may be deleted, or belong to another partition",
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" => {
            "the secret access key does not belong to the access key"
        }
        "MissingAuthenticationToken" | "MissingAuthenticationTokenException" => "the request had no credentials",
        _ => return None,
    };
    Some(format!("{text} ({code})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_profile_key_is_named() {
        let failed = CredentialsError::provider_error("This behavior requires following cargo feature(s) enabled");
        let why = explain_with_profile(&failed, Some("dev"), |key| (key == "login_session").then(String::new));
        assert!(why.contains("`login_session`") && why.contains("export-credentials --profile dev"), "{why}");
    }

    #[test]
    fn provider_text_is_repeated_without_credentials() {
        let failed = CredentialsError::provider_error(
            "external process exited with code exit status: 3. Stderr: https://u:S3CRETpw@host {\"SecretAccessKey\": \"abc\"}",
        );
        let why = explain_with_profile(&failed, None, |_| None);
        assert!(why.contains("exit status: 3") && !why.contains("S3CRETpw") && !why.contains("abc"), "{why}");
        let why = explain_with_profile(&failed, Some("p"), |key| (key == "sso_session").then(String::new));
        assert!(why.contains("aws sso login --profile p"), "{why}");
        assert!(
            explain_with_profile(&CredentialsError::not_loaded_no_source(), None, |_| None)
                .starts_with("no credentials found")
        );
    }

    #[test]
    fn wrong_clock_expired_and_unknown_keys_have_different_texts() {
        let late = "Signature expired: 20261130T000000Z is now earlier than 20261130T001500Z";
        assert!(explain_code("SignatureDoesNotMatch", Some(late)).expect("a code about credentials").contains("clock"));
        assert!(explain_code("RequestTimeTooSkewed", None).expect("a code about credentials").contains("clock"));
        assert!(explain_code("ExpiredToken", None).expect("a code about credentials").contains("expired"));
        assert!(
            explain_code("InvalidClientTokenId", None).expect("a code about credentials").contains("does not exist")
        );
        assert!(
            explain_code("SignatureDoesNotMatch", Some("x"))
                .expect("a code about credentials")
                .contains("secret access key")
        );
        assert_eq!(explain_code("RuleNotFound", None), None);
    }
}
