//! Delivers notifications to targets: a Slack webhook, any webhook, or a command. Each target has its own queue and
//! task, so that no target blocks a run or another target.
//!
//! Do not decide here which events are notified.

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, StatusCode, Uri};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::metric::{HttpClient, HttpRequest, header_value};
use crate::adapter::http::{Deliver, DeliveryError, DeliveryQueue, QueueLimits};
use crate::adapter::process::{self as command, CommandLine, Folder};
use crate::base::redact;
use crate::plan::model::metric::Header;
use crate::plan::model::notify::{
    DEFAULT_TEMPLATE, Kind, Notification, NotificationTarget, SecretLocation, WebhookUrl,
};
use crate::plan::template;

/// The limits of the queue of one target.
pub const QUEUE_LIMITS: QueueLimits = QueueLimits { queue: 64, at_once: 1, gather: Duration::ZERO };

/// The time-out of one HTTP request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A notification as a webhook receives it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The version of this format.
    pub v: u32,
    /// The kind of the event.
    pub event: Kind,
    /// The name of the plan.
    pub plan: String,
    /// The id of the run.
    pub run: String,
    /// The number of the record in the journal; 0 if the journal cannot be written. Together with the run, this number
    /// identifies repetitions.
    pub seq: u64,
    /// The time of the reported event.
    pub time: Timestamp,
    /// The number of the current step, counted from 1; `None` before the first step.
    pub step: Option<usize>,
    /// The number of steps of the plan.
    pub steps: usize,
    /// The name or the action of the current step.
    pub label: Option<String>,
    /// The owner of the process that drives the run.
    pub owner: String,
    /// The event as text for people.
    pub message: String,
}

impl Message {
    /// Returns the text of the notification. Escapes the inserted values with `escape`.
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

    /// Returns the JSON for a webhook or a command.
    fn json(&self, notification: &Notification) -> String {
        let mut json = json!(self);
        json["text"] = self.text(notification, str::to_owned).into();
        json.to_string()
    }
}

/// Escapes the characters that start Slack's markup.
fn escape_for_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Starts to deliver messages to a notification target.
pub fn delivery_queue(notification: &Notification, folder: &Folder, limits: QueueLimits) -> DeliveryQueue<Message> {
    let name = format!("notifications to {}", notification.to.kind());
    DeliveryQueue::new(
        name,
        limits,
        Target {
            notification: notification.clone(),
            web: HttpClient::default(),
            timeout: REQUEST_TIMEOUT,
            folder: folder.clone(),
        },
    )
}

/// Returns why deliveries to a target would fail, if that is known before the first delivery.
pub fn known_failure(to: &NotificationTarget) -> Option<String> {
    match to {
        NotificationTarget::Slack { url } | NotificationTarget::Webhook { url: WebhookUrl::Secret(url), .. } => {
            read_secret_url(url).err()
        }
        NotificationTarget::Webhook { .. } | NotificationTarget::Exec { .. } => None,
    }
}

/// Reads the secrets of a target, so that they are removed from every text.
pub fn remember_secrets(to: &NotificationTarget) {
    let _ = known_failure(to);
    if let NotificationTarget::Webhook { headers, .. } = to {
        for header in headers {
            drop(header_value(header));
        }
    }
}

/// A notification target with the settings of its requests.
struct Target {
    notification: Notification,
    web: HttpClient,
    timeout: Duration,
    folder: Folder,
}

#[async_trait]
impl Deliver<Message> for Target {
    async fn deliver(&self, messages: &[Message]) -> Result<(), DeliveryError> {
        for message in messages {
            self.deliver_one(message).await?;
        }
        Ok(())
    }
}

impl Target {
    async fn deliver_one(&self, message: &Message) -> Result<(), DeliveryError> {
        let message = &Message { message: redact::clean(&message.message).into_owned(), ..message.clone() };
        match &self.notification.to {
            NotificationTarget::Slack { url } => {
                let text = message.text(&self.notification, escape_for_slack);
                self.post(
                    &read_secret_url(url).map_err(DeliveryError::Permanent)?,
                    json!({"text": text}).to_string(),
                    &[],
                )
                .await
            }
            NotificationTarget::Webhook { url, headers } => {
                let url = match url {
                    WebhookUrl::Plain(url) => url.clone(),
                    WebhookUrl::Secret(url) => read_secret_url(url).map_err(DeliveryError::Permanent)?,
                };
                self.post(&url, message.json(&self.notification), headers).await
            }
            NotificationTarget::Exec { command: argv, timeout } => {
                let line = CommandLine {
                    argv,
                    variables: Vec::new(),
                    input: message.json(&self.notification),
                    timeout: *timeout,
                    folder: &self.folder,
                };
                match command::run(line).await.map_err(DeliveryError::Temporary)?.code {
                    0 => Ok(()),
                    code => Err(DeliveryError::Temporary(format!("{} exited with code {code}", argv[0]))),
                }
            }
        }
    }

    /// Posts a notification. Errors do not quote the response, because it may contain a secret.
    async fn post(&self, url: &str, body: String, headers: &[Header]) -> Result<(), DeliveryError> {
        let request = HttpRequest {
            counted_as: Some((self.notification.to.kind(), "notify")),
            url,
            post: Some(("application/json", body)),
            headers,
            more_headers: HeaderMap::new(),
            timeout: self.timeout,
        };
        let (status, _) = self.web.send(request).await.map_err(DeliveryError::Temporary)?;
        let why = || format!("the server responded with status {}", status.as_u16());
        match status {
            _ if status.is_success() => Ok(()),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(DeliveryError::Temporary(why())),
            _ if status.is_server_error() => Err(DeliveryError::Temporary(why())),
            _ => Err(DeliveryError::Permanent(why())),
        }
    }
}

/// Reads a secret URL. Returns why the URL cannot be read. No message may contain the URL.
fn read_secret_url(secret: &SecretLocation) -> Result<String, String> {
    let (text, of) = match secret {
        SecretLocation::Env(name) => {
            (std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))?, name)
        }
        SecretLocation::File(path) => (std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?, path),
    };
    let url = text.trim();
    redact::remember_url(url);
    let usable =
        url.parse::<Uri>().is_ok_and(|u| matches!(u.scheme_str(), Some("http" | "https")) && u.host().is_some());
    if usable {
        Ok(url.to_owned())
    } else {
        Err(format!("the value of {of} is not a URL that begins with https:// or http://"))
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
    fn slack_markup_is_escaped_in_inserted_values_but_not_in_the_plans_text() {
        let of = |template: Option<&str>| Notification {
            to: NotificationTarget::Slack { url: SecretLocation::Env("X".into()) },
            on: Vec::new(),
            template: template.map(str::to_owned),
        };
        assert_eq!(message().text(&of(None), escape_for_slack), "cutover shop: a &lt;b&gt; &amp; c");
        let all = "<!here> {{event}} {{run}} {{step}}/{{steps}} {{label}} {{owner}} {{time}}";
        assert_eq!(
            message().text(&of(Some(all)), escape_for_slack),
            "<!here> frozen shop-1 2/5 setWeight: 5 alice@mac 1970-01-01T00:00:00Z"
        );
        let json: serde_json::Value =
            serde_json::from_str(&message().json(&of(None))).expect("the message must be JSON");
        assert_eq!(
            (&json["event"], &json["seq"], &json["text"]),
            (&json!("frozen"), &json!(7), &json!("cutover shop: a <b> & c"))
        );
    }

    #[test]
    fn invalid_secret_url_is_not_quoted() {
        let file = tempfile::NamedTempFile::new().expect("create a file");
        let path = file.path().display().to_string();
        std::fs::write(&path, "hooks.example.com/T000/B000/XXXX").expect("write the file");
        let why = read_secret_url(&SecretLocation::File(path.clone())).expect_err("the value must be refused");
        assert!(why.contains(&path) && !why.contains("XXXX"), "{why}");
        std::fs::write(&path, " https://hooks.example.com/T000\n").expect("write the file");
        assert_eq!(read_secret_url(&SecretLocation::File(path)), Ok("https://hooks.example.com/T000".into()));
    }
}
