//! Credential plugins of a kubeconfig (`exec`): runs the command, keeps its credential and renews it.
//!
//! Other kinds of credentials must not be added here.

use std::io::IsTerminal;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Request, header};
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::Mutex;
use tower::BoxError;

use super::NoToken;
use crate::adapter::process::ProcessGroup;
use crate::base::redact;
use crate::base::text::line;

/// Time for a plugin that nobody can answer.
const ALONE: Duration = Duration::from_secs(30);
/// Time for a plugin at a terminal, which may ask for a login.
const AT_TERMINAL: Duration = Duration::from_mins(3);
/// A plugin that takes longer than this is reported.
const PATIENCE: Duration = Duration::from_secs(3);
/// A token is renewed this long before it expires.
const BEFORE: SignedDuration = SignedDuration::from_mins(1);
/// Limit of the output in bytes.
const MOST: u64 = 1 << 20;

/// A plugin of a context.
pub struct Plugin {
    exec: ExecConfig,
    context: String,
    current: Arc<Mutex<Option<Credential>>>,
}

/// What a plugin returned.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Answer {
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

    fn lasts(&self) -> bool {
        self.expiration_timestamp.is_none_or(|end| end - BEFORE > Timestamp::now())
    }
}

impl Plugin {
    /// Nothing is run yet.
    pub fn new(exec: ExecConfig, context: &str) -> Self {
        Self { exec, context: context.to_owned(), current: Arc::default() }
    }

    /// Runs the plugin for the first time. The error names the command, its exit code, its last line and how to install
    /// it.
    pub async fn first(&self) -> Result<Credential, String> {
        let credential = self.run().await?;
        *self.current.lock().await = Some(credential.clone());
        Ok(credential)
    }

    /// The value of `Authorization`; `None`: the credential is a certificate. Renewing goes on if the caller stops
    /// waiting.
    async fn header(self: Arc<Self>) -> Result<Option<HeaderValue>, NoToken> {
        let renew = async move {
            let mut current = self.current.lock().await;
            if !current.as_ref().is_some_and(Credential::lasts) {
                *current = Some(self.run().await?);
            }
            let token = current.as_ref().and_then(|credential| credential.token.clone());
            token.map(|token| bearer(&token)).transpose()
        };
        tokio::spawn(renew)
            .await
            .map_err(|_| "the plugin was interrupted".to_owned())
            .and_then(|done| done)
            .map_err(NoToken)
    }

    /// The next request runs the plugin again.
    fn forget(&self) {
        if let Ok(mut current) = self.current.try_lock() {
            *current = None;
        }
    }

    fn name(&self) -> String {
        let words = self.exec.args.iter().flatten().take_while(|word| !word.starts_with('-'));
        let command = self.exec.command.as_deref().unwrap_or_default();
        let all: Vec<&str> = [command].into_iter().chain(words.map(String::as_str)).collect();
        format!("the credential plugin `{}` of the context {}", redact::clean(&all.join(" ")), self.context)
    }

    async fn run(&self) -> Result<Credential, String> {
        let name = self.name();
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let mode = self.exec.interactive_mode.as_ref();
        if mode == Some(&ExecInteractiveMode::Always) && !terminal {
            return Err(format!("{name} needs a terminal (interactiveMode: Always), and there is none"));
        }
        let interactive = terminal && mode != Some(&ExecInteractiveMode::Never);
        let mut child = self.command(interactive)?.spawn().map_err(|error| self.not_started(&error))?;
        // A group of its own could not read from the terminal.
        let family = (!interactive).then(|| ProcessGroup::of(&child));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = async {
            let mut bytes = Vec::new();
            if let Some(stdout) = stdout {
                let _ = stdout.take(MOST).read_to_end(&mut bytes).await;
            }
            bytes
        };
        let last = std::sync::Mutex::new(String::new());
        let watched = async {
            let begun = tokio::time::Instant::now();
            if let Some(stderr) = stderr {
                let mut lines = BufReader::new(stderr.take(MOST)).lines();
                while let Ok(Some(text)) = lines.next_line().await {
                    let text = line(&redact::clean(&text), 300);
                    if begun.elapsed() > PATIENCE || interactive {
                        tracing::warn!("{name}: {text}");
                    }
                    if !text.is_empty() {
                        *last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = text;
                    }
                }
            }
        };
        let slow = async {
            tokio::time::sleep(PATIENCE).await;
            tracing::warn!("still waiting for {name}");
            std::future::pending::<()>().await;
        };
        let limit = if interactive { AT_TERMINAL } else { ALONE };
        let all = async { tokio::join!(output, watched, child.wait()) };
        let ended = tokio::select! {
            ended = tokio::time::timeout(limit, all) => ended,
            () = slow => return Err(format!("{name} was interrupted")),
        };
        drop(family);
        let last = last.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let said = if last.is_empty() { String::new() } else { format!(": {last}") };
        let Ok((output, (), status)) = ended else {
            return Err(format!(
                "{name} did not end within {} s{said}; if it waits for a login, run `kubectl --context {} version` once",
                limit.as_secs(),
                self.context
            ));
        };
        match status.map_err(|error| self.not_started(&error))?.code() {
            Some(0) => self.credential(&output),
            Some(code) => Err(format!("{name} failed with exit code {code}{said}")),
            None => Err(format!("{name} was killed{said}")),
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
        let version = self.exec.api_version.as_deref().unwrap_or("client.authentication.k8s.io/v1beta1");
        let info = json!({"apiVersion": version, "kind": "ExecCredential", "spec": spec});
        command.env("KUBERNETES_EXEC_INFO", info.to_string()).kill_on_drop(true);
        command.stdin(if interactive { Stdio::inherit() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if !interactive {
            command.process_group(0);
        }
        Ok(command)
    }

    fn not_started(&self, error: &std::io::Error) -> String {
        let why = if error.kind() == std::io::ErrorKind::NotFound {
            "is not installed".to_owned()
        } else {
            format!("did not start: {error}")
        };
        let hint = self.exec.install_hint.as_deref().map(|hint| line(&redact::clean(hint), 300)).unwrap_or_default();
        let hint = if hint.is_empty() { hint } else { format!("; {hint}") };
        format!("{} {why}{hint}", self.name())
    }

    /// The credential in the output, which is JSON or YAML.
    fn credential(&self, output: &[u8]) -> Result<Credential, String> {
        let answer = serde_saphyr::from_slice::<Answer>(output)
            .map_err(|_| format!("{} returned no ExecCredential", self.name()))?;
        let credential =
            answer.status.ok_or_else(|| format!("{} returned an ExecCredential without a status", self.name()))?;
        if credential.token.is_none() && credential.client_certificate_data.is_none() {
            return Err(format!("{} returned neither a token nor a certificate", self.name()));
        }
        credential.token.iter().chain(&credential.client_key_data).for_each(|secret| redact::remember(secret));
        Ok(credential)
    }
}

fn bearer(token: &str) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| "the token is not a valid header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Adds the plugin's token to a request.
pub async fn authorized(plugin: Arc<Plugin>, mut request: Request<Body>) -> Result<Request<Body>, BoxError> {
    if let Some(value) = plugin.header().await? {
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

/// What to do with an answer: after 401 the next request runs the plugin again.
pub fn renewing<B>(plugin: &Arc<Plugin>) -> impl FnMut(http::Response<B>) -> http::Response<B> + Clone + use<B> {
    let plugin = Arc::clone(plugin);
    move |response| {
        if response.status() == http::StatusCode::UNAUTHORIZED {
            plugin.forget();
        }
        response
    }
}
