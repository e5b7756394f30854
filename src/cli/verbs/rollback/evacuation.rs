//! An evacuation, and its return: both are runs that start with a rollback, like the rollback without a journal.

use std::sync::Arc;

use futures::future::join_all;

use super::args::Rollback;
use super::without_journal::{ProposedRollback, aws_of, load_balancer_names, other_type, propose, read_failure};
use crate::adapter::aws::SdkConfig;
use crate::adapter::clock::SystemClock;
use crate::app::connect;
use crate::app::exit::{Exit, Failure};
use crate::app::find::StoredRun;
use crate::base::arn;
use crate::cli::args::Global;
use crate::cli::term;
use crate::domain::emergency::evacuation::{self, EVACUATION, Leaving, given_back, unfit_groups};
use crate::domain::emergency::{EmergencyError, LoadBalancerReading};
use crate::domain::run::state::State;
use crate::engine::inventory::read_balancer;
use crate::plan::model::{Plan, Selector};
use crate::port::store::Store;

/// Moves the traffic of a cluster, or of named target groups, to the others.
pub async fn evacuate(
    global: &Global,
    args: &Rollback,
    selectors: Vec<Selector>,
    leaving: Leaving<'_>,
    store: Option<Arc<dyn Store>>,
) -> Result<Exit, Failure> {
    let config = match leaving {
        Leaving::Cluster(plan, _) if !plan.region.is_empty() => connect::aws_config(Some(&plan.region)).await,
        Leaving::Cluster(..) | Leaving::Groups(_) => aws_of(&selectors[0]).await?,
    };
    let seen = read(&config, &selectors).await?;
    if let Leaving::Cluster(plan, _) = leaving {
        check_account(plan, &seen)?;
    }
    let name = leaving.name();
    let mut way = match evacuation::started(&seen, leaving) {
        Ok(way) => way,
        Err(EmergencyError::NoRoute(_)) => {
            let names: Vec<_> = seen.iter().map(|(_, reading)| reading.load_balancer.name.as_str()).collect();
            let _ = term::print(&format!("no route of {} sends traffic to {name}: nothing to do", names.join(", ")));
            return Ok(Exit::Done);
        }
        Err(error) => return Err(refused(error)),
    };
    // An unfinished run may still be rolled back to its start, so that its tags stay.
    way.started.keeps_weights = true;
    let readings: Vec<_> = seen.into_iter().map(|(_, reading)| reading).collect();
    let source = format!("{}: away from {name}", load_balancer_names(&readings));
    let rollback = ProposedRollback::new(connect::balancer(&config), Some(config), way, readings, store);
    Box::pin(propose(global, args, rollback, source, format!("{EVACUATION}{name}"))).await
}

/// Gives the share of an evacuated cluster back, after a finished evacuation.
///
/// # Errors
/// Returns exit code 3 if a group that would get traffic is not healthy enough: this is a raise, and `--force` is
/// needed.
pub async fn give_back(
    global: &Global,
    args: &Rollback,
    store: Arc<dyn Store>,
    found: &StoredRun,
    state: &State,
) -> Result<Exit, Failure> {
    let selectors: Vec<_> = state.started.load_balancers.iter().cloned().map(Selector::Arn).collect();
    let config = aws_of(&selectors[0]).await?;
    let readings: Vec<_> = read(&config, &selectors).await?.into_iter().map(|(_, reading)| reading).collect();
    let way = given_back(&readings, &state.started);
    if way.started.routes.is_empty() {
        return Err(Failure::new(Exit::Stuck, format!("no route of the run {} exists any more", found.run.id)));
    }
    let unfit = unfit_groups(&readings, &way.started);
    if !unfit.is_empty() && !args.force {
        let message = format!("{} cannot take its share back yet; nothing was written", state.started.to);
        let failure = unfit.into_iter().fold(Failure::new(Exit::Refused, message), Failure::next);
        return Err(failure.next(format!("to give it back anyway: cutover rollback {} --force", found.run.id)));
    }
    let source = format!("{}: back to the shares before {}", load_balancer_names(&readings), found.run.id);
    let cause = format!("return from the evacuation {}", found.run.id);
    let rollback = ProposedRollback::new(connect::balancer(&config), Some(config), way, readings, Some(store));
    Box::pin(propose(global, args, rollback, source, cause)).await
}

/// Reads the load balancers.
async fn read(config: &SdkConfig, selectors: &[Selector]) -> Result<Vec<(Selector, LoadBalancerReading)>, Failure> {
    let balancer = connect::balancer(config);
    let one = async |selector: &Selector| {
        let reading = read_balancer::read_for_rollback(selector, &balancer, &SystemClock, false).await;
        reading.map(|reading| (selector.clone(), reading))
    };
    let read = connect::reads().read(0, join_all(selectors.iter().map(one))).await;
    match read.into_iter().collect::<Result<Vec<_>, _>>() {
        Ok(readings) => Ok(readings),
        Err(error) => Err(read_failure(config, error).await),
    }
}

/// Refuses load balancers of another account than that of the plan: the names may be the same there.
fn check_account(plan: &Plan, seen: &[(Selector, LoadBalancerReading)]) -> Result<(), Failure> {
    let other = seen.iter().map(|(_, reading)| &reading.load_balancer.arn);
    let Some(arn) = other.into_iter().find(|arn| arn::account(arn) != plan.account_id) else { return Ok(()) };
    let message = format!(
        "the credentials belong to account {}, and the plan names account {}; nothing was written",
        arn::account(arn),
        plan.account_id
    );
    Err(Failure::new(Exit::Refused, message)
        .next("set AWS_PROFILE to the account of the plan, then repeat the command"))
}

fn refused(error: EmergencyError) -> Failure {
    other_type(&error).unwrap_or_else(|| Failure::new(Exit::Refused, error).next("nothing was written"))
}
