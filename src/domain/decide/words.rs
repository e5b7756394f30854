//! Steps and commands, in the plan's own words.

use crate::base::{duration, text};
use crate::plan::model::hook::Action;
use crate::plan::model::{Step, StepKind};

/// The longest that is shown of a command.
const LONG: usize = 120;

/// A step's name, or what it does, in the plan's own words.
pub fn label(step: &Step) -> String {
    let what = match &step.kind {
        StepKind::Bind => "bind".into(),
        StepKind::Shares(shares) => shares.iter().map(|(c, s)| format!("{c} {s} %")).collect::<Vec<_>>().join(", "),
        StepKind::Bake(d) => format!("pause {}", duration::show(*d)),
        StepKind::Exec(exec) => format!("exec {}", line(&exec.command)),
        StepKind::Unknown => "a step that this cutover does not know".into(),
        StepKind::Approval(None) => "pause until promoted".into(),
        StepKind::Approval(Some(text)) => format!("approval: {text}"),
    };
    let what =
        step.limit.map_or(what.clone(), |l| format!("{what} ({}, then {})", duration::show(l.after), l.then.word()));
    step.name.as_ref().map_or(what.clone(), |name| format!("{name} ({what})"))
}

/// What is done, in words.
pub fn action(action: &Action) -> String {
    match action {
        Action::Exec(words) => line(words),
        // A query, a user and a path may hold what is nobody's business: the addresses of webhooks are secrets.
        Action::Http { url, .. } => {
            let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
            let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
            format!("POST {scheme}://{}/…", host.rsplit('@').next().unwrap_or(host))
        }
    }
}

/// A command line.
pub fn line(words: &[String]) -> String {
    text::line(&words.join(" "), LONG)
}
