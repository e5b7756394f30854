//! Tests a run with a thousand target groups behind one load balancer: two groups for each of five hundred routes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::tests::NullSubscriber;
use super::*;
use crate::adapter::clock::LabClock;
use crate::adapter::metric::NoMetrics;
use crate::adapter::store::memory::MemoryStore;
use crate::base::rate::Rate;
use crate::domain::elb::balancer::LiveRoute;
use crate::domain::fixture;
use crate::domain::health::{Target, TargetState};
use crate::domain::run::event::{GroupStart, RouteStart, Started, WaitReason};
use crate::domain::traffic::{RouteCensus, RouteContent, RouteId, Unreadable};
use crate::engine::fake::FakeTags;
use crate::engine::inventory::ReadPacer;
use crate::engine::ownership;
use crate::plan::model::{MarkerMode, Step, StepKind, Strategy};
use crate::port::store::Store;
use crate::port::{Clock, LoadBalancerApi, Traffic, WriteError};

const ROUTE_COUNT: u32 = 500;
/// The number of healthy targets of each group.
const TARGETS_PER_GROUP: usize = 4;
/// The number of writes after which the targets of the last route's new group become unhealthy, for ten minutes.
const HEALTHY_WRITES: usize = 200;
const UNHEALTHY_TIME: SignedDuration = SignedDuration::from_mins(10);

/// A load balancer that reads eight groups in a tenth of a second (all groups take 12.5 s), and that checks each write.
struct LargeBalancer {
    clock: Arc<dyn Clock>,
    routes: Mutex<BTreeMap<RouteId, RouteContent>>,
    /// The time at which each group was last read, and whether all its targets were healthy then.
    read: Mutex<BTreeMap<String, (Timestamp, bool)>>,
    written: Mutex<Vec<(Timestamp, RouteId)>>,
    unhealthy_group: String,
}

fn old(number: u32) -> String {
    format!("old-{number:03}")
}

fn new(number: u32) -> String {
    format!("new-{number:03}")
}

impl LargeBalancer {
    fn written(&self) -> Vec<(Timestamp, RouteId)> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the start and the end of the time in which the last group is unhealthy.
    fn unhealthy_time(&self) -> Option<(Timestamp, Timestamp)> {
        self.written().get(HEALTHY_WRITES).map(|(at, _)| (*at, *at + UNHEALTHY_TIME))
    }

    fn targets(&self, group: &str) -> Vec<Target> {
        let now = self.clock.now();
        let is_unhealthy =
            group == self.unhealthy_group && self.unhealthy_time().is_some_and(|(from, to)| from <= now && now < to);
        let state = if is_unhealthy { TargetState::Unhealthy } else { TargetState::Healthy };
        vec![
            Target { id: "10.0.0.1".into(), port: 80, zone: None, state, reason: None, explanation: None };
            TARGETS_PER_GROUP
        ]
    }
}

#[async_trait]
impl Traffic for LargeBalancer {
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().map(|id| (id.clone(), Ok(routes[id].clone()))).collect()
    }

    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        let mut all = BTreeMap::new();
        for some in groups.chunks(8) {
            let at = self.clock.now();
            for group in some {
                let targets = self.targets(group);
                let is_healthy = targets.iter().all(|t| t.state == TargetState::Healthy);
                self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(group.clone(), (at, is_healthy));
                all.insert(group.clone(), Ok(targets));
            }
            self.clock.sleep(Duration::from_millis(100)).await;
        }
        all
    }

    async fn census(&self, _: &str) -> Result<RouteCensus, Unreadable> {
        Ok(RouteCensus::default())
    }

    async fn set(&self, id: &RouteId, content: &RouteContent, _: Duration) -> Result<(), WriteError> {
        let now = self.clock.now();
        let group = content.split.members.last().expect("the content must have a target group").id.clone();
        let (read, is_healthy) = self.read.lock().unwrap_or_else(PoisonError::into_inner)[&group];
        assert!(
            now.duration_since(read) <= SignedDuration::from_secs(10),
            "the weight of {group} is raised at {now}, but its health was last read at {read}"
        );
        assert!(is_healthy, "the weight of {group} is raised at {now}, but it was unhealthy at {read}");
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), content.clone());
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push((now, id.clone()));
        Ok(())
    }
}

/// Returns the event `started` of a run over all routes, and the live routes.
fn started() -> (Started, BTreeMap<RouteId, RouteContent>) {
    let mut started = fixture::started(0);
    let (route, group) =
        (started.routes[0].clone(), started.groups.values().next().expect("a group must exist").clone());
    let live =
        (0..ROUTE_COUNT).map(|n| fixture::route(80, Some(n + 1), fixture::forward(&[(&old(n), 100), (&new(n), 0)])));
    let live: Vec<LiveRoute> = live.collect();
    let groups = |n| [("a".to_owned(), fixture::group_arn(&old(n))), ("b".to_owned(), fixture::group_arn(&new(n)))];
    started.routes = (0..)
        .zip(&live)
        .map(|(n, live)| RouteStart {
            id: live.id.clone(),
            label: live.label(),
            groups: groups(n).into(),
            content: live.content.clone(),
            ..route.clone()
        })
        .collect();
    let old = (0..ROUTE_COUNT).map(|n| (old(n), "a", 4));
    started.groups = old
        .chain((0..ROUTE_COUNT).map(|n| (new(n), "b", 0)))
        .map(|(name, cluster, healthy)| {
            (fixture::group_arn(&name), GroupStart { name, cluster: cluster.into(), healthy, ..group.clone() })
        })
        .collect();
    (started, live.into_iter().map(|live| (live.id, live.content)).collect())
}

/// Checks that the health is fresh at each write, although an observation of a thousand groups takes over ten seconds.
#[tokio::test(start_paused = true)]
async fn step_over_a_thousand_groups_reads_health_before_each_chunk() {
    let strategy = Strategy {
        steps: vec![Step {
            number: 1,
            name: None,
            kind: StepKind::Shares(fixture::shares(50, 50)),
            approval_timeout: None,
        }],
        ..fixture::plan().strategy
    };
    let plan = Plan { marker: MarkerMode::None, strategy, ..fixture::plan() };
    let clock: Arc<dyn Clock> = Arc::new(LabClock::new(Timestamp::UNIX_EPOCH, 1.0));
    let (started, routes) = started();
    let calls = started.groups.len() + started.routes.len() / 20;
    let last = started.routes.last().expect("the run must have a route").id.clone();
    let balancer = Arc::new(LargeBalancer {
        clock: Arc::clone(&clock),
        routes: Mutex::new(routes),
        read: Mutex::default(),
        written: Mutex::default(),
        unhealthy_group: fixture::group_arn(&new(ROUTE_COUNT - 1)),
    });
    let store = Arc::new(MemoryStore::new());
    let ports = Ports {
        balancer: LoadBalancerApi {
            traffic: Arc::<LargeBalancer>::clone(&balancer),
            ..LoadBalancerApi::new(FakeTags::default())
        },
        clusters: [].into(),
        compared: [].into(),
        items: [].into(),
        metrics: Arc::new(NoMetrics),
        hooks: Arc::new(crate::adapter::hook::NoHooks),
        reads: ReadPacer::new(Arc::clone(&clock)),
        clock,
        store: Arc::<MemoryStore>::clone(&store),
    };
    // Chunks are fewer and larger than in production, because each decision over a thousand groups takes time in a
    // test. The batch takes longer than a reading is fresh.
    let modify = Rate { burst: 28.0, per_second: 20.0 };
    let settings = Settings { pid: 0, modify, ..Settings::new("alice@mac".into(), "mac".into(), calls) };
    let ownership =
        ownership::own_new_run(&ports, &settings, plan.marker, "alpha-1", started).await.expect("run must start");
    let mut subscriber = NullSubscriber;
    let mut run = RunLoop::open(&plan, ports, settings, ownership, Interrupt::default(), &mut subscriber)
        .await
        .expect("run must open");
    let ending = run.drive().await.expect("the run must end");
    assert!(matches!(ending, Ending::Finished { outcome: RunOutcome::Completed, .. }), "{ending:?}");
    let (unhealthy_since, healthy_since) = balancer.unhealthy_time().expect("a group must become unhealthy");
    let written = balancer.written();
    assert_eq!(written.len(), 500, "each route must be written once");
    let (late, others): (Vec<_>, Vec<_>) = written.into_iter().partition(|(at, _)| *at >= healthy_since);
    assert_eq!(late.into_iter().map(|(_, id)| id).collect::<Vec<_>>(), [last], "only one route may be late");
    assert!(others.iter().all(|(at, _)| *at < unhealthy_since + SignedDuration::from_mins(2)));
    let records = store.read("alpha-1").await.expect("the journal must be readable");
    let waits = records
        .iter()
        .filter_map(|r| if let Event::Waiting { waits } = &r.event { Some(waits) } else { None })
        .flatten();
    assert!(
        waits.into_iter().any(|w| w.reason == WaitReason::RaiseGate && w.message.starts_with("new-499 has 0 of the 2")),
        "the journal must say why the route waits"
    );
}
