//! A run of the fixture in `domain`, as records, for tests.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::style::Style;
use crate::domain::fixture::{self, forward, group_arn, route, route_start, shares};
use crate::domain::health::HealthCounts;
use crate::domain::health::{Target, TargetState};
use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::run::event::{Event, Record, Started, StepType, Write, WriteResult};
use crate::domain::run::observation::{Observation, Observed};
use crate::domain::run::state::State;
use crate::domain::traffic::{Reading, RouteContent, RouteId, Split};
use crate::domain::view::gates::GateView;
use crate::plan::model::Plan;

pub const START: &str = "2026-03-01T14:02:00Z";

pub fn at(seconds: i64) -> Timestamp {
    START.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// Returns weights for a and b; the third-party group has 0.
pub fn weights(a: u16, b: u16) -> RouteContent {
    forward(&[("webapp-a", a), ("webapp-b", b), ("webapp-default", 0)])
}

pub fn set(a: u16, b: u16) -> Split {
    weights(a, b).split
}

pub fn ids() -> Vec<RouteId> {
    [None, Some(15), Some(20), Some(30)].map(|p| route(443, p, weights(100, 0)).id).into()
}

pub fn started() -> Started {
    let mut started = fixture::started(40);
    started.start = Some(shares(100, 0));
    started.routes = [None, Some(15), Some(20), Some(30)].map(|p| route_start(route(443, p, weights(100, 0)))).into();
    started.groups.values_mut().for_each(|group| (group.interval, group.deregistration_delay) = (15, 30));
    started.clusters = ["a", "b"].map(|c| (c.to_owned(), format!("uid-{c}"))).into();
    started
}

pub fn healthy(healthy: u32, initial: u32) -> HealthCounts {
    HealthCounts { healthy, initial, ..HealthCounts::default() }
}

pub fn step(step: usize, kind: StepType, label: &str) -> Event {
    Event::StepStarted { step, kind, label: label.into() }
}

pub fn intended(routes: &[RouteId], before: &Split, after: &Split, restore: bool) -> Event {
    let writes = routes
        .iter()
        .map(|route| Write { route: route.clone(), expect: Some(before.clone()), set: after.clone() })
        .collect();
    Event::Intended { restore, deadline: at(3600), writes }
}

pub fn outcome(route: &RouteId, result: WriteResult, live: Option<Split>, detail: Option<&str>) -> Event {
    Event::Outcome { route: route.clone(), result, live, detail: detail.map(Into::into) }
}

/// Returns the event of a route that someone else changed, or deleted if `live` is `None`.
pub fn drifted(route: &RouteId, expected: RouteContent, live: Option<RouteContent>) -> Event {
    Event::Drifted { route: route.clone(), expected: Box::new(expected), live: live.map(Box::new) }
}

/// Numbers these events and returns them as records, each at its time in seconds.
pub fn records(events: Vec<(i64, Event)>) -> Vec<Record> {
    let record = |(i, (seconds, event))| Record::new(i as u64 + 1, at(seconds), "alpha-20260301-140200-k3f9", event);
    events.into_iter().enumerate().map(record).collect()
}

pub fn state(events: Vec<(i64, Event)>) -> State {
    State::fold(&records(events)).unwrap().unwrap()
}

/// Returns an observation of both groups: (healthy, unhealthy) targets of a and of b.
pub fn watch(seconds: i64, a: (usize, usize), b: (usize, usize)) -> Observed {
    let mut watch = Observed::new(at(seconds - 60), Duration::from_secs(5), Duration::from_mins(5));
    let targets = |(healthy, unhealthy): (usize, usize)| {
        let states = std::iter::repeat_n(TargetState::Healthy, healthy)
            .chain(std::iter::repeat_n(TargetState::Unhealthy, unhealthy));
        states
            .map(|state| Target { id: "10.0.0.1".into(), port: 80, zone: None, state, reason: None, explanation: None })
            .collect()
    };
    let health = [("webapp-a", a), ("webapp-b", b)]
        .map(|(g, n)| (group_arn(g), Reading { at: at(seconds), value: Ok(targets(n)) }));
    watch.add(at(seconds), Observation { health: health.into(), ..Observation::default() }, true);
    watch
}

/// Returns the events until 14:03:00: `bind` and 1 % are done, and the run bakes with every route at 99/1.
pub fn until_bake() -> Vec<(i64, Event)> {
    let mut events = vec![
        (0, Event::Started(Box::new(started()))),
        (0, Event::ProcessStarted { owner: "alice@mac".into(), pid: 4711, tool: "0.1.0".into(), continuous: false }),
        (1, step(1, StepType::Bind, "bind")),
        (5, Event::StepDone { step: 1 }),
        (11, step(2, StepType::Shares, "a 99 %, b 1 %")),
        (12, intended(&ids(), &set(100, 0), &set(99, 1), false)),
    ];
    events.extend(ids().iter().map(|id| (13, outcome(id, WriteResult::Applied, Some(set(99, 1)), None))));
    events.extend([
        (43, Event::Settled { step: 2 }),
        (43, Event::StepDone { step: 2 }),
        (60, step(3, StepType::Bake, "pause 10m")),
    ]);
    events
}

/// Returns the plan of the fixture, with metric gates, hooks, notifications and hours.
pub fn rich_plan() -> Plan {
    let read = |text: &str| crate::plan::lint("plan.yaml", text.as_bytes()).unwrap();
    let mut plan = fixture::plan();
    plan.strategy.metrics = read(include_str!("../../../plans/metrics.yaml")).strategy.metrics;
    plan.strategy.metrics.sort_by_key(|gate| gate.name != "errors");
    plan.strategy.hooks = read(include_str!("../../../plans/hooks.yaml")).strategy.hooks;
    plan.strategy.hours = read(include_str!("../../../plans/office-hours.yaml")).strategy.hours;
    plan.notifications = read(include_str!("../../../plans/notifications.yaml")).notifications;
    plan
}

/// Returns five gates in the order of a plan: passing, holding, passing, holding, failing.
pub fn five_gates() -> Vec<GateView> {
    let gate = |name: &str, verdict, why: &str| GateView {
        gate: name.into(),
        in_force: true,
        dry_run: false,
        verdict: Some(verdict),
        why: why.into(),
    };
    let rate = "b fails 0.00 % of 81 requests, a fails 0.00 % of 728 requests: the error rate of b could still be 4.53 \
                percentage points higher, and 2 are allowed";
    vec![
        gate("seats-latency", GateResult::Pass, "0.00475 is at most 0.8"),
        gate("errors", GateResult::Hold, rate),
        gate("split", GateResult::Pass, "b got 10.0 % of 809 requests; the written share is 10.0 %"),
        gate("slowness", GateResult::Hold, "measured 8 of the 10 windows that a verdict needs"),
        gate("saturation", GateResult::Fail, "0.5 is not at most 0.4 (11 of 11 measurements failed)"),
    ]
}

/// Returns a style without colors, for a terminal with this many columns.
pub fn screen(columns: usize) -> Style {
    Style { width: Some(columns), ..Style::plain() }
}

/// Asserts that no line of a text is wider than the terminal, except commands to copy, and that no word is broken.
pub fn assert_fits(text: &str, columns: usize) {
    let copied = |line: &str| ["cutover ", "kubectl ", "aws "].iter().any(|program| line.contains(program));
    for line in text.lines().filter(|line| !copied(line)) {
        assert!(console::measure_text_width(line) <= columns, "{} columns: {line}", console::measure_text_width(line));
    }
}
