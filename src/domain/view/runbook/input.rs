//! The input of a runbook: the plan, its planned start, and what is live.

use std::fmt::Write;
use std::time::Duration;

use jiff::{Timestamp, Zoned};

use crate::domain::view::check::CheckReport;
use crate::plan::model::{BalancerKind, Plan, RouteEntry, StateLocation};
use crate::plan::schedule;

/// A plan that takes longer than one shift changes hands: eight hours.
pub(super) const SHIFT: Duration = Duration::from_hours(8);

/// Everything that a runbook is made from.
#[derive(Debug, Clone)]
pub struct RunbookInput<'a> {
    /// The plan, or the plan of one of its waves.
    pub plan: &'a Plan,
    /// The plan file as an argument of a command, such as `plans/gitops.yaml`.
    pub file: String,
    /// The planned start of the run; `None` means that the times are counted from the start.
    pub start: Option<Zoned>,
    /// What is live.
    pub live: LiveFacts,
}

/// What was read from AWS and the clusters for a runbook.
#[derive(Debug, Clone)]
pub enum LiveFacts {
    /// Nothing was read, because the operator asked for a document from the plan alone.
    Offline,
    /// The load balancers could not be read, for these reasons.
    Unreadable(Vec<String>),
    /// The load balancers were read.
    Read {
        /// The time of the reading.
        at: Timestamp,
        /// The result of `check`, with at least one route.
        report: Box<CheckReport>,
        /// The shell script that restores what is live, or why there is none.
        script: Result<String, String>,
    },
}

impl RunbookInput<'_> {
    /// Returns the number of routes that a step writes: those that are live, or those that the plan declares.
    pub(super) fn routes(&self) -> usize {
        match &self.live {
            LiveFacts::Read { report, .. } => report.routes.len(),
            _ => schedule::expected_routes(&self.plan.workloads),
        }
    }

    /// Returns a command of a run of this plan, such as `cutover pause shop`, with the location of its state.
    pub(super) fn command(&self, verb: &str) -> String {
        let name = &self.plan.name;
        let state = match &self.plan.state {
            StateLocation::Local => String::new(),
            shared @ StateLocation::Kubernetes { .. } => format!(" --state {shared}"),
        };
        let (verb, options) = verb.split_once(' ').map_or((verb, String::new()), |(verb, o)| (verb, format!(" {o}")));
        // The other commands find the unfinished run; a rollback may be about finished waves, too.
        let wave = if verb == "rollback" { self.wave_option() } else { String::new() };
        format!("cutover {verb} {name}{wave}{options}{state}")
    }

    /// Returns the option that names the wave of this document; empty for a plan without waves.
    pub(super) fn wave_option(&self) -> String {
        self.plan.wave_name().map_or_else(String::new, |wave| format!(" --wave {wave}"))
    }

    /// Returns the entries of all workloads.
    pub(super) fn entries(&self) -> impl Iterator<Item = &RouteEntry> {
        self.plan.workloads.iter().flat_map(|workload| &workload.routes)
    }

    /// Whether the plan moves routes of this kind of load balancer.
    pub(super) fn has(&self, kind: BalancerKind) -> bool {
        self.entries().any(|entry| entry.kind == kind)
    }
}

/// Appends a line to a document.
pub(super) fn put(out: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{line}");
}

/// Appends a row to a table of a document.
pub(super) fn row(out: &mut String, cells: &[&str]) {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
    put(out, &format!("| {} |", cells.join(" | ")));
}

/// Joins words as a sentence does: `a`, `a and b`, `a, b and c`.
pub(super) fn and(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
