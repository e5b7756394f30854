//! Applies events to the state of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::group_facts::GroupFacts;
use super::legal::{self, IllegalEvent};
use super::model::{
    BakeProgress, Drift, Frozen, HookProgress, HoursOverride, OpenWrites, Paused, Phase, RampProgress, Retirement,
    Rollback, Route, State,
};
use crate::domain::hand_over::Items;
use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::run::comparison::Comparison;
use crate::domain::run::event::{
    DriftPolicy, Event, FreezeReason, IgnoredHours, OnTimeout, Ramp, Record, ResumeMode, StepType, Trigger, Write,
    WriteResult,
};
use crate::domain::run::header_rule::HeaderRules;
use crate::domain::run::hook::{HookId, HookPoint, HookResult};
use crate::domain::traffic::{RouteContent, RouteId, Split};

impl State {
    /// Computes the state after the records of a journal; `None` for an empty journal.
    pub fn fold(records: &[Record]) -> Result<Option<Self>, IllegalEvent> {
        let mut state: Option<Self> = None;
        for record in records {
            match &mut state {
                Some(state) => state.apply_record(record)?,
                None => state = Some(Self::start(record)?),
            }
        }
        Ok(state)
    }

    /// Applies the next record. After a record with unknown parts, an illegal event is not an error, but is added to
    /// `newer`.
    pub fn apply_record(&mut self, record: &Record) -> Result<(), IllegalEvent> {
        self.newer.extend(record.newer.iter().map(|newer| newer.description.clone()));
        match self.apply(record.time, &record.event) {
            Err(illegal) if !self.newer.is_empty() => {
                self.newer.push(format!("record {} of the journal: {illegal}", record.seq));
            }
            applied => applied?,
        }
        Ok(())
    }

    fn start(record: &Record) -> Result<Self, IllegalEvent> {
        let Event::Started(started) = &record.event else {
            return Err(IllegalEvent { stand: None, event: legal::event_name(&record.event) });
        };
        let mut state = Self {
            run: record.run.clone(),
            started_at: record.time,
            last_record_at: record.time,
            phase: Phase::Ready,
            step: started.from_step,
            step_since: record.time,
            last_step_done: record.time,
            first_write: None,
            settled: false,
            baked: BakeProgress::starting_at(record.time),
            pause_ended: false,
            timed_out: false,
            all_pauses_promoted: false,
            paused: None,
            frozen: None,
            ignored_hours: None,
            gate_timeout_since: record.time,
            resumed_despite_from: false,
            rollback: None,
            routes: BTreeMap::new(),
            routes_by_group: BTreeMap::new(),
            left_out: BTreeMap::new(),
            group_facts: GroupFacts::default(),
            shares_changed_at: record.time,
            newcomers: BTreeMap::new(),
            accepted_newcomers: BTreeSet::new(),
            shares_since: record.time,
            gates: BTreeMap::new(),
            last_verdicts: BTreeMap::new(),
            comparison: None,
            raises_compared_since: record.time,
            handled_bindings: BTreeSet::new(),
            items: Items::default(),
            hooks: BTreeMap::new(),
            started_commands: BTreeSet::new(),
            header_rules: HeaderRules::found(&started.header_rules, record.time),
            answered_requests: BTreeSet::new(),
            retirement: None,
            finished: None,
            stopped: None,
            newest_tool: String::new(),
            newer: record.newer.iter().map(|newer| newer.description.clone()).collect(),
            started: (**started).clone(),
        };
        started.routes.iter().for_each(|start| state.add_route(Route::new(start.clone(), record.time)));
        Ok(state)
    }

    /// Applies an event. If the state does not allow the event, returns an error and does not change the state.
    pub fn apply(&mut self, time: Timestamp, event: &Event) -> Result<(), IllegalEvent> {
        self.check(event)?;
        if self.group_facts.forget_after(event) {
            self.shares_changed_at = time;
        }
        self.last_record_at = time;
        self.answered_requests.extend(event.request().map(str::to_owned));
        match event {
            Event::ProcessStarted { continuous, tool, .. } => {
                if version(tool) > version(&self.newest_tool) {
                    self.newest_tool.clone_from(tool);
                }
                self.start_process(time, *continuous);
            }
            Event::StepStarted { step, kind, .. } => self.start_step(*step, *kind, time),
            Event::BindingDone { cluster, binding, .. } => {
                self.handled_bindings.insert((cluster.clone(), binding.clone()));
            }
            Event::Intended { deadline, writes, restore } => self.record_intents(time, *deadline, writes, *restore),
            Event::Outcome { route, result, live, .. } => self.record_outcome(time, route, *result, live.as_ref()),
            Event::Settled { .. } => self.settle(time),
            Event::GateMeasured { gate, measurement } => {
                self.gates.entry(gate.clone()).or_default().measurements.push(measurement.clone());
            }
            Event::VerdictChanged { gate, verdict, .. } => self.record_verdict(gate, *verdict),
            Event::Compared(comparison) => self.record_comparison(time, comparison),
            Event::StepDone { step } => {
                self.phase = Phase::Ready;
                self.step = step + 1;
                self.last_step_done = time;
            }
            Event::Baked { millis, until, .. } => {
                self.baked = BakeProgress { observed: Duration::from_millis(*millis), until: *until }
            }
            Event::Approved { .. } => self.pause_ended = true,
            Event::TimedOut { then, .. } => {
                self.timed_out = true;
                self.pause_ended |= *then == OnTimeout::Proceed;
            }
            Event::Promoted { full, .. } => {
                self.pause_ended = true;
                self.all_pauses_promoted |= full;
            }
            Event::Paused { by, reason, .. } => self.paused = Some(Paused { by: by.clone(), why: reason.clone() }),
            Event::Resumed { mode, by, ignore_hours, .. } => {
                self.resume(time, *mode);
                if let Some(IgnoredHours { step, reason }) = ignore_hours {
                    self.ignored_hours = Some(HoursOverride { by: by.clone(), why: reason.clone(), step: *step });
                }
            }
            Event::Frozen { reason, message } => {
                let since = self.frozen.as_ref().filter(|f| f.reason == *reason).map_or(time, |f| f.since);
                self.frozen = Some(Frozen { reason: *reason, message: message.clone(), since });
            }
            Event::Unfrozen {} => self.unfreeze(time),
            Event::Drifted { route, live, .. } => self.record_drift(time, route, live.as_deref()),
            Event::ConditionsChanged { route, after, .. } => {
                if let Some(route) = self.routes.get_mut(route) {
                    route.changed_conditions = Some(after.clone()).filter(|after| *after != route.conditions);
                }
            }
            Event::RuleCreated { route, .. } => {
                self.newcomers.insert(route.id.clone(), (**route).clone());
            }
            Event::LeftOut { routes, .. } => self.leave_out(routes),
            Event::RollbackStarted { cause, by, trigger, to_step, force, break_stickiness, .. } => {
                self.start_rollback(time, (cause, by), *trigger, (*force, *break_stickiness));
                self.rollback.iter_mut().for_each(|rollback| rollback.to_step = *to_step);
            }
            Event::RampStarted { cause, by, ramp, force, break_stickiness, .. } => {
                self.start_rollback(time, (cause, by), Trigger::Operator, (*force, *break_stickiness));
                self.start_ramp(time, ramp);
            }
            Event::Ramped { percent, .. } => self.ramp_to(*percent, time),
            Event::HookStarted { hook, .. } => self.hook_started(*hook, time),
            Event::HookEnded { hook, result, message } => self.hook_ended(*hook, *result, message, time),
            Event::HeaderRules(change) => self.header_rules.apply(change, time),
            Event::RetireStarted { by, bindings, .. } => self.start_retirement(time, by, *bindings),
            Event::BindingRemoved { cluster, binding, deleted: gone, why } => {
                self.binding_removed((cluster.clone(), binding.clone()), (!gone).then(|| why.clone()));
            }
            Event::ItemIntended(intent) => self.items.intend(intent, time),
            Event::ItemOutcome(outcome) => self.items.finish(outcome, time),
            Event::ItemDrained(drained) => self.items.drain(drained, time),
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
            | Event::WeightsTagged { .. }
            | Event::Unknown { .. }
            | Event::ClientsMeasured(_)
            | Event::Notified { .. } => {}
        }
        Ok(())
    }

    fn binding_removed(&mut self, binding: (String, String), left_because: Option<String>) {
        if let Some(retirement) = &mut self.retirement {
            retirement.handled.insert(binding, left_because);
        }
    }

    fn ramp_to(&mut self, percent: u32, time: Timestamp) {
        if let Some(ramp) = self.rollback.as_mut().and_then(|r| r.ramp.as_mut()) {
            (ramp.percent, ramp.since) = (percent, time);
        }
    }

    /// Records a verdict of the compare gate. When it allows raises again, the time-outs of the other gates start again.
    fn record_comparison(&mut self, time: Timestamp, comparison: &Comparison) {
        let held = self.comparison.as_ref().is_some_and(|before| !before.allows_raises());
        if held && comparison.allows_raises() {
            (self.raises_compared_since, self.gate_timeout_since) = (time, time);
        }
        self.comparison = Some(comparison.clone());
    }

    /// Records the start of a process. Time-outs start again (unless `continuous`), because time without a process must
    /// not count against the step.
    fn start_process(&mut self, time: Timestamp, continuous: bool) {
        self.stopped = None;
        if !continuous {
            self.gate_timeout_since = time;
        }
        self.first_write = self.first_write.map(|_| time);
        self.hooks.retain(|_, progress| !matches!(progress, HookProgress::Running(_)));
        self.header_rules.try_again();
        self.routes.values_mut().for_each(|route| route.read_back = false);
        // The previous process may not have sent the writes of its last intent.
        self.rollback.iter_mut().for_each(|rollback| rollback.has_written = false);
    }

    fn start_rollback(
        &mut self,
        time: Timestamp,
        (cause, by): (&str, &str),
        trigger: Trigger,
        (force, break_stickiness): (bool, bool),
    ) {
        // Hooks of a rollback that is in progress continue. Hooks of a step end. A later rollback starts its hooks
        // again.
        let again = self.phase == Phase::RollingBack;
        self.hooks.retain(|hook, progress| match progress {
            HookProgress::Failed(_) => !hook.at.is_rollback(),
            HookProgress::Running(_) => again && hook.at.is_rollback(),
            HookProgress::Succeeded => again || !hook.at.is_rollback(),
        });
        self.phase = Phase::RollingBack;
        self.finished = None;
        self.include_left_out();
        self.header_rules.try_again();
        self.routes.values_mut().for_each(|route| route.read_back = false);
        self.rollback = Some(Rollback {
            cause: cause.to_owned(),
            by: by.to_owned(),
            to_step: None,
            force,
            automatic: trigger.is_automatic(),
            break_stickiness,
            since: time,
            ramp: None,
            has_written: false,
        });
    }

    fn start_retirement(&mut self, time: Timestamp, by: &str, bindings: bool) {
        self.phase = Phase::Retiring;
        self.finished = None;
        self.gate_timeout_since = time;
        self.routes.values_mut().for_each(|route| route.read_back = false);
        self.retirement = Some(Retirement { by: by.to_owned(), bindings, handled: BTreeMap::new() });
    }

    fn start_ramp(&mut self, time: Timestamp, ramp: &Ramp) {
        let from = self.routes.iter().map(|(id, route)| (id.clone(), route.split().clone())).collect();
        let percent = ramp.percents.first().copied().unwrap_or(100);
        let ramping = RampProgress { ramp: ramp.clone(), percent, since: time, from };
        self.rollback.iter_mut().for_each(|rollback| rollback.ramp = Some(ramping.clone()));
    }

    fn start_step(&mut self, step: usize, kind: StepType, time: Timestamp) {
        self.step = step;
        self.step_since = time;
        self.gate_timeout_since = time;
        self.first_write = None;
        self.routes.values_mut().for_each(|route| route.applied_at = None);
        self.settled = false;
        self.baked = BakeProgress::starting_at(time);
        self.pause_ended = false;
        self.timed_out = false;
        self.phase = match kind {
            StepType::Bind | StepType::Shares => Phase::Shifting,
            StepType::Bake => Phase::Baking,
            StepType::Approval => Phase::AwaitingApproval,
            StepType::Exec => Phase::RunningCommand,
            StepType::HeaderRoute => Phase::RoutingHeaders,
            StepType::HandOver => Phase::HandingOver,
        };
    }

    /// Records that the shares of the step are in effect. The measurements of metric gates start again.
    fn record_verdict(&mut self, gate: &str, verdict: GateResult) {
        self.gates.entry(gate.to_owned()).or_default().last_verdict = Some(verdict);
        self.last_verdicts.insert(gate.to_owned(), verdict);
    }

    fn settle(&mut self, time: Timestamp) {
        self.settled = true;
        self.shares_since = time;
        self.gates.clear();
    }

    fn record_intents(&mut self, time: Timestamp, deadline: Timestamp, writes: &[Write], restore: bool) {
        if !restore {
            // Writing drifted routes again does not start the writes of the step: hooks, gates and windows come first.
            if !writes.iter().all(|write| self.routes.get(&write.route).is_some_and(|route| route.reassert)) {
                self.first_write.get_or_insert(time);
            }
            // A settled step settles again after drift was overwritten.
            self.settled = false;
        }
        self.rollback.iter_mut().for_each(|rollback| rollback.has_written |= restore);
        for write in writes {
            let Some(route) = self.routes.get_mut(&write.route) else { continue };
            route.last_event_at = time;
            route.read_back = false;
            let mut open =
                route.open_writes.take().unwrap_or(OpenWrites { splits: Vec::new(), deadline, pending: true });
            open.splits.push(write.set.clone());
            open.deadline = open.deadline.max(deadline);
            open.pending = true;
            route.open_writes = Some(open);
        }
    }

    fn record_outcome(&mut self, time: Timestamp, id: &RouteId, result: WriteResult, live: Option<&Split>) {
        let Some(route) = self.routes.get_mut(id) else { return };
        route.last_event_at = time;
        route.read_back = matches!(result, WriteResult::Applied | WriteResult::Already);
        match result {
            WriteResult::Applied | WriteResult::Already => {
                if let Some(split) = live {
                    // Another actor may have changed more than the split. These changes were read and are kept.
                    let beside = route.drifted_content().filter(|content| content.forward_split().is_some());
                    route.confirm(beside.unwrap_or(&route.confirmed).with_split(split), time);
                }
                route.close_writes();
                route.drift = None;
                (route.reassert, route.joined_late, route.live_accepted) = (false, false, false);
                if result == WriteResult::Applied {
                    route.applied_at = Some(time);
                }
            }
            WriteResult::Unknown => {
                if let Some(open) = &mut route.open_writes {
                    open.pending = false;
                }
            }
            WriteResult::Unreadable => {}
            WriteResult::Failed => route.drop_last_write(),
            WriteResult::Deleted => {
                route.open_writes = None;
                route.drift = Some(Drift::Gone);
            }
        }
    }

    fn record_drift(&mut self, time: Timestamp, id: &RouteId, live: Option<&RouteContent>) {
        let Some(route) = self.routes.get_mut(id) else { return };
        route.read_back = false;
        if let Some(live) = live.filter(|live| route.confirmed.kept_as(live)) {
            // A restart that forgot nothing is no drift: only the process is another one.
            route.confirm(live.clone(), time);
            (route.drift, route.reassert, route.deletion_accepted) = (None, false, false);
            return;
        }
        let back = live.is_some_and(|live| live.equivalent(&route.confirmed));
        if !back && route.drift.is_none() {
            route.remember_replaced(route.split().clone(), time);
        }
        route.drift = (!back).then(|| live.cloned().map_or(Drift::Gone, Drift::Changed));
        let forgot = live.is_some_and(|live| route.confirmed.restarted_as(live));
        route.reassert = !back && (route.reassert || (forgot && route.start.reasserts));
        route.deletion_accepted = false;
    }

    /// Records the start of a hook or command. Every started command must be undone in a rollback, whatever its result.
    fn hook_started(&mut self, hook: HookId, time: Timestamp) {
        self.hooks.insert(hook, HookProgress::Running(time));
        if hook.at == HookPoint::Command {
            self.started_commands.insert(hook.step);
        }
    }

    fn hook_ended(&mut self, hook: HookId, result: HookResult, message: &str, time: Timestamp) {
        match result {
            HookResult::Succeeded => drop(self.hooks.insert(hook, HookProgress::Succeeded)),
            HookResult::Failed => drop(self.hooks.insert(hook, HookProgress::Failed(message.to_owned()))),
            HookResult::Interrupted => drop(self.hooks.remove(&hook)),
        }
        if (hook.at, result) == (HookPoint::Undo, HookResult::Succeeded) {
            self.started_commands.remove(&hook.step);
        }
        // The duration of a hook does not count against the gates' time-out.
        self.gate_timeout_since = time;
    }

    fn resume(&mut self, time: Timestamp, mode: ResumeMode) {
        self.items.retry(time);
        // Failed hooks run again, and refused header rules are planned again.
        self.header_rules.try_again();
        self.hooks.retain(|_, progress| !matches!(progress, HookProgress::Failed(_)));
        self.paused = None;
        self.resumed_despite_from |= self.frozen.as_ref().is_some_and(|f| f.reason == FreezeReason::FromUnhealthy);
        let drift = self.frozen.as_ref().is_some_and(|f| f.reason == FreezeReason::Drift);
        if !drift || mode.drift != DriftPolicy::Leave {
            self.unfreeze(time);
        }
        if mode.include_new {
            self.include_newcomers(time);
        }
        match mode.drift {
            DriftPolicy::Leave => {}
            DriftPolicy::KeepLive => self.keep_live(time),
            // The run cannot write a deleted rule again, and does not write conditions of rules.
            DriftPolicy::Reassert => {
                self.routes.values_mut().for_each(|route| route.reassert |= route.drifted_content().is_some());
            }
        }
    }

    /// Accepts all changes by other actors: from now on, the run expects the live content.
    fn keep_live(&mut self, time: Timestamp) {
        let accepted_rules = self.newcomers.values().filter(|start| self.replaced_route(start).is_some());
        let accepted_rules: Vec<_> = accepted_rules.map(|start| start.id.clone()).collect();
        self.accepted_newcomers.extend(accepted_rules);
        for route in self.routes.values_mut() {
            if let Some(conditions) = route.changed_conditions.take() {
                route.conditions = conditions;
            }
            match route.drift.take() {
                Some(Drift::Changed(live)) => {
                    route.confirm(live, time);
                    route.live_accepted = true;
                }
                Some(Drift::Gone) => (route.drift, route.deletion_accepted) = (Some(Drift::Gone), true),
                None => {}
            }
        }
    }

    /// Adds the rules that appeared since the start as routes of the run. A rollback restores the content of such a
    /// rule at its first reading or, if the rule replaces a deleted route, the original shares of the deleted route.
    fn include_newcomers(&mut self, time: Timestamp) {
        for start in std::mem::take(&mut self.newcomers).into_values() {
            let start = match self.replaced_route(&start) {
                Some(route) => start.replacing(&route.start),
                None => start,
            };
            self.started.routes.push(start.clone());
            self.add_route(Route { reassert: true, joined_late: true, ..Route::new(start, time) });
        }
    }

    fn unfreeze(&mut self, time: Timestamp) {
        self.frozen = None;
        self.gate_timeout_since = time;
        // The time-out of a step with failed writes starts again.
        if self.first_write.is_some() {
            self.first_write = Some(time);
        }
    }
}

impl Route {
    /// Closes the open writes that set the confirmed split. Other writes without a response may still take effect; only
    /// a reading after their deadline closes them. (The reading of the confirmed split may be older than the deadline,
    /// even if its event is recorded later.)
    fn close_writes(&mut self) {
        let Some(mut open) = self.open_writes.take() else { return };
        let now = self.split();
        open.splits.retain(|set| !set.equivalent(now));
        open.pending = false;
        self.open_writes = Some(open).filter(|o| !o.splits.is_empty());
    }

    /// Removes the last open write, which was rejected and has no effect.
    fn drop_last_write(&mut self) {
        if let Some(open) = &mut self.open_writes {
            open.splits.pop();
            open.pending = false;
        }
        self.open_writes = self.open_writes.take().filter(|o| !o.splits.is_empty());
    }
}

/// Returns the numbers of a version as a list that can be compared.
fn version(text: &str) -> Vec<u32> {
    text.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}
