//! Finds the source of a rollback, in this order: the run, plan or load balancer that the command line names; the only
//! unfinished run in this store; the only load balancer with a marker; the only load balancer with weights in its tags.
//! If there is no unique source, the failure lists all candidates. This module must not write or ask.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::args::Rollback;
use super::fix::{NO_REGION, remedy};
use crate::app::exit::{Exit, Failure};
use crate::app::find::{self, StoredRun};
use crate::app::names::{balancer, outcome_text};
use crate::app::{connect, state_store};
use crate::cli::args::Global;
use crate::cli::term;
use crate::domain::elb::balancer::LoadBalancer;
use crate::domain::elb::select::selector_text;
use crate::domain::emergency::{balancer_tag, route_tag};
use crate::domain::run::event::RunOutcome;
use crate::engine::marker;
use crate::plan::model::Selector;
use crate::plan::selector;
use crate::port::Detail;
use crate::port::store::{RunSummary, Store, is_run_of};

/// The source of the original shares for a rollback.
pub enum RollbackSource {
    /// The journal of a run.
    Journal(Arc<dyn Store>, Box<StoredRun>),
    /// The tags of a run.
    Tags(TagSource),
    /// The target groups that the command line names.
    Groups(Selector, Option<Arc<dyn Store>>),
    /// The sets of servers on HAProxy that the command line names.
    Servers(Option<Arc<dyn Store>>),
}

/// Load balancers whose tags are the source of a rollback.
pub struct TagSource {
    /// Names or ARNs of the load balancers.
    pub load_balancers: Vec<Selector>,
    /// The store of the runs, if it can be reached.
    pub store: Option<Arc<dyn Store>>,
    /// The failure to report if the tags contain no weights.
    pub otherwise: Option<Failure>,
}

/// Finds the source of a rollback.
///
/// # Errors
/// Returns a failure if there is no source or more than one. The failure lists all candidates, each with its command.
pub async fn find(global: &Global, args: &Rollback) -> Result<RollbackSource, Failure> {
    match &args.load_balancer {
        None if !args.haproxy.is_empty() => {
            Ok(RollbackSource::Servers(state_store::open_for_target(&global.state_options(), None).await.ok()))
        }
        Some(load_balancer) => find_for_load_balancer(global, args, load_balancer).await,
        None => find_for_target(global, args.target.as_deref()).await,
    }
}

async fn find_for_load_balancer(
    global: &Global,
    args: &Rollback,
    load_balancer: &str,
) -> Result<RollbackSource, Failure> {
    let selector = selector(load_balancer).map_err(|e| Failure::new(Exit::Usage, format!("--load-balancer: {e}")))?;
    let store = state_store::open_for_target(&global.state_options(), None).await.ok();
    if !args.back_to.is_empty() {
        return Ok(RollbackSource::Groups(selector, store));
    }
    let mut tagged = TagSource { load_balancers: vec![selector.clone()], store: store.clone(), otherwise: None };
    let Some(store) = store else { return Ok(RollbackSource::Tags(tagged)) };
    let mut runs = store.runs().await.unwrap_or_default();
    runs.retain(|run| moves_traffic_of(run, &selector));
    let finished: Vec<_> = runs.extract_if(.., |run| run.finished.is_some()).collect();
    if !finished.is_empty() {
        let failure = Failure::new(
            Exit::Usage,
            format!("no unfinished run and no tag has the original shares of {load_balancer}"),
        );
        tagged.otherwise = Some(finished.iter().map(rollback_command).fold(failure, Failure::next));
    }
    match runs.len() {
        0 => Ok(RollbackSource::Tags(tagged)),
        1 => {
            let run = runs.remove(0);
            match find::open(&*store, run).await {
                Ok(found) => Ok(RollbackSource::Journal(store, Box::new(found))),
                Err(failure) => {
                    term::print_error(&format!("{failure}\nreading the load balancer's tags instead"));
                    Ok(RollbackSource::Tags(TagSource { otherwise: Some(failure), ..tagged }))
                }
            }
        }
        n => {
            let failure = Failure::new(
                Exit::Usage,
                format!("{n} unfinished runs move the traffic of {load_balancer}: name one of them"),
            );
            Err(runs.iter().map(rollback_command).fold(failure, Failure::next))
        }
    }
}

/// Returns whether a run moves the traffic of a load balancer.
fn moves_traffic_of(run: &RunSummary, selector: &Selector) -> bool {
    run.load_balancers.iter().any(|arn| match selector {
        Selector::Arn(wanted) => arn == wanted,
        Selector::Name(name) => balancer(arn) == name,
        Selector::Tags(_) => false,
    })
}

/// Returns the command that rolls back a run, with the run's outcome as a comment.
fn rollback_command(run: &RunSummary) -> String {
    format!("cutover rollback {}    # {}", run.id, outcome_text(run.finished))
}

async fn find_for_target(global: &Global, target: Option<&str>) -> Result<RollbackSource, Failure> {
    let (store, failure) = match state_store::open_for_target(&global.state_options(), target).await {
        Ok(store) => match find::run_to_roll_back(&*store, target, term::style_err(global.color).color).await {
            Ok(found) => return Ok(RollbackSource::Journal(store, Box::new(found))),
            Err(failure) => (Some(store), failure),
        },
        // The store cannot be reached, but the tags of the load balancer may still be readable.
        Err(failure) => (None, failure),
    };
    let runs = match &store {
        Some(store) => store.runs().await.unwrap_or_default(),
        None => Vec::new(),
    };
    let plan = target.filter(|t| *t == "-" || Path::new(t).exists()).and_then(|t| find::plan_file(t, false).ok());
    let name = plan.as_ref().map(|p| p.name.as_str()).or(target);
    let is_meant = |r: &&RunSummary| r.finished.is_none() && name.is_none_or(|n| r.plan == n || r.id == n);
    let tagged =
        |load_balancers, otherwise| RollbackSource::Tags(TagSource { load_balancers, store: store.clone(), otherwise });
    match runs.iter().filter(is_meant).collect::<Vec<_>>().as_slice() {
        // The journal of this run cannot be opened; otherwise the run would have been found.
        [run] if !run.load_balancers.is_empty() => {
            term::print_error(&format!("{failure}\nreading the load balancer's tags instead"));
            let selectors = run.load_balancers.iter().cloned().map(Selector::Arn).collect();
            Ok(tagged(selectors, Some(failure)))
        }
        [] => {
            let selectors = match &plan {
                Some(plan) => {
                    plan.workloads.iter().flat_map(|w| w.routes.iter().map(|r| r.load_balancer.clone())).collect()
                }
                None => match balancers_with_tags(name).await {
                    Ok(found) => found,
                    Err(NoTagSource::Several(several)) => return Err(several),
                    Err(NoTagSource::Unsearched(exit, cause)) => {
                        return Err(Failure { exit, ..caused_by(cause, failure) });
                    }
                    Err(NoTagSource::Unknown(cause)) => {
                        return Err(with_commands(&runs, put_back_before(&runs, name, failure)).next(cause));
                    }
                },
            };
            let distinct: BTreeMap<_, _> = selectors.into_iter().map(|s: Selector| (selector_text(&s), s)).collect();
            Ok(tagged(distinct.into_values().collect(), Some(failure)))
        }
        _ => Err(failure),
    }
}

/// Why the tags on load balancers do not identify exactly one run.
enum NoTagSource {
    /// The tags name several runs; the failure lists them, each with its command.
    Several(Failure),
    /// The tags name no run; the line says which tags.
    Unknown(String),
    /// The tags could not be searched, for this reason, and the exit code that follows.
    Unsearched(Exit, String),
}

/// Puts the cause before the failure that follows from it.
fn caused_by(cause: String, failure: Failure) -> Failure {
    let next = std::iter::once(failure.error.to_string()).chain(failure.next).collect();
    Failure { error: cause.into(), next, ..failure }
}

/// Adds the commands that roll back the newest completed runs. Such a run is only rolled back by its id.
fn with_commands(runs: &[RunSummary], failure: Failure) -> Failure {
    let mut completed: Vec<_> = runs.iter().filter(|run| run.finished == Some(RunOutcome::Completed)).collect();
    completed.sort_by_key(|run| std::cmp::Reverse(run.last));
    completed.into_iter().take(3).fold(failure, |failure, run| {
        failure.next(format!("to put the traffic of a completed run back: {}", rollback_command(run)))
    })
}

/// Says that the last run was rolled back, if no run is left to roll back: the command is often typed twice.
fn put_back_before(runs: &[RunSummary], name: Option<&str>, failure: Failure) -> Failure {
    let meant =
        |run: &&RunSummary| name.is_none_or(|name| run.plan == name || run.id == name || run.plan == "rollback");
    let last = runs.iter().filter(meant).max_by_key(|run| run.last);
    let back = last.filter(|run| matches!(run.finished, Some(RunOutcome::Aborted | RunOutcome::RolledBack)));
    let Some((run, at)) = back.and_then(|run| Some((run, run.last?))) else { return failure };
    let at = at.strftime("%F %T UTC");
    if let Some(step) = run.aborted_to {
        let cause = format!(
            "no run is unfinished, but not all traffic is back: {} was aborted to the shares of step {step} at {at}, and \
             no process guards these shares",
            run.id
        );
        return Failure {
            next: vec![format!("to restore the original shares: cutover rollback {}", run.id)],
            ..caused_by(cause, failure)
        };
    }
    let failure = caused_by(format!("nothing to roll back: {} put the traffic back at {at}", run.id), failure);
    failure.next(format!("to see what is live now: cutover status {}", run.id))
}

/// Returns the run that the marker of a load balancer names, else the run that its weights name.
fn tagged_run(lb: &LoadBalancer) -> Option<&str> {
    let marked = lb.tags.get(marker::KEY).map(|value| marker::run_of(value));
    marked.or_else(|| lb.tags.get(route_tag::KEY).map(|value| balancer_tag::run_of(value)))
}

/// Returns the load balancers in the region that have the marker of exactly one run (of the named plan), otherwise the
/// load balancers that have the weights of exactly one run.
async fn balancers_with_tags(plan: Option<&str>) -> Result<Vec<Selector>, NoTagSource> {
    let config = connect::aws_config(None).await;
    let Some(region) = config.region() else {
        let cause = format!("cannot search for load balancers with tags of a run: {NO_REGION}");
        return Err(NoTagSource::Unsearched(Exit::Usage, cause));
    };
    let (balancer, all) = (connect::balancer(&config), Selector::Tags(BTreeMap::new()));
    let found = connect::reads().read(0, balancer.inventory.load_balancers(&all, Detail::Listed)).await;
    let found = found.map_err(|why| {
        let fix = remedy(&why).map_or_else(String::new, |fix| format!("; {fix}"));
        let cause = format!("cannot search for load balancers with tags of a run in {region}: {why}{fix}");
        NoTagSource::Unsearched(Exit::Stuck, cause)
    })?;
    for key in [marker::KEY, route_tag::KEY] {
        let run_of = if key == marker::KEY { marker::run_of } else { balancer_tag::run_of };
        let run = |lb: &LoadBalancer| lb.tags.get(key).map_or("", |value| run_of(value)).to_owned();
        let is_meant = |run: &str| plan.is_none_or(|plan| run == plan || is_run_of(run, plan));
        let mut runs: BTreeMap<String, Vec<&LoadBalancer>> = BTreeMap::new();
        for lb in found.iter().filter(|lb| lb.tags.contains_key(key)) {
            runs.entry(run(lb)).or_default().push(lb);
        }
        runs.retain(|run, _| is_meant(run));
        if runs.len() > 1 {
            let failure =
                Failure::new(Exit::Usage, format!("{} runs have tags on load balancers: name one of them", runs.len()));
            let line =
                |lb: &LoadBalancer| format!("cutover rollback --load-balancer {}    # {}", lb.name, lb.tags[key]);
            return Err(NoTagSource::Several(runs.into_values().flatten().map(line).fold(failure, Failure::next)));
        }
        if let Some(one) = runs.into_values().next() {
            return Ok(one.into_iter().map(|lb| Selector::Arn(lb.arn.clone())).collect());
        }
    }
    let tagged = found.iter().filter_map(|lb| tagged_run(lb).map(|run| (run, lb)));
    let others: BTreeMap<_, _> = tagged.collect();
    let count = found.len();
    Err(NoTagSource::Unknown(if others.is_empty() {
        format!("no load balancer in {region} (of {count}) has the tag {} or {}", marker::KEY, route_tag::KEY)
    } else {
        let line = |(run, lb): (&str, &LoadBalancer)| {
            format!("cutover rollback --load-balancer {}    # the run {run}", lb.name)
        };
        let lines: Vec<_> = others.into_iter().map(line).collect();
        let name = plan.unwrap_or_default();
        format!("no tag on a load balancer in {region} names a run of {name}; the tags name:\n{}", lines.join("\n"))
    }))
}
