//! `cutover rollback`: the emergency command. One source provides the original shares; the operator sees the live and
//! the future shares and is asked once. After this question, no other source is tried.

mod args;
mod ask;
mod evacuation;
mod fix;
mod haproxy;
mod journal;
mod others;
mod source;
mod waves;
mod without_journal;

pub use self::args::Rollback;
pub use self::evacuation::evacuate;
pub use self::fix::{NO_REGION, existing_names, remedy};
use self::source::RollbackSource;
use crate::app::exit::{Exit, Failure};
use crate::cli::args::Global;

/// Runs `cutover rollback`.
pub async fn run(global: &Global, args: &Rollback) -> Result<Exit, Failure> {
    if args.from.is_some() || args.to.is_some() {
        return Err(ambiguous_direction(args));
    }
    if let Some(exit) = Box::pin(waves::run(global, args)).await? {
        return Ok(exit);
    }
    match source::find(global, args).await? {
        RollbackSource::Journal(store, found) => Box::pin(journal::run(global, args, store, *found)).await,
        RollbackSource::Tags(tagged) => Box::pin(without_journal::by_tags(global, args, tagged)).await,
        RollbackSource::Groups(selector, store) => {
            Box::pin(without_journal::by_groups(global, args, &selector, store)).await
        }
        RollbackSource::Servers(store) => Box::pin(haproxy::by_servers(global, args, store)).await,
    }
}

/// Returns the failure of `rollback --from X --to Y`: many people read these options as "move from X to Y", others as
/// the opposite.
fn ambiguous_direction(args: &Rollback) -> Failure {
    let why = "`rollback` has no --from and --to, because they can be read in both directions; nothing was written";
    let load_balancer = args.load_balancer.as_deref().unwrap_or("LB");
    Failure::new(Exit::Usage, why)
        .next(
            "--back-to names the target groups that get the traffic, --away-from the target groups that lose traffic:",
        )
        .next(format!("cutover rollback --load-balancer {load_balancer} --back-to GROUPS --away-from GROUPS"))
}
