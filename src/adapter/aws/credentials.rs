//! Explains why there are no valid AWS credentials, from errors of the SDK's providers and from error codes of AWS.
//!
//! Do not load credentials here.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::config::http::HttpResponse;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;

use super::{CREDENTIALS_TIMEOUT, hung_process};
use crate::adapter::foreign_text;
use crate::adapter::network::Profiles;
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
    let profiles = process_profiles();
    if let (Some(path), None) = (variable("AWS_WEB_IDENTITY_TOKEN_FILE"), profiles.variable())
        && let Err(why) = std::fs::metadata(&path)
    {
        return format!("AWS_WEB_IDENTITY_TOKEN_FILE: {path}: {why}");
    }
    explain_with_profiles(error, &profiles)
}

/// Returns the place that gives the credentials, for a message while a load takes long.
pub fn source() -> String {
    let profiles = process_profiles();
    let process = Process::of(&profiles).map(|process| process.to_string());
    process.unwrap_or_else(|| format!("the credentials of the AWS profile {}", profiles.name()))
}

/// Kills the `credential_process` of the profile that is used, if it still runs.
pub fn kill_process() {
    if let Some(process) = Process::of(&process_profiles()) {
        hung_process::kill(&process.line);
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn process_profiles() -> Profiles {
    Profiles::of(&variable)
}

fn explain_with_profiles(error: &CredentialsError, profiles: &Profiles) -> String {
    broken_chain(profiles)
        .or_else(|| unsupported_key(profiles))
        .or_else(|| refused_role(error, profiles))
        .or_else(|| sso_login(error, profiles))
        .or_else(|| Process::of(profiles).and_then(|process| process.failure(error)))
        .or_else(|| role_source(error, profiles))
        .unwrap_or_else(|| other_failure(error, profiles))
}

/// Returns a description of a profile of the chain, with the profile that refers to it.
fn profile_of_chain(chain: &[String], index: usize) -> String {
    match index.checked_sub(1).and_then(|before| chain.get(before)) {
        Some(before) => format!("the AWS profile {} (source_profile of {before})", chain[index]),
        None => format!("the AWS profile {}", chain[index]),
    }
}

/// Explains a profile that does not exist, and profiles that refer to each other.
fn broken_chain(profiles: &Profiles) -> Option<String> {
    let chain = profiles.chain();
    if let Some((index, name)) = chain.iter().enumerate().find(|(_, name)| !profiles.exists(name)) {
        let place = match index.checked_sub(1) {
            Some(before) => format!("source_profile of the AWS profile {}", chain[before]),
            None => profiles.variable()?.to_owned(),
        };
        return Some(if profiles.lacks_prefix(name) {
            format!("{place} is `{name}`; in ~/.aws/config, rename the section [{name}] to [profile {name}]")
        } else {
            format!("{place} is `{name}`, and neither ~/.aws/config nor ~/.aws/credentials has that profile")
        });
    }
    let next = chain.last().and_then(|last| profiles.setting(last, "source_profile"))?;
    let has_keys = profiles.setting(&next, "aws_access_key_id").is_some();
    (!has_keys).then(|| {
        let names = chain.join(", ");
        format!("source_profile of the AWS profiles {names} forms a loop, and {next} has no access key")
    })
}

fn unsupported_key(profiles: &Profiles) -> Option<String> {
    let chain = profiles.chain();
    let has = |name: &str, key: &str| profiles.setting(name, key).is_some();
    chain.iter().enumerate().find_map(|(index, name)| {
        let is_used = |key: &str| has(name, key) && (key != "mfa_serial" || has(name, "role_arn"));
        let (key, what) = UNSUPPORTED_PROFILE_KEYS.iter().find(|(key, _)| is_used(key))?;
        Some(format!(
            "{} has `{key}` ({what}), which this program cannot use; run `eval \"$(aws configure export-credentials \
             --profile {} --format env)\"` and repeat the command",
            profile_of_chain(&chain, index),
            profiles.name()
        ))
    })
}

/// Explains why STS refused a role. The profile that the role is based on has valid credentials.
fn refused_role(error: &CredentialsError, profiles: &Profiles) -> Option<String> {
    let refusal = causes(error).find_map(|cause| cause.downcast_ref::<SdkError<AssumeRoleError, HttpResponse>>())?;
    let chain = profiles.chain();
    let role = |(index, name): (usize, &String)| {
        Some(format!("`role_arn = {}` of {}", profiles.setting(name, "role_arn")?, profile_of_chain(&chain, index)))
    };
    let roles: Vec<String> = chain.iter().enumerate().filter_map(role).collect();
    let roles = if roles.is_empty() { "the role".to_owned() } else { roles.join(" or ") };
    let Some(code) = refusal.code() else {
        return Some(format!("STS did not respond to the request for {roles}: {}", provider_messages(error)));
    };
    let message = refusal.message().map(|text| foreign_text::safe_line(text, MAX_TEXT_CHARS)).unwrap_or_default();
    let message = if message.is_empty() { message } else { format!(": {message}") };
    let code = explain_code(code, refusal.message())
        .unwrap_or_else(|| format!("{}{message}", foreign_text::safe_line(code, MAX_TEXT_CHARS)));
    Some(format!("STS refused {roles}: {code}"))
}

fn sso_login(error: &CredentialsError, profiles: &Profiles) -> Option<String> {
    let chain = profiles.chain();
    let has = |name: &String, key: &str| profiles.setting(name, key).is_some();
    let index = chain.iter().position(|name| has(name, "sso_session") || has(name, "sso_start_url"))?;
    let profile = profile_of_chain(&chain, index);
    if let Some(session) = profiles.setting(&chain[index], "sso_session")
        && !profiles.has_section(&format!("sso-session {session}"))
    {
        return Some(format!(
            "{profile} has `sso_session = {session}`, and ~/.aws/config has no section [sso-session {session}]; add \
             it with `aws configure sso-session`"
        ));
    }
    Some(format!(
        "{profile} has no valid SSO session; run `aws sso login --profile {}` ({})",
        chain[index],
        provider_messages(error)
    ))
}

/// The `credential_process` of a profile.
struct Process {
    profile: String,
    /// The program, without arguments, which may contain a secret.
    command: String,
    /// The complete command.
    line: String,
}

impl Process {
    fn of(profiles: &Profiles) -> Option<Self> {
        let chain = profiles.chain();
        let process = |name: &String| profiles.setting(name, "credential_process");
        let index = chain.iter().position(|name| process(name).is_some())?;
        let line = process(&chain[index])?;
        let command = match line.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next(),
            None => line.split_whitespace().next(),
        };
        Some(Self {
            profile: profile_of_chain(&chain, index),
            command: redact::clean(command.unwrap_or_default()).into_owned(),
            line,
        })
    }

    /// Explains why the command in `credential_process` failed; `None` if the error has a different cause.
    fn failure(&self, error: &CredentialsError) -> Option<String> {
        if let CredentialsError::ProviderTimedOut(_) = error {
            return Some(format!(
                "{self} did not end within {} s and was killed; if the command waits for a login, run it once in a terminal",
                CREDENTIALS_TIMEOUT.as_secs()
            ));
        }
        let text = causes(error).map(ToString::to_string).find(|text| text.contains("external process"))?;
        let text = redact::clean(&text);
        let status = text.split_once("exit status: ").and_then(|(_, rest)| rest.split_once(". Stderr: "));
        let Some((code, stderr)) = status else {
            return Some(format!("{self} failed: {}", line(&text, MAX_TEXT_CHARS)));
        };
        let last = stderr.lines().map(str::trim).rfind(|line| !line.is_empty());
        let last = last.map(|last| format!(": {}", line(last, MAX_TEXT_CHARS))).unwrap_or_default();
        Some(format!("{self} failed with exit code {code}{last}"))
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "credential_process of {} (`{}`)", self.profile, self.command)
    }
}

/// Explains the failure of a role whose credentials are from `credential_source` or a token file.
fn role_source(error: &CredentialsError, profiles: &Profiles) -> Option<String> {
    let chain = profiles.chain();
    let find = |key: &str| {
        chain
            .iter()
            .enumerate()
            .find_map(|(index, name)| Some((profile_of_chain(&chain, index), profiles.setting(name, key)?)))
    };
    if let Some((profile, source)) = find("credential_source") {
        let why = provider_messages(error);
        return Some(format!(
            "`credential_source = {source}` of {profile} gave no credentials, or the role was refused: {why}"
        ));
    }
    let (profile, path) = find("web_identity_token_file")?;
    let why = std::fs::metadata(&path).map_or_else(|why| why.to_string(), |_| provider_messages(error));
    Some(format!("web_identity_token_file of {profile}: {path}: {why}"))
}

fn other_failure(error: &CredentialsError, profiles: &Profiles) -> String {
    let name = profiles.name();
    let messages = provider_messages(error);
    match error {
        CredentialsError::CredentialsNotLoaded(_) if profiles.variable().is_some() => format!(
            "the AWS profile {name} has no credentials, and none were found in the environment, web identity, ECS and \
             EC2; log in (`aws sso login --profile {name}`), or select another profile"
        ),
        CredentialsError::CredentialsNotLoaded(_) => {
            "no credentials found in the environment, the AWS profile, web identity, ECS and EC2; log in \
             (`aws sso login`), or set AWS_PROFILE"
                .to_owned()
        }
        // Without any credentials, the last provider is that of EC2, which this machine does not have.
        _ if messages.contains("IMDS") => {
            "no credentials found in the environment, the AWS profile, web identity and ECS, and this machine is not in \
             EC2; log in (`aws sso login`), or set AWS_PROFILE"
                .to_owned()
        }
        CredentialsError::ProviderTimedOut(_) => "the credential provider did not respond in time".to_owned(),
        CredentialsError::InvalidConfiguration(_) => format!("the AWS profile {name} is not valid: {messages}"),
        _ => format!("the credential provider failed, or the login has expired: {messages}"),
    }
}

/// Returns the causes of an error, without the error itself.
fn causes(error: &CredentialsError) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}

/// Joins the messages of an error and its causes, each only once and without credentials.
fn provider_messages(error: &CredentialsError) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in causes(error) {
        let text = line(&redact::clean(&cause.to_string()), MAX_TEXT_CHARS);
        if !text.is_empty() && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    if parts.is_empty() { "the provider gave no reason".to_owned() } else { line(&parts.join(": "), MAX_TEXT_CHARS) }
}

/// Explains an error code of AWS that is about credentials; `None` if the code is not about credentials. Only the first
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
    use aws_sdk_sts::error::ErrorMetadata;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    const ROLE: &str = "[profile dev]\nrole_arn = r\nsource_profile = base\n";

    fn explained(config: &str, error: &CredentialsError) -> String {
        explain_with_profiles(error, &Profiles::for_test(config, "", "dev"))
    }

    #[test]
    fn unsupported_key_is_named_with_its_profile() {
        let failed = CredentialsError::provider_error("This behavior requires following cargo feature(s) enabled");
        let why = explained("[profile dev]\nlogin_session = x\n", &failed);
        assert!(why.contains("`login_session`") && why.contains("export-credentials --profile dev"), "{why}");
        let why = explained(&format!("{ROLE}[profile base]\nlogin_session = x\n"), &failed);
        assert!(why.starts_with("the AWS profile base (source_profile of dev) has `login_session`"), "{why}");
        assert!(why.contains("export-credentials --profile dev"), "{why}");
    }

    #[test]
    fn sso_login_names_the_profile_with_the_session() {
        let failed = CredentialsError::provider_error("failed to load the cached SSO token");
        let session = "[sso-session corp]\nsso_start_url = x\n";
        let why = explained(&format!("{ROLE}[profile base]\nsso_session = corp\n{session}"), &failed);
        assert!(why.contains("`aws sso login --profile base`"), "{why}");
        let why = explained("[profile dev]\nsso_session = corp\n", &failed);
        assert!(why.contains("no section [sso-session corp]") && !why.contains("sso login"), "{why}");
    }

    #[test]
    fn role_that_sts_refuses_is_not_a_failed_login() {
        let refused = |code: &str, message: &str| {
            let details = ErrorMetadata::builder().code(code).message(message).build();
            let response = HttpResponse::new(403.try_into().expect("a status"), SdkBody::empty());
            CredentialsError::provider_error(SdkError::service_error(AssumeRoleError::generic(details), response))
        };
        let config = format!("{ROLE}[profile base]\nsso_session = corp\n[sso-session corp]\nsso_start_url = x\n");
        let denied = "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: sts:AssumeRole on resource: r";
        let why = explained(&config, &refused("AccessDenied", denied));
        assert_eq!(why, format!("STS refused `role_arn = r` of the AWS profile dev: AccessDenied: {denied}"));
        let why = explained(&config, &refused("RequestExpired", "Signature expired: a is now earlier than b"));
        assert!(why.starts_with("STS refused") && why.contains("the clock of this machine"), "{why}");
        let process = format!("{ROLE}[profile base]\ncredential_process = foo\n");
        assert!(explained(&process, &refused("AccessDenied", denied)).starts_with("STS refused"));
        let lost = SdkError::<AssumeRoleError, HttpResponse>::timeout_error("no response in time");
        let why = explained(&config, &CredentialsError::provider_error(lost));
        assert!(why.starts_with("STS did not respond to the request for `role_arn = r`"), "{why}");
    }

    #[test]
    fn broken_chain_of_profiles_is_named() {
        let failed = CredentialsError::not_loaded_no_source();
        let why = explained(ROLE, &failed);
        assert!(why.starts_with("source_profile of the AWS profile dev is `base`, and neither"), "{why}");
        let why = explained(&format!("{ROLE}[profile base]\nsource_profile = dev\n"), &failed);
        assert!(why.contains("dev, base forms a loop"), "{why}");
        assert!(explained("[dev]\n", &failed).contains("rename the section [dev] to [profile dev]"));
        assert!(explained("[profile dev]\n", &failed).starts_with("the AWS profile dev has no credentials"));
    }

    #[test]
    fn failed_process_is_named_without_its_arguments() {
        let failed = CredentialsError::provider_error(
            "Error retrieving credentials: external process exited with code exit status: 3. Stderr: \
             {\"SecretAccessKey\": \"abc\"}\ntoken expired, run foo-login\n",
        );
        let config = "[profile dev]\ncredential_process = foo --password S3CRETpw\n";
        assert_eq!(
            explained(config, &failed),
            "credential_process of the AWS profile dev (`foo`) failed with exit code 3: token expired, run foo-login"
        );
        let slow = CredentialsError::provider_timed_out(std::time::Duration::from_secs(30));
        let why = explained(config, &slow);
        assert!(why.starts_with("credential_process of the AWS profile dev (`foo`) did not end within 30 s"), "{why}");
    }

    #[test]
    fn source_of_a_role_is_named() {
        let failed = CredentialsError::not_loaded("ECS provider not configured");
        let why = explained("[profile dev]\nrole_arn = r\ncredential_source = EcsContainer\n", &failed);
        assert!(why.starts_with("`credential_source = EcsContainer` of the AWS profile dev gave no"), "{why}");
        let why = explained("[profile dev]\nrole_arn = r\nweb_identity_token_file = /no/token\n", &failed);
        assert!(why.starts_with("web_identity_token_file of the AWS profile dev: /no/token: No such file"), "{why}");
    }

    #[test]
    fn provider_text_is_repeated_without_credentials() {
        let failed = CredentialsError::provider_error(
            "exited with code 3: https://u:S3CRETpw@host {\"SecretAccessKey\": \"abc\"}",
        );
        let why = explain_with_profiles(&failed, &Profiles::default());
        assert!(why.contains("code 3") && !why.contains("S3CRETpw") && !why.contains("abc"), "{why}");
        let why = explain_with_profiles(&CredentialsError::not_loaded_no_source(), &Profiles::default());
        assert!(why.starts_with("no credentials found"), "{why}");
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
