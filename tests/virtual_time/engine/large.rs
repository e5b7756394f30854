//! A run over many target groups: how long it takes from the death of one group's pods to the first restoring write
//! (with a watch of EndpointSlices, with CloudWatch alone, and with neither), how long a rollback of all routes takes, and
//! how much the journal grows. `CUTOVER_SIMULATION=full` plays 1,000 routes with 2,000 groups, and a hundred seeds.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cutover::adapter::metric::NoMetrics;
use cutover::domain::kubernetes::binding::Binding;
use cutover::domain::kubernetes::workload::{ClusterIdentity, WorkloadView};
use cutover::domain::run::event::Event;
use cutover::domain::run::state::Phase;
use cutover::domain::traffic::Unreadable;
use cutover::plan::model::{Plan, ServiceRef};
use cutover::port::store::Request;
use cutover::port::{Cluster, EndpointReport, WriteError};
use jiff::SignedDuration;

use super::test_run::{TestRun, ending_name, plan_of, scenario};

/// The size of a test.
#[derive(Clone, Copy)]
struct Size {
    /// The number of routes and workloads. Each has two target groups, and 25 are on one load balancer.
    routes: usize,
    /// The describe calls a second.
    budget: f64,
    seeds: u64,
}

impl Size {
    /// Returns the size of a test. A round over all groups takes one and a half minutes; with the full size, three and
    /// a half minutes.
    fn new() -> Self {
        match std::env::var("CUTOVER_SIMULATION").as_deref() {
            Ok("full") => Self { routes: 1000, budget: 10.0, seeds: 100 },
            _ => Self { routes: 40, budget: 1.0, seeds: 2 },
        }
    }

    /// Returns the number of describe calls of a round.
    fn calls(self) -> usize {
        2 * self.routes + self.routes.div_ceil(20) + self.routes.div_ceil(25).div_ceil(20)
    }

    /// Returns the time of a round, in seconds.
    #[allow(clippy::cast_precision_loss)] // a small number
    fn round(self) -> f64 {
        self.calls() as f64 / self.budget
    }
}

/// The longest time from the death of pods until target health shows it.
const HEALTH_CHECK_SECONDS: f64 = 10.0;

/// Returns a plan with 25 routes on each load balancer, and with these fields of the strategy.
pub fn large_plan(routes: usize, strategy: &str) -> Plan {
    let mut workloads = String::new();
    for n in 0..routes {
        write!(
            workloads,
            "
    - name: w{n:03}
      service: {{namespace: large, name: w{n:03}, port: http}}
      routes:
        - alb:
            loadBalancer: large-{}
            listeners: [80]
            targetGroups: {{a: w{n:03}-a, b: w{n:03}-b}}
            rules: [{{priority: {}}}]",
            n / 25 + 1,
            10 * (n % 25 + 1)
        )
        .expect("a string should be writable");
    }
    plan_of(&format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: large}}
spec:
  aws: {{accountId: \"123456789012\", region: ap-northeast-2}}
  clusters:
    - {{name: a, eks: large-a}}
    - {{name: b, eks: large-b}}
  workloads:{workloads}
  strategy:
    from: a
    to: b
    settle: 5s
    {strategy}
"
    ))
}

/// The steps that move one percent of the traffic of every route, and then wait.
const ONE_PERCENT: &str = "steps: [{bind: {}}, {setWeight: 1}, {pause: {duration: 10m}}]";

/// A cluster whose EndpointSlices cannot be watched.
struct Unwatched(Arc<dyn Cluster>);

#[async_trait]
impl Cluster for Unwatched {
    async fn identity(&self) -> Result<ClusterIdentity, Unreadable> {
        self.0.identity().await
    }
    async fn workloads(&self, services: &[&ServiceRef]) -> Vec<Result<WorkloadView, Unreadable>> {
        self.0.workloads(services).await
    }
    async fn bindings(&self) -> Result<Vec<Binding>, Unreadable> {
        self.0.bindings().await
    }
    async fn apply(&self, binding: &Binding, dry_run: bool) -> Result<Vec<String>, WriteError> {
        self.0.apply(binding, dry_run).await
    }
    async fn delete(&self, found: &Binding) -> Result<(), WriteError> {
        self.0.delete(found).await
    }
    async fn watch_endpoints(&self, _: &[&ServiceRef], _: &EndpointReport<'_>) -> Unreadable {
        Unreadable::Denied("endpointslices".into())
    }
}

/// The sources that show that a group is unhealthy.
#[derive(Clone, Copy, PartialEq)]
enum Sources {
    All,
    CloudWatchOnly,
    RoundsOnly,
}

/// Returns the seconds from the death of a group's pods to the first restoring write.
async fn seconds_to_restore(size: Size, seed: u64, sources: Sources) -> f64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let (workload, delay) = (random.usize(0..size.routes), random.u32(20..120));
    let kill = scenario(&format!(
        "{{limits: {{describe: {{burst: 2000, perSecond: 500}}}}, faults: [{{at: {{share: {{cluster: to, atLeast: 1}}, after: {delay}s}}, \
         kill: {{cluster: to, workload: w{workload:03}}}}}]}}"
    ));
    let mut run = TestRun::begin_with(large_plan(size.routes, ONE_PERCENT), &kill, |settings| {
        *settings = settings.clone().with_api_budget(Some(size.budget), size.calls());
    })
    .await;
    if sources != Sources::All {
        let unwatched = |cluster: &Arc<dyn Cluster>| Arc::new(Unwatched(Arc::clone(cluster))) as Arc<dyn Cluster>;
        run.ports.clusters = run.ports.clusters.iter().map(|(name, c)| (name.clone(), unwatched(c))).collect();
    }
    if sources == Sources::RoundsOnly {
        run.ports.metrics = Arc::new(NoMetrics);
    }
    // The tags with the weights have emptied the account's bucket for writes.
    run.ports.clock.sleep(Duration::from_mins(1)).await;
    assert_eq!(ending_name(&run.run().await), "rolled back");
    run.assert_original(&[]);
    let messages = run.lab.model().call(|world, _| world.fault_messages().to_vec());
    let died = messages.iter().find(|(_, what)| what.contains("kill")).expect("the pods should die").0;
    let writes = run.write_checker.writes.lock().expect("no thread should have panicked");
    let restored = writes.iter().find(|(_, _, restore)| *restore).expect("the rollback should write").0;
    restored.duration_since(died).as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn a_dead_group_among_many_is_restored_sooner_with_a_watch_than_with_cloudwatch_than_with_neither() {
    let size = Size::new();
    let mut all = Vec::new();
    for sources in [Sources::All, Sources::CloudWatchOnly, Sources::RoundsOnly] {
        let mut seconds = Vec::new();
        for seed in
            0..std::env::var("CUTOVER_SEEDS").map_or(size.seeds, |n| n.parse().expect("CUTOVER_SEEDS is a number"))
        {
            seconds.push(seconds_to_restore(size, seed, sources).await);
        }
        seconds.sort_unstable_by(f64::total_cmp);
        let (median, last) = (seconds[seconds.len() / 2], seconds[(seconds.len() * 99).div_ceil(100) - 1]);
        println!("{} runs: median {median:.1} s, 99th percentile {last:.1} s", seconds.len());
        all.push(last);
    }
    assert!(all[0] <= 10.0, "{all:?}");
    assert!(all[1] <= 240.0, "{all:?}");
    // The first restoring write comes at most one round after target health shows that the pods are dead.
    assert!(all[2] <= size.round() + HEALTH_CHECK_SECONDS, "{all:?}");
}

/// A rollback of all routes from the journal ends when AWS's rate for writes allows it, and the journal does not have all
/// groups in each record.
#[tokio::test(start_paused = true)]
async fn a_rollback_of_many_routes_keeps_within_the_rate_that_aws_accepts() {
    let routes = if Size::new().routes > 100 { 1000 } else { 100 };
    let limits = scenario("{limits: {describe: {burst: 2000, perSecond: 500}, modify: {burst: 20, perSecond: 3}}}");
    let mut run = TestRun::begin_with(large_plan(routes, ONE_PERCENT), &limits, |_| {}).await;
    run.sleep(Duration::from_mins(1)).await;
    let ending = run
        .run_with(&mut |state, _, _, now| {
            let waited = now.duration_since(state.step_since) >= SignedDuration::from_mins(2);
            if state.phase == Phase::Baking && waited {
                vec![Request::Abort { by: "bob@lab".into(), to_step: None }]
            } else {
                vec![]
            }
        })
        .await;
    assert_eq!(ending_name(&ending), "aborted");
    run.assert_original(&[]);
    let (mut times, mut calls) = (Vec::new(), 0);
    let first = {
        let writes = run.write_checker.writes.lock().expect("no thread should have panicked");
        writes.iter().find(|(_, _, restore)| *restore).expect("the rollback should write").0
    };
    run.lab.model().call(|world, _| {
        for call in world.calls().iter().filter(|c| c.time >= first && c.operation == "ModifyRule") {
            calls += 1;
            if call.outcome == "ok" {
                times.push(call.time.duration_since(first).as_secs_f64());
            }
        }
    });
    assert_eq!(times.len(), routes);
    #[allow(clippy::cast_precision_loss)] // a small number
    let allowance = (routes - 20) as f64 / 3.0;
    let last = times[routes - 1];
    println!("{routes} routes: last write after {last:.1} s of {allowance:.1} s, {calls} calls");
    assert!(last <= 1.05 * allowance, "{last} s, and AWS's rate allows {allowance} s");
    let groups = run
        .records()
        .iter()
        .map(|r| if let Event::Health { groups } = &r.event { groups.len() } else { 0 })
        .sum::<usize>();
    assert!(groups <= 4 * 2 * routes, "the journal has {groups} counts of {} groups", 2 * routes);
}
