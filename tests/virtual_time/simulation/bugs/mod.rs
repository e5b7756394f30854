//! Tests the checker with seeded bugs: one for each failure mode of the bug reports that this tool was built on, and
//! for each invariant. A seeded bug is a wrong answer between the engine and its ports, a plan that differs from the
//! checker's plan, or an edit of a recorded history. The checker must find each of them.

mod edit;
mod rollbacks;
mod table;
mod wrong_balancer;

use std::sync::Arc;

use cutover::plan::model::Plan;

use super::checker::{Checker, Violation};
use super::history::{Entry, Verb};
use super::plans;
use super::processes::Simulation;
use super::runner::run_schedule;
use wrong_balancer::WrongAnswer;

/// The load balancers at which a bug is seeded.
const BALANCERS: [Balancer; 2] = [Balancer::Alb, Balancer::Haproxy];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Balancer {
    Alb,
    /// Weights of servers at two instances.
    Haproxy,
}

impl Balancer {
    /// Returns the schedule of an Application Load Balancer at this one.
    fn schedule(self, text: &str) -> String {
        match self {
            Self::Alb => text.to_owned(),
            Self::Haproxy if text.starts_with("small/") => text.replacen("small/", "haproxy/", 1),
            Self::Haproxy => format!("haproxy-{text}"),
        }
        .replace("ModifyRule", if self == Self::Alb { "ModifyRule" } else { "set-server" })
    }
}

/// How a seeded bug is put into a run.
pub enum How {
    /// The engine gets a changed plan; the checker has the original plan.
    WrongPlan(fn(&mut Plan)),
    /// The load balancer API gives wrong answers during this schedule.
    WrongAnswers(WrongAnswer, &'static str),
    /// The history of this schedule is edited.
    Edit(&'static str, fn(&mut Vec<Entry>)),
}

/// A bug that the checker must find.
pub struct Bug {
    pub name: &'static str,
    /// The rule that the bug breaks, with a public bug report where there is one.
    pub breaks: &'static str,
    /// The number of the invariant that finds the bug.
    pub caught_by: u8,
    pub how: How,
}

/// Returns the violations that the checker finds in a history.
fn check(plan: &Plan, entries: &[Entry]) -> Vec<Violation> {
    let mut checker = Checker::new(plan);
    entries.iter().flat_map(|e| checker.take(e)).collect()
}

/// Returns the name of the plan of a schedule.
fn plan_name(schedule: &str) -> &str {
    schedule.split('/').next().unwrap_or(schedule)
}

/// Runs a schedule and returns its history, which must have no violations.
fn history_of(schedule: &str) -> Vec<Entry> {
    let schedule = schedule.parse().expect("the schedule should parse");
    let (outcome, history, _) = run_schedule(&schedule);
    let data = history.data();
    assert!(outcome.is_ok() && data.violations.is_empty(), "{schedule}: {outcome:?} {:?}", data.violations);
    data.entries.clone()
}

/// Returns the violations of a run with wrong answers, or with another plan than the checker's.
fn violations_of_run(engine_plan: Plan, answer: Option<WrongAnswer>, schedule: &str) -> Vec<Violation> {
    let schedule: super::fault::Schedule = schedule.parse().expect("the schedule should parse");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("the Tokio runtime should start");
    runtime.block_on(async {
        let wrap = Arc::new(move |ports| match answer {
            Some(answer) => wrong_balancer::wrap(ports, answer),
            None => ports,
        });
        let simulation =
            Simulation::begin_with(plans::plan(&schedule.plan), engine_plan, schedule.points.clone(), wrap).await;
        let _ = simulation.run_to_end(Verb::Run, schedule.then).await;
        let data = simulation.history.data();
        data.violations.iter().map(|(_, v)| v.clone()).collect()
    })
}

impl Bug {
    /// Returns why the bug cannot be at HAProxy; `None` if it can.
    fn not_at_haproxy(&self) -> Option<&'static str> {
        match self.name {
            "six groups in an action" => Some("a backend has any number of servers"),
            "a third-party share changes" | "drops the third group" => Some("the lab has no servers of others"),
            "loses stickiness" | "overwrites another action" | "sends conditions" | "sends a client secret" => {
                Some("a backend has weights only")
            }
            "tags with a controller's key"
            | "puts no marker"
            | "goes on under another's marker"
            | "never reads the marker" => Some("HAProxy has no tags"),
            "deletes a binding"
            | "applies a binding with force"
            | "a rollback touches targets"
            | "a dry-run that is none"
            | "another cluster under the same name"
            | "two names for one cluster" => Some("the plan has no Kubernetes"),
            "a header rule outlives its run" => Some("it has no rules with headers"),
            "nobody asks whose account it is" | "another account" => Some("HAProxy has no accounts"),
            "detaches without a request" | "detaches without reading the route" => Some("nothing is detached"),
            _ => None,
        }
    }

    /// Returns the violations of the invariants by this bug at a load balancer.
    fn found(&self, at: Balancer) -> Vec<Violation> {
        let text = match self.how {
            How::WrongPlan(_) => "small/resume/",
            How::WrongAnswers(_, schedule) | How::Edit(schedule, _) => schedule,
        };
        let schedule = match (at, self.name) {
            // The servers exist before the run. Only a deployment has servers that were not checked yet.
            (Balancer::Haproxy, "counts initial as healthy") => {
                "haproxy/resume/show-servers#2.answered.deploy".to_owned()
            }
            _ => at.schedule(text),
        };
        let plan = plans::plan(plan_name(&schedule));
        match &self.how {
            How::WrongPlan(change) => {
                let mut engine_plan = plan;
                change(&mut engine_plan);
                violations_of_run(engine_plan, None, &schedule)
            }
            How::WrongAnswers(answer, _) => violations_of_run(plan, Some(*answer), &schedule),
            How::Edit(_, edit) => {
                let mut entries = history_of(&schedule);
                let before = entries.clone();
                edit(&mut entries);
                assert!(before != entries, "{}: the edit must change the history", self.name);
                check(&plan, &entries)
            }
        }
    }
}

#[test]
fn every_seeded_bug_is_caught_by_its_invariant() {
    let all = table::all();
    let (mut missed, mut seeded) = (Vec::new(), 0);
    for (bug, at) in all.iter().flat_map(|bug| BALANCERS.map(|at| (bug, at))) {
        if let (Balancer::Haproxy, Some(why)) = (at, bug.not_at_haproxy()) {
            println!("{:<34} {at:<8?} not seeded: {why}", bug.name);
            continue;
        }
        seeded += 1;
        let found = bug.found(at);
        let caught = found.iter().find(|v| v.invariant.0 == bug.caught_by);
        let why = caught.map_or("NOT CAUGHT", |v| v.message.as_str());
        println!(
            "{:<34} {at:<8?} {:<62} I{:<2} {}",
            bug.name,
            bug.breaks,
            bug.caught_by,
            why.chars().take(110).collect::<String>()
        );
        if caught.is_none() {
            missed.push(format!("{} at {at:?}: {:?}\n", bug.name, found.first()));
        }
    }
    println!("simulation: seeded bugs: {} of {seeded} caught", seeded - missed.len());
    assert!(all.len() >= 30 && missed.is_empty(), "bugs that the checker did not find: {}", missed.concat());
    let skipped = all.iter().filter(|bug| bug.not_at_haproxy().is_some()).count();
    assert_eq!(skipped, 22, "a name in `not_at_haproxy` is no bug's name");
    let invariants: std::collections::BTreeSet<_> = all.iter().map(|b| b.caught_by).collect();
    assert!(invariants.iter().copied().eq(1..=14), "invariants without a seeded bug; covered: {invariants:?}");
}
