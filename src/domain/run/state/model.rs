//! What a run is, as its events tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::metric::gate::Measurement;
use crate::domain::metric::verdict::judge::Call;
use crate::domain::run::event::{Freeze, Outcome, Ramp, RouteStart, Started, Stop};
use crate::domain::run::hook::HookId;
use crate::domain::traffic::{Content, RouteId, Split};

/// For this long after a write was read back, an older value is taken for a late read, not for someone's change. ELBv2 is eventually
/// consistent and publishes no figure; a change that really is someone's is seen as such this much later.
pub const LATE_READ: SignedDuration = SignedDuration::from_secs(30);

/// Who started an automatic rollback.
pub const AUTOMATIC: &str = "cutover";

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Between two steps.
    Ready,
    /// In a `bind` or share step: gates, writes, settle.
    Moving,
    /// In a bake.
    Baking,
    /// In an approval.
    Awaiting,
    /// In a command.
    Working,
    /// The traffic goes back.
    RollingBack,
    /// The old groups are taken out of the actions.
    Detaching,
    /// Over.
    Finished,
}

/// A run as its events tell it.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The run's id.
    pub run: String,
    /// What it must remember.
    pub started: Started,
    /// When it started.
    pub since: Timestamp,
    /// The time of the last record.
    pub last: Timestamp,
    /// Where it is.
    pub phase: Phase,
    /// The current step, or the next one in [`Phase::Ready`]; from 1.
    pub step: usize,
    /// When the current step began.
    pub step_since: Timestamp,
    /// The first write of the current step, what is written over someone else's aside.
    pub first_write: Option<Timestamp>,
    /// The last write that read back right in the current step.
    pub last_applied: Option<Timestamp>,
    /// Whether the current step's writes have settled.
    pub settled: bool,
    /// Observed time of the current bake, and up to when it is counted.
    pub baked: Baked,
    /// The current pause is approved or promoted.
    pub released: bool,
    /// Nobody approved the current step in time, and what the plan wants then was done.
    pub timed_out: bool,
    /// Every pause of the run is promoted.
    pub full: bool,
    /// Who paused it, and why.
    pub paused: Option<Paused>,
    /// Why nothing is raised.
    pub frozen: Option<Frozen>,
    /// A raise-gate time-out that was already acted upon is not acted upon again before this time.
    pub gate_since: Timestamp,
    /// A person resumed although the old side is in trouble.
    pub overruled: bool,
    /// The rollback under way, or done.
    pub rollback: Option<Rollback>,
    /// Every route.
    pub routes: BTreeMap<RouteId, Route>,
    /// Rules that someone made since the start, and that the run does not move.
    pub newcomers: BTreeMap<RouteId, RouteStart>,
    /// Since when the present shares stand: what metric gates measured before is about others.
    pub shares_since: Timestamp,
    /// What metric gates measured and said since then, by their names.
    pub gates: BTreeMap<String, Gate>,
    /// Bindings dealt with, as (cluster, namespace/name).
    pub bound: BTreeSet<(String, String)>,
    /// Commands and hooks, as far as they were begun; a process that takes the run in hand finds none of them under way.
    pub hooks: BTreeMap<HookId, Progress>,
    /// The steps whose commands were begun, and not taken back since.
    pub done: BTreeSet<usize>,
    /// Requests that were heard, by their names in the store.
    pub heard: BTreeSet<String>,
    /// The old groups were taken out of the actions, or are being.
    pub detach: Option<Detach>,
    /// How it ended.
    pub finished: Option<Outcome>,
    /// Why the last process left it, if it did.
    pub stopped: Option<Stop>,
    /// The newest version that drove it.
    pub tool: String,
    /// What this build does not know in its records, in words.
    pub newer: Vec<String>,
}

/// How long the current step has baked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baked {
    /// Observed time.
    pub observed: Duration,
    /// Up to when it is counted.
    pub until: Timestamp,
}

impl Baked {
    /// Nothing yet.
    pub(super) fn since(until: Timestamp) -> Self {
        Self { observed: Duration::ZERO, until }
    }
}

/// A pause that a person, or `onFailure: pause`, asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// By whom.
    pub by: String,
    /// Why; may be empty.
    pub why: String,
}

/// A freeze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// Why.
    pub reason: Freeze,
    /// In words.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// A metric gate of the present shares.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gate {
    /// What it measured, oldest first.
    pub measured: Vec<Measurement>,
    /// What was last recorded of what it says.
    pub said: Option<Call>,
}

/// How far a command or a hook is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Under way, since then.
    Running(Timestamp),
    /// Over, and well.
    Well,
    /// Over, and why that was not well.
    Failed(String),
}

/// The end of the way back, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detach {
    /// By whom.
    pub by: String,
    /// Whether the old cluster's bindings are deleted, too.
    pub bindings: bool,
    /// Bindings dealt with, as (cluster, namespace/name), each with why it was left there, if it was.
    pub dealt: BTreeMap<(String, String), Option<String>>,
}

/// A rollback, as it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollback {
    /// Why.
    pub cause: String,
    /// By whom; `cutover` for an automatic one.
    pub by: String,
    /// The earlier share step to return to; `None`: the start.
    pub to_step: Option<usize>,
    /// A person insists.
    pub force: bool,
    /// Nobody asked: it came by itself.
    pub automatic: bool,
    /// When it began: what was read before then is no read-back.
    pub since: Timestamp,
    /// In parts, and how far.
    pub ramp: Option<Ramping>,
    /// The present process has written something for it.
    pub wrote: bool,
}

/// How far a way back in parts is.
#[derive(Debug, Clone, PartialEq)]
pub struct Ramping {
    /// As it was asked for.
    pub ramp: Ramp,
    /// The part that is written, or was: percent of the way.
    pub percent: u32,
    /// Since when.
    pub since: Timestamp,
    /// Where every route was when it began.
    pub from: BTreeMap<RouteId, Split>,
}

impl Rollback {
    /// The way that is still in parts; `None`: all of it.
    pub fn part(&self) -> Option<&Ramping> {
        self.ramp.as_ref().filter(|ramp| ramp.percent < 100)
    }
}

/// A route of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// What it was.
    pub start: RouteStart,
    /// Its content as last confirmed.
    pub known: Content,
    /// A write that may still take effect.
    pub open: Option<Open>,
    /// What someone else did to it, if they did.
    pub drift: Option<Drift>,
    /// The drift may be overwritten (`resume --reassert`), or for a deleted rule, is known of.
    pub reassert: bool,
    /// It was taken in after the others had moved on, and has to follow them.
    pub late: bool,
    /// The last event about it: a reading from before then says nothing.
    pub touched: Timestamp,
    /// The present process read it back as known after its last write, and nothing has happened to it, nor has a rollback begun, since.
    pub read_back: bool,
    /// What stood there before the last writes, ours and others', and when each was known to be replaced: a late read may still show it.
    pub past: Vec<Past>,
}

/// What someone else did to a route.
#[derive(Debug, Clone, PartialEq)]
pub enum Drift {
    /// They put this there.
    Changed(Content),
    /// They deleted it.
    Gone,
}

/// What stood on a route before.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// The split.
    pub split: Split,
    /// When it was known to be replaced.
    pub replaced: Timestamp,
}

/// A write whose effect is not known yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// What was sent; several, where more than one was never answered.
    pub sets: Vec<Split>,
    /// After this time none of them takes effect any more.
    pub deadline: Timestamp,
    /// Whether the process that sent it is still about to say what became of it.
    pub pending: bool,
}

impl Route {
    /// A route as it was when the run first knew of it.
    pub(super) fn new(start: RouteStart, at: Timestamp) -> Self {
        Self {
            known: start.found.clone().unwrap_or_else(|| start.content.clone()),
            start,
            open: None,
            drift: None,
            reassert: false,
            late: false,
            touched: at,
            read_back: false,
            past: Vec::new(),
        }
    }

    /// The split as last confirmed.
    pub fn split(&self) -> &Split {
        &self.known.split
    }

    /// The split at the start of the run.
    pub fn original(&self) -> &Split {
        &self.start.content.split
    }

    /// What someone else put there, if they did.
    pub fn changed(&self) -> Option<&Content> {
        match self.drift.as_ref()? {
            Drift::Changed(content) => Some(content),
            Drift::Gone => None,
        }
    }

    /// What must be there before a write: what we last saw, and what someone else put there where that may be overwritten.
    pub fn expected(&self) -> &Content {
        self.changed().filter(|_| self.reassert).unwrap_or(&self.known)
    }

    /// Whether a reading of then that shows this may be of a time before our own last write, or before what someone else did since, which
    /// were seen: it proves nothing.
    pub fn outdated(&self, split: &Split, at: Timestamp) -> bool {
        let late = |past: &Past| at.duration_since(past.replaced) < LATE_READ && past.split.same(split);
        let last = self.changed().and_then(Content::forwards).unwrap_or(self.split());
        !last.same(split) && self.past.iter().any(late)
    }

    /// What stood there is known to be replaced.
    pub(super) fn remember(&mut self, split: Split, replaced: Timestamp) {
        self.past.retain(|past| replaced.duration_since(past.replaced) < LATE_READ);
        self.past.push(Past { split, replaced });
    }

    /// Something else stands there from now on.
    pub(super) fn replace(&mut self, content: Content, time: Timestamp) {
        let before = std::mem::replace(&mut self.known, content).split;
        if !self.split().same(&before) {
            self.remember(before, time);
        }
    }

    /// Whether the route was deleted.
    pub fn gone(&self) -> bool {
        self.drift == Some(Drift::Gone)
    }
}

impl State {
    /// What a metric gate measured since the present shares stand, oldest first.
    pub fn measured(&self, gate: &str) -> &[Measurement] {
        self.gates.get(gate).map_or(&[], |gate| &gate.measured)
    }

    /// What was last recorded of what a metric gate says.
    pub fn said(&self, gate: &str) -> Option<Call> {
        self.gates.get(gate).and_then(|gate| gate.said)
    }

    /// Whether raises are held, by a person or by itself.
    pub fn held(&self) -> bool {
        self.paused.is_some() || self.frozen.is_some()
    }

    /// Routes that someone else changed, or deleted.
    pub fn drifted(&self) -> impl Iterator<Item = &Route> {
        self.routes.values().filter(|r| r.drift.is_some())
    }
}
