//! The checker's own strength: seeded bugs, one for each failure mode of the reports that this tool was built on and
//! for each invariant. Each is a lie between the engine and its seams, a plan that the engine has and nobody wrote, or
//! an edit of a history; each is to be caught.

mod edit;
mod liar;
mod table;
mod ways;

use std::sync::Arc;

use cutover::plan::model::Plan;

use super::checker::{Checker, Violation};
use super::history::{Entry, Verb};
use super::life::Theatre;
use super::plans;
use super::play::play;
use liar::Lie;

/// How a bug comes in.
pub enum How {
    /// The engine has this plan instead.
    Told(fn(&mut Plan)),
    /// Something lies at the balancer's seam, and a schedule brings it out.
    Lies(Lie, &'static str),
    /// The history of a schedule, edited.
    Edit(&'static str, fn(&mut Vec<Entry>)),
}

/// A seeded bug.
pub struct Bug {
    pub name: &'static str,
    /// What the bug breaks, and where it was seen in the field.
    pub breaks: &'static str,
    /// The number of the invariant that catches it.
    pub caught_by: u8,
    pub how: How,
}

/// The violations that the checker finds in a history.
fn check(plan: &Plan, entries: &[Entry]) -> Vec<Violation> {
    let mut checker = Checker::new(plan);
    entries.iter().flat_map(|e| checker.take(e)).collect()
}

/// The plan of a schedule.
fn planned(schedule: &str) -> &str {
    schedule.split('/').next().unwrap_or(schedule)
}

/// The history of a schedule.
fn history(schedule: &str) -> Vec<Entry> {
    let schedule = schedule.parse().expect("a schedule");
    let (outcome, history, _) = play(&schedule);
    let book = history.book();
    assert!(outcome.is_ok() && book.violations.is_empty(), "{schedule}: {outcome:?} {:?}", book.violations);
    book.entries.clone()
}

/// The violations of a run with a lie, or with another plan than the checker's.
fn lived(told: Plan, lie: Option<Lie>, schedule: &str) -> Vec<Violation> {
    let schedule: super::fault::Schedule = schedule.parse().expect("a schedule");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let wrap = Arc::new(move |ports| match lie {
            Some(lie) => liar::between(ports, lie),
            None => ports,
        });
        let theatre = Theatre::begin_with(plans::plan("small"), told, schedule.points.clone(), wrap).await;
        let _ = theatre.play(Verb::Run, schedule.then).await;
        let book = theatre.history.book();
        book.violations.iter().map(|(_, v)| v.clone()).collect()
    })
}

impl Bug {
    fn found(&self) -> Vec<Violation> {
        let plan = plans::plan(if let How::Edit(schedule, _) = self.how { planned(schedule) } else { "small" });
        match &self.how {
            How::Told(change) => {
                let mut told = plan;
                change(&mut told);
                lived(told, None, "small/resume/")
            }
            How::Lies(lie, schedule) => lived(plan, Some(*lie), schedule),
            How::Edit(schedule, edit) => {
                let mut entries = history(schedule);
                let before = entries.clone();
                edit(&mut entries);
                assert!(before != entries, "{}: the edit changes nothing", self.name);
                check(&plan, &entries)
            }
        }
    }
}

#[test]
fn every_seeded_bug_is_caught_by_its_invariant() {
    let all = table::all();
    let mut missed = Vec::new();
    for bug in &all {
        let found = bug.found();
        let caught = found.iter().find(|v| v.invariant.0 == bug.caught_by);
        let why = caught.map_or("NOT CAUGHT", |v| v.message.as_str());
        println!(
            "{:<34} {:<62} I{:<2} {}",
            bug.name,
            bug.breaks,
            bug.caught_by,
            why.chars().take(110).collect::<String>()
        );
        if caught.is_none() {
            missed.push(format!("{}: {:?}\n", bug.name, found.first()));
        }
    }
    println!("simulation: seeded bugs: {} of {} caught", all.len() - missed.len(), all.len());
    assert!(all.len() >= 30 && missed.is_empty(), "{}", missed.concat());
    let invariants: std::collections::BTreeSet<_> = all.iter().map(|b| b.caught_by).collect();
    assert!(invariants.iter().copied().eq(1..=14), "{invariants:?}");
}
