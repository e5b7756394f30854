//! The guard over many target groups: how long it takes from the death of one group's pods to the first restoring
//! write, with a watch of EndpointSlices, with CloudWatch alone, and with neither.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cutover::adapter::metric::NoMetrics;
use cutover::domain::kubernetes::binding::Binding;
use cutover::domain::kubernetes::workload::{ClusterIdentity, WorkloadView};
use cutover::domain::traffic::Unreadable;
use cutover::plan::model::{Plan, ServiceRef};
use cutover::port::{Cluster, EndpointReport, WriteError};

use super::test_run::{TestRun, ending_name, plan_of, scenario};

/// The number of routes and workloads. Each has two target groups.
const ROUTES: usize = 40;

/// The describe calls a second. A round over all groups takes one and a half minutes.
const BUDGET: f64 = 1.0;

/// Returns a plan that moves one percent of the traffic of every route, and then waits.
fn large_plan() -> Plan {
    let mut workloads = String::new();
    for n in 0..ROUTES {
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
    steps: [{{bind: {{}}}}, {{setWeight: 1}}, {{pause: {{duration: 10m}}}}]
"
    ))
}

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

/// What shows that a group is unhealthy.
#[derive(Clone, Copy, PartialEq)]
enum Sources {
    All,
    CloudWatchOnly,
    RoundsOnly,
}

/// Returns the seconds from the death of a group's pods to the first restoring write.
async fn seconds_to_restore(seed: u64, sources: Sources) -> f64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let (workload, delay) = (random.usize(0..ROUTES), random.u32(20..120));
    let kill = scenario(&format!(
        "{{limits: {{describe: {{burst: 2000, perSecond: 500}}}}, faults: [{{at: {{share: {{cluster: to, atLeast: 1}}, after: {delay}s}}, \
         kill: {{cluster: to, workload: w{workload:03}}}}}]}}"
    ));
    let mut run = TestRun::begin_with(large_plan(), &kill, |settings| {
        *settings = settings.clone().with_api_budget(Some(BUDGET), 2 * ROUTES + 6);
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
    let mut all = Vec::new();
    for sources in [Sources::All, Sources::CloudWatchOnly, Sources::RoundsOnly] {
        let mut seconds = Vec::new();
        for seed in 0..std::env::var("CUTOVER_SEEDS").map_or(2, |n| n.parse().expect("CUTOVER_SEEDS is a number")) {
            seconds.push(seconds_to_restore(seed, sources).await);
        }
        seconds.sort_unstable_by(f64::total_cmp);
        println!(
            "{} runs: median {:.1} s, last {:.1} s",
            seconds.len(),
            seconds[seconds.len() / 2],
            seconds[seconds.len() - 1]
        );
        all.push(seconds[seconds.len() - 1]);
    }
    #[allow(clippy::cast_precision_loss)]
    let round = (2 * ROUTES + 6) as f64 / BUDGET;
    assert!(all[0] <= 10.0, "{all:?}");
    assert!(all[1] <= 240.0, "{all:?}");
    // One round, and the time until target health shows that the pods are dead.
    assert!(all[2] <= 1.3 * round, "{all:?}");
}
