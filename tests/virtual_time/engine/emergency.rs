//! Rollbacks with something missing: one test for each row of the emergency invariant, named after the row.
//!
//! `CUTOVER_SEEDS=1000 cargo test --test virtual_time engine::emergency` tries the bad API with as many seeds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cutover::adapter::store::memory::MemoryStore;
use cutover::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use cutover::domain::emergency::{LoadBalancerReading, from_names, from_tags, route_tag};
use cutover::domain::health::Target;
use cutover::domain::run::event::{Event, Record, Started, Trigger, Wait};
use cutover::domain::run::observation::Observed;
use cutover::domain::run::state::State;
use cutover::domain::traffic::{RouteCensus, RouteContent, RouteId, Tags, Unreadable};
use cutover::engine::{Audience, Ending, Interrupt, Ports, RunLoop, inventory::read_balancer, ownership};
use cutover::plan::model::{Plan, Selector};
use cutover::port::store::{Request, Store};
use cutover::port::{Caller, Detail, Groups, Inventory, LoadBalancerApi, TagStore, Traffic, WriteError};
use jiff::Timestamp;

use super::small;
use super::theatre::{Theatre, scenario, word};
use crate::support::asked;

struct Nobody;

impl Audience for Nobody {
    fn record(&mut self, _: &Record) {}
    fn turn(&mut self, _: &State, _: &Observed, _: &[Wait], _: Timestamp) {}
}

/// A run that has moved half of six routes' traffic, and that no process drives.
async fn half(spec: &str) -> Theatre {
    let plan = small::many_routes("", "[{bind: {}}, {setWeight: 50}, {setWeight: 100}]");
    let mut theatre = Theatre::begin_with(plan, &scenario(spec), |s| s.orders.until_step = Some(2)).await;
    assert_eq!(word(&theatre.run().await), "waiting", "{}", theatre.lines());
    theatre.assert_shares(50, &[]);
    theatre
}

/// Runs `rollback RUN` in a process of its own.
async fn roll_back(theatre: &Theatre, ports: Ports, take_over: bool) -> Ending {
    let lbs = &theatre.started().load_balancers;
    let ownership = ownership::acquire_to_restore(
        &ports,
        &theatre.settings,
        theatre.plan.marker,
        &theatre.run,
        lbs,
        take_over,
        None,
    )
    .await;
    let mut nobody = Nobody;
    let ownership = ownership.unwrap_or_else(|e| panic!("{e}"));
    let run =
        RunLoop::open(&theatre.plan, ports, theatre.settings.clone(), ownership, Interrupt::default(), &mut nobody);
    let mut run = run.await.expect("it is taken");
    let request = Request::Rollback { by: "bob@lab".into(), force: false };
    run.carry_out(&request).await.expect("journalled").expect("it begins");
    run.drive().await.expect("it ends")
}

/// A rollback on another machine, whose journal begins with it.
async fn elsewhere(theatre: &Theatre, plan: &Plan, started: Started) -> Ending {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let balancer = theatre.stage.balancer.clone();
    let metrics = Arc::clone(&theatre.stage.metrics);
    let ports = Ports {
        balancer,
        clusters: BTreeMap::new(),
        metrics,
        hooks: Arc::clone(&theatre.stage.hooks),
        clock: Arc::clone(&theatre.stage.clock),
        store,
    };
    let lbs = started.load_balancers.clone();
    let cause = Event::RollbackStarted {
        cause: "test".into(),
        by: "bob@lab".into(),
        trigger: Trigger::Operator,
        to_step: None,
        force: false,
        request: None,
    };
    ports.store.create("elsewhere").await.expect("made");
    for event in [Event::Started(Box::new(started)), cause] {
        ports.store.append("elsewhere", ports.clock.now(), &event).await.expect("written");
    }
    let ownership =
        ownership::acquire_to_restore(&ports, &theatre.settings, plan.marker, "elsewhere", &lbs, true, None).await;
    let mut nobody = Nobody;
    let ownership = ownership.unwrap_or_else(|e| panic!("{e}"));
    let run = RunLoop::open(plan, ports, theatre.settings.clone(), ownership, Interrupt::default(), &mut nobody);
    run.await.expect("it is taken").drive().await.expect("it ends")
}

async fn seen(theatre: &Theatre) -> LoadBalancerReading {
    let selector = &theatre.plan.workloads[0].routes[0].load_balancer;
    read_balancer::read_for_rollback(selector, &theatre.stage.balancer, &*theatre.stage.clock, true)
        .await
        .expect("readable")
}

/// Asserts that the original shares are restored, and that none of our tags is left.
fn is_back(theatre: &Theatre, ending: &Ending) {
    assert_eq!(word(ending), "aborted", "{ending:?}");
    theatre.assert_original(&[]);
    assert!(
        theatre.world().tags.values().flat_map(BTreeMap::keys).all(|key| !key.starts_with("cutover.dev/")),
        "a tag stays behind"
    );
}

#[tokio::test(start_paused = true)]
async fn no_journal() {
    let theatre = half("{}").await;
    let told = from_tags::started(&[seen(&theatre).await], None).expect("tags");
    assert_eq!((told.run.as_str(), told.rollback.unclear.len()), (theatre.run.as_str(), 0));
    is_back(&theatre, &elsewhere(&theatre, &told.rollback.plan, told.rollback.started).await);
}

/// The tags do not depend on it; and one of them that somebody damaged is told by the others.
#[tokio::test(start_paused = true)]
async fn a_corrupt_journal() {
    let theatre = half("{}").await;
    let mut bytes = theatre.ledger.memory.journal(&theatre.run);
    bytes[100] ^= 1;
    theatre.ledger.memory.set_journal(&theatre.run, bytes);
    assert!(theatre.ledger.read(&theatre.run).await.is_err(), "it is refused");
    let damaged: Tags = [(route_tag::KEY.to_owned(), "1 small nonsense".to_owned())].into();
    theatre.stage.balancer.tags.put(&[theatre.started().routes[1].id.to_string()], &damaged).await.expect("tagged");
    let told = from_tags::started(&[seen(&theatre).await], None).expect("tags");
    is_back(&theatre, &elsewhere(&theatre, &told.rollback.plan, told.rollback.started).await);
}

#[tokio::test(start_paused = true)]
async fn no_plan() {
    let theatre = half("{}").await;
    let way = from_names::started(&seen(&theatre).await, &["*-a".to_owned()], &["*-b".to_owned()]).expect("pairs");
    is_back(&theatre, &elsewhere(&theatre, &way.plan, way.started).await);
}

#[tokio::test(start_paused = true)]
async fn no_cluster_access() {
    let theatre = half("{}").await;
    let ports = Ports { clusters: BTreeMap::new(), ..theatre.ports.clone() };
    is_back(&theatre, &roll_back(&theatre, ports, false).await);
}

#[tokio::test(start_paused = true)]
async fn no_metrics() {
    let theatre = half("{}").await;
    let ports = bad(&theatre, 0, 0, true, 1);
    is_back(&theatre, &roll_back(&theatre, ports, false).await);
}

#[tokio::test(start_paused = true)]
async fn the_lock_held() {
    let theatre = half("{}").await;
    let lbs = &theatre.started().load_balancers;
    let (ports, settings) = (&theatre.ports, &theatre.settings);
    let other = ownership::acquire(ports, settings, theatre.plan.marker, &theatre.run, lbs, false)
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let refused =
        ownership::acquire_to_restore(ports, settings, theatre.plan.marker, &theatre.run, lbs, false, None).await;
    assert!(refused.is_err(), "not without being asked to");
    is_back(&theatre, &roll_back(&theatre, ports.clone(), true).await);
    drop(other);
}

#[tokio::test(start_paused = true)]
async fn half_the_calls_throttled() {
    for seed in 0..seeds() {
        let theatre = half("{}").await;
        let ports = bad(&theatre, 50, 0, false, seed);
        let ending = roll_back(&theatre, ports, false).await;
        assert_eq!(word(&ending), "aborted", "seed {seed}: {ending:?}");
        is_back(&theatre, &ending);
    }
    println!("emergency: {} rollbacks with half the calls throttled: every route is back, and no tag is left", seeds());
}

/// And half throttled: every rule, whatever the seed.
#[tokio::test(start_paused = true)]
async fn a_fifth_failing() {
    for seed in 0..seeds() {
        let theatre = half("{}").await;
        let ports = bad(&theatre, 50, 20, false, seed);
        let ending = roll_back(&theatre, ports, false).await;
        assert_eq!(word(&ending), "aborted", "seed {seed}: {ending:?}");
        theatre.assert_original(&[]);
    }
    println!("emergency: {} rollbacks with half the calls throttled and a fifth failing: every route is back", seeds());
}

#[tokio::test(start_paused = true)]
async fn a_full_disk() {
    let theatre = half("{}").await;
    theatre.ledger.memory.set_full(true);
    let ports = Ports { balancer: theatre.stage.balancer.clone(), ..theatre.ports.clone() };
    is_back(&theatre, &roll_back(&theatre, ports, false).await);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_rule() {
    let theatre =
        half("{faults: [{at: {share: {cluster: to, atLeast: 50}, after: 30s}, delete-rule: {listener: 443}}]}").await;
    theatre.sleep(Duration::from_secs(40)).await;
    let routes = theatre.world().routes;
    let gone: Vec<_> =
        theatre.started().routes.iter().map(|r| r.id.id()).filter(|id| !routes.contains_key(*id)).collect();
    assert_eq!(gone.len(), 1);
    let ending = roll_back(&theatre, theatre.ports.clone(), false).await;
    assert!(matches!(&ending, Ending::Finished { left, .. } if left.len() == 1), "it is named: {ending:?}");
    theatre.assert_original(&gone);
}

fn seeds() -> u64 {
    asked("CUTOVER_SEEDS").unwrap_or(5)
}

/// The run's ports over an API that throttles and fails so many percent of the calls, and tells no health.
fn bad(theatre: &Theatre, throttled: u32, failing: u32, unhealthy: bool, seed: u64) -> Ports {
    let random = Mutex::new(fastrand::Rng::with_seed(seed));
    let balancer = Bad { inner: theatre.ports.balancer.clone(), random, throttled, failing, unhealthy };
    Ports { balancer: LoadBalancerApi::new(balancer), ..theatre.ports.clone() }
}

struct Bad {
    inner: LoadBalancerApi,
    random: Mutex<fastrand::Rng>,
    throttled: u32,
    failing: u32,
    unhealthy: bool,
}

impl Bad {
    fn strikes(&self, percent: u32) -> bool {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u32(..100) < percent
    }

    /// The error of a read, if it fails.
    fn read(&self) -> Result<(), Unreadable> {
        match (self.strikes(self.throttled), self.strikes(self.failing)) {
            (true, _) => Err(Unreadable::Throttled),
            (_, true) => Err(Unreadable::Unavailable("HTTP 500".into())),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Traffic for Bad {
    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable> {
        self.read()?;
        self.inner.traffic.census(load_balancer).await
    }
    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError> {
        if self.strikes(self.throttled) {
            return Err(WriteError::Throttled);
        }
        if self.strikes(self.failing) {
            // Half of them have an effect all the same.
            if self.strikes(50) {
                self.inner.traffic.set(id, content, deadline).await?;
            }
            return Err(WriteError::Unanswered("HTTP 500".into()));
        }
        self.inner.traffic.set(id, content, deadline).await
    }
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        match self.read() {
            Ok(()) => self.inner.traffic.routes(ids).await,
            Err(why) => ids.iter().map(|id| (id.clone(), Err(why.clone()))).collect(),
        }
    }
    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        if self.unhealthy {
            return groups.iter().map(|g| (g.clone(), Err(Unreadable::Denied("no".into())))).collect();
        }
        self.inner.traffic.health(groups).await
    }
}

#[async_trait]
impl Inventory for Bad {
    async fn caller(&self) -> Result<Caller, Unreadable> {
        self.inner.inventory.caller().await
    }
    async fn load_balancers(&self, selector: &Selector, detail: Detail) -> Result<Vec<LoadBalancer>, Unreadable> {
        self.read()?;
        self.inner.inventory.load_balancers(selector, detail).await
    }
    async fn listeners(
        &self,
        load_balancer: &str,
        detail: Detail,
    ) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable> {
        self.read()?;
        self.inner.inventory.listeners(load_balancer, detail).await
    }
    async fn target_groups(&self, groups: Groups<'_>, detail: Detail) -> Result<Vec<TargetGroup>, Unreadable> {
        self.read()?;
        self.inner.inventory.target_groups(groups, detail).await
    }
}

#[async_trait]
impl TagStore for Bad {
    async fn tags(&self, arns: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable> {
        self.read()?;
        self.inner.tags.tags(arns).await
    }
    async fn put(&self, arns: &[String], tags: &Tags) -> Result<(), WriteError> {
        if self.strikes(self.throttled) { Err(WriteError::Throttled) } else { self.inner.tags.put(arns, tags).await }
    }
    async fn remove(&self, arns: &[String], keys: &[String]) -> Result<(), WriteError> {
        if self.strikes(self.throttled) { Err(WriteError::Throttled) } else { self.inner.tags.remove(arns, keys).await }
    }
}
