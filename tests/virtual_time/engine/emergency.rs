//! Rollbacks with something missing: one test for each row of the emergency invariant, named after the row.
//!
//! `CUTOVER_SEEDS=1000 cargo test --test virtual_time engine::emergency` runs the tests with a bad API with as many
//! seeds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cutover::adapter::store::memory::MemoryStore;
use cutover::app::break_glass;
use cutover::app::prepare::prepare;
use cutover::app::view::{PutBack, RunView};
use cutover::base::finding::Code;
use cutover::cli::render::{self, style::Style};
use cutover::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use cutover::domain::emergency::{LoadBalancerReading, MARKER_KEY, contradiction, from_names, from_tags, route_tag};
use cutover::domain::health::Target;
use cutover::domain::run::event::{Event, Record, ResumeMode, Started, Trigger, Wait};
use cutover::domain::run::header_rule::HeaderRule;
use cutover::domain::run::observation::Observed;
use cutover::domain::run::script_use;
use cutover::domain::run::state::State;
use cutover::domain::traffic::{RouteCensus, RouteContent, RouteId, Tags, Unreadable};
use cutover::engine::inventory::ReadPacer;
use cutover::engine::{
    Ending, Interrupt, Ports, RunLoop, Subscriber, WatchList, inventory::read_balancer, observation, ownership,
};
use cutover::lab::model::{self, ApiCall};
use cutover::plan::model::{Plan, Selector};
use cutover::port::store::{Request, Store};
use cutover::port::{Caller, Detail, Groups, Inventory, LoadBalancerApi, RuleStore, TagStore, Traffic, WriteError};
use jiff::Timestamp;

use super::small;
use super::test_run::{TestRun, ending_name, scenario};
use crate::support::parameter;

struct SilentSubscriber;

impl Subscriber for SilentSubscriber {
    fn record(&mut self, _: &Record) {}
    fn iteration_ended(&mut self, _: &State, _: &Observed, _: &[Wait], _: Timestamp) {}
}

/// Returns a run that has moved half of six routes' traffic, and that no process drives.
pub async fn half_moved(spec: &str) -> TestRun {
    half_moved_by("[{bind: {}}, {setWeight: 50}, {setWeight: 100}]", spec).await
}

/// Returns a run with these steps that has moved half of six routes' traffic, and that no process drives.
async fn half_moved_by(steps: &str, spec: &str) -> TestRun {
    let plan = small::many_routes("", steps);
    let mut test_run = TestRun::begin_with(plan, &scenario(spec), |s| s.orders.until_step = Some(2)).await;
    assert_eq!(ending_name(&test_run.run().await), "waiting", "{}", test_run.output());
    test_run.assert_shares(50, &[]);
    test_run
}

/// Runs `rollback RUN` in a new process.
async fn roll_back(test_run: &TestRun, ports: Ports, take_over: bool) -> Ending {
    let lbs = &test_run.started().load_balancers;
    let ownership = ownership::acquire_to_restore(
        &ports,
        &test_run.settings,
        test_run.plan.marker,
        &test_run.run,
        lbs,
        take_over,
        None,
    )
    .await;
    let mut subscriber = SilentSubscriber;
    let ownership = ownership.unwrap_or_else(|e| panic!("{e}"));
    let run = RunLoop::open(
        &test_run.plan,
        ports,
        test_run.settings.clone(),
        ownership,
        Interrupt::default(),
        &mut subscriber,
    );
    let mut run = run.await.expect("the run should be acquired");
    let request = Request::Rollback { by: "bob@lab".into(), force: false, break_stickiness: None };
    run.carry_out(&request).await.expect("the request should be journalled").expect("the rollback should begin");
    run.drive().await.expect("the rollback should end")
}

/// Runs a rollback on another machine, with a new journal.
pub async fn roll_back_elsewhere(test_run: &TestRun, plan: &Plan, started: Started) -> Ending {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let balancer = test_run.lab.balancer.clone();
    let metrics = Arc::clone(&test_run.lab.metrics);
    let ports = Ports {
        balancer,
        clusters: BTreeMap::new(),
        compared: BTreeMap::new(),
        items: BTreeMap::new(),
        metrics,
        hooks: Arc::clone(&test_run.lab.hooks),
        clock: Arc::clone(&test_run.lab.clock),
        reads: ReadPacer::new(Arc::clone(&test_run.lab.clock)),
        store,
    };
    let lbs = started.load_balancers.clone();
    let cause = Event::RollbackStarted {
        cause: "test".into(),
        by: "bob@lab".into(),
        trigger: Trigger::Operator,
        to_step: None,
        force: false,
        break_stickiness: false,
        request: None,
    };
    ports.store.create("elsewhere").await.expect("the run should be created");
    for event in [Event::Started(Box::new(started)), cause] {
        ports.store.append("elsewhere", ports.clock.now(), &event).await.expect("the event should be written");
    }
    let ownership =
        ownership::acquire_to_restore(&ports, &test_run.settings, plan.marker, "elsewhere", &lbs, true, None).await;
    let mut subscriber = SilentSubscriber;
    let ownership = ownership.unwrap_or_else(|e| panic!("{e}"));
    let run = RunLoop::open(plan, ports, test_run.settings.clone(), ownership, Interrupt::default(), &mut subscriber);
    run.await.expect("the run should be acquired").drive().await.expect("the rollback should end")
}

pub async fn read_load_balancer(test_run: &TestRun) -> LoadBalancerReading {
    let selector = &test_run.plan.workloads[0].routes[0].load_balancer;
    read_balancer::read_for_rollback(selector, &test_run.lab.balancer, &*test_run.lab.clock, true)
        .await
        .expect("the load balancer should be readable")
}

/// Asserts that the original shares are restored, and that no `cutover.dev/` tag is left.
fn assert_rolled_back(test_run: &TestRun, ending: &Ending) {
    assert_eq!(ending_name(ending), "aborted", "{ending:?}");
    test_run.assert_original(&[]);
    assert!(
        test_run.snapshot().tags.values().flat_map(BTreeMap::keys).all(|key| !key.starts_with("cutover.dev/")),
        "no tag with the prefix cutover.dev/ may be left"
    );
}

#[tokio::test(start_paused = true)]
async fn rollback_works_without_a_journal() {
    let test_run = half_moved("{}").await;
    let found =
        from_tags::started(&[read_load_balancer(&test_run).await], None).expect("the tags should describe the run");
    assert_eq!((found.run.as_str(), found.rollback.unclear.len()), (test_run.run.as_str(), 0));
    assert_rolled_back(&test_run, &roll_back_elsewhere(&test_run, &found.rollback.plan, found.rollback.started).await);
}

/// After the last read-back, only one round of calls follows, and it removes all tags.
#[tokio::test(start_paused = true)]
async fn rollback_from_names_removes_its_tags_in_one_round() {
    let test_run = half_moved("{}").await;
    let way = from_names::prepare(&read_load_balancer(&test_run).await, &["*-a".to_owned()], &["*-b".to_owned()])
        .expect("the names should give pairs of groups");
    let before = test_run.lab.model().call(|world, _| world.calls().len());
    assert_rolled_back(&test_run, &roll_back_elsewhere(&test_run, &way.plan, way.started).await);
    let calls = test_run.lab.model().call(|world, _| world.calls()[before..].to_vec());
    let ours = |c: &&ApiCall| &*c.service == "elasticloadbalancing" && c.caller == model::Caller::Client;
    let calls: Vec<_> = calls.iter().filter(ours).collect();
    let removals: Vec<_> = calls.iter().filter(|c| c.operation == "RemoveTags").collect();
    let first = removals.first().expect("the tags should be removed").time;
    assert!(removals.len() > 1 && removals.iter().all(|c| c.time == first), "{removals:?}");
    let read_back = calls.iter().rfind(|c| c.operation == "DescribeRules").expect("the routes should be read back");
    assert!(read_back.time < first && calls.last().is_some_and(|c| c.time == first), "{calls:?}");
}

/// Damages the journal and the tag of one route. A rollback from tags needs no journal, and the other tags contain the
/// content of that route.
#[tokio::test(start_paused = true)]
async fn rollback_works_with_a_corrupt_journal() {
    let test_run = half_moved("{}").await;
    let mut bytes = test_run.test_store.memory.journal(&test_run.run);
    bytes[100] ^= 1;
    test_run.test_store.memory.set_journal(&test_run.run, bytes);
    assert!(test_run.test_store.read(&test_run.run).await.is_err(), "a corrupt journal must be refused");
    let damaged: Tags = [(route_tag::KEY.to_owned(), "1 small nonsense".to_owned())].into();
    test_run
        .lab
        .balancer
        .tags
        .put(&[test_run.started().routes[1].id.to_string()], &damaged)
        .await
        .expect("the route should be tagged");
    let found =
        from_tags::started(&[read_load_balancer(&test_run).await], None).expect("the tags should describe the run");
    assert_rolled_back(&test_run, &roll_back_elsewhere(&test_run, &found.rollback.plan, found.rollback.started).await);
}

#[tokio::test(start_paused = true)]
async fn rollback_works_without_a_plan() {
    let test_run = half_moved("{}").await;
    let way = from_names::prepare(&read_load_balancer(&test_run).await, &["*-a".to_owned()], &["*-b".to_owned()])
        .expect("the names should give pairs of groups");
    assert_rolled_back(&test_run, &roll_back_elsewhere(&test_run, &way.plan, way.started).await);
}

/// Restores the weights in the tags, on another machine.
async fn roll_back_from_tags(test_run: &TestRun) -> Ending {
    let found =
        from_tags::started(&[read_load_balancer(test_run).await], None).expect("the tags should describe the run");
    assert_eq!(found.run, test_run.run);
    roll_back_elsewhere(test_run, &found.rollback.plan, found.rollback.started).await
}

/// Regression test: after a rollback on another machine, the run continued with its marker but without the tags that
/// contain the original weights, so that the next rollback on another machine had no source.
#[tokio::test(start_paused = true)]
async fn a_run_that_continues_after_a_rollback_elsewhere_has_its_tags_before_it_writes() {
    for mode in [ResumeMode::REASSERT, ResumeMode::KEEP_LIVE] {
        let steps = "[{bind: {}}, {setWeight: 50}, {setWeight: 60}, {setWeight: 100}]";
        let mut test_run = half_moved_by(steps, "{}").await;
        assert_rolled_back(&test_run, &roll_back_from_tags(&test_run).await);
        test_run.settings.orders.until_step = Some(3);
        assert_eq!(ending_name(&test_run.run().await), "drift", "{}", test_run.output());
        test_run.send_request(Request::Resume { by: "bob@lab".into(), mode, ignore_hours: None });
        assert_eq!(ending_name(&test_run.run().await), "waiting", "{}", test_run.output());
        test_run.assert_shares(60, &[]);
        let events: Vec<_> = test_run.records().into_iter().map(|r| r.event).collect();
        let tagged =
            events.iter().rposition(|e| matches!(e, Event::WeightsTagged { missing, .. } if missing.is_empty()));
        let resumed = events.iter().position(|e| matches!(e, Event::Resumed { .. }));
        assert!(tagged < resumed && tagged > Some(1), "{tagged:?} {resumed:?}\n{}", test_run.output());
        assert_rolled_back(&test_run, &roll_back_from_tags(&test_run).await);
    }
}

/// A rollback to named groups that contradicts the tags removes only its own marker, so that the next rollback still
/// finds the original weights.
#[tokio::test(start_paused = true)]
async fn a_rollback_in_the_wrong_direction_keeps_the_weights() {
    let test_run = half_moved("{}").await;
    let seen = read_load_balancer(&test_run).await;
    let mut way = from_names::prepare(&seen, &["*-b".to_owned()], &["*-a".to_owned()])
        .expect("the names should give pairs of groups");
    let contradiction = contradiction::find(&seen, &way.started).expect("the tags should say the opposite");
    assert_eq!(contradiction.run, test_run.run);
    way.started.keeps_weights = true;
    assert_eq!(ending_name(&roll_back_elsewhere(&test_run, &way.plan, way.started).await), "aborted");
    test_run.assert_shares(100, &[]);
    assert_rolled_back(&test_run, &roll_back_from_tags(&test_run).await);
}

#[tokio::test(start_paused = true)]
async fn rollback_works_without_cluster_access() {
    let test_run = half_moved("{}").await;
    let ports = Ports { clusters: BTreeMap::new(), ..test_run.ports.clone() };
    assert_rolled_back(&test_run, &roll_back(&test_run, ports, false).await);
}

#[tokio::test(start_paused = true)]
async fn rollback_works_without_health() {
    let test_run = half_moved("{}").await;
    let ports = bad_api(&test_run, 0, 0, true, 1);
    assert_rolled_back(&test_run, &roll_back(&test_run, ports, false).await);
}

#[tokio::test(start_paused = true)]
async fn rollback_works_while_another_process_has_the_lock() {
    let test_run = half_moved("{}").await;
    let lbs = &test_run.started().load_balancers;
    let (ports, settings) = (&test_run.ports, &test_run.settings);
    let other = ownership::acquire(ports, settings, test_run.plan.marker, &test_run.run, lbs, false)
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let refused =
        ownership::acquire_to_restore(ports, settings, test_run.plan.marker, &test_run.run, lbs, false, None).await;
    assert!(refused.is_err(), "a locked run must be refused without a take-over");
    assert_rolled_back(&test_run, &roll_back(&test_run, ports.clone(), true).await);
    drop(other);
}

#[tokio::test(start_paused = true)]
async fn rollback_works_with_half_the_calls_throttled() {
    for seed in 0..seeds() {
        let test_run = half_moved("{}").await;
        let ports = bad_api(&test_run, 50, 0, false, seed);
        let ending = roll_back(&test_run, ports, false).await;
        assert_eq!(ending_name(&ending), "aborted", "seed {seed}: {ending:?}");
        assert_rolled_back(&test_run, &ending);
    }
    println!("emergency: {} rollbacks with half the calls throttled: every route is back, and no tag is left", seeds());
}

/// A fifth of the calls fails and half are throttled: every rule is restored, with every seed.
#[tokio::test(start_paused = true)]
async fn rollback_works_with_a_fifth_of_the_calls_failing() {
    for seed in 0..seeds() {
        let test_run = half_moved("{}").await;
        let ports = bad_api(&test_run, 50, 20, false, seed);
        let ending = roll_back(&test_run, ports, false).await;
        assert_eq!(ending_name(&ending), "aborted", "seed {seed}: {ending:?}");
        test_run.assert_original(&[]);
    }
    println!("emergency: {} rollbacks with half the calls throttled and a fifth failing: every route is back", seeds());
}

#[tokio::test(start_paused = true)]
async fn rollback_works_with_a_full_disk() {
    let test_run = half_moved("{}").await;
    test_run.test_store.memory.set_full(true);
    let ports = Ports { balancer: test_run.lab.balancer.clone(), ..test_run.ports.clone() };
    assert_rolled_back(&test_run, &roll_back(&test_run, ports, false).await);
}

#[tokio::test(start_paused = true)]
async fn rollback_works_with_a_deleted_rule() {
    let test_run =
        half_moved("{faults: [{at: {share: {cluster: to, atLeast: 50}, after: 30s}, delete-rule: {listener: 443}}]}")
            .await;
    test_run.sleep(Duration::from_secs(40)).await;
    let routes = test_run.snapshot().routes;
    let gone: Vec<_> =
        test_run.started().routes.iter().map(|r| r.id.id()).filter(|id| !routes.contains_key(*id)).collect();
    assert_eq!(gone.len(), 1);
    let ending = roll_back(&test_run, test_run.ports.clone(), false).await;
    assert!(
        matches!(&ending, Ending::Finished { left, .. } if left.len() == 1),
        "the deleted rule must be named: {ending:?}"
    );
    test_run.assert_original(&gone);
}

/// Does what the break-glass script does: restores the original actions, adds the script's tag, and removes the marker.
async fn use_script(test_run: &TestRun, leaves_trace: bool) {
    let LoadBalancerApi { traffic, tags, .. } = &test_run.lab.balancer;
    let started = test_run.started();
    for route in &started.routes {
        traffic.set(&route.id, &route.content, Duration::from_secs(10)).await.expect("the route should be written");
    }
    if leaves_trace {
        let value = format!("{} 2026-01-05T14:02:09Z", test_run.run);
        let tag: Tags = [(script_use::KEY.to_owned(), value)].into();
        tags.put(&started.load_balancers, &tag).await.expect("the load balancer should be tagged");
    }
    tags.remove(&started.load_balancers, &[MARKER_KEY.to_owned()]).await.expect("the marker should be removed");
}

/// Returns what `status` shows.
async fn status(test_run: &TestRun) -> RunView {
    let state = State::fold(&test_run.test_store.records()).expect("a valid journal").expect("a run");
    let (ports, plan) = (&test_run.ports, &test_run.plan);
    let seen =
        observation::observe_all(&WatchList::of(plan, &state), &ports.balancer, &ports.clusters, &*ports.clock).await;
    let mut observed = Observed::new(ports.clock.now(), Duration::from_secs(5), Duration::from_mins(1));
    observed.add(ports.clock.now(), seen, true);
    let used = break_glass::used(&*ports.balancer.tags, &test_run.run, &state.started.load_balancers).await;
    RunView::of(plan, &state, Some(&observed), &[], ports.clock.now()).with_script_use(used.as_ref())
}

#[tokio::test(start_paused = true)]
async fn the_trace_of_the_break_glass_script_is_shown_until_a_rollback_ends_the_run() {
    let test_run = half_moved("{}").await;
    assert_eq!(status(&test_run).await.put_back, None);
    use_script(&test_run, true).await;
    let view = status(&test_run).await;
    let at = "2026-01-05T14:02:09Z".parse().expect("a time");
    assert_eq!(view.put_back, Some(PutBack { by_script_at: Some(at) }));
    let text = render::status::text(&view, &Style::plain());
    let said = format!("the break-glass script of run {} put the traffic back at 14:02:09", test_run.run);
    assert!(text.contains(&said), "{text}");
    assert!(text.contains("# end the run: every route is read"), "{text}");
    // A machine without the journal sees the script's tag before it starts a run.
    let prepared = prepare(&test_run.plan, &test_run.ports, 1).await;
    let found = prepared.report.findings.iter().find(|finding| finding.code == Code::CUT309);
    assert!(found.is_some_and(|finding| finding.message.contains(&test_run.run)), "{:?}", prepared.report.findings);
    assert!(prepared.refusal().is_none(), "the trace refuses no run");
    assert_rolled_back(&test_run, &roll_back(&test_run, test_run.ports.clone(), false).await);
    assert_eq!(status(&test_run).await.put_back, None);
}

/// Without the permission to add tags, the script leaves no tag. The shares show that it was used.
#[tokio::test(start_paused = true)]
async fn shares_of_the_start_that_the_run_did_not_write_are_said() {
    let test_run = half_moved("{}").await;
    use_script(&test_run, false).await;
    let view = status(&test_run).await;
    assert_eq!(view.put_back, Some(PutBack { by_script_at: None }));
    let text = render::status::text(&view, &Style::plain());
    assert!(text.contains("someone else put the traffic of this run back"), "{text}");
}

fn seeds() -> u64 {
    parameter("CUTOVER_SEEDS").unwrap_or(5)
}

/// Returns the run's ports with an API that throttles and fails these percentages of the calls, and (with `unhealthy`)
/// returns no health.
fn bad_api(test_run: &TestRun, throttled: u32, failing: u32, unhealthy: bool, seed: u64) -> Ports {
    let random = Mutex::new(fastrand::Rng::with_seed(seed));
    let balancer = BadApi { inner: test_run.ports.balancer.clone(), random, throttled, failing, unhealthy };
    Ports { balancer: LoadBalancerApi::new(balancer), ..test_run.ports.clone() }
}

struct BadApi {
    inner: LoadBalancerApi,
    random: Mutex<fastrand::Rng>,
    throttled: u32,
    failing: u32,
    unhealthy: bool,
}

impl BadApi {
    fn strikes(&self, percent: u32) -> bool {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u32(..100) < percent
    }

    /// Returns the error of a read, if the read fails.
    fn read(&self) -> Result<(), Unreadable> {
        match (self.strikes(self.throttled), self.strikes(self.failing)) {
            (true, _) => Err(Unreadable::Throttled),
            (_, true) => Err(Unreadable::Unavailable("HTTP 500".into())),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Traffic for BadApi {
    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable> {
        self.read()?;
        self.inner.traffic.census(load_balancer).await
    }
    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError> {
        if self.strikes(self.throttled) {
            return Err(WriteError::Throttled);
        }
        if self.strikes(self.failing) {
            // Half of the failed writes take effect nevertheless.
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
impl Inventory for BadApi {
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
    async fn quota(&self, name: &str) -> Result<u32, Unreadable> {
        self.read()?;
        self.inner.inventory.quota(name).await
    }
}

#[async_trait]
impl TagStore for BadApi {
    fn has_tags(&self, _: &str) -> bool {
        true
    }

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

#[async_trait]
impl RuleStore for BadApi {
    async fn create(&self, rule: &HeaderRule, tags: &Tags, deadline: Duration) -> Result<String, WriteError> {
        if self.strikes(self.throttled) {
            return Err(WriteError::Throttled);
        }
        if self.strikes(self.failing) {
            // Half of the failed writes take effect nevertheless.
            if self.strikes(50) {
                self.inner.rules.create(rule, tags, deadline).await?;
            }
            return Err(WriteError::Unanswered("HTTP 500".into()));
        }
        self.inner.rules.create(rule, tags, deadline).await
    }
    async fn delete(&self, id: &str, deadline: Duration) -> Result<(), WriteError> {
        if self.strikes(self.throttled) {
            return Err(WriteError::Throttled);
        }
        if self.strikes(self.failing) {
            // Half of the failed writes take effect nevertheless.
            if self.strikes(50) {
                self.inner.rules.delete(id, deadline).await?;
            }
            return Err(WriteError::Unanswered("HTTP 500".into()));
        }
        self.inner.rules.delete(id, deadline).await
    }
}
