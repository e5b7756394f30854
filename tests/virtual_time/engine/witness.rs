//! A witness at the balancer's seam: every write is held to the invariants, against the model and the journal as they
//! are at that moment.

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

use super::face::Face;
use super::store::Ledger;

/// See the module.
pub struct Witness {
    pub inner: Arc<dyn Traffic>,
    pub shell: SharedModel,
    pub plan: Mutex<Arc<Plan>>,
    pub ledger: Ledger,
    pub started: OnceLock<Started>,
    /// Every write: when, which route, whether it restores.
    pub writes: Mutex<Vec<(Timestamp, RouteId, bool)>>,
}

impl Witness {
    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn started(&self) -> &Started {
        self.started.get().expect("no write before `started` is journalled")
    }

    fn look(&self) -> (Snapshot, Timestamp) {
        self.shell.call(|world, now| {
            world.advance(now);
            (world.snapshot(), now)
        })
    }

    /// Holds one write to the invariants.
    fn judge(&self, id: &RouteId, content: &RouteContent) {
        let (world, now) = self.look();
        let wanted = content.forward_split().expect("a route that forwards");
        let (restore, _) = self.intended(id).unwrap_or_else(|| panic!("a write to {id} that no `intended` announces"));
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).push((now, id.clone(), restore));
        // I2
        let weights: BTreeMap<_, _> =
            wanted.ids().map(|id| (id.clone(), u32::from(wanted.weight(id).unwrap_or(0)))).collect();
        assert!((1..=5).contains(&weights.len()), "{weights:?}");
        assert!(weights.values().sum::<u32>() > 0 && weights.values().all(|w| *w <= 999), "{weights:?}");
        let Some(live) = world.routes.get(id.id()).map(|a| Face::of(a)) else { return };
        let start = self
            .started()
            .routes
            .iter()
            .find(|r| r.id == *id)
            .cloned()
            .or_else(|| self.appeared(id))
            .expect("a route of the run");
        let managed: Vec<_> = start.groups.values().map(String::as_str).collect();
        let next = Face { weights, rest: live.rest.clone() };
        for third in live.weights.keys().filter(|g| !managed.contains(&g.as_str())) {
            assert!((live.part(third) - next.part(third)).abs() < 1e-9, "the share of {third} changes");
        }
        if !restore {
            self.taken_out(&managed, &live, &next);
            self.gates(&managed, &live, &next, &world, now);
            self.together(id, &next, &world);
        }
    }

    /// A group of the plan is taken out only where the old cluster is let go, and only where it carries nothing; then
    /// no share changes.
    fn taken_out(&self, managed: &[&str], live: &Face, next: &Face) {
        let detaching = self.ledger.records().iter().any(|r| matches!(r.event, Event::RetireStarted { .. }));
        for group in managed {
            let out = live.weights.contains_key(*group) && !next.weights.contains_key(*group);
            assert!(!out || (detaching && live.weights[*group] == 0), "{group} is taken out of {live:?}");
            assert!(!detaching || (live.part(group) - next.part(group)).abs() < 1e-9, "the share of {group} changes");
        }
    }

    /// A rule that was made during the run, and that a person took in.
    fn appeared(&self, id: &RouteId) -> Option<RouteStart> {
        let records = self.ledger.records();
        let included = records
            .iter()
            .any(|r| matches!(r.event, Event::Resumed { mode: ResumeMode { include_new: true, .. }, .. }));
        let mut routes = records
            .iter()
            .filter_map(|r| if let Event::RuleCreated { route, .. } = &r.event { Some(&**route) } else { None });
        routes.find(|r| included && r.id == *id).cloned()
    }

    /// The write that the journal announces for this route, and that is not answered yet.
    fn intended(&self, id: &RouteId) -> Option<(bool, Write)> {
        let records = self.ledger.records();
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

    /// I1: no group's share rises while it has too few healthy targets for it.
    fn gates(&self, managed: &[&str], live: &Face, next: &Face, world: &Snapshot, now: Timestamp) {
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
            let need =
                (gate.capacity * self.planned(group, after) / 100.0 * f64::from(baseline.max(today)) - 1e-9).ceil();
            let healthy = world.healthy[*group];
            assert!(
                f64::from(healthy) >= need && healthy >= gate.min_healthy,
                "{now}: {group} rises to {after} % with {healthy} of {need}"
            );
        }
    }

    /// The planned share that a share spelled in weights stands for.
    fn planned(&self, group: &str, share: f64) -> f64 {
        let cluster = &self.started().groups[group].cluster;
        let all = self.shares(cluster);
        all.into_iter().min_by(|a, b| (a - share).abs().total_cmp(&(b - share).abs())).unwrap_or(share)
    }

    /// The shares of a cluster after each step, from the start.
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

    /// I4: with this write, no two routes are more than one step apart. Routes that someone else changed do not count.
    fn together(&self, id: &RouteId, next: &Face, world: &Snapshot) {
        let drifted: BTreeSet<_> = self
            .ledger
            .records()
            .iter()
            .filter_map(|r| if let Event::Drifted { route, .. } = &r.event { Some(route.clone()) } else { None })
            .collect();
        let plan = self.plan();
        let to = &plan.strategy.to;
        let steps = self.shares(to);
        let started = self.started();
        if plan.strategy.start.is_none() {
            return; // From whatever is live: routes may begin anywhere.
        }
        let ranks = started.routes.iter().filter(|r| !drifted.contains(&r.id)).filter_map(|route| {
            let face = if route.id == *id { next.clone() } else { Face::of(world.routes.get(route.id.id())?) };
            let managed: Vec<_> = route.groups.values().map(String::as_str).collect();
            let share = face.share(route.groups.get(to)?, &managed);
            let ranks = (0..steps.len()).filter(|i| (steps[*i] - share).abs() <= 0.5);
            Some((route.label.clone(), share, ranks.collect::<Vec<_>>()))
        });
        let ranks: Vec<_> = ranks.collect();
        let near = (0..steps.len()).any(|i| ranks.iter().all(|(_, _, r)| r.iter().any(|r| *r == i || *r == i + 1)));
        assert!(near, "routes are more than a step apart: {ranks:?}");
    }
}

#[async_trait]
impl Traffic for Witness {
    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable> {
        self.inner.census(load_balancer).await
    }
    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError> {
        self.judge(id, content);
        self.inner.set(id, content, deadline).await
    }
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        self.inner.routes(ids).await
    }
    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        self.inner.health(groups).await
    }
}
