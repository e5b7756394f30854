//! Steps and commands as text, with the terms of the plan.

use crate::base::{duration, text};
use crate::plan::model::hook::HookAction;
use crate::plan::model::{Step, StepKind};

/// Maximum length of a displayed command, in characters.
const MAX_COMMAND_LENGTH: usize = 120;

/// Returns a step's name and action, with the terms of the plan.
pub fn label(step: &Step) -> String {
    let what = match &step.kind {
        StepKind::Bind => "bind".into(),
        StepKind::Shares(shares) => shares.iter().map(|(c, s)| format!("{c} {s} %")).collect::<Vec<_>>().join(", "),
        StepKind::Bake(d) => format!("pause {}", duration::format_exact(*d)),
        StepKind::Exec(exec) => format!("exec {}", command_line(&exec.command)),
        StepKind::Unknown => "a step that this version does not know".into(),
        StepKind::Approval(None) => "pause until promoted".into(),
        StepKind::Approval(Some(text)) => format!("approval: {text}"),
    };
    let what = step
        .approval_timeout
        .map_or(what.clone(), |l| format!("{what} ({}, then {})", duration::format_exact(l.after), l.then.word()));
    step.name.as_ref().map_or(what.clone(), |name| format!("{name} ({what})"))
}

/// Returns an action as text.
pub fn action_line(action: &HookAction) -> String {
    match action {
        HookAction::Exec(words) => command_line(words),
        // A query, a user name or a path may be secret: webhook addresses are.
        HookAction::Http { url, .. } => {
            let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
            let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
            format!("POST {scheme}://{}/…", host.rsplit('@').next().unwrap_or(host))
        }
    }
}

/// Returns a command line as text, shortened.
pub fn command_line(words: &[String]) -> String {
    text::line(&words.join(" "), MAX_COMMAND_LENGTH)
}
