//! The recorded history of a run: what was sent, changed in the simulated AWS, read, journalled and published. The
//! checker checks every entry when it is added.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cutover::domain::health::HealthCounts;
use cutover::domain::run::event::{Ramp, Record, Started};
use cutover::domain::run::hook::HookId;
use cutover::domain::traffic::{RouteContent, RouteId};
use cutover::port::store::Request;
use jiff::Timestamp;

use super::checker::{Checker, Violation};
use super::route_actions::RouteActions;
use cutover::plan::model::Plan;

/// The verb that a process was started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Check,
    Run,
    Resume,
    /// The verb `resume --reassert`.
    Reassert,
    Rollback,
    /// The verb `rollback --ramp`.
    Ramp,
    /// The verb `finalize --detach`.
    Finalize,
}

impl Verb {
    /// Returns the request that the verb sends when it starts, if it is a rollback.
    pub fn request(self) -> Option<Request> {
        let by = "bob@lab".to_owned();
        match self {
            Self::Rollback => Some(Request::Rollback { by, force: false, break_stickiness: None }),
            Self::Ramp => Some(Request::Ramp {
                by,
                force: false,
                break_stickiness: None,
                ramp: Ramp { percents: vec![25, 50, 100], every: 60 },
            }),
            _ => None,
        }
    }
}

/// The author of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The program under test, or the lab on behalf of the schedule.
    Us,
    /// Someone else.
    Foreign,
}

/// The content of an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum EntryContent {
    /// The `started` event of the run is known.
    Started(Box<Started>),
    Begins(Verb),
    /// A process ended by itself: its exit code and its last message.
    Ends(u8, String),
    /// A process died.
    Died,
    /// Someone set the clock of the process, by this many milliseconds.
    ClockSet(i64),
    /// A call left the process: its number, service, operation and body.
    Sent {
        call: u32,
        service: String,
        operation: String,
        body: String,
    },
    /// A route of the simulated AWS changed.
    Applied {
        by: By,
        route: RouteId,
        before: RouteActions,
        after: Option<RouteActions>,
    },
    /// The marker tag of the load balancer changed.
    Tagged {
        by: By,
        value: Option<String>,
    },
    /// A process read a route; `live` is `None` if the read failed.
    SawRoute {
        route: RouteId,
        requested_at: Timestamp,
        live: Option<RouteContent>,
        gone: bool,
    },
    /// A process read the health of a group; `counts` is `None` if the read failed.
    SawHealth {
        group: String,
        requested_at: Timestamp,
        counts: Option<HealthCounts>,
    },
    /// A process read the marker.
    SawMarker(Result<Option<String>, ()>),
    /// A process read its own identity: the account; `None` if the read failed.
    SawCaller(Option<String>),
    /// A process read the identity of a cluster; `uid` is `None` if the read failed.
    SawCluster {
        cluster: String,
        uid: Option<String>,
    },
    /// A process writes a route.
    Set {
        route: RouteId,
        content: RouteContent,
    },
    /// A process applies a binding.
    Bind {
        cluster: String,
        binding: String,
        dry_run: bool,
    },
    /// A command or a hook starts.
    HookBegins(HookId),
    /// A command or a hook has ended.
    HookEnds(HookId),
    /// A record is on disk.
    Journalled(Record),
    /// A record was published to the subscribers, whether it is on disk or not.
    Published(Record),
    /// A journal was opened: its bytes, and the number of accepted records or the error.
    Opened {
        bytes: Vec<u8>,
        read: Result<usize, String>,
    },
    /// A line of the log.
    Logged(String),
    /// The final actions of the routes, after everything has ended.
    FinalState(BTreeMap<RouteId, RouteActions>),
}

/// An entry: the time by the lab's clock, and the number of the process (from 1; 0 if there is none).
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub at: Timestamp,
    pub process: u32,
    pub what: EntryContent,
}

/// More entries than any run needs: a run that stays frozen in all its processes has some fifty thousand.
const MAX_ENTRIES: usize = 200_000;

/// A history that is being written, with its checker. Clones share the data.
#[derive(Clone)]
pub struct History(Arc<Mutex<HistoryData>>);

#[derive(Clone)]
pub struct HistoryData {
    pub entries: Vec<Entry>,
    pub process: u32,
    pub checker: Checker,
    pub violations: Vec<(usize, Violation)>,
}

impl History {
    pub fn new(plan: &Plan) -> Self {
        Self(Arc::new(Mutex::new(HistoryData {
            entries: Vec::new(),
            process: 0,
            checker: Checker::new(plan),
            violations: Vec::new(),
        })))
    }

    /// Continues an earlier history.
    pub fn of(data: HistoryData) -> Self {
        Self(Arc::new(Mutex::new(data)))
    }

    pub fn data(&self) -> MutexGuard<'_, HistoryData> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a process begins. The following entries belong to this process.
    pub fn begin(&self, at: Timestamp, verb: Verb) {
        self.data().process += 1;
        self.note(at, EntryContent::Begins(verb));
    }

    pub fn note(&self, at: Timestamp, what: EntryContent) {
        self.data().note(at, what);
    }
}

impl HistoryData {
    fn note(&mut self, at: Timestamp, what: EntryContent) {
        // A loop without waiting would never end; the limit stops it.
        assert!(self.entries.len() < MAX_ENTRIES, "the run repeats itself without end: {what:?} at {at}");
        let entry = Entry { at, process: self.process, what };
        let found = self.checker.take(&entry);
        let index = self.entries.len();
        self.violations.extend(found.into_iter().map(|v| (index, v)));
        self.entries.push(entry);
    }

    /// Returns the entries up to the first violation as text.
    pub fn transcript(&self) -> String {
        let last = self.violations.first().map_or(self.entries.len(), |(index, _)| index + 1);
        let lines = self.entries[..last].iter().map(|e| format!("{} {} {:?}", e.at, e.process, e.what));
        lines.map(|l| l.chars().take(600).collect::<String>() + "\n").collect()
    }
}
