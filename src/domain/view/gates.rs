//! Describes the metric gates of a plan for people: the condition, the effect and the current verdict of each gate.

use jiff::Timestamp;
use serde::Serialize;

use crate::base::duration;
use crate::base::number::{measured, percent};
use crate::domain::decide::{Context, comparison as gate, desired_split, metrics};
use crate::domain::metric::gate::MeasuredValue;
use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::run::observation::Observed;
use crate::domain::run::state::State;
use crate::domain::view::comparison;
use crate::plan::model::metric::{ErrorRate, GateCondition, GateScope, Latency, MetricGate};
use crate::plan::model::{OnFailure, Plan};

/// The text for a gate without a measurement.
pub const NOT_ASKED: &str = "not asked yet";

/// The text for a gate that a finished run did not evaluate at its last shares.
const NOT_ASKED_AT_THE_END: &str = "was not asked at the last shares";

/// A gate as the plan has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GateLine {
    /// The name of the gate.
    pub gate: String,
    /// The scope of the gate: `step 4`, `workload webapp`, or empty for the whole plan.
    pub scope: String,
    /// The key of the gate's source, such as `prometheus`.
    pub source: String,
    /// The condition of the gate, as text.
    pub condition: String,
    /// The effect of the gate's verdict, as text.
    pub effect: String,
    /// The current result of the gate's source, as text; `None` if the source was not queried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// A gate of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GateView {
    /// The name of the gate.
    pub gate: String,
    /// Whether the gate is in force now.
    pub in_force: bool,
    /// Whether the gate's verdict has no effect (`dryRun`).
    pub dry_run: bool,
    /// The gate's verdict for the current shares; `None` if there is none yet.
    pub verdict: Option<GateResult>,
    /// The reason for the verdict, with numbers, or the reason why there is no verdict.
    pub why: String,
}

impl GateView {
    /// Returns the verdict and its reason in one line: `passes: b fails 0.10 % of 900 requests, …`.
    pub fn words(&self) -> String {
        let words = match self.verdict {
            None => return self.why.clone(),
            Some(GateResult::Pass) => "passes",
            Some(GateResult::Hold) => "holds",
            Some(GateResult::Fail) => "FAILS",
        };
        format!("{words}: {}", self.why)
    }

    /// Whether the gate is in force, has an effect, and does not pass.
    pub fn is_open(&self) -> bool {
        self.in_force && !self.dry_run && self.verdict != Some(GateResult::Pass)
    }

    /// Returns the verdict without numbers, such as `passes`.
    pub fn verdict_word(&self) -> &'static str {
        match self.verdict {
            None => NOT_ASKED,
            Some(GateResult::Pass) => "passes",
            Some(GateResult::Hold) => "holds",
            Some(GateResult::Fail) => "fails",
        }
    }
}

/// Returns the gates of a plan, each with the current result of its source.
pub fn lines<'a>(plan: &Plan, answer: impl Fn(&str) -> Option<&'a MeasuredValue>) -> Vec<GateLine> {
    let metrics = plan.strategy.metrics.iter();
    let metrics = metrics.map(|gate| line(plan, gate, answer(&gate.name).map(|seen| answer_text(plan, seen))));
    compare_line(plan).into_iter().chain(metrics).collect()
}

fn line(plan: &Plan, gate: &MetricGate, answer: Option<String>) -> GateLine {
    GateLine {
        gate: gate.name.clone(),
        scope: match &gate.scope {
            GateScope::Plan => String::new(),
            GateScope::Workload(name) => format!("workload {name}"),
            GateScope::Step(number) => format!("step {number}"),
        },
        source: gate.source.kind().to_owned(),
        condition: condition(plan, gate),
        effect: effect(plan, gate),
        answer,
    }
}

/// Returns the gates of a run with their verdicts; for a finished run, with the verdicts at its end.
pub fn of_run(plan: &Plan, state: &State, observed: Option<&Observed>, now: Timestamp) -> Vec<GateView> {
    if plan.strategy.metrics.is_empty() && plan.strategy.compare.is_none() {
        return Vec::new();
    }
    let over = state.finished.is_some();
    let now = if over { state.last_measurement().unwrap_or(now) } else { now };
    let nothing = Observed::new(now, std::time::Duration::ZERO, std::time::Duration::ZERO);
    let context = Context { plan, state, observed: observed.unwrap_or(&nothing), now };
    let in_force = metrics::in_force(plan, state);
    let view = |gate: &MetricGate| {
        let is_in_force = in_force.iter().any(|other| other.name == gate.name);
        if is_in_force && metrics::shares_changing(plan, state) {
            let compares = !metrics::has_nothing_to_compare(plan, state, gate);
            return if compares { of_changing_shares(plan, state, gate) } else { without_comparison(plan, gate) };
        }
        if state.rollback.is_some() && matches!(gate.condition, GateCondition::Share { .. }) {
            return before_rollback(state, gate);
        }
        // Without the gate's scope or traffic, the last measurement says nothing about the shares of now.
        let asked = (is_in_force || over) && !state.measurements(&gate.name).is_empty();
        let verdict = asked.then(|| metrics::verdict(&context, gate));
        let holds = verdict.as_ref().is_none_or(|verdict| verdict.result == GateResult::Hold);
        if is_in_force && holds && metrics::has_nothing_to_compare(plan, state, gate) {
            return without_comparison(plan, gate);
        }
        GateView {
            gate: gate.name.clone(),
            in_force: is_in_force,
            dry_run: gate.dry_run,
            why: match &verdict {
                Some(verdict) => verdict.why.clone(),
                None if over => NOT_ASKED_AT_THE_END.to_owned(),
                None => not_asked(plan, state, gate, is_in_force),
            },
            verdict: verdict.map(|verdict| verdict.result),
        }
    };
    compare_view(plan, state).into_iter().chain(plan.strategy.metrics.iter().map(view)).collect()
}

/// Returns the compare gate as the plan has it; `None` if the plan has none.
fn compare_line(plan: &Plan) -> Option<GateLine> {
    let gate = plan.strategy.compare.as_ref()?;
    let every = duration::format_exact(gate.every);
    Some(GateLine {
        gate: comparison::NAME.to_owned(),
        scope: String::new(),
        source: "clusters".to_owned(),
        condition: format!("no error in a comparison of {} and {}", plan.strategy.from, plan.strategy.to),
        effect: format!("raises wait until it passes; the clusters are read again every {every}"),
        answer: None,
    })
}

/// Returns the compare gate of a run; `None` if the plan has none.
fn compare_view(plan: &Plan, state: &State) -> Option<GateView> {
    plan.strategy.compare.as_ref()?;
    let in_force = gate::in_force(plan, state).is_some();
    let last = state.comparison.as_ref();
    Some(GateView {
        gate: comparison::NAME.to_owned(),
        in_force,
        dry_run: false,
        verdict: last.map(comparison::result),
        why: match last {
            Some(verdict) => comparison::text(verdict),
            None if in_force => NOT_ASKED.to_owned(),
            None => format!("{NOT_ASKED}: no step raises {} any more", plan.strategy.to),
        },
    })
}

/// Returns the view of a gate while shares are written and settle: the verdict for the previous shares says nothing
/// about the new shares.
fn of_changing_shares(plan: &Plan, state: &State, gate: &MetricGate) -> GateView {
    let to = &plan.strategy.to;
    let share = desired_split::share_step_at(plan, state.step).and_then(|(_, shares)| shares.get(to).copied());
    let shares = share.map_or_else(|| "the new shares".to_owned(), |share| format!("{to} {share} %"));
    let last = state.last_verdict(&gate.name).map_or("", |verdict| match verdict {
        GateResult::Pass => "; it passed at the shares before",
        GateResult::Hold => "; it had no verdict at the shares before",
        GateResult::Fail => "; it FAILED at the shares before",
    });
    GateView {
        gate: gate.name.clone(),
        in_force: true,
        dry_run: gate.dry_run,
        verdict: None,
        why: format!("{NOT_ASKED} for {shares}, which settles{last}"),
    }
}

/// Returns the view of a gate after a rollback: its measurements belong to shares that the run no longer has.
fn before_rollback(state: &State, gate: &MetricGate) -> GateView {
    let verdict = state.last_verdict(&gate.name);
    let why = if verdict.is_some() {
        "measured before the rollback, at the shares of that time"
    } else {
        NOT_ASKED_AT_THE_END
    };
    GateView { gate: gate.name.clone(), in_force: false, dry_run: gate.dry_run, verdict, why: why.to_owned() }
}

/// Returns the view of a gate that compares the clusters, when the old cluster no longer has traffic.
fn without_comparison(plan: &Plan, gate: &MetricGate) -> GateView {
    let (from, to) = (&plan.strategy.from, &plan.strategy.to);
    GateView {
        gate: gate.name.clone(),
        in_force: false,
        dry_run: gate.dry_run,
        verdict: None,
        why: format!("does not guard {to} now: {from} has no traffic to compare with"),
    }
}

/// Returns why a gate has no verdict for the current shares. A gate of an earlier step keeps the verdict of that step.
fn not_asked(plan: &Plan, state: &State, gate: &MetricGate, in_force: bool) -> String {
    let earlier = state.last_verdicts.get(&gate.name).map(|verdict| match verdict {
        GateResult::Pass => "passed",
        GateResult::Hold => "had no verdict",
        GateResult::Fail => "FAILED",
    });
    match &gate.scope {
        _ if in_force => format!("{NOT_ASKED} at these shares"),
        GateScope::Step(number) if *number < state.step => {
            format!("{} in step {number}, to which it applied", earlier.unwrap_or("was not asked"))
        }
        GateScope::Step(number) => format!("{NOT_ASKED}: it applies to step {number}"),
        GateScope::Plan | GateScope::Workload(_) => {
            format!("{NOT_ASKED}: it applies while {} carries traffic", plan.strategy.to)
        }
    }
}

fn condition(plan: &Plan, gate: &MetricGate) -> String {
    let (old, new) = (&plan.strategy.from, &plan.strategy.to);
    match &gate.condition {
        GateCondition::ErrorRate(ErrorRate { ratio, max_difference, .. }) => format!(
            "errors of {new}: at most {} more than of {old} for a raise, at most {ratio} times those of {old} for the guard",
            points(max_difference * 100.0)
        ),
        GateCondition::Latency(Latency { ratio, .. }) => {
            format!("latency of {new}: at most {ratio} times that of {old}")
        }
        GateCondition::Share { tolerance } => {
            format!("requests to {new}: within {} of its share", points(*tolerance))
        }
        GateCondition::Condition { at_most, at_least } => {
            let bound = |word: &str, bound: &Option<f64>| bound.map(|bound| format!("at {word} {bound}"));
            let bounds: Vec<_> = [bound("least", at_least), bound("most", at_most)].into_iter().flatten().collect();
            format!("value: {}", bounds.join(" and "))
        }
        GateCondition::State => "the source reports success".to_owned(),
    }
}

fn points(value: f64) -> String {
    let many = if (value - 1.0).abs() < f64::EPSILON { "" } else { "s" };
    format!("{} percentage point{many}", percent(value))
}

fn effect(plan: &Plan, gate: &MetricGate) -> String {
    let failure = match plan.strategy.on_failure {
        OnFailure::Rollback => "a failure rolls back",
        OnFailure::Pause => "a failure pauses the run",
    };
    match (gate.dry_run, gate.raise, gate.guard) {
        (true, ..) => "only recorded (dryRun)".to_owned(),
        (_, true, true) => format!("raises wait until it passes; {failure}"),
        (_, true, false) => "raises wait until it passes".to_owned(),
        (_, false, true) => failure.to_owned(),
        (_, false, false) => "nothing depends on it".to_owned(),
    }
}

/// Returns the result of a source as text.
fn answer_text(plan: &Plan, seen: &MeasuredValue) -> String {
    let (old, new) = (&plan.strategy.from, &plan.strategy.to);
    match seen {
        MeasuredValue::Counts { old: a, new: b } => {
            format!("{old} failed {} of {} requests, {new} {} of {}", a.errors, a.requests, b.errors, b.requests)
        }
        MeasuredValue::Latencies { old: a, new: b } => {
            format!("{old} {:.0} ms, {new} {:.0} ms", a * 1000.0, b * 1000.0)
        }
        MeasuredValue::Value { value } => measured(*value),
        MeasuredValue::State { well, message } => {
            format!("{}: {message}", if *well { "success" } else { "failure" })
        }
        MeasuredValue::Nothing { message } => format!("no data: {message}"),
        MeasuredValue::Unreadable { message } => format!("cannot be read: {message}"),
    }
}
