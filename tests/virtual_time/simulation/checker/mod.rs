//! The invariants of the design as code over the recorded history of a run. Each rule judges one entry by the entries
//! before it. No rule uses the engine's or the domain's decisions, only their records.

mod compare;
mod facts;
mod hooks;
mod i01;
mod i02;
mod i03;
mod i04;
mod i05;
mod i06;
mod i07;
mod i08;
mod i09;
mod i10;
mod i11;
pub mod i12;
mod i13;
mod i14;

use std::fmt;

use cutover::plan::model::Plan;

use super::history::Entry;
use facts::Facts;

/// The number of an invariant of the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Invariant(pub u8);

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I{}", self.0)
    }
}

/// An invariant that does not hold, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    pub invariant: Invariant,
    pub message: String,
}

/// The result of a rule for one entry: `Err` is a violation.
type Found = Result<(), String>;
type Rule = fn(&Facts, &Entry) -> Found;

const RULES: [(u8, Rule); 14] = [
    (1, i01::holds),
    (2, i02::holds),
    (3, i03::holds),
    (4, i04::holds),
    (5, i05::holds),
    (6, i06::holds),
    (7, i07::holds),
    (8, i08::holds),
    (9, i09::holds),
    (10, i10::holds),
    (11, i11::holds),
    (12, i12::holds),
    (13, i13::holds),
    (14, i14::holds),
];

/// Checks a history, entry by entry.
#[derive(Clone)]
pub struct Checker {
    facts: Facts,
}

impl Checker {
    pub fn new(plan: &Plan) -> Self {
        Self { facts: Facts::new(plan) }
    }

    /// Returns the violations of the next entry.
    pub fn take(&mut self, entry: &Entry) -> Vec<Violation> {
        let found = RULES.iter().filter_map(|(number, rule)| {
            let message = rule(&self.facts, entry).err()?;
            Some(Violation { invariant: Invariant(*number), message })
        });
        let found = found.collect();
        self.facts.fold(entry);
        found
    }

    /// Whether the run is rolling back.
    pub fn rolling_back(&self) -> bool {
        self.facts.rollback.is_some()
    }

    /// Whether `finalize --detach` is removing the old groups.
    pub fn detaching(&self) -> bool {
        self.facts.detaching
    }

    /// Returns the ARNs of the load balancers of the run.
    pub fn load_balancers(&self) -> Vec<String> {
        self.facts.started().map(|s| s.load_balancers.clone()).unwrap_or_default()
    }
}

/// Returns the message as an error if the condition does not hold.
fn ensure(holds: bool, message: impl FnOnce() -> String) -> Found {
    if holds { Ok(()) } else { Err(message()) }
}
