//! What must hold after every call of a migration: it reads the model, and what the store has on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cutover::base::time::later;
use cutover::domain::run::event::{Event, RunOutcome};
use cutover::lab::shared_model::SharedModel;
use cutover::plan::model::Plan;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;

use super::plan::{BETWEEN, wave_of};
use crate::engine::hand_over;
use crate::simulation::route_actions::{self, RouteActions};

/// The largest difference of a share by rounding.
const ROUNDING: f64 = 0.006;

/// The checker of one migration.
pub struct Checker {
    plan: Plan,
    state: Mutex<State>,
    /// Notified when something is wrong.
    pub found: Notify,
}

#[derive(Default)]
struct State {
    /// All routes before the first wave.
    all: BTreeSet<String>,
    /// The plan's routes before the first wave, and their waves.
    first: BTreeMap<String, (usize, RouteActions)>,
    last: BTreeMap<String, Vec<Value>>,
    /// The wave of each run.
    runs: BTreeMap<String, usize>,
    /// The waves that have begun, those that may raise shares now, and those that are done.
    begun: BTreeSet<usize>,
    open: BTreeSet<usize>,
    done: BTreeSet<usize>,
    /// When a share of a wave rose for the last time.
    raised: BTreeMap<usize, Timestamp>,
    /// The waves in the order in which their shares went back.
    back: Vec<usize>,
    /// The wave whose targets died when it was done, and when.
    died: Option<(usize, Timestamp)>,
    /// The longest list of header rules.
    header_rules: usize,
    violations: Vec<String>,
}

/// Returns whether a member of a route is of the new cluster; `None` if it is not the plan's.
fn is_new(member: &str) -> Option<bool> {
    let of = |cluster: &str| member.contains(&format!("-{cluster}/")) || member.ends_with(&format!("/{cluster}-*"));
    if of("b") { Some(true) } else { of("a").then_some(false) }
}

/// Returns the new cluster's share of a route.
fn share(route: &RouteActions) -> f64 {
    let sum = |new: bool| -> f64 {
        let own = route.weights.iter().filter(|(member, _)| is_new(member) == Some(new));
        own.map(|(_, weight)| f64::from(*weight)).sum()
    };
    sum(true) / (sum(true) + sum(false)).max(1.0)
}

/// Returns the shares of the members that are not the plan's.
fn third_party(route: &RouteActions) -> BTreeMap<&str, f64> {
    let total: f64 = route.weights.values().map(|weight| f64::from(*weight)).sum();
    let others = route.weights.iter().filter(|(member, _)| is_new(member).is_none());
    others.map(|(member, weight)| (member.as_str(), f64::from(*weight) / total.max(1.0))).collect()
}

impl State {
    /// Returns the waves of the header rules: only a run makes rules.
    fn header_rules(&self) -> Vec<Option<usize>> {
        let new = self.last.iter().filter(|(id, _)| !self.all.contains(*id));
        new.map(|(_, actions)| Some(self.route_of(&route_actions::from_aws(actions))?.0)).collect()
    }

    /// Returns the plan's route with the group of the new cluster to which a header rule forwards, and its wave.
    fn route_of(&self, rule: &RouteActions) -> Option<&(usize, RouteActions)> {
        let group = rule.weights.keys().find(|member| is_new(member) == Some(true))?;
        self.first.values().find(|(_, route)| route.weights.contains_key(group))
    }
}

impl Checker {
    pub fn new(plan: Plan, model: &SharedModel) -> Self {
        let last = model.call(|world, _| world.snapshot().routes);
        let (mut first, all) = (BTreeMap::new(), last.keys().cloned().collect());
        for (id, actions) in &last {
            let actions = route_actions::from_aws(actions);
            let words: Vec<&str> = id.split(|c: char| !c.is_alphanumeric()).collect();
            let of = |name: &str| {
                let group = format!("targetgroup/{name}-a/");
                words.contains(&name) || actions.weights.keys().any(|member| member.contains(&group))
            };
            let workload = plan.workloads.iter().find(|workload| of(&workload.name));
            // The default actions of the listeners are not in the plan.
            if let Some(wave) = workload.and_then(|workload| wave_of(&plan, &workload.name)) {
                first.insert(id.clone(), (wave, actions));
            }
        }
        Self { plan, state: Mutex::new(State { all, first, last, ..State::default() }), found: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    /// Returns the number of routes that the plan moves.
    pub fn routes(&self) -> usize {
        self.state().first.len()
    }

    /// Returns the waves in the order in which their shares went back.
    pub fn back(&self) -> Vec<usize> {
        self.state().back.clone()
    }

    /// Returns the largest number of header rules that there were at a time.
    pub fn header_rules(&self) -> usize {
        self.state().header_rules
    }

    fn name(&self, wave: usize) -> &str {
        &self.plan.waves[wave].name
    }

    /// Registers that the new cluster's targets of a workload died.
    pub fn targets_died(&self, workload: &str, now: Timestamp) {
        let wave = wave_of(&self.plan, workload).expect("a workload should be in a wave");
        let mut state = self.state();
        if state.done.contains(&wave) {
            state.died = Some((wave, now));
        }
    }

    /// Looks at the world after a call.
    pub fn look(&self, model: &SharedModel) {
        let (routes, now) = model.call(|world, now| (world.snapshot().routes, now));
        self.look_at_items(model);
        let mut state = self.state();
        let mut wrong = Vec::new();
        if state.last != routes {
            let before = std::mem::replace(&mut state.last, routes.clone());
            for (id, actions) in routes.iter().filter(|(id, actions)| before.get(*id) != Some(actions)) {
                let was = before.get(id).map(|actions| route_actions::from_aws(actions));
                let is = route_actions::from_aws(actions);
                wrong.extend(self.change(&mut state, id, was.as_ref(), &is, now));
            }
            state.header_rules = state.header_rules.max(state.header_rules().len());
            for id in before.keys().filter(|id| state.first.contains_key(*id) && !routes.contains_key(*id)) {
                wrong.push(format!("{id} was deleted"));
            }
        }
        self.add(&mut state, wrong);
    }

    /// Looks at what must not run in both clusters, or twice.
    pub fn look_at_items(&self, model: &SharedModel) {
        let wrong = hand_over::violations(model);
        self.add(&mut self.state(), wrong);
    }

    fn add(&self, state: &mut State, wrong: Vec<String>) {
        for wrong in wrong {
            if !state.violations.contains(&wrong) {
                state.violations.push(wrong);
                self.found.notify_one();
            }
        }
    }

    fn change(
        &self,
        state: &mut State,
        id: &str,
        was: Option<&RouteActions>,
        is: &RouteActions,
        now: Timestamp,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let Some((wave, first)) = state.first.get(id).cloned() else {
            return match was {
                None => self.header_rule(state, id, is),
                Some(_) => vec![format!("{id}, which is not in the plan, was changed")],
            };
        };
        let name = self.name(wave);
        if is.rest != first.rest {
            wrong.push(format!("{id} has other actions: {:?}, not {:?}", is.rest, first.rest));
        }
        for (member, share) in third_party(&first) {
            let share_now = third_party(is).get(member).copied().unwrap_or(0.0);
            if (share - share_now).abs() > ROUNDING {
                wrong.push(format!("the share of {member}, which is not in the plan, is {share_now}, not {share}"));
            }
        }
        let (before, after) = (was.map_or(0.0, share), share(is));
        if after > before {
            if !state.open.contains(&wave) {
                wrong.push(format!("{id} of the wave {name} got {after} without a run that may raise it"));
            }
            state.raised.insert(wave, now);
        }
        if after < before && state.back.last() != Some(&wave) {
            state.back.push(wave);
        }
        wrong
    }

    /// Checks a new rule: it belongs to a wave that runs, and has every other action of its route.
    fn header_rule(&self, state: &State, id: &str, is: &RouteActions) -> Vec<String> {
        let Some((wave, route)) = state.route_of(is) else {
            return vec![format!("{id} was made for no route of the plan: {is:?}")];
        };
        let mut wrong = Vec::new();
        if !state.open.contains(wave) {
            wrong
                .push(format!("the header rule {id} was made before the wave {} began, or after it", self.name(*wave)));
        }
        let other = |route: &RouteActions| -> Vec<Value> {
            route.rest.iter().filter(|action| action["Type"] != "forward").cloned().collect()
        };
        if other(is) != other(route) {
            wrong.push(format!("the header rule {id} has not the other actions of its route: {:?}", is.rest));
        }
        wrong
    }

    /// Looks at a record that is on disk.
    pub fn journalled(&self, run: &str, event: &Event, now: Timestamp) {
        let mut state = self.state();
        let mut wrong = Vec::new();
        let header_rules = state.header_rules();
        match event {
            Event::Started(started) => {
                let named = started.wave.as_ref().map(|wave| wave.name.as_str());
                let wave = self.plan.waves.iter().position(|wave| Some(wave.name.as_str()) == named);
                let Some(wave) = wave else { panic!("a run of no wave: {named:?}") };
                let name = self.name(wave);
                for earlier in (0..wave).filter(|earlier| !state.done.contains(earlier)) {
                    wrong.push(format!("the wave {name} begins, but the wave {} is not done", self.name(earlier)));
                }
                for open in &state.open {
                    wrong.push(format!("the wave {name} begins, but the wave {} runs", self.name(*open)));
                }
                if !header_rules.is_empty() {
                    wrong.push(format!("the wave {name} begins, and header rules of another wave exist"));
                }
                let raised = wave.checked_sub(1).and_then(|before| state.raised.get(&before));
                if let Some(raised) = raised.filter(|raised| later(**raised, BETWEEN) > now) {
                    wrong.push(format!("the wave {name} begins at {now}, but the one before rose at {raised}"));
                }
                state.runs.insert(run.to_owned(), wave);
                state.begun.insert(wave);
                state.open.insert(wave);
            }
            Event::RollbackStarted { .. } => {
                if let Some(wave) = state.runs.get(run).copied() {
                    state.open.remove(&wave);
                    state.done.remove(&wave);
                    state.died = state.died.filter(|(died, _)| *died != wave);
                }
            }
            Event::Finished { outcome, .. } => {
                let wave = state.runs.get(run).copied().expect("the run should have started");
                let name = self.name(wave);
                if header_rules.contains(&Some(wave)) {
                    wrong.push(format!("the run of the wave {name} ends as {outcome:?}, and its header rules stay"));
                }
                if let Some((died, at)) = state.died.filter(|(died, at)| *died != wave && later(*at, 3 * BETWEEN) < now)
                {
                    let died = self.name(died);
                    wrong.push(format!(
                        "the targets of the finished wave {died} died at {at}, and nobody rolled it back"
                    ));
                }
                state.open.remove(&wave);
                if *outcome == RunOutcome::Completed {
                    state.done.insert(wave);
                }
            }
            _ => {}
        }
        self.add(&mut state, wrong);
    }

    /// Checks the world after the last wave, or after the wave that failed: each route has the goal or the start of its
    /// wave.
    pub fn look_at_end(&self, model: &SharedModel, restored: bool) {
        self.look(model);
        let mut state = self.state();
        let mut wrong = Vec::new();
        for (id, (wave, first)) in &state.first {
            let Some(is) = state.last.get(id).map(|actions| route_actions::from_aws(actions)) else {
                wrong.push(format!("{id} does not exist any more"));
                continue;
            };
            let goal = if !restored && state.done.contains(wave) { 1.0 } else { 0.0 };
            let share = share(&is);
            if (share - goal).abs() > f64::EPSILON {
                wrong.push(format!("{id} of the wave {} has {share} at the end, not {goal}", self.name(*wave)));
            }
            if restored && is != *first {
                wrong.push(format!("{id} is {is:?} at the end, not {first:?}"));
            }
        }
        if !state.header_rules().is_empty() {
            wrong.push("a header rule is left".to_owned());
        }
        let moved = !restored && state.done.contains(&(self.plan.waves.len() - 1));
        let expected = if moved { (hand_over::OFF, hand_over::ON) } else { (hand_over::ON, hand_over::OFF) };
        let on = (hand_over::on(model, "a"), hand_over::on(model, "b"));
        if on != expected {
            wrong.push(format!("the items are on in the clusters as {on:?}, not {expected:?}"));
        }
        let tags = model.call(|world, _| world.snapshot().tags);
        let left: Vec<_> =
            tags.values().flat_map(|tags| tags.keys()).filter(|k| k.starts_with("cutover.dev/")).collect();
        if restored && !left.is_empty() {
            wrong.push(format!("tags are left: {left:?}"));
        }
        self.add(&mut state, wrong);
    }
}
