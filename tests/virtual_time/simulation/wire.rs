//! The wire between the real clients and the lab's model, in process: every call is recorded, counted, and struck by
//! the schedule's faults.

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

use super::face;
use super::fault::{Kind, Moment, Point};
use super::history::{By, History, What};

/// The panic that stands for the death of a process.
pub struct Crash;

/// How long a fault of the API lasts that is not of one call only.
const SPELL: Duration = Duration::from_secs(7);
/// How long a disk is full.
pub const FULL: Duration = Duration::from_secs(20);
/// How far a clock jumps, in milliseconds.
const JUMP: i64 = 600_000;
/// When a late call is carried out.
pub const LATE: Duration = Duration::from_secs(5);
/// When a call is carried out that nobody waits for any more: the engine's deadline for writes is ten seconds.
pub const PAST: Duration = Duration::from_secs(9);
/// When that deadline is surely over.
pub const OVER: Duration = Duration::from_millis(10_500);

/// The service of commands and hooks.
pub const OUTSIDE: &str = "outside";

/// Prefix of the names of calls before the run's first record.
pub const FIRST: char = '^';

/// State that both wires, the store and the clock share. Clones share it, too.
#[derive(Clone)]
pub struct Wire(Arc<Inner>);

struct Inner {
    shell: SharedModel,
    history: History,
    disk: MemoryStore,
    /// The offset of the clock, in milliseconds.
    offset: AtomicI64,
    struck: Notify,
    killed: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether the beginning is over, and how many calls there were since.
    counting: bool,
    calls: u32,
    points: Vec<Point>,
    /// A fault that waits for the next record: before it, or after it.
    armed: Option<(Moment, Kind)>,
    spell: Option<(Kind, Instant)>,
    /// Strikes so far, and the last death's moment.
    strikes: usize,
    past: bool,
    world: Snapshot,
    /// Names of the calls, for a sweep to choose from.
    names: Vec<Name>,
}

/// A call, as a sweep sees it.
#[derive(Debug, Clone)]
pub struct Name {
    pub call: (String, u32),
    pub mutating: bool,
    /// It is a command or a hook.
    pub outside: bool,
    /// A record follows before the next call.
    pub recorded: bool,
}

impl Wire {
    pub fn new(shell: SharedModel, history: History, disk: MemoryStore, points: Vec<Point>) -> Self {
        let world = shell.call(|w, _| w.snapshot());
        let state = Mutex::new(State { points, world, ..State::default() });
        Self(Arc::new(Inner {
            shell,
            history,
            disk,
            offset: AtomicI64::default(),
            struck: Notify::new(),
            killed: Notify::new(),
            state,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn shell(&self) -> &SharedModel {
        &self.0.shell
    }

    pub fn now(&self) -> Timestamp {
        self.0.shell.call(|_, now| now)
    }

    pub fn note(&self, what: What) {
        self.0.history.note(self.now(), what);
    }

    /// The log becomes part of the history for as long as the guard lives.
    pub fn log(&self) -> DefaultGuard {
        let wire = self.clone();
        let log = tracing_subscriber::fmt()
            .with_max_level(Level::INFO)
            .with_ansi(false)
            .with_writer(move || Lines(wire.clone()));
        tracing::subscriber::set_default(log.finish())
    }

    /// The offset of the clock from the world's time, in milliseconds.
    pub fn offset(&self) -> i64 {
        self.0.offset.load(Ordering::Relaxed)
    }

    /// The beginning is over: from now on calls are counted by themselves.
    pub fn count(&self) {
        self.state().counting = true;
    }

    pub fn names(&self) -> Vec<Name> {
        self.state().names.clone()
    }

    /// Returns once a fault has struck.
    pub async fn struck(&self) {
        while self.state().strikes == 0 {
            self.0.struck.notified().await;
        }
    }

    /// A crash has struck in a task of the process that is not its first.
    pub fn kill(&self) {
        self.0.killed.notify_waiters();
    }

    /// Returns once the process is to die of that.
    pub async fn killed(&self) {
        self.0.killed.notified().await;
    }

    /// Whether the last death was one after which nobody comes back before the deadline is over.
    pub fn past(&self) -> bool {
        std::mem::take(&mut self.state().past)
    }

    /// No fault strikes any more.
    pub fn cease(&self) {
        let mut state = self.state();
        state.points.clear();
        state.armed = None;
        state.spell = None;
        drop(state);
        self.0.disk.set_full(false);
    }

    /// A call is about to be sent.
    pub fn call(&self, service: &str, operation: &str, body: &str, mutating: bool) -> Option<Point> {
        let mut state = self.state();
        let call = state.calls;
        state.calls += u32::from(state.counting);
        let short = operation.split(' ').next().unwrap_or_default();
        let short = if state.counting { short.to_owned() } else { format!("{FIRST}{short}") };
        let number = u32::try_from(state.names.iter().filter(|n| n.call.0 == short).count()).unwrap_or(u32::MAX);
        let own = (short, number);
        let point = state.points.iter().find(|p| p.call == own).cloned();
        state.names.push(Name { call: own, mutating, outside: service == OUTSIDE, recorded: false });
        let armed = state.armed.take_if(|(moment, _)| *moment == Moment::Answered);
        drop(state);
        if let Some((_, kind)) = armed {
            self.strike(kind);
        }
        self.note(What::Sent { call, service: service.into(), operation: operation.into(), body: body.into() });
        point
    }

    /// The fault that lasts at present.
    pub fn spell(&self) -> Option<Kind> {
        self.state().spell.filter(|(_, until)| Instant::now() < *until).map(|(kind, _)| kind)
    }

    pub fn arm(&self, moment: Moment, kind: Kind) {
        self.state().armed = Some((moment, kind));
    }

    /// Notes that a fault of one call has struck.
    pub fn hit(&self) {
        self.state().strikes += 1;
        self.0.struck.notify_waiters();
    }

    pub fn die_past(&self) {
        self.state().past = true;
        self.strike(Kind::Crash);
    }

    /// A fault strikes. A crash does not return.
    pub fn strike(&self, kind: Kind) {
        self.hit();
        let strikes = self.state().strikes;
        match kind {
            Kind::Crash => resume_unwind(Box::new(Crash)),
            Kind::Dead => self.play("dead", By::Us),
            Kind::Stale => self.play(&format!("stale-{strikes}"), By::Us),
            Kind::Foreign => {
                let rule = 10 + self.state().calls % 2;
                self.play(&format!("foreign-{rule}-{strikes}"), By::Foreign);
            }
            Kind::Deploy => self.play(&format!("deploy-{strikes}"), By::Us),
            Kind::Unmarked => self.unmark(),
            Kind::ClockJump => {
                let jump = if self.state().calls.is_multiple_of(2) { JUMP } else { -JUMP };
                self.0.offset.fetch_add(jump, Ordering::Relaxed);
                self.note(What::Jumped(jump));
            }
            Kind::DiskFull => {
                self.0.disk.set_full(true);
                let disk = self.0.disk.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(FULL).await;
                    disk.set_full(false);
                });
            }
            _ => self.state().spell = Some((kind, Instant::now() + SPELL)),
        }
    }

    /// Lets a fault of the lab's scenario happen.
    fn play(&self, name: &str, by: By) {
        self.0.shell.change(|world, now| {
            world.step_started(usize::MAX, Some(name), now);
            world.advance(now);
        });
        self.observe(by);
    }

    /// Someone removes the marker, wherever it is.
    fn unmark(&self) {
        self.0.shell.change(|world, now| {
            let marked = |tags: &BTreeMap<String, String>| tags.contains_key(marker::KEY);
            for (arn, _) in world.snapshot().tags.iter().filter(|(_, tags)| marked(tags)) {
                let call = format!(
                    "Action=RemoveTags&Version=2015-12-01&ResourceArns.member.1={arn}&TagKeys.member.1={}",
                    marker::KEY
                );
                let request = http::Request::post("/").body(call.into()).expect("a request");
                world.aws(&request, now);
            }
        });
        self.observe(By::Foreign);
    }

    /// Notes what is different in the world.
    pub fn observe(&self, by: By) {
        let world = self.0.shell.call(|w, _| w.snapshot());
        let before = std::mem::replace(&mut self.state().world, world.clone());
        for (route, was) in before.routes.iter().filter(|(id, was)| world.routes.get(*id) != Some(was)) {
            let after = world.routes.get(route).map(|a| face::live(a));
            self.note(What::Applied { by, route: elb::route(route), before: face::live(was), after });
        }
        let marker = |s: &Snapshot| s.tags.values().find_map(|t| t.get(marker::KEY)).cloned();
        if marker(&before) != marker(&world) {
            self.note(What::Tagged { by, value: marker(&world) });
        }
    }

    /// A record is about to be written: the process may die here.
    pub fn appending(&self) -> bool {
        let armed = self.state().armed.take_if(|(moment, _)| *moment == Moment::Answered);
        if armed.is_some() {
            self.hit();
        }
        armed.is_some()
    }

    /// A record is on disk.
    pub fn appended(&self) {
        let mut state = self.state();
        if let Some(last) = state.names.last_mut() {
            last.recorded = true;
        }
        let armed = state.armed.take_if(|(moment, _)| *moment == Moment::Journalled);
        drop(state);
        if let Some((_, kind)) = armed {
            self.strike(kind);
        }
    }
}

/// Takes what is logged into the history.
struct Lines(Wire);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.note(What::Said(String::from_utf8_lossy(bytes).into_owned()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
