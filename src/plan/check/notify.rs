//! Checks notifications (targets, events, placeholders), and converts them to the model.

use super::{Diagnostic, Place, Placed, note};
use crate::base::finding::Code;
use crate::plan::decode::{clip, list};
use crate::plan::file::{self, Spec};
use crate::plan::model::notify::{Kind, Notification, NotificationTarget, PLACEHOLDERS, SecretLocation, WebhookUrl};
use crate::plan::scalar::KindName;
use crate::plan::suggest::closest;
use crate::plan::template;

/// Returns every notification, in the order of the file.
pub(super) fn all(spec: &Spec, out: &mut Vec<Diagnostic>) -> Vec<Notification> {
    spec.notifications.iter().flat_map(|all| &all.value).filter_map(|at| notification(at, out)).collect()
}

fn notification(at: &Placed<file::Notification>, out: &mut Vec<Diagnostic>) -> Option<Notification> {
    let to = destination(&at.value, out);
    let on = match &at.value.on {
        None => Kind::ALL.iter().copied().filter(|k| k.is_default()).collect(),
        Some(on) if on.value.is_empty() && on.complete => {
            return note(out, Code::CUT038, on.head, "the notification has no event")
                .help(format!("remove `on`, or list some of {}", list(Kind::WORDS)))
                .without_value();
        }
        Some(on) => kinds(&on.value),
    };
    let template = at.value.template.as_ref().map(|t| {
        check_placeholders(&t.value.0, t.place, &PLACEHOLDERS, out);
        t.value.0.clone()
    });
    Some(Notification { to: to?, on, template })
}

fn kinds(on: &[Placed<KindName>]) -> Vec<Kind> {
    Kind::ALL.iter().copied().filter(|kind| on.iter().any(|k| k.value.0 == *kind)).collect()
}

fn destination(at: &file::Notification, out: &mut Vec<Diagnostic>) -> Option<NotificationTarget> {
    if let Some(slack) = &at.slack {
        return Some(NotificationTarget::Slack { url: secret(&slack.value.url_from.as_ref()?.value)? });
    }
    if let Some(webhook) = &at.webhook {
        let url = match (&webhook.value.url, &webhook.value.url_from) {
            (Some(plain), _) => WebhookUrl::Plain(plain.value.0.clone()),
            (_, from) => WebhookUrl::Secret(secret(&from.as_ref()?.value)?),
        };
        return Some(NotificationTarget::Webhook {
            url,
            headers: super::gates::headers(webhook.value.headers.as_ref()?)?,
        });
    }
    let exec = at.exec.as_ref()?;
    let command = exec.value.command.as_ref()?;
    if command.value.is_empty() && command.complete {
        return note(out, Code::CUT038, command.head, "the command is empty")
            .help("write `command: [PROGRAM, ARGUMENT, …]`")
            .without_value();
    }
    let command_words = command.value.iter().map(|c| c.value.0.clone()).collect();
    Some(NotificationTarget::Exec { command: command_words, timeout: exec.value.timeout.as_ref()?.value.0 })
}

fn secret(at: &file::UrlFrom) -> Option<SecretLocation> {
    match (&at.env, &at.file) {
        (Some(name), _) => Some(SecretLocation::Env(name.value.0.clone())),
        (_, path) => Some(SecretLocation::File(path.as_ref()?.value.0.clone())),
    }
}

/// Checks a text, and adds an error for every unknown placeholder.
pub(super) fn check_placeholders(text: &str, place: Place, names: &[&str], out: &mut Vec<Diagnostic>) {
    for name in template::placeholder_names(text).filter(|name| !names.contains(name)) {
        let noted = note(out, Code::CUT037, place, format!("there is no placeholder `{{{{{}}}}}` here", clip(name)));
        match closest(name, names.iter().copied()) {
            Some(meant) => noted.help(format!("did you mean `{{{{{meant}}}}}`?")),
            None => noted.help(format!("the placeholders here are {}", list(names))),
        };
    }
}
