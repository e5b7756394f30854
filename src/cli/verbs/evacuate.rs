//! `cutover evacuate`: a cluster is failing, so its share on every route goes to the other clusters at once. It is the
//! emergency command in the other direction, and shares its machinery.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use crate::app::exit::{Exit, Failure};
use crate::app::{find, state_store};
use crate::cli::args::{Global, help_text};
use crate::cli::term;
use crate::cli::verbs::rollback::{self, Rollback};
use crate::domain::emergency::evacuation::Leaving;
use crate::plan::model::{BalancerKind, Plan, Selector};
use crate::plan::selector;
use crate::port::store::Store;

/// The arguments of `cutover evacuate`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help_text("The share of the cluster goes to the other clusters in proportion to what they have.
No gate is asked. A route whose other groups are known to have no healthy target
stays as it is. To give the share back: cutover rollback RUN

Examples:
  cutover evacuate zone-a plans/zones.yaml
  cutover evacuate --load-balancer search --away-from '*-zone-a'   without a plan",
    &[Exit::Done, Exit::Internal, Exit::Usage, Exit::Refused, Exit::Stuck, Exit::Locked]))]
pub struct Evacuate {
    /// Cluster of the plan that loses its traffic
    #[arg(value_name = "CLUSTER", required_unless_present = "load_balancer")]
    pub cluster: Option<String>,
    /// Plan file, plan name or run id [default: the only unfinished run]
    #[arg(value_name = "PLAN", conflicts_with = "load_balancer")]
    pub plan: Option<String>,
    /// Load balancer (name or ARN), without a plan
    #[arg(long, value_name = "LB", requires = "away_from", conflicts_with = "cluster")]
    pub load_balancer: Option<String>,
    /// Target groups that lose all their traffic (globs, in quotes)
    #[arg(long, value_name = "GROUPS", requires = "load_balancer", value_delimiter = ',')]
    pub away_from: Vec<String>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Also write routes whose other groups have no healthy target
    #[arg(long)]
    pub force: bool,
    /// Take over from a run that owns a load balancer; its process stops
    #[arg(long)]
    pub take_over: bool,
    /// Before the question, list every route
    #[arg(long, short)]
    pub verbose: bool,
}

/// What to type if no run tells the plan.
const NO_PLAN: [&str; 2] = [
    "nothing was written; to name the plan: cutover evacuate CLUSTER PLAN",
    "without a plan: cutover evacuate --load-balancer LB --away-from GROUPS",
];

/// Runs `cutover evacuate`.
pub async fn run(global: &Global, args: &Evacuate) -> Result<Exit, Failure> {
    let options = Rollback {
        load_balancer: args.load_balancer.clone(),
        away_from: args.away_from.clone(),
        yes: args.yes,
        force: args.force,
        take_over: args.take_over,
        verbose: args.verbose,
        ..Rollback::default()
    };
    if let Some(load_balancer) = &args.load_balancer {
        let one = selector(load_balancer).map_err(|e| Failure::new(Exit::Usage, format!("--load-balancer: {e}")))?;
        let store = state_store::open_for_target(&global.state_options(), None).await.ok();
        let leaving = Leaving::Groups(&args.away_from);
        return Box::pin(rollback::evacuate(global, &options, vec![one], leaving, store)).await;
    }
    let cluster = args.cluster.as_deref().unwrap_or_default();
    let (plan, store) = plan_of(global, args.plan.as_deref()).await?;
    if plan.clusters.iter().all(|one| one.name != cluster) {
        let names: Vec<_> = plan.clusters.iter().map(|one| one.name.as_str()).collect();
        return Err(Failure::new(Exit::Usage, format!("the plan {} has no cluster `{cluster}`", plan.name))
            .next(format!("its clusters are: {}", names.join(", ")))
            .next("nothing was written"));
    }
    let selectors = load_balancers(&plan)?;
    Box::pin(rollback::evacuate(global, &options, selectors, Leaving::Cluster(&plan, cluster), store)).await
}

/// Returns the plan that `target` names, and the store of its runs if it can be reached. A plan file is read without its
/// rules, because an emergency does not ask for them.
async fn plan_of(global: &Global, target: Option<&str>) -> Result<(Plan, Option<Arc<dyn Store>>), Failure> {
    let color = term::style_err(global.color).color;
    if let Some(file) = target.filter(|target| *target == "-" || Path::new(target).exists()) {
        let plan = find::plan_file(file, color)?;
        let store = state_store::open_for_plan(&global.state_options(), &plan).await.ok();
        return Ok((plan, store));
    }
    let store = state_store::open_for_target(&global.state_options(), target).await?;
    let found = find::run_to_roll_back(&*store, target, color).await;
    let found = found.map_err(|failure| Failure { next: Vec::new(), ..failure }.next(NO_PLAN[0]).next(NO_PLAN[1]))?;
    Ok((found.plan, Some(store)))
}

/// Returns the load balancers of a plan in AWS.
fn load_balancers(plan: &Plan) -> Result<Vec<Selector>, Failure> {
    let mut all = Vec::new();
    let entries = || plan.workloads.iter().flat_map(|workload| &workload.routes);
    for entry in entries().filter(|entry| entry.kind != BalancerKind::Haproxy) {
        if !all.contains(&entry.load_balancer) {
            all.push(entry.load_balancer.clone());
        }
    }
    if all.is_empty() {
        let message = "this version evacuates only routes on load balancers of AWS; nothing was written";
        return Err(Failure::new(Exit::Refused, message)
            .next("on HAProxy, for each server: `set server BACKEND/SERVER weight 0` on the runtime API"));
    }
    if entries().any(|entry| entry.kind == BalancerKind::Haproxy) {
        term::print_error("the routes on HAProxy are not evacuated by this version: they stay as they are");
    }
    Ok(all)
}
