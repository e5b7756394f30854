//! The fold: what each event changes in the state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::legal::{self, Illegal};
use super::model::{Baked, Detach, Drift, Frozen, Open, Paused, Phase, Progress, Ramping, Rollback, Route, State};
use crate::domain::run::event::{
    Event, Freeze, OnTimeout, Ramp, Record, ResumeMode, StepType, Trigger, Write, WriteResult,
};
use crate::domain::run::hook::{HookId, HookResult, Occasion};
use crate::domain::traffic::{Content, RouteId, Split};

impl State {
    /// The state after the records of a journal; `None` for an empty journal.
    pub fn fold(records: &[Record]) -> Result<Option<Self>, Illegal> {
        let mut state: Option<Self> = None;
        for record in records {
            match &mut state {
                Some(state) => state.take(record)?,
                None => state = Some(Self::start(record)?),
            }
        }
        Ok(state)
    }

    /// Applies the next record. After a record with unknown parts, an illegal event is noted in `newer` instead of
    /// refused.
    pub fn take(&mut self, record: &Record) -> Result<(), Illegal> {
        self.newer.extend(record.newer.iter().map(|newer| newer.what.clone()));
        match self.apply(record.time, &record.event) {
            Err(illegal) if !self.newer.is_empty() => {
                self.newer.push(format!("record {} of the journal: {illegal}", record.seq))
            }
            applied => applied?,
        }
        Ok(())
    }

    fn start(record: &Record) -> Result<Self, Illegal> {
        let Event::Started(started) = &record.event else {
            return Err(Illegal { stand: None, event: legal::kind(&record.event) });
        };
        let routes = started.routes.iter().map(|start| (start.id.clone(), Route::new(start.clone(), record.time)));
        Ok(Self {
            run: record.run.clone(),
            since: record.time,
            last: record.time,
            phase: Phase::Ready,
            step: started.from_step,
            step_since: record.time,
            first_write: None,
            last_applied: None,
            settled: false,
            baked: Baked::since(record.time),
            released: false,
            timed_out: false,
            full: false,
            paused: None,
            frozen: None,
            gate_since: record.time,
            overruled: false,
            rollback: None,
            routes: routes.collect(),
            newcomers: BTreeMap::new(),
            shares_since: record.time,
            gates: BTreeMap::new(),
            bound: BTreeSet::new(),
            hooks: BTreeMap::new(),
            done: BTreeSet::new(),
            heard: BTreeSet::new(),
            detach: None,
            finished: None,
            stopped: None,
            tool: String::new(),
            newer: record.newer.iter().map(|newer| newer.what.clone()).collect(),
            started: (**started).clone(),
        })
    }

    /// Applies an event. If the state does not allow it, returns the error and changes nothing.
    pub fn apply(&mut self, time: Timestamp, event: &Event) -> Result<(), Illegal> {
        self.check(event)?;
        self.last = time;
        self.heard.extend(event.request().map(str::to_owned));
        match event {
            Event::Claimed { onward, tool, .. } => {
                if version(tool) > version(&self.tool) {
                    self.tool.clone_from(tool);
                }
                self.claim(time, *onward);
            }
            Event::StepStarted { step, kind, .. } => self.enter(*step, *kind, time),
            Event::Bound { cluster, binding, .. } => {
                self.bound.insert((cluster.clone(), binding.clone()));
            }
            Event::Intended { deadline, writes, restore } => self.intend(time, *deadline, writes, *restore),
            Event::Outcome { route, result, live, .. } => self.outcome(time, route, *result, live.as_ref()),
            Event::Settled { .. } => self.settle(time),
            Event::Sampled { gate, measurement } => {
                self.gates.entry(gate.clone()).or_default().measured.push(measurement.clone())
            }
            Event::Judged { gate, call, .. } => self.gates.entry(gate.clone()).or_default().said = Some(*call),
            Event::StepDone { step } => {
                self.phase = Phase::Ready;
                self.step = step + 1;
            }
            Event::Baked { millis, until, .. } => {
                self.baked = Baked { observed: Duration::from_millis(*millis), until: *until }
            }
            Event::Approved { .. } => self.released = true,
            Event::TimedOut { then, .. } => {
                self.timed_out = true;
                self.released |= *then == OnTimeout::Proceed;
            }
            Event::Promoted { full, .. } => {
                self.released = true;
                self.full |= full;
            }
            Event::Paused { by, reason, .. } => self.paused = Some(Paused { by: by.clone(), why: reason.clone() }),
            Event::Resumed { mode, .. } => self.resume(time, *mode),
            Event::Frozen { reason, message } => {
                self.frozen = Some(Frozen { reason: *reason, message: message.clone(), since: time })
            }
            Event::Thawed {} => self.thaw(time),
            Event::Drifted { route, live, .. } => self.drift(time, route, live.as_deref()),
            Event::Appeared { route } => {
                self.newcomers.insert(route.id.clone(), (**route).clone());
            }
            Event::RollbackStarted { cause, by, trigger, to_step, force, .. } => {
                self.go_back(time, (cause, by), *trigger, *force);
                self.rollback.iter_mut().for_each(|rollback| rollback.to_step = *to_step);
            }
            Event::RampStarted { cause, by, ramp, force, .. } => {
                self.go_back(time, (cause, by), Trigger::Operator, *force);
                self.ramp(time, ramp);
            }
            Event::Ramped { percent, .. } => {
                if let Some(ramp) = self.rollback.as_mut().and_then(|r| r.ramp.as_mut()) {
                    (ramp.percent, ramp.since) = (*percent, time);
                }
            }
            Event::HookStarted { hook, .. } => self.began(*hook, time),
            Event::HookEnded { hook, result, message } => self.ended(*hook, *result, message, time),
            Event::DetachStarted { by, bindings, .. } => self.detach(time, by, *bindings),
            Event::Unbound { cluster, binding, gone, why } => {
                let left = (!gone).then(|| why.clone());
                self.detach
                    .iter_mut()
                    .for_each(|d| drop(d.dealt.insert((cluster.clone(), binding.clone()), left.clone())));
            }
            Event::Finished { outcome, .. } => {
                self.phase = Phase::Finished;
                self.finished = Some(*outcome);
            }
            Event::Stopped { reason, .. } => self.stopped = Some(*reason),
            Event::Started(_)
            | Event::GateFailed { .. }
            | Event::Waiting { .. }
            | Event::Health { .. }
            | Event::Notice { .. }
            | Event::Kept { .. }
            | Event::Unknown { .. }
            | Event::Measured(_)
            | Event::Notified { .. } => {}
        }
        Ok(())
    }

    /// A new process has observed nothing, and its time-outs start again: time without a process does not count against
    /// the step.
    fn claim(&mut self, time: Timestamp, onward: bool) {
        self.stopped = None;
        if !onward {
            self.gate_since = time;
        }
        self.first_write = self.first_write.map(|_| time);
        self.hooks.retain(|_, progress| !matches!(progress, Progress::Running(_)));
        self.routes.values_mut().for_each(|route| route.read_back = false);
        // The previous process may not have sent the writes that it announced.
        self.rollback.iter_mut().for_each(|rollback| rollback.wrote = false);
    }

    fn go_back(&mut self, time: Timestamp, (cause, by): (&str, &str), trigger: Trigger, force: bool) {
        // During a rollback its own hooks continue. The hooks of a step are over, and a later rollback starts its hooks
        // again.
        let again = self.phase == Phase::RollingBack;
        self.hooks.retain(|hook, progress| match progress {
            Progress::Failed(_) => !hook.at.of_rollback(),
            Progress::Running(_) => again && hook.at.of_rollback(),
            Progress::Well => again || !hook.at.of_rollback(),
        });
        self.phase = Phase::RollingBack;
        self.finished = None;
        self.routes.values_mut().for_each(|route| route.read_back = false);
        self.rollback = Some(Rollback {
            cause: cause.to_owned(),
            by: by.to_owned(),
            to_step: None,
            force,
            automatic: trigger.is_automatic(),
            since: time,
            ramp: None,
            wrote: false,
        });
    }

    fn detach(&mut self, time: Timestamp, by: &str, bindings: bool) {
        self.phase = Phase::Detaching;
        self.finished = None;
        self.gate_since = time;
        self.routes.values_mut().for_each(|route| route.read_back = false);
        self.detach = Some(Detach { by: by.to_owned(), bindings, dealt: BTreeMap::new() });
    }

    fn ramp(&mut self, time: Timestamp, ramp: &Ramp) {
        let from = self.routes.iter().map(|(id, route)| (id.clone(), route.split().clone())).collect();
        let percent = ramp.percents.first().copied().unwrap_or(100);
        let ramping = Ramping { ramp: ramp.clone(), percent, since: time, from };
        self.rollback.iter_mut().for_each(|rollback| rollback.ramp = Some(ramping.clone()));
    }

    fn enter(&mut self, step: usize, kind: StepType, time: Timestamp) {
        self.step = step;
        self.step_since = time;
        self.gate_since = time;
        self.first_write = None;
        self.last_applied = None;
        self.settled = false;
        self.baked = Baked::since(time);
        self.released = false;
        self.timed_out = false;
        self.phase = match kind {
            StepType::Bind | StepType::Shares => Phase::Moving,
            StepType::Bake => Phase::Baking,
            StepType::Approval => Phase::Awaiting,
            StepType::Exec => Phase::Working,
        };
    }

    /// The shares of this step are in effect; metric gates start again.
    fn settle(&mut self, time: Timestamp) {
        self.settled = true;
        self.shares_since = time;
        self.gates.clear();
    }

    fn intend(&mut self, time: Timestamp, deadline: Timestamp, writes: &[Write], restore: bool) {
        if !restore {
            // Rewriting drifted routes does not start the step: its hooks, gates and hours are still to come.
            if !writes.iter().all(|write| self.routes.get(&write.route).is_some_and(|route| route.reassert)) {
                self.first_write.get_or_insert(time);
            }
            // A step that had settled settles again after drift was overwritten.
            self.settled = false;
        }
        self.rollback.iter_mut().for_each(|rollback| rollback.wrote |= restore);
        for write in writes {
            let Some(route) = self.routes.get_mut(&write.route) else { continue };
            route.touched = time;
            route.read_back = false;
            let mut open = route.open.take().unwrap_or(Open { sets: Vec::new(), deadline, pending: true });
            open.sets.push(write.set.clone());
            open.deadline = open.deadline.max(deadline);
            open.pending = true;
            route.open = Some(open);
        }
    }

    fn outcome(&mut self, time: Timestamp, id: &RouteId, result: WriteResult, live: Option<&Split>) {
        let Some(route) = self.routes.get_mut(id) else { return };
        route.touched = time;
        route.read_back = matches!(result, WriteResult::Applied | WriteResult::Already);
        match result {
            WriteResult::Applied | WriteResult::Already => {
                if let Some(split) = live {
                    // Another actor may have changed more than the split: keep those changes, they were read.
                    let beside = route.changed().filter(|content| content.forwards().is_some());
                    route.replace(beside.unwrap_or(&route.known).with(split), time);
                }
                route.close();
                route.drift = None;
                (route.reassert, route.late) = (false, false);
                if result == WriteResult::Applied {
                    self.last_applied = Some(time);
                }
            }
            WriteResult::Unknown => {
                if let Some(open) = &mut route.open {
                    open.pending = false;
                }
            }
            WriteResult::Unread => {}
            WriteResult::Failed => route.unsend(),
            WriteResult::Gone => {
                route.open = None;
                route.drift = Some(Drift::Gone);
            }
        }
    }

    fn drift(&mut self, time: Timestamp, id: &RouteId, live: Option<&Content>) {
        let Some(route) = self.routes.get_mut(id) else { return };
        route.read_back = false;
        let back = live.is_some_and(|live| live.same(&route.known));
        if !back && route.drift.is_none() {
            route.remember(route.split().clone(), time);
        }
        route.drift = (!back).then(|| live.cloned().map_or(Drift::Gone, Drift::Changed));
        route.reassert &= !back;
    }

    /// Every command that started must be undone later, whatever its result.
    fn began(&mut self, hook: HookId, time: Timestamp) {
        self.hooks.insert(hook, Progress::Running(time));
        if hook.at == Occasion::Command {
            self.done.insert(hook.step);
        }
    }

    fn ended(&mut self, hook: HookId, result: HookResult, message: &str, time: Timestamp) {
        match result {
            HookResult::Well => drop(self.hooks.insert(hook, Progress::Well)),
            HookResult::Failed => drop(self.hooks.insert(hook, Progress::Failed(message.to_owned()))),
            HookResult::Ended => drop(self.hooks.remove(&hook)),
        }
        if (hook.at, result) == (Occasion::Undo, HookResult::Well) {
            self.done.remove(&hook.step);
        }
        // The duration of a hook does not count against the gates' time-out.
        self.gate_since = time;
    }

    fn resume(&mut self, time: Timestamp, mode: ResumeMode) {
        // Failed hooks are tried again.
        self.hooks.retain(|_, progress| !matches!(progress, Progress::Failed(_)));
        self.paused = None;
        self.overruled |= self.frozen.as_ref().is_some_and(|f| f.reason == Freeze::FromInTrouble);
        let drift = self.frozen.as_ref().is_some_and(|f| f.reason == Freeze::Drift);
        let settles = matches!(mode, ResumeMode::KeepLive | ResumeMode::Reassert);
        if !drift || settles {
            self.thaw(time);
        }
        if mode == ResumeMode::IncludeNew {
            self.include(time);
        }
        for route in self.routes.values_mut().filter(|_| settles) {
            match route.drift.clone() {
                Some(Drift::Changed(live)) if mode == ResumeMode::KeepLive => {
                    route.replace(live, time);
                    route.drift = None;
                }
                Some(Drift::Changed(_) | Drift::Gone) => route.reassert = true,
                None => {}
            }
        }
    }

    /// From now on the rules that appeared are routes of the run. A rollback restores what they had when they appeared.
    fn include(&mut self, time: Timestamp) {
        for (id, start) in std::mem::take(&mut self.newcomers) {
            self.started.routes.push(start.clone());
            self.routes.insert(id, Route { reassert: true, late: true, ..Route::new(start, time) });
        }
    }

    fn thaw(&mut self, time: Timestamp) {
        self.frozen = None;
        self.gate_since = time;
        // A step whose writes failed gets its full time-out again.
        if self.first_write.is_some() {
            self.first_write = Some(time);
        }
    }
}

impl Route {
    /// The split has been read back. An older write without an answer may still take effect late, unless it sets the
    /// same split; only a read after its deadline closes it. (This reading may be older than the deadline, whenever the
    /// event is recorded.)
    fn close(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let now = self.split();
        open.sets.retain(|set| !set.same(now));
        open.pending = false;
        self.open = Some(open).filter(|o| !o.sets.is_empty());
    }

    /// The last write was rejected: it takes no effect.
    fn unsend(&mut self) {
        if let Some(open) = &mut self.open {
            open.sets.pop();
            open.pending = false;
        }
        self.open = self.open.take().filter(|o| !o.sets.is_empty());
    }
}

/// The numbers of a version, for comparison.
fn version(text: &str) -> Vec<u32> {
    text.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}
