//! Formats steps and commands as text, with the terms of the plan.

use crate::base::{duration, text};
use crate::domain::hand_over::ItemKind;
use crate::plan::model::hook::HookAction;
use crate::plan::model::{HandOver, ItemSelector, Step, StepKind};

/// Maximum length of a displayed command, in characters.
const MAX_COMMAND_LENGTH: usize = 120;

/// Formats a step's name and action.
pub fn label(step: &Step) -> String {
    let what = match &step.kind {
        StepKind::Bind => "bind".into(),
        StepKind::Shares(shares) => shares.iter().map(|(c, s)| format!("{c} {s} %")).collect::<Vec<_>>().join(", "),
        StepKind::Bake(d) => format!("pause {}", duration::format_exact(*d)),
        StepKind::Exec(exec) => format!("exec {}", command_line(&exec.command)),
        StepKind::HeaderRoute(headers) if headers.is_empty() => "end header route".into(),
        StepKind::HeaderRoute(headers) => {
            let headers: Vec<_> = headers.iter().map(|h| format!("{}: {}", h.name, h.value)).collect();
            format!("header route {}", headers.join(", "))
        }
        StepKind::HandOver(step) => format!("hand over {}", hand_over(step)),
        StepKind::Unknown => "a step that this version does not know".into(),
        StepKind::Approval(None) => "pause until promoted".into(),
        StepKind::Approval(Some(text)) => format!("approval: {text}"),
    };
    let what = step
        .approval_timeout
        .map_or(what.clone(), |l| format!("{what} ({}, then {})", duration::format_exact(l.after), l.then.word()));
    step.name.as_ref().map_or(what.clone(), |name| format!("{name} ({what})"))
}

/// Formats the items of a hand-over: their kinds and names.
pub fn hand_over(step: &HandOver) -> String {
    let items = step.items.iter().map(|item| {
        let (ItemSelector::Name(which) | ItemSelector::Labels(which)) = &item.select;
        format!("{} {}/{which}", ItemKind::from(item.kind).name(), item.namespace)
    });
    text::list(&items.collect::<Vec<_>>())
}

/// Formats the action of a hook as text, without parts of a URL that may be secret.
pub fn action_line(action: &HookAction) -> String {
    match action {
        HookAction::Exec(command) => command_line(command),
        // The path of a webhook is a secret, and a query or a user name may be a secret.
        HookAction::Http { url, .. } => {
            let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
            let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
            format!("POST {scheme}://{}/…", host.rsplit('@').next().unwrap_or(host))
        }
    }
}

/// Formats a command line with the quotes of a shell, shortened to 120 characters.
pub fn command_line(command: &[String]) -> String {
    let words: Vec<_> = command.iter().map(|word| text::shell_word(word)).collect();
    text::line(&words.join(" "), MAX_COMMAND_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_the_quotes_that_a_shell_needs() {
        let command = ["sh", "-c", "cat > \"cutover-$CUTOVER_RUN.json\""].map(str::to_owned);
        assert_eq!(command_line(&command), "sh -c 'cat > \"cutover-$CUTOVER_RUN.json\"'");
    }
}
