//! Runs the credential plugin (`exec`) of a kubeconfig, caches its credential and renews it.
//!
//! Do not add other kinds of credentials.

use std::io::IsTerminal;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Request, header};
use jiff::{SignedDuration, Timestamp};
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::Mutex;

use super::{NoToken, plugin_secrets};
use crate::adapter::process::ProcessGroup;
use crate::base::redact;
use crate::base::text::{line, list};

/// The time limit of a credential plugin when no terminal is available for its prompts.
const TIMEOUT_WITHOUT_TERMINAL: Duration = Duration::from_secs(30);
/// The time limit of a credential plugin at a terminal, where it may ask for a login.
const TIMEOUT_AT_TERMINAL: Duration = Duration::from_mins(3);
/// The time after which a running plugin is reported.
const REPORT_AFTER: Duration = Duration::from_secs(3);
/// The time after which a plugin that failed is run once more.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// The time before its expiry at which a token is renewed.
const RENEW_BEFORE_EXPIRY: SignedDuration = SignedDuration::from_mins(1);
/// Locked while a plugin may ask questions on the terminal, so that only one plugin asks at a time.
static TERMINAL: Mutex<()> = Mutex::const_new(());
/// The maximum size of the output, in bytes.
const MAX_OUTPUT_BYTES: u64 = 1 << 20;
/// The versions of the protocol.
const VERSIONS: [&str; 3] = [
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
    "client.authentication.k8s.io/v1alpha1",
];

/// The credential plugin of a context.
pub struct Plugin {
    exec: ExecConfig,
    context: String,
    current: Arc<Mutex<Option<Credential>>>,
}

/// The credential that a plugin returned.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Credential>,
}

impl Credential {
    /// Adds a client certificate to the user's credentials.
    pub fn certificate_into(&self, user: &mut AuthInfo) {
        if let (Some(certificate), Some(key)) = (&self.client_certificate_data, &self.client_key_data) {
            user.client_certificate_data = Some(BASE64_STANDARD.encode(certificate));
            user.client_key_data = Some(BASE64_STANDARD.encode(key).into());
        }
    }

    /// Whether two credentials have the same client certificate, or both have no certificate.
    pub fn same_certificate(&self, other: &Self) -> bool {
        (&self.client_certificate_data, &self.client_key_data)
            == (&other.client_certificate_data, &other.client_key_data)
    }

    /// Adds the token to a request.
    pub fn authorize<B>(&self, request: &mut Request<B>) -> Result<(), NoToken> {
        if let Some(token) = &self.token {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            let mut value = value.map_err(|_| NoToken("the plugin's token is not a valid header".into()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        Ok(())
    }

    fn is_valid(&self) -> bool {
        self.expiration_timestamp.is_none_or(|end| end - RENEW_BEFORE_EXPIRY > Timestamp::now())
    }
}

impl Plugin {
    /// Creates a plugin without running it.
    pub fn new(exec: ExecConfig, context: &str) -> Self {
        plugin_secrets::remember(&exec);
        Self { exec, context: context.to_owned(), current: Arc::default() }
    }

    /// Runs the plugin for the first time. The error names the command, the exit code, the last line of the output and
    /// how to install the command.
    pub async fn run_first(&self) -> Result<Credential, String> {
        let credential = match self.run().await {
            // The service that a plugin calls may fail once.
            Err(why) if why.contains("failed with exit code") => {
                tracing::info!("{why}; running the plugin again");
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
                self.run().await?
            }
            other => other?,
        };
        *self.current.lock().await = Some(credential.clone());
        Ok(credential)
    }

    /// Returns a credential that is valid now. A renewal continues even if the caller stops waiting.
    pub async fn current(self: Arc<Self>) -> Result<Credential, NoToken> {
        let renew = async move {
            let mut current = self.current.lock().await;
            match current.as_ref().filter(|credential| credential.is_valid()) {
                Some(credential) => Ok(credential.clone()),
                None => Ok(current.insert(self.run().await?).clone()),
            }
        };
        tokio::spawn(renew)
            .await
            .map_err(|_| "the plugin was interrupted".to_owned())
            .and_then(|done| done)
            .map_err(NoToken)
    }

    /// Discards the credential, so that the next request runs the plugin again.
    pub fn forget(&self) {
        if let Ok(mut current) = self.current.try_lock() {
            *current = None;
        }
    }

    /// Returns the name of the plugin for messages: its command and its context.
    pub fn name(&self) -> String {
        // The second word is a subcommand, such as `aws eks`. The others may be secret.
        let arguments = self.exec.args.iter().flatten().take(1).filter(|word| !word.starts_with('-'));
        let command = self.exec.command.as_deref().unwrap_or_default();
        let all: Vec<&str> = [command].into_iter().chain(arguments.map(String::as_str)).collect();
        format!("the credential plugin `{}` of the context {}", redact::clean(&all.join(" ")), self.context)
    }

    async fn run(&self) -> Result<Credential, String> {
        self.run_at(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()).await
    }

    /// Runs the plugin. `terminal` says whether this process has a terminal.
    async fn run_at(&self, terminal: bool) -> Result<Credential, String> {
        let name = self.name();
        self.check_version()?;
        let mode = self.exec.interactive_mode.as_ref();
        if mode == Some(&ExecInteractiveMode::Always) && !terminal {
            return Err(format!(
                "{name} needs a terminal (interactiveMode: Always), but there is no terminal: run the command at a \
                 terminal, or use credentials that need no person"
            ));
        }
        let interactive = terminal && mode != Some(&ExecInteractiveMode::Never);
        // A person can answer only one question at a time. The time limit starts when the plugin starts.
        let _turn = if interactive { Some(TERMINAL.lock().await) } else { None };
        let mut child = self.command(interactive)?.spawn().map_err(|error| self.start_error(&error))?;
        // A plugin in its own process group could not read from the terminal.
        let group = (!interactive).then(|| ProcessGroup::of(&child));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = async {
            let mut bytes = Vec::new();
            if let Some(stdout) = stdout {
                let _ = stdout.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes).await;
            }
            bytes
        };
        let last = std::sync::Mutex::new(String::new());
        let watched = async {
            let started_at = tokio::time::Instant::now();
            if let Some(stderr) = stderr {
                let mut lines = BufReader::new(stderr.take(MAX_OUTPUT_BYTES)).lines();
                while let Ok(Some(text)) = lines.next_line().await {
                    let text = line(&redact::clean(&without_colors(&text)), 300);
                    if started_at.elapsed() > REPORT_AFTER || interactive {
                        tracing::warn!("{name}: {text}");
                    }
                    if !text.is_empty() {
                        *last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = text;
                    }
                }
            }
        };
        let slow = async {
            tokio::time::sleep(REPORT_AFTER).await;
            tracing::warn!("still waiting for {name}");
            std::future::pending::<()>().await;
        };
        let limit = if interactive { TIMEOUT_AT_TERMINAL } else { TIMEOUT_WITHOUT_TERMINAL };
        let all = async { tokio::join!(output, watched, child.wait()) };
        let result = tokio::select! {
            result = tokio::time::timeout(limit, all) => result,
            () = slow => return Err(format!("{name} was interrupted")),
        };
        drop(group);
        let last = last.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Ok((output, ..)) = &result {
            remember(output);
        }
        let last_line = |last: &str| match last {
            "" => String::new(),
            last => format!(": {}", redact::clean(last)),
        };
        let Ok((output, (), status)) = result else {
            let last_line = last_line(&last);
            return Err(format!(
                "{name} did not end within {} s{last_line}; if the plugin waits for a login, run \
                 `kubectl --context {} version` once",
                limit.as_secs(),
                self.context
            ));
        };
        match status.map_err(|error| self.start_error(&error))?.code() {
            Some(0) => self.credential(&output),
            Some(code) => {
                let last = if last.is_empty() { words(&output) } else { last };
                Err(format!("{name} failed with exit code {code}{}", last_line(&last)))
            }
            None => Err(format!("{name} was killed{}", last_line(&last))),
        }
    }

    /// Checks the version of the protocol. kubectl knows three versions; the format of another version may differ.
    fn check_version(&self) -> Result<(), String> {
        match self.exec.api_version.as_deref() {
            Some(version) if !VERSIONS.contains(&version) => Err(format!(
                "{} has the apiVersion `{}`, which is not one of {}; run `aws eks update-kubeconfig`, or correct the \
                 kubeconfig",
                self.name(),
                line(version, 80),
                list(&VERSIONS)
            )),
            _ => Ok(()),
        }
    }

    fn command(&self, interactive: bool) -> Result<Command, String> {
        let program = self.exec.command.as_deref().filter(|command| !command.is_empty());
        let program =
            program.ok_or_else(|| format!("the context {} has a credential plugin without a command", self.context))?;
        let mut command = Command::new(program);
        command.args(self.exec.args.iter().flatten());
        for pair in self.exec.env.iter().flatten() {
            if let (Some(name), Some(value)) = (pair.get("name"), pair.get("value")) {
                command.env(name, value);
            }
        }
        let cluster = self.exec.cluster.as_ref().filter(|_| self.exec.provide_cluster_info);
        let mut spec = json!({"interactive": interactive});
        if let Some(cluster) = cluster {
            spec["cluster"] = serde_json::to_value(cluster).map_err(|e| e.to_string())?;
        }
        let version = self.exec.api_version.as_deref().unwrap_or(VERSIONS[1]);
        let info = json!({"apiVersion": version, "kind": "ExecCredential", "spec": spec});
        command.env("KUBERNETES_EXEC_INFO", info.to_string()).kill_on_drop(true);
        command.stdin(if interactive { Stdio::inherit() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if !interactive {
            command.process_group(0);
        }
        Ok(command)
    }

    fn start_error(&self, error: &std::io::Error) -> String {
        let why = if error.kind() == std::io::ErrorKind::NotFound {
            "is not installed".to_owned()
        } else {
            format!("did not start: {error}")
        };
        let hint = self.exec.install_hint.as_deref().map(|hint| line(&redact::clean(hint), 300)).unwrap_or_default();
        let hint = if hint.is_empty() { hint } else { format!("; {hint}") };
        format!("{} {why}{hint}", self.name())
    }

    /// Reads the credential from the output, which is JSON or YAML.
    fn credential(&self, output: &[u8]) -> Result<Credential, String> {
        let answer = serde_saphyr::from_slice::<ExecCredential>(output).map_err(|_| match words(output).as_str() {
            "" => format!("{} returned no ExecCredential", self.name()),
            words => format!("{} returned no ExecCredential: {words}", self.name()),
        })?;
        let credential =
            answer.status.ok_or_else(|| format!("{} returned an ExecCredential without a status", self.name()))?;
        let wrong = match (&credential.token, &credential.client_certificate_data, &credential.client_key_data) {
            (None, None, None) => "returned neither a token nor a certificate",
            (_, Some(_), None) => "returned a client certificate without its key (clientKeyData)",
            (_, None, Some(_)) => "returned a client key without its certificate (clientCertificateData)",
            _ => return Ok(credential),
        };
        Err(format!("{} {wrong}", self.name()))
    }
}

/// Returns the last line of an output that is a message: it has several words and is not JSON.
fn words(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let is_message = last.split_whitespace().count() > 2 && !text.contains('{');
    if is_message { line(&redact::clean(&without_colors(last)), 300) } else { String::new() }
}

/// Removes the escape sequences of a terminal.
fn without_colors(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        let end = part.find(|c: char| !matches!(c, '0'..='9' | ';' | '?')).map_or(part.len(), |at| at + 1);
        all + part.get(end..).unwrap_or_default()
    })
}

/// Removes the secrets in a plugin's output from every text, also if the plugin failed.
fn remember(output: &[u8]) {
    let status =
        serde_saphyr::from_slice::<ExecCredential>(output).ok().and_then(|answer| answer.status).unwrap_or_default();
    status.token.iter().chain(&status.client_key_data).for_each(|secret| redact::remember(secret));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn plugins_with_questions_run_one_after_the_other() {
        let folder = tempfile::tempdir().expect("create a folder");
        // The folder `turn` exists while a plugin runs.
        let script = "mkdir turn || exit 9; sleep 0.3; rmdir turn; \
                      echo '{\"status\": {\"token\": \"t\"}}'";
        let exec = json!({"apiVersion": VERSIONS[0], "command": "sh",
            "args": ["-c", format!("cd '{}' || exit 7; {script}", folder.path().display())]});
        let plugin = Plugin::new(serde_json::from_value(exec).expect("a plugin"), "x");
        let both = tokio::join!(plugin.run_at(true), plugin.run_at(true));
        let failure = |result: Result<Credential, String>| result.err();
        assert_eq!((failure(both.0), failure(both.1)), (None, None));
    }
}
