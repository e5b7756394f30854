//! Steps and commands as text, with the terms of the plan.

use crate::base::{duration, text};
use crate::plan::model::hook::Action;
use crate::plan::model::{Step, StepKind};

/// Maximum length of a displayed command, in characters.
const LONG: usize = 120;

/// A step's name and action, with the terms of the plan.
pub fn label(step: &Step) -> String {
    let what = match &step.kind {
        StepKind::Bind => "bind".into(),
        StepKind::Shares(shares) => shares.iter().map(|(c, s)| format!("{c} {s} %")).collect::<Vec<_>>().join(", "),
        StepKind::Bake(d) => format!("pause {}", duration::show(*d)),
        StepKind::Exec(exec) => format!("exec {}", line(&exec.command)),
        StepKind::Unknown => "a step that this version does not know".into(),
        StepKind::Approval(None) => "pause until promoted".into(),
        StepKind::Approval(Some(text)) => format!("approval: {text}"),
    };
    let what =
        step.limit.map_or(what.clone(), |l| format!("{what} ({}, then {})", duration::show(l.after), l.then.word()));
    step.name.as_ref().map_or(what.clone(), |name| format!("{name} ({what})"))
}

/// An action as text.
pub fn action(action: &Action) -> String {
    match action {
        Action::Exec(words) => line(words),
        // A query, a user name or a path may be secret: webhook addresses are.
        Action::Http { url, .. } => {
            let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
            let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
            format!("POST {scheme}://{}/…", host.rsplit('@').next().unwrap_or(host))
        }
    }
}

/// A command line as text, shortened.
pub fn line(words: &[String]) -> String {
    text::line(&words.join(" "), LONG)
}
