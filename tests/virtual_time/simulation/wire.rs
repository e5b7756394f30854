//! The connection between the real clients and the lab's model, in process: every call is recorded and counted, and may
//! get a fault of the schedule.

use cutover::domain::elb;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cutover::adapter::store::memory::MemoryStore;
use cutover::engine::marker;
use cutover::lab::model::Snapshot;
use cutover::lab::shared_model::SharedModel;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Level;
use tracing::subscriber::DefaultGuard;

use super::fault::{FaultKind, FaultPoint, Moment};
use super::haproxy;
use super::history::{By, EntryContent, History};
use super::route_actions;

/// The panic that represents the death of a process.
pub struct Crash;

/// How long a fault lasts that affects all API calls.
const LASTING_FAULT: Duration = Duration::from_secs(7);
/// How long an instance of HAProxy is slow.
pub const SLOW_FOR: Duration = Duration::from_secs(20);
/// How long an instance of HAProxy is down: longer than a rollback waits for it.
pub const DOWN_FOR: Duration = Duration::from_secs(45);
/// How long a disk is full.
pub const DISK_FULL_FOR: Duration = Duration::from_secs(20);
/// How far a clock is set, in milliseconds.
const CLOCK_JUMP_MS: i64 = 600_000;
/// The delay of a call that is executed late.
pub const LATE: Duration = Duration::from_secs(5);
/// The delay of a call that is executed just before its deadline: the engine's deadline for writes is ten seconds.
pub const NEAR_DEADLINE: Duration = Duration::from_secs(9);
/// The time after which the deadline for writes is surely over.
pub const AFTER_DEADLINE: Duration = Duration::from_millis(10_500);

/// The service name under which commands and hooks are recorded.
pub const HOOK_SERVICE: &str = "outside";

/// Prefix of the names of calls before the run's first record.
pub const FIRST: char = '^';

/// The state that both transports, the store and the clock share. Clones share the state.
#[derive(Clone)]
pub struct Wire(Arc<Inner>);

struct Inner {
    shell: SharedModel,
    history: History,
    disk: MemoryStore,
    /// The offset of the clock, in milliseconds.
    offset: AtomicI64,
    fault_notify: Notify,
    killed: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether the start of the run is over, so that calls are counted.
    counting: bool,
    calls: u32,
    points: Vec<FaultPoint>,
    /// A fault that waits for the next record: it happens before the record, or after it.
    armed: Option<(Moment, FaultKind)>,
    lasting: Option<(FaultKind, Instant)>,
    /// The number of faults so far.
    faults: usize,
    past: bool,
    /// The address of the instance of HAProxy that got the last line of commands.
    instance: String,
    world: Snapshot,
    /// Names of the calls, from which a sweep chooses.
    names: Vec<CallName>,
}

/// A call of a run without faults.
#[derive(Debug, Clone)]
pub struct CallName {
    pub call: (String, u32),
    pub mutating: bool,
    /// Whether the call is a command or a hook.
    pub outside: bool,
    /// Whether a record follows before the next call.
    pub recorded: bool,
}

impl Wire {
    pub fn new(shell: SharedModel, history: History, disk: MemoryStore, points: Vec<FaultPoint>) -> Self {
        let world = shell.call(|w, _| w.snapshot());
        let state = Mutex::new(State { points, world, ..State::default() });
        Self(Arc::new(Inner {
            shell,
            history,
            disk,
            offset: AtomicI64::default(),
            fault_notify: Notify::new(),
            killed: Notify::new(),
            state,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn model(&self) -> &SharedModel {
        &self.0.shell
    }

    pub fn now(&self) -> Timestamp {
        self.0.shell.call(|_, now| now)
    }

    pub fn note(&self, what: EntryContent) {
        self.0.history.note(self.now(), what);
    }

    /// Records the log in the history as long as the guard exists.
    pub fn record_log(&self) -> DefaultGuard {
        let wire = self.clone();
        let log = tracing_subscriber::fmt()
            .with_max_level(Level::INFO)
            .with_ansi(false)
            .with_writer(move || Lines(wire.clone()));
        tracing::subscriber::set_default(log.finish())
    }

    /// Returns the offset of the clock from the lab's time, in milliseconds.
    pub fn offset(&self) -> i64 {
        self.0.offset.load(Ordering::Relaxed)
    }

    /// Ends the start of the run: from now on, calls have numbers without the prefix `FIRST`.
    pub fn start_counting(&self) {
        self.state().counting = true;
    }

    pub fn call_names(&self) -> Vec<CallName> {
        self.state().names.clone()
    }

    /// Waits until a fault was injected.
    pub async fn fault_injected(&self) {
        while self.state().faults == 0 {
            self.0.fault_notify.notified().await;
        }
    }

    /// Ends the process after a crash in one of its tasks.
    pub fn kill(&self) {
        self.0.killed.notify_waiters();
    }

    /// Waits until the process must die because of a crash in one of its tasks.
    pub async fn killed(&self) {
        self.0.killed.notified().await;
    }

    /// Whether the last crash delays the next process until the deadline of the write is over. Resets this value.
    pub fn take_past_deadline(&self) -> bool {
        std::mem::take(&mut self.state().past)
    }

    /// Stops all faults.
    pub fn stop_faults(&self) {
        let mut state = self.state();
        state.points.clear();
        state.armed = None;
        state.lasting = None;
        drop(state);
        self.0.disk.set_full(false);
    }

    /// Records a call that is about to be sent; returns the fault at this call.
    pub fn call(&self, service: &str, operation: &str, body: &str, mutating: bool) -> Option<FaultPoint> {
        let mut state = self.state();
        let call = state.calls;
        state.calls += u32::from(state.counting);
        if let Some(address) = service.strip_prefix(haproxy::SERVICE) {
            address.clone_into(&mut state.instance);
        }
        let short = operation.split(' ').next().unwrap_or_default();
        let short = if state.counting { short.to_owned() } else { format!("{FIRST}{short}") };
        let number = u32::try_from(state.names.iter().filter(|n| n.call.0 == short).count()).unwrap_or(u32::MAX);
        let own = (short, number);
        let point = state.points.iter().find(|p| p.call == own).cloned();
        state.names.push(CallName { call: own, mutating, outside: service == HOOK_SERVICE, recorded: false });
        let armed = state.armed.take_if(|(moment, _)| *moment == Moment::Answered);
        drop(state);
        if let Some((_, kind)) = armed {
            self.inject(kind);
        }
        self.note(EntryContent::Sent { call, service: service.into(), operation: operation.into(), body: body.into() });
        point
    }

    /// Returns the fault that affects all calls at present.
    pub fn lasting_fault(&self) -> Option<FaultKind> {
        self.state().lasting.filter(|(_, until)| Instant::now() < *until).map(|(kind, _)| kind)
    }

    pub fn arm(&self, moment: Moment, kind: FaultKind) {
        self.state().armed = Some((moment, kind));
    }

    /// Counts a fault of one call.
    pub fn count_fault(&self) {
        self.state().faults += 1;
        self.0.fault_notify.notify_waiters();
    }

    pub fn crash_past_deadline(&self) {
        self.state().past = true;
        self.inject(FaultKind::Crash);
    }

    /// Injects a fault. Does not return after a crash.
    pub fn inject(&self, kind: FaultKind) {
        self.count_fault();
        let faults = self.state().faults;
        match kind {
            FaultKind::Crash => resume_unwind(Box::new(Crash)),
            FaultKind::Dead => self.trigger("dead", By::Us),
            FaultKind::Stale => self.trigger(&format!("stale-{faults}"), By::Us),
            FaultKind::Down | FaultKind::Slow | FaultKind::Reload => self.disturb_instance(kind, faults),
            FaultKind::Foreign if !self.state().instance.is_empty() => {
                let address = self.state().instance.clone();
                self.trigger(&format!("foreign {address} {faults}"), By::Foreign);
            }
            FaultKind::Foreign => {
                let rule = 10 + self.state().calls % 2;
                self.trigger(&format!("foreign-{rule}-{faults}"), By::Foreign);
            }
            FaultKind::Deploy => self.trigger(&format!("deploy-{faults}"), By::Us),
            FaultKind::Unmarked => self.remove_marker(),
            FaultKind::ClockJump => {
                let jump = if self.state().calls.is_multiple_of(2) { CLOCK_JUMP_MS } else { -CLOCK_JUMP_MS };
                self.0.offset.fetch_add(jump, Ordering::Relaxed);
                self.note(EntryContent::ClockSet(jump));
            }
            FaultKind::DiskFull => {
                self.0.disk.set_full(true);
                let disk = self.0.disk.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(DISK_FULL_FOR).await;
                    disk.set_full(false);
                });
            }
            _ => self.state().lasting = Some((kind, Instant::now() + LASTING_FAULT)),
        }
    }

    /// Triggers a fault of the instance of HAProxy that got the last line of commands.
    fn disturb_instance(&self, kind: FaultKind, faults: usize) {
        let name = match kind {
            FaultKind::Down => "down",
            FaultKind::Slow => "slow",
            _ => "reload",
        };
        let address = self.state().instance.clone();
        self.trigger(&format!("{name} {address} {faults}"), By::Foreign);
        let wire = self.clone();
        tokio::spawn(async move {
            // An instance that was down has started again.
            tokio::time::sleep(DOWN_FOR + Duration::from_millis(10)).await;
            wire.0.shell.change(cutover::lab::model::World::advance);
            wire.record_changes(By::Foreign);
        });
    }

    /// Triggers a fault of the lab's scenario.
    fn trigger(&self, name: &str, by: By) {
        self.0.shell.change(|world, now| {
            world.step_started(usize::MAX, Some(name), now);
            world.advance(now);
        });
        self.record_changes(by);
    }

    /// Removes every marker, as someone else would.
    fn remove_marker(&self) {
        self.0.shell.change(|world, now| {
            let marked = |tags: &BTreeMap<String, String>| tags.contains_key(marker::KEY);
            for (arn, _) in world.snapshot().tags.iter().filter(|(_, tags)| marked(tags)) {
                let call = format!(
                    "Action=RemoveTags&Version=2015-12-01&ResourceArns.member.1={arn}&TagKeys.member.1={}",
                    marker::KEY
                );
                let request = http::Request::post("/").body(call.into()).expect("the request should be valid");
                world.aws(&request, now);
            }
        });
        self.record_changes(By::Foreign);
    }

    /// Records the changes in the simulated AWS since the last call of this function.
    pub fn record_changes(&self, by: By) {
        let world = self.0.shell.call(|w, _| w.snapshot());
        let before = std::mem::replace(&mut self.state().world, world.clone());
        for (route, was) in before.routes.iter().filter(|(id, was)| world.routes.get(*id) != Some(was)) {
            let after = world.routes.get(route).map(|a| route_actions::from_aws(a));
            self.note(EntryContent::Applied {
                by,
                route: elb::route(route),
                before: route_actions::from_aws(was),
                after,
            });
        }
        let marker = |s: &Snapshot| s.tags.values().find_map(|t| t.get(marker::KEY)).cloned();
        if marker(&before) != marker(&world) {
            self.note(EntryContent::Tagged { by, value: marker(&world) });
        }
    }

    /// Whether the process must die before this record is written.
    pub fn crashes_before_append(&self) -> bool {
        let armed = self.state().armed.take_if(|(moment, _)| *moment == Moment::Answered);
        if armed.is_some() {
            self.count_fault();
        }
        armed.is_some()
    }

    /// Registers that a record is on disk, and injects the fault that waited for it.
    pub fn after_append(&self) {
        let mut state = self.state();
        if let Some(last) = state.names.last_mut() {
            last.recorded = true;
        }
        let armed = state.armed.take_if(|(moment, _)| *moment == Moment::Journalled);
        drop(state);
        if let Some((_, kind)) = armed {
            self.inject(kind);
        }
    }
}

/// Writes the lines of the log to the history.
struct Lines(Wire);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.note(EntryContent::Logged(String::from_utf8_lossy(bytes).into_owned()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
