//! The last lines of a rehearsal: how it ended and why, what a real run would offer then, and what a rehearsal does not
//! check. Pure.

use std::path::Path;

use crate::app::drive::exit_of;
use crate::app::names::plan_argument;
use crate::app::view::RunView;
use crate::base::text::line;
use crate::cli::render::sections::state_line;
use crate::cli::render::status;
use crate::cli::render::style::Style;
use crate::domain::run::event::RunOutcome;
use crate::domain::run::state::Phase;
use crate::domain::run::unresolved;
use crate::engine::Ending;
use crate::plan::model::Plan;

/// Returns a reason without its last part if this part is a command, because commands have separate lines.
fn without_command(reason: &str) -> &str {
    let command = reason.find(": cutover ").or_else(|| reason.find("cutover ")).map(|at| &reason[..at]);
    command.and_then(|before| before.rfind("; ")).map_or(reason, |end| &reason[..end])
}

/// The longest reason, in characters. The lines above contain the complete reason.
const MAX_REASON_CHARS: usize = 240;

/// Returns the lines. `unseen` is the sentence about failed requests that stopped nothing. `page` is the file of the
/// report; `None` if no report was written.
pub fn lines(
    ending: &Ending,
    view: &RunView,
    plan: &Plan,
    unseen: Option<&str>,
    page: Option<&Path>,
    style: &Style,
) -> Vec<String> {
    let reason = match ending {
        Ending::Stopped(_, message)
            if view.phase == Phase::RollingBack || (view.frozen.is_none() && view.paused.is_none()) =>
        {
            message.clone()
        }
        Ending::Finished { .. } | Ending::Stopped(..) => state_line(view, style).1,
    };
    let but = unseen.map_or_else(String::new, |text| format!(", but {text}"));
    let mut lines = vec![format!(
        "the rehearsal ended with exit {}: {}{but}",
        exit_of(ending).code(),
        line(without_command(&reason), MAX_REASON_CHARS)
    )];
    if let Ending::Finished { outcome, remarks, left, accepted, .. } = ending {
        let not = if *outcome == RunOutcome::Completed { "NOT as planned" } else { "NOT restored" };
        lines.extend(unresolved::grouped(left).iter().map(|group| format!("  {not}: {}", group.text())));
        // The commands below name the plan: a rehearsal keeps no run.
        lines.extend(remarks.iter().chain(accepted).map(|remark| format!("  {}", without_command(remark))));
    }
    let head = "in a real run: ";
    let heads = std::iter::once(head.to_owned()).chain(std::iter::repeat(" ".repeat(head.len())));
    lines.extend(heads.zip(status::commands_of_a_real_run(view)).map(|(head, command)| format!("{head}{command}")));
    lines.push(match page {
        Some(page) => format!("report: {}", page.display()),
        None => "for the report of this rehearsal as a page: --report FILE".into(),
    });
    lines.push(format!(
        "a rehearsal does not check names, such as those of target groups; before a run: cutover check {}",
        plan_argument(plan)
    ));
    lines
}
