//! DESIGN's invariants as code over the recorded history of a run. Each rule looks at one entry and at what came before
//! it; none of them uses the engine's or the domain's own decisions, only their records.

mod deeds;
mod facts;
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
mod parts;

use std::fmt;

use cutover::plan::model::Plan;

use super::history::Entry;
use facts::Facts;

/// An invariant of DESIGN.
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

/// A violation that a rule finds in an entry.
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

/// Looks at a history, entry by entry.
#[derive(Clone)]
pub struct Checker {
    facts: Facts,
}

impl Checker {
    pub fn new(plan: &Plan) -> Self {
        Self { facts: Facts::new(plan) }
    }

    /// The violations of the next entry.
    pub fn take(&mut self, entry: &Entry) -> Vec<Violation> {
        let found = RULES.iter().filter_map(|(number, rule)| {
            let message = rule(&self.facts, entry).err()?;
            Some(Violation { invariant: Invariant(*number), message })
        });
        let found = found.collect();
        self.facts.fold(entry);
        found
    }

    /// Whether the traffic goes back.
    pub fn rolling_back(&self) -> bool {
        self.facts.rollback.is_some()
    }

    /// Whether the old cluster is let go.
    pub fn detaching(&self) -> bool {
        self.facts.detaching
    }

    /// The load balancers of the run.
    pub fn load_balancers(&self) -> Vec<String> {
        self.facts.started().map(|s| s.load_balancers.clone()).unwrap_or_default()
    }
}

/// Fails with a message where something does not hold.
fn ensure(holds: bool, message: impl FnOnce() -> String) -> Found {
    if holds { Ok(()) } else { Err(message()) }
}
