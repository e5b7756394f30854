//! Explains why there are no valid AWS credentials: errors of the SDK's providers, and codes that AWS answers.
//!
//! Loading credentials must not be added here.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;

use crate::adapter::network::{has_profile, profile_setting};
use crate::base::redact;
use crate::base::text::line;

/// Limit of a provider's own text in characters.
const LONGEST: usize = 300;

/// Keys of a profile that the SDK of this build cannot use.
const UNSUPPORTED: [(&str, &str); 2] =
    [("login_session", "a session of `aws login`"), ("mfa_serial", "a role that needs an MFA code")];

/// What a provider's error means and how to get credentials. The text is cleaned: a provider may quote files and
/// answers.
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
    explained(error, profile.as_deref(), |key| profile_setting(&process, key))
}

fn explained(error: &CredentialsError, profile: Option<&str>, setting: impl Fn(&str) -> Option<String>) -> String {
    let name = profile.unwrap_or("default");
    let said = said(error);
    let found = UNSUPPORTED.iter().find(|(key, _)| setting(key).is_some());
    if let Some((key, what)) = found {
        return format!(
            "the AWS profile {name} has `{key}` ({what}), which this program cannot use; run `eval \"$(aws configure \
             export-credentials --profile {name} --format env)\"` and repeat the command"
        );
    }
    let sso = setting("sso_session").is_some() || setting("sso_start_url").is_some() || said.contains("SSO");
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            "none found in the environment, the AWS profile, web identity, ECS and EC2; log in (`aws sso login`), or set \
             AWS_PROFILE"
                .to_owned()
        }
        CredentialsError::ProviderTimedOut(_) => "their provider did not answer in time".to_owned(),
        _ if sso => format!("the AWS profile {name} has no valid SSO session; run `aws sso login --profile {name}` ({said})"),
        CredentialsError::InvalidConfiguration(_) => format!("the AWS profile {name} is not valid: {said}"),
        _ => format!("their provider failed, or the login has expired: {said}"),
    }
}

/// The messages of an error and its causes, each once, without credentials.
fn said(error: &CredentialsError) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = next {
        let text = line(&redact::clean(&error.to_string()), LONGEST);
        if !text.is_empty() && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    if parts.is_empty() { "no reason is given".to_owned() } else { line(&parts.join(": "), LONGEST) }
}

/// What an error code of AWS says about credentials; `None`: it is not about credentials. The message of a refused
/// signature quotes the signed request, so only its first words are read.
pub fn refused(code: &str, message: Option<&str>) -> Option<String> {
    let skewed =
        message.is_some_and(|m| m.starts_with("Signature expired") || m.starts_with("Signature not yet current"));
    let text = match code {
        "RequestTimeTooSkewed" => "the clock of this machine is wrong; set it, then repeat the command",
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "RequestExpired" if skewed => {
            "the clock of this machine is wrong; set it, then repeat the command"
        }
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "TokenRefreshRequired" => {
            "they have expired; log in again"
        }
        "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "UnrecognizedClientException"
        | "AuthFailure"
        | "InvalidToken" => "AWS does not know the access key; it may be deleted, or of another partition",
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" => {
            "the secret access key does not belong to the access key"
        }
        "MissingAuthenticationToken" | "MissingAuthenticationTokenException" => "the request had none",
        _ => return None,
    };
    Some(format!("{text} ({code})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_build_cannot_use_is_named_by_its_key() {
        let failed = CredentialsError::provider_error("This behavior requires following cargo feature(s) enabled");
        let why = explained(&failed, Some("dev"), |key| (key == "login_session").then(String::new));
        assert!(why.contains("`login_session`") && why.contains("export-credentials --profile dev"), "{why}");
    }

    #[test]
    fn a_providers_text_is_repeated_without_credentials() {
        let failed = CredentialsError::provider_error(
            "external process exited with code exit status: 3. Stderr: https://u:S3CRETpw@host {\"SecretAccessKey\": \"abc\"}",
        );
        let why = explained(&failed, None, |_| None);
        assert!(why.contains("exit status: 3") && !why.contains("S3CRETpw") && !why.contains("abc"), "{why}");
        let why = explained(&failed, Some("p"), |key| (key == "sso_session").then(String::new));
        assert!(why.contains("aws sso login --profile p"), "{why}");
        assert!(explained(&CredentialsError::not_loaded_no_source(), None, |_| None).starts_with("none found"));
    }

    #[test]
    fn a_wrong_clock_an_expired_and_an_unknown_key_are_told_apart() {
        let late = "Signature expired: 20261130T000000Z is now earlier than 20261130T001500Z";
        assert!(refused("SignatureDoesNotMatch", Some(late)).expect("credentials").contains("clock"));
        assert!(refused("RequestTimeTooSkewed", None).expect("credentials").contains("clock"));
        assert!(refused("ExpiredToken", None).expect("credentials").contains("expired"));
        assert!(refused("InvalidClientTokenId", None).expect("credentials").contains("does not know"));
        assert!(refused("SignatureDoesNotMatch", Some("x")).expect("credentials").contains("secret access key"));
        assert_eq!(refused("RuleNotFound", None), None);
    }
}
