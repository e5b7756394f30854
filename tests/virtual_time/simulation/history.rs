//! The recorded history of a run: what was sent, what was applied in the world, what was seen, what was journalled and
//! told. The checker looks at every entry as it comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cutover::domain::health::HealthCounts;
use cutover::domain::run::event::{Ramp, Record, Started};
use cutover::domain::run::hook::HookId;
use cutover::domain::traffic::{RouteContent, RouteId};
use cutover::port::store::Request;
use jiff::Timestamp;

use super::checker::{Checker, Violation};
use super::face::Face;
use cutover::plan::model::Plan;

/// The verb that a process was started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Check,
    Run,
    Resume,
    /// `resume --reassert`.
    Reassert,
    Rollback,
    /// `rollback --ramp`.
    Ramp,
    /// `finalize --detach`.
    Finalize,
}

impl Verb {
    /// The request that the verb leaves at once, if it restores traffic.
    pub fn request(self) -> Option<Request> {
        let by = "bob@lab".to_owned();
        match self {
            Self::Rollback => Some(Request::Rollback { by, force: false }),
            Self::Ramp => {
                Some(Request::Ramp { by, force: false, ramp: Ramp { percents: vec![25, 50, 100], every: 60 } })
            }
            _ => None,
        }
    }
}

/// The author of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A call of ours.
    Us,
    /// Someone else.
    Foreign,
}

/// An entry's content.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The run's beginning is known.
    Started(Box<Started>),
    Begins(Verb),
    /// A process ended by itself, with the code that it exits with and its last words.
    Ends(u8, String),
    /// A process died.
    Died,
    /// Someone set its clock, by so many milliseconds.
    Jumped(i64),
    /// A call left the process: its number, service, operation and body.
    Sent {
        call: u32,
        service: String,
        operation: String,
        body: String,
    },
    /// A route of the world has other actions.
    Applied {
        by: By,
        route: RouteId,
        before: Face,
        after: Option<Face>,
    },
    /// A tag of the load balancer has another value.
    Tagged {
        by: By,
        value: Option<String>,
    },
    /// A process read a route; `None`: it could not.
    SawRoute {
        route: RouteId,
        asked: Timestamp,
        live: Option<RouteContent>,
        gone: bool,
    },
    /// A process read a group's health; `None`: it could not.
    SawHealth {
        group: String,
        asked: Timestamp,
        counts: Option<HealthCounts>,
    },
    /// A process read the marker.
    SawMarker(Result<Option<String>, ()>),
    /// A process asked who it is: the account.
    SawCaller(Option<String>),
    /// A process asked a cluster who it is.
    SawCluster {
        cluster: String,
        uid: Option<String>,
    },
    /// A process writes a route.
    Set {
        route: RouteId,
        content: RouteContent,
    },
    /// A process makes a binding.
    Bind {
        cluster: String,
        binding: String,
        dry_run: bool,
    },
    /// A command or a hook is begun outside.
    Does(HookId),
    /// It has come to its end there.
    Did(HookId),
    /// A record is on disk.
    Journalled(Record),
    /// A record was told, whether it is on disk or not.
    Told(Record),
    /// A journal was opened: its bytes, and the number of records that were believed, or why none.
    Opened {
        bytes: Vec<u8>,
        read: Result<usize, String>,
    },
    /// Text that a person can read: a line of the log.
    Said(String),
    /// All is over, and nothing more will happen: the routes as they are.
    Rests(BTreeMap<RouteId, Face>),
}

/// An entry: when by the world's own clock, and in which process (from 1; 0: none).
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub at: Timestamp,
    pub process: u32,
    pub what: What,
}

/// More entries than any run needs: one that stays frozen for all its lives has some fifty thousand.
const ENOUGH: usize = 200_000;

/// A history that is being written, with its checker. Clones share it.
#[derive(Clone)]
pub struct History(Arc<Mutex<Book>>);

#[derive(Clone)]
pub struct Book {
    pub entries: Vec<Entry>,
    pub process: u32,
    pub checker: Checker,
    pub violations: Vec<(usize, Violation)>,
}

impl History {
    pub fn new(plan: &Plan) -> Self {
        Self(Arc::new(Mutex::new(Book {
            entries: Vec::new(),
            process: 0,
            checker: Checker::new(plan),
            violations: Vec::new(),
        })))
    }

    /// Goes on from a book.
    pub fn of(book: Book) -> Self {
        Self(Arc::new(Mutex::new(book)))
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process begins: what follows is its doing.
    pub fn begin(&self, at: Timestamp, verb: Verb) {
        self.book().process += 1;
        self.note(at, What::Begins(verb));
    }

    pub fn note(&self, at: Timestamp, what: What) {
        self.book().note(at, what);
    }
}

impl Book {
    fn note(&mut self, at: Timestamp, what: What) {
        // Nothing that ends does so much: what goes round and round without waiting would never be heard of.
        assert!(self.entries.len() < ENOUGH, "it goes round in circles: {what:?} at {at}");
        let entry = Entry { at, process: self.process, what };
        let found = self.checker.take(&entry);
        let index = self.entries.len();
        self.violations.extend(found.into_iter().map(|v| (index, v)));
        self.entries.push(entry);
    }

    /// The last entries before the first violation, for a person.
    pub fn story(&self) -> String {
        let last = self.violations.first().map_or(self.entries.len(), |(index, _)| index + 1);
        let lines = self.entries[..last].iter().map(|e| format!("{} {} {:?}", e.at, e.process, e.what));
        lines.map(|l| l.chars().take(600).collect::<String>() + "\n").collect()
    }
}
