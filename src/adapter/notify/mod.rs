//! Where notifications go: a Slack webhook, any webhook, a command. Each has a queue and a task of its own, so that
//! none holds up a run or another.

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, StatusCode, Uri};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::metric::{Ask, Web};
use crate::adapter::http::{Courier, Deliver, Patience, Trouble};
use crate::adapter::process::{self as command, CommandLine};
use crate::base::redact;
use crate::plan::model::metric::Header;
use crate::plan::model::notify::{
    DEFAULT_TEMPLATE, Kind, Notification, NotificationTarget, SecretLocation, WebhookUrl,
};
use crate::plan::template;

/// What may wait for one destination, and when it is tried again.
pub const PATIENCE: Patience = Patience { queue: 64, at_once: 1, gather: Duration::ZERO };

/// For one try over HTTP.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Something to tell, as a webhook gets it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The version of this form.
    pub v: u32,
    /// What it is about.
    pub event: Kind,
    /// The plan's name.
    pub plan: String,
    /// The run's id.
    pub run: String,
    /// Its record's number in the journal, 0 where that cannot be written: with the run, what tells a repetition.
    pub seq: u64,
    /// When it happened.
    pub time: Timestamp,
    /// The step that is on, from 1; `None` before the first.
    pub step: Option<usize>,
    /// How many there are.
    pub steps: usize,
    /// The step's name, or what it does.
    pub label: Option<String>,
    /// Who has the run in hand.
    pub owner: String,
    /// What happened, in words.
    pub message: String,
}

impl Message {
    /// The notification's text, each part of it that is not the plan's own passed through `escape`.
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

    /// As a webhook and a command get it.
    fn json(&self, notification: &Notification) -> String {
        let mut json = json!(self);
        json["text"] = self.text(notification, str::to_owned).into();
        json.to_string()
    }
}

/// Slack's own markup begins with these.
fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Begins a courier for a notification.
pub fn courier(notification: &Notification, patience: Patience) -> Courier<Message> {
    let name = format!("notifications to {}", notification.to.kind());
    Courier::new(name, patience, Outlet { notification: notification.clone(), web: Web::default(), timeout: TIMEOUT })
}

/// Why nothing can be delivered there as things are now, if that is known.
pub fn trouble(to: &NotificationTarget) -> Option<String> {
    match to {
        NotificationTarget::Slack { url } | NotificationTarget::Webhook { url: WebhookUrl::Secret(url), .. } => {
            secret(url).err()
        }
        NotificationTarget::Webhook { .. } | NotificationTarget::Exec { .. } => None,
    }
}

/// A destination.
struct Outlet {
    notification: Notification,
    web: Web,
    timeout: Duration,
}

#[async_trait]
impl Deliver<Message> for Outlet {
    async fn deliver(&self, messages: &[Message]) -> Result<(), Trouble> {
        for message in messages {
            self.one(message).await?;
        }
        Ok(())
    }
}

impl Outlet {
    async fn one(&self, message: &Message) -> Result<(), Trouble> {
        let message = &Message { message: redact::clean(&message.message).into_owned(), ..message.clone() };
        match &self.notification.to {
            NotificationTarget::Slack { url } => {
                let text = message.text(&self.notification, slack);
                self.post(&secret(url).map_err(Trouble::Lasting)?, json!({"text": text}).to_string(), &[]).await
            }
            NotificationTarget::Webhook { url, headers } => {
                let url = match url {
                    WebhookUrl::Plain(url) => url.clone(),
                    WebhookUrl::Secret(url) => secret(url).map_err(Trouble::Lasting)?,
                };
                self.post(&url, message.json(&self.notification), headers).await
            }
            NotificationTarget::Exec { command: words, timeout } => {
                let line = CommandLine {
                    words,
                    variables: Vec::new(),
                    input: message.json(&self.notification),
                    timeout: *timeout,
                };
                match command::run(line).await.map_err(Trouble::Passing)? {
                    (0, _) => Ok(()),
                    (code, _) => Err(Trouble::Passing(format!("{} ends with exit code {code}", words[0]))),
                }
            }
        }
    }

    /// What is answered is not repeated: it may quote a secret of ours.
    async fn post(&self, url: &str, body: String, headers: &[Header]) -> Result<(), Trouble> {
        let ask = Ask {
            of: Some((self.notification.to.kind(), "notify")),
            url,
            post: Some(("application/json", body)),
            headers,
            more: HeaderMap::new(),
            timeout: self.timeout,
        };
        let (status, _) = self.web.ask(ask).await.map_err(Trouble::Passing)?;
        let why = || format!("the answer is {}", status.as_u16());
        match status {
            _ if status.is_success() => Ok(()),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(Trouble::Passing(why())),
            _ if status.is_server_error() => Err(Trouble::Passing(why())),
            _ => Err(Trouble::Lasting(why())),
        }
    }
}

/// A URL that nothing may print, from where it is; else why it cannot be had.
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
        Err(format!("what {of} holds is no URL that begins with https:// or http://"))
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
