//! Notification targets: a Slack webhook, any webhook, a command. Each has its own queue and task, so that none blocks
//! a run or another target.
//!
//! Deciding what is notified must not be added here.

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, StatusCode, Uri};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::metric::{HttpClient, HttpRequest};
use crate::adapter::http::{Deliver, DeliveryError, DeliveryQueue, QueueLimits};
use crate::adapter::process::{self as command, CommandLine};
use crate::base::redact;
use crate::plan::model::metric::Header;
use crate::plan::model::notify::{
    DEFAULT_TEMPLATE, Kind, Notification, NotificationTarget, SecretLocation, WebhookUrl,
};
use crate::plan::template;

/// Limits of a target's queue.
pub const QUEUE_LIMITS: QueueLimits = QueueLimits { queue: 64, at_once: 1, gather: Duration::ZERO };

/// Time for one HTTP request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A notification as a webhook receives it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Version of this format.
    pub v: u32,
    /// The kind of event.
    pub event: Kind,
    /// The plan's name.
    pub plan: String,
    /// The run's id.
    pub run: String,
    /// Number of the record in the journal, 0 if the journal cannot be written. Together with the run it identifies
    /// repetitions.
    pub seq: u64,
    /// When it happened.
    pub time: Timestamp,
    /// The current step, from 1; `None` before the first.
    pub step: Option<usize>,
    /// Number of steps.
    pub steps: usize,
    /// The step's name or action.
    pub label: Option<String>,
    /// Owner of the process that drives the run.
    pub owner: String,
    /// What happened, in words.
    pub message: String,
}

impl Message {
    /// The text of the notification; values that are filled in pass through `escape`.
    pub fn text(&self, notification: &Notification, escape: fn(&str) -> String) -> String {
        let number = |n: Option<usize>| n.map(|n| n.to_string()).unwrap_or_default();
        template::fill(notification.template.as_deref().unwrap_or(DEFAULT_TEMPLATE), |name| {
            let value = match name {
                "plan" => self.plan.clone(),
                "run" => self.run.clone(),
                "event" => self.event.word().to_owned(),
                "message" => self.message.clone(),
                "time" => self.time.to_string(),
                "step" => number(self.step),
                "steps" => self.steps.to_string(),
                "label" => self.label.clone().unwrap_or_default(),
                "owner" => self.owner.clone(),
                _ => return None,
            };
            Some(escape(&value))
        })
    }

    /// The JSON for a webhook or a command.
    fn json(&self, notification: &Notification) -> String {
        let mut json = json!(self);
        json["text"] = self.text(notification, str::to_owned).into();
        json.to_string()
    }
}

/// Escapes the characters that start Slack's markup.
fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Starts the deliveries of a notification target.
pub fn delivery_queue(notification: &Notification, limits: QueueLimits) -> DeliveryQueue<Message> {
    let name = format!("notifications to {}", notification.to.kind());
    DeliveryQueue::new(
        name,
        limits,
        Target { notification: notification.clone(), web: HttpClient::default(), timeout: TIMEOUT },
    )
}

/// Why deliveries to a target would fail, if that is known before the first.
pub fn known_failure(to: &NotificationTarget) -> Option<String> {
    match to {
        NotificationTarget::Slack { url } | NotificationTarget::Webhook { url: WebhookUrl::Secret(url), .. } => {
            secret(url).err()
        }
        NotificationTarget::Webhook { .. } | NotificationTarget::Exec { .. } => None,
    }
}

/// A notification target.
struct Target {
    notification: Notification,
    web: HttpClient,
    timeout: Duration,
}

#[async_trait]
impl Deliver<Message> for Target {
    async fn deliver(&self, messages: &[Message]) -> Result<(), DeliveryError> {
        for message in messages {
            self.one(message).await?;
        }
        Ok(())
    }
}

impl Target {
    async fn one(&self, message: &Message) -> Result<(), DeliveryError> {
        let message = &Message { message: redact::clean(&message.message).into_owned(), ..message.clone() };
        match &self.notification.to {
            NotificationTarget::Slack { url } => {
                let text = message.text(&self.notification, slack);
                self.post(&secret(url).map_err(DeliveryError::Permanent)?, json!({"text": text}).to_string(), &[]).await
            }
            NotificationTarget::Webhook { url, headers } => {
                let url = match url {
                    WebhookUrl::Plain(url) => url.clone(),
                    WebhookUrl::Secret(url) => secret(url).map_err(DeliveryError::Permanent)?,
                };
                self.post(&url, message.json(&self.notification), headers).await
            }
            NotificationTarget::Exec { command: argv, timeout } => {
                let line = CommandLine {
                    argv,
                    variables: Vec::new(),
                    input: message.json(&self.notification),
                    timeout: *timeout,
                };
                match command::run(line).await.map_err(DeliveryError::Temporary)? {
                    (0, _) => Ok(()),
                    (code, _) => Err(DeliveryError::Temporary(format!("{} ends with exit code {code}", argv[0]))),
                }
            }
        }
    }

    /// Posts a notification. The answer is not repeated: it may quote a secret.
    async fn post(&self, url: &str, body: String, headers: &[Header]) -> Result<(), DeliveryError> {
        let ask = HttpRequest {
            of: Some((self.notification.to.kind(), "notify")),
            url,
            post: Some(("application/json", body)),
            headers,
            more: HeaderMap::new(),
            timeout: self.timeout,
        };
        let (status, _) = self.web.ask(ask).await.map_err(DeliveryError::Temporary)?;
        let why = || format!("the answer is {}", status.as_u16());
        match status {
            _ if status.is_success() => Ok(()),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(DeliveryError::Temporary(why())),
            _ if status.is_server_error() => Err(DeliveryError::Temporary(why())),
            _ => Err(DeliveryError::Permanent(why())),
        }
    }
}

/// Reads a secret URL, which no message may contain; else returns why it cannot be read.
fn secret(secret: &SecretLocation) -> Result<String, String> {
    let (text, of) = match secret {
        SecretLocation::Env(name) => (std::env::var(name).map_err(|_| format!("the environment has no {name}"))?, name),
        SecretLocation::File(path) => (std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?, path),
    };
    let url = text.trim();
    redact::remember(url);
    let usable =
        url.parse::<Uri>().is_ok_and(|u| matches!(u.scheme_str(), Some("http" | "https")) && u.host().is_some());
    if usable {
        Ok(url.to_owned())
    } else {
        Err(format!("what {of} holds is not a URL that begins with https:// or http://"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            v: 1,
            event: Kind::Frozen,
            plan: "shop".into(),
            run: "shop-1".into(),
            seq: 7,
            time: Timestamp::UNIX_EPOCH,
            step: Some(2),
            steps: 5,
            label: Some("setWeight: 5".into()),
            owner: "alice@mac".into(),
            message: "a <b> & c".into(),
        }
    }

    #[test]
    fn what_slack_takes_for_markup_is_escaped_in_what_is_filled_in_and_left_in_the_plans_own_words() {
        let of = |template: Option<&str>| Notification {
            to: NotificationTarget::Slack { url: SecretLocation::Env("X".into()) },
            on: Vec::new(),
            template: template.map(str::to_owned),
        };
        assert_eq!(message().text(&of(None), slack), "cutover shop: a &lt;b&gt; &amp; c");
        let all = "<!here> {{event}} {{run}} {{step}}/{{steps}} {{label}} {{owner}} {{time}}";
        assert_eq!(
            message().text(&of(Some(all)), slack),
            "<!here> frozen shop-1 2/5 setWeight: 5 alice@mac 1970-01-01T00:00:00Z"
        );
        let json: serde_json::Value = serde_json::from_str(&message().json(&of(None))).expect("JSON");
        assert_eq!(
            (&json["event"], &json["seq"], &json["text"]),
            (&json!("frozen"), &json!(7), &json!("cutover shop: a <b> & c"))
        );
    }

    #[test]
    fn a_secret_that_is_wrong_is_not_quoted() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().display().to_string();
        std::fs::write(&path, "hooks.example.com/T000/B000/XXXX").expect("written");
        let why = secret(&SecretLocation::File(path.clone())).expect_err("no URL");
        assert!(why.contains(&path) && !why.contains("XXXX"), "{why}");
        std::fs::write(&path, " https://hooks.example.com/T000\n").expect("written");
        assert_eq!(secret(&SecretLocation::File(path)), Ok("https://hooks.example.com/T000".into()));
    }
}
