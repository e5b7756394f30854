//! Checks every write between the engine and the load balancer API against the invariants, with the simulated AWS and
//! the journal as they are at that moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cutover::domain::health::Target;
use cutover::domain::run::event::{Event, ResumeMode, RouteStart, Started, Write};
use cutover::domain::traffic::{RouteCensus, RouteContent, RouteId, Unreadable};
use cutover::lab::model::Snapshot;
use cutover::lab::shared_model::SharedModel;
use cutover::plan::model::{Plan, StepKind};
use cutover::port::{Traffic, WriteError};
use jiff::Timestamp;

use super::route_actions::RouteActions;
use super::store::CrashingStore;

/// A load balancer API that checks each write before it passes the write on.
pub struct WriteChecker {
    pub inner: Arc<dyn Traffic>,
    pub shell: SharedModel,
    pub plan: Mutex<Arc<Plan>>,
    pub test_store: CrashingStore,
    pub started: OnceLock<Started>,
    /// Every write: its time, its route, and whether it restores.
    pub writes: Mutex<Vec<(Timestamp, RouteId, bool)>>,
}

impl WriteChecker {
    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn started(&self) -> &Started {
        self.started.get().expect("`started` should be journalled before the first write")
    }

    fn read_lab(&self) -> (Snapshot, Timestamp) {
        self.shell.call(|world, now| {
            world.advance(now);
            (world.snapshot(), now)
        })
    }

    /// Checks one write against the invariants.
    fn check_write(&self, id: &RouteId, content: &RouteContent) {
        let (world, now) = self.read_lab();
        let wanted = content.forward_split().expect("a written route should have a forward action");
        let (restore, _) = self.intended(id).unwrap_or_else(|| panic!("a write to {id} without an `intended` record"));
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).push((now, id.clone(), restore));
        // Invariant I2.
        let weights: BTreeMap<_, _> =
            wanted.ids().map(|id| (id.clone(), u32::from(wanted.weight(id).unwrap_or(0)))).collect();
        assert!((1..=5).contains(&weights.len()), "an action must have 1 to 5 groups: {weights:?}");
        assert!(
            weights.values().sum::<u32>() > 0 && weights.values().all(|w| *w <= 999),
            "weights must not all be 0, nor exceed 999: {weights:?}"
        );
        let Some(live) = world.routes.get(id.id()).map(|a| RouteActions::of(a)) else { return };
        let start = self
            .started()
            .routes
            .iter()
            .find(|r| r.id == *id)
            .cloned()
            .or_else(|| self.created_rule(id))
            .expect("a written route should belong to the run");
        let managed: Vec<_> = start.groups.values().map(String::as_str).collect();
        let next = RouteActions { weights, rest: live.rest.clone() };
        for third in live.weights.keys().filter(|g| !managed.contains(&g.as_str())) {
            assert!(
                (live.part(third) - next.part(third)).abs() < 1e-9,
                "the share of the third-party group {third} must not change"
            );
        }
        if !restore {
            self.check_detached(&managed, &live, &next);
            self.check_gates(&managed, &live, &next, &world, now);
            self.check_step_distance(id, &next, &world);
        }
    }

    /// Checks that a group of the plan is detached only by `finalize --detach` and only with weight 0, and that no
    /// share changes then.
    fn check_detached(&self, managed: &[&str], live: &RouteActions, next: &RouteActions) {
        let detaching = self.test_store.records().iter().any(|r| matches!(r.event, Event::RetireStarted { .. }));
        for group in managed {
            let out = live.weights.contains_key(*group) && !next.weights.contains_key(*group);
            assert!(!out || (detaching && live.weights[*group] == 0), "{group} must not be detached from {live:?}");
            assert!(!detaching || (live.part(group) - next.part(group)).abs() < 1e-9, "the share of {group} changes");
        }
    }

    /// Returns the route of a rule that was created during the run and that an operator included.
    fn created_rule(&self, id: &RouteId) -> Option<RouteStart> {
        let records = self.test_store.records();
        let included = records
            .iter()
            .any(|r| matches!(r.event, Event::Resumed { mode: ResumeMode { include_new: true, .. }, .. }));
        let mut routes = records
            .iter()
            .filter_map(|r| if let Event::RuleCreated { route, .. } = &r.event { Some(&**route) } else { None });
        routes.find(|r| included && r.id == *id).cloned()
    }

    /// Returns the write that the journal announces for this route and that has no outcome yet, and whether it
    /// restores.
    fn intended(&self, id: &RouteId) -> Option<(bool, Write)> {
        let records = self.test_store.records();
        for record in records.iter().rev() {
            match &record.event {
                Event::Intended { restore, writes, .. } => {
                    if let Some(write) = writes.iter().find(|w| w.route == *id) {
                        return Some((*restore, write.clone()));
                    }
                }
                Event::Outcome { route, .. } if route == id => return None,
                _ => {}
            }
        }
        None
    }

    /// Checks invariant I1: a group's share rises only if the group has enough healthy targets.
    fn check_gates(
        &self,
        managed: &[&str],
        live: &RouteActions,
        next: &RouteActions,
        world: &Snapshot,
        now: Timestamp,
    ) {
        let groups = &self.started().groups;
        let start = self.started().routes.iter().filter_map(|r| r.content.forward_split().map(|f| (r, f)));
        for group in managed {
            let (before, after) = (live.share(group, managed), next.share(group, managed));
            if after <= before + 1e-9 {
                continue;
            }
            let family = start.clone().filter(|(r, _)| r.groups.values().any(|g| g == group));
            let carriers: BTreeSet<_> =
                family.flat_map(|(r, f)| r.groups.values().filter(|g| f.carries(g)).collect::<Vec<_>>()).collect();
            let baseline: u32 = carriers.iter().map(|g| groups[*g].healthy).sum();
            let today: u32 = carriers.iter().map(|g| world.healthy[*g]).sum();
            let gate = &self.plan().strategy.gates.raise;
            let need = (gate.capacity * self.planned_share(group, after) / 100.0 * f64::from(baseline.max(today))
                - 1e-9)
                .ceil();
            let healthy = world.healthy[*group];
            assert!(
                f64::from(healthy) >= need && healthy >= gate.min_healthy,
                "{now}: {group} rises to {after} % with {healthy} healthy targets of {need} that the gate needs"
            );
        }
    }

    /// Returns the planned share that is nearest to a share computed from weights.
    fn planned_share(&self, group: &str, share: f64) -> f64 {
        let cluster = &self.started().groups[group].cluster;
        let all = self.shares(cluster);
        all.into_iter().min_by(|a, b| (a - share).abs().total_cmp(&(b - share).abs())).unwrap_or(share)
    }

    /// Returns the shares of a cluster at the start and after each step.
    fn shares(&self, cluster: &str) -> Vec<f64> {
        let plan = self.plan();
        let strategy = &plan.strategy;
        let start = strategy.start.iter();
        let steps = strategy
            .steps
            .iter()
            .filter_map(|s| if let StepKind::Shares(shares) = &s.kind { Some(shares) } else { None });
        let mut all: Vec<_> = start.chain(steps).map(|s| f64::from(s.get(cluster).copied().unwrap_or(0))).collect();
        all.dedup();
        all
    }

    /// Checks invariant I4: after this write, no two routes are more than one step apart. Ignores routes that someone
    /// else changed or that an operator accepted as lost.
    fn check_step_distance(&self, id: &RouteId, next: &RouteActions, world: &Snapshot) {
        let others = |event: &Event| match event {
            Event::Drifted { route, .. } => vec![route.clone()],
            Event::LeftOut { routes, .. } => routes.clone(),
            _ => Vec::new(),
        };
        let drifted: BTreeSet<_> = self.test_store.records().iter().flat_map(|r| others(&r.event)).collect();
        let plan = self.plan();
        let to = &plan.strategy.to;
        let steps = self.shares(to);
        let started = self.started();
        if plan.strategy.start.is_none() {
            return; // Without start shares, the routes may have any shares at the start.
        }
        let ranks = started.routes.iter().filter(|r| !drifted.contains(&r.id)).filter_map(|route| {
            let actions =
                if route.id == *id { next.clone() } else { RouteActions::of(world.routes.get(route.id.id())?) };
            let managed: Vec<_> = route.groups.values().map(String::as_str).collect();
            let share = actions.share(route.groups.get(to)?, &managed);
            let ranks = (0..steps.len()).filter(|i| (steps[*i] - share).abs() <= 0.5);
            Some((route.label.clone(), share, ranks.collect::<Vec<_>>()))
        });
        let ranks: Vec<_> = ranks.collect();
        let near = (0..steps.len()).any(|i| ranks.iter().all(|(_, _, r)| r.iter().any(|r| *r == i || *r == i + 1)));
        assert!(near, "routes are more than a step apart: {ranks:?}");
    }
}

#[async_trait]
impl Traffic for WriteChecker {
    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable> {
        self.inner.census(load_balancer).await
    }
    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError> {
        self.check_write(id, content);
        self.inner.set(id, content, deadline).await
    }
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        self.inner.routes(ids).await
    }
    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        self.inner.health(groups).await
    }
}
