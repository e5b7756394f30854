//! The preview of a rollback and the question to the operator.

use super::args::Rollback;
use crate::app::exit::{Exit, Failure};
use crate::cli::moves::Moves;
use crate::cli::render::wrap::wrap_below;
use crate::cli::term;
use crate::domain::emergency::contradiction::Contradiction;

/// A rollback that the operator must confirm.
pub struct RollbackPreview<'a> {
    /// The source of the shares, such as `shop-edge: the shares before run shop-1, from the tags of the run`.
    pub source: String,
    /// All routes that the rollback writes.
    pub moves: Moves,
    /// The target groups to detach because of sticky clients, such as `the target groups of b from 6 routes`.
    pub detaches: Option<String>,
    /// Additional lines for the operator.
    pub remarks: Vec<String>,
    /// Whether the rollback ends a run that this machine knows.
    pub ends_run: bool,
    /// Whether the traffic leaves a cluster, and does not return.
    pub leaves: bool,
    /// The marker of another owner, whose process may still run.
    pub other: Option<&'a str>,
    /// The weights in the tags of a run that say the opposite.
    pub against: Option<&'a Contradiction>,
}

impl RollbackPreview<'_> {
    fn lines(&self, all: bool) -> String {
        let mut lines = vec![self.source.clone()];
        let contradiction = self.against.map(against_text);
        let below = self.moves.preview(all).into_iter().chain(self.remarks.iter().cloned());
        lines.extend(below.chain(contradiction).map(|line| format!("  {line}")));
        lines.join("\n")
    }

    /// Returns the question. It names the direction, with the shares before and after the rollback.
    fn question(&self) -> String {
        let moves = if self.leaves { self.moves.forward() } else { self.moves.back() };
        let what = match (moves, &self.detaches) {
            (Some(moves), Some(detached)) => format!("{moves}, and detach {detached}"),
            (Some(moves), None) => moves,
            (None, Some(detached)) => format!("Detach {detached} (no other change)"),
            (None, None) => {
                let end = if self.ends_run { " and end the run" } else { "" };
                format!("Verify {} of {} (no change needed){end}", self.moves.count(), self.moves.load_balancers)
            }
        };
        let stops = self.other.map_or_else(String::new, |owner| format!(" {}", take_over_text(owner)));
        match self.against {
            Some(Contradiction { gains, .. }) => {
                format!("{what}?{stops} This is the opposite of a rollback. To do it, type {gains}")
            }
            None => format!("{what}?{stops}"),
        }
    }
}

/// Returns what a take-over does, from the value of a marker: run, owner, start time, wave.
fn take_over_text(marker: &str) -> String {
    let mut parts = marker.split(' ');
    let run = parts.next().unwrap_or_default();
    match (parts.next(), parts.next()) {
        (Some(owner), Some(since)) => {
            format!("Then run {run} of {owner} (owner since {since}) raises nothing more, if it has a process.")
        }
        _ => format!("Then run {run} raises nothing more, if it has a process."),
    }
}

fn against_text(Contradiction { run, recorded, .. }: &Contradiction) -> String {
    format!("THE OPPOSITE: the tags of run {run} say {recorded}; you ask for the opposite")
}

/// Shows the preview and asks, unless `--yes` is set. Returns whether to take over from another owner.
///
/// # Errors
/// Returns a failure if nothing may be written: the operator declines, there is no terminal, or `--yes` is set but an
/// option that this rollback needs is not: `--take-over` if another owner exists, `--force` against the tags of a run.
pub fn ask(args: &Rollback, proposal: &RollbackPreview<'_>) -> Result<bool, Failure> {
    let width = term::stderr().then(|| term::screen().width);
    term::print_error(&wrap_below(&proposal.lines(args.verbose), width).join("\n"));
    let other_owner = proposal.other.filter(|_| !args.take_over);
    let against = proposal.against.filter(|_| !args.force);
    let confirmed = match proposal.against {
        _ if args.yes => Ok(true),
        Some(Contradiction { gains, .. }) => term::confirm_word(&proposal.question(), gains),
        None => term::confirm(&proposal.question()),
    };
    match (confirmed, other_owner) {
        (Ok(true), _) if args.yes && against.is_some() => Err(refuse_opposite(args, proposal)),
        (Ok(true), Some(owner)) if args.yes => {
            let why = format!("another run owns this load balancer (run, owner, since): {owner}; nothing was written");
            Err(Failure::new(Exit::Locked, why).next(
                "to roll back anyway (then the other run raises nothing more): repeat the command with --take-over",
            ))
        }
        (Ok(true), other_owner) => Ok(args.take_over || other_owner.is_some()),
        (Ok(false), _) => Err(Failure::declined("nothing was written")),
        (Err(_), other_owner) => {
            let flags = [
                Some("--yes"),
                other_owner.map(|_| "--take-over"),
                proposal.against.filter(|_| !args.force).map(|_| "--force"),
            ];
            let flags = flags.into_iter().flatten().collect::<Vec<_>>().join(" ");
            Err(Failure::new(Exit::Usage, "nothing was written, because there is no terminal for the question")
                .next(format!("to do what is shown above, add {flags}")))
        }
    }
}

/// Returns the failure of `--yes` for a rollback against the tags of a run.
fn refuse_opposite(args: &Rollback, proposal: &RollbackPreview<'_>) -> Failure {
    let text = proposal.against.map_or_else(String::new, against_text);
    let failure = Failure::new(Exit::Usage, format!("nothing was written; {text}"));
    let load_balancer = args.load_balancer.as_deref().unwrap_or(&proposal.moves.load_balancers);
    failure
        .next(format!("to restore the shares before the run: cutover rollback --load-balancer {load_balancer}"))
        .next("to move the traffic the other way anyway: repeat the command with --force")
}
