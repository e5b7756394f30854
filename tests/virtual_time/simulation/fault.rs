//! Faults with their place and time, and schedules of faults as one line of text, which replays them.

use std::fmt;
use std::str::FromStr;

use super::history::Verb;

/// When a fault happens, relative to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The call is not sent.
    Before,
    /// The call is executed, and its response is lost.
    Lost,
    /// The call has its response, and no record is journalled yet.
    Answered,
    /// The call has its response, and the next record is on disk.
    Journalled,
    /// The call is executed five seconds later, and never gets a response.
    Late,
    /// The call is executed just before its deadline, and nothing else happens before the deadline is over.
    Past,
}

/// The kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    Crash,
    Throttle,
    ServerError,
    TimeOut,
    Reset,
    Malformed,
    Stale,
    Denied,
    Expired,
    ClockJump,
    Foreign,
    DiskFull,
    /// Someone removes the marker.
    Unmarked,
    /// Someone deploys in the new cluster: its targets are replaced one by one.
    Deploy,
    /// Every pod of the new cluster dies: the guard fails, and the run rolls back automatically.
    Dead,
    /// An instance of HAProxy ends the connection in the middle of a line of commands.
    Half,
    /// An instance of HAProxy is down for some time. Then it starts with the weights of its configuration.
    Down,
    /// An instance of HAProxy answers late for some time.
    Slow,
    /// An instance of HAProxy reloads, and forgets its weights.
    Reload,
}

/// The verb that an operator uses after the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FollowUp {
    /// The run continues to its last step; after a crash, with `resume`.
    Resume,
    /// The operator uses `rollback`, back to the original shares.
    Rollback,
    /// A rollback in stages: `rollback --ramp 25,50,100 --every 1m`.
    Ramp,
    /// After the run has completed, the old groups are detached: `finalize --detach`.
    Finalize,
}

impl FollowUp {
    /// Returns the verb that the operator uses.
    pub fn verb(self) -> Verb {
        match self {
            Self::Resume => Verb::Resume,
            Self::Rollback => Verb::Rollback,
            Self::Ramp => Verb::Ramp,
            Self::Finalize => Verb::Finalize,
        }
    }
}

/// One fault at one call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultPoint {
    /// The operation of the call (for Kubernetes the method; for hooks the hook point) and the number of earlier calls
    /// of this operation in the run: `ModifyRule#0` is the first write. Calls from the preflight to the first records
    /// have their own numbers: `^DescribeTags#0`.
    pub call: (String, u32),
    pub moment: Moment,
    pub kind: FaultKind,
}

/// A run, its faults, and the operator's verb after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The name of the plan: `small`, `network`, `haproxy`, `map`, `hooks`, `haproxy-hooks` or `reference`.
    pub plan: String,
    pub then: FollowUp,
    pub points: Vec<FaultPoint>,
}

pub const MOMENTS: [(Moment, &str); 6] = [
    (Moment::Before, "before"),
    (Moment::Lost, "lost"),
    (Moment::Answered, "answered"),
    (Moment::Journalled, "journalled"),
    (Moment::Late, "late"),
    (Moment::Past, "past"),
];

pub const KINDS: [(FaultKind, &str); 14] = [
    (FaultKind::Crash, "crash"),
    (FaultKind::Throttle, "throttle"),
    (FaultKind::ServerError, "5xx"),
    (FaultKind::TimeOut, "timeout"),
    (FaultKind::Reset, "reset"),
    (FaultKind::Malformed, "malformed"),
    (FaultKind::Stale, "stale"),
    (FaultKind::Denied, "denied"),
    (FaultKind::Expired, "expired"),
    (FaultKind::ClockJump, "clock"),
    (FaultKind::Foreign, "foreign"),
    (FaultKind::DiskFull, "disk"),
    (FaultKind::Unmarked, "unmarked"),
    (FaultKind::Deploy, "deploy"),
];

/// The faults at a route of HAProxy, which has no request limits, no late reads and no markers.
pub const HAPROXY_KINDS: [(FaultKind, &str); 13] = [
    (FaultKind::Crash, "crash"),
    (FaultKind::TimeOut, "timeout"),
    (FaultKind::Reset, "reset"),
    (FaultKind::Malformed, "malformed"),
    (FaultKind::Denied, "denied"),
    (FaultKind::ClockJump, "clock"),
    (FaultKind::Foreign, "foreign"),
    (FaultKind::DiskFull, "disk"),
    (FaultKind::Deploy, "deploy"),
    (FaultKind::Half, "half"),
    (FaultKind::Down, "down"),
    (FaultKind::Slow, "slow"),
    (FaultKind::Reload, "reload"),
];

/// The fault that only some schedules have, so that it is not in `KINDS`.
const DEAD: (FaultKind, &str) = (FaultKind::Dead, "dead");

const THENS: [(FollowUp, &str); 4] = [
    (FollowUp::Resume, "resume"),
    (FollowUp::Rollback, "rollback"),
    (FollowUp::Ramp, "ramp"),
    (FollowUp::Finalize, "finalize"),
];

fn kinds() -> Vec<(FaultKind, &'static str)> {
    KINDS.into_iter().chain(HAPROXY_KINDS).chain([DEAD]).collect()
}

fn name<T: PartialEq + Copy>(table: &[(T, &'static str)], value: T) -> &'static str {
    table.iter().find(|(v, _)| *v == value).map_or("?", |(_, n)| n)
}

fn value<T: Copy>(table: &[(T, &str)], text: &str) -> Result<T, String> {
    let names = || table.iter().map(|(_, n)| *n).collect::<Vec<_>>().join(", ");
    table.iter().find(|(_, n)| *n == text).map(|(v, _)| *v).ok_or_else(|| format!("`{text}` is not one of {}", names()))
}

/// Formats a schedule, for example as `small/resume/ModifyRule#0.lost.crash+DescribeRules#7.before.throttle`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/", self.plan, name(&THENS, self.then))?;
        for (index, p) in self.points.iter().enumerate() {
            let plus = if index == 0 { "" } else { "+" };
            write!(f, "{plus}{}#{}.{}.{}", p.call.0, p.call.1, name(&MOMENTS, p.moment), name(&kinds(), p.kind))?;
        }
        Ok(())
    }
}

/// Parses an operation and its number, such as `ModifyRule#0`.
fn numbered(text: &str) -> Result<(String, u32), String> {
    let parts = text.split_once('#').and_then(|(operation, number)| Some((operation.to_owned(), number.parse().ok()?)));
    parts.ok_or_else(|| format!("`{text}` is not OPERATION#NUMBER"))
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.trim().splitn(3, '/');
        let mut next = || parts.next().ok_or_else(|| format!("`{text}` is not PLAN/THEN/CALL.MOMENT.KIND+…"));
        let (plan, then, points) = (next()?.to_owned(), value(&THENS, next()?)?, next()?);
        let points = points.split('+').filter(|p| !p.is_empty()).map(|p| match p.split('.').collect::<Vec<_>>()[..] {
            [call, moment, kind] => {
                Ok(FaultPoint { call: numbered(call)?, moment: value(&MOMENTS, moment)?, kind: value(&kinds(), kind)? })
            }
            _ => Err(format!("`{p}` is not CALL.MOMENT.KIND")),
        });
        Ok(Self { plan, then, points: points.collect::<Result<_, _>>()? })
    }
}

#[test]
fn a_schedule_can_be_written_and_parsed() {
    for text in [
        "small/resume/",
        "small/rollback/GET#17.lost.crash",
        "small/ramp/ModifyRule#5.lost.reset",
        "small/finalize/DescribeTags#3.before.unmarked",
        "hooks/resume/beforeShift#1.answered.dead+undo#0.lost.crash",
        "haproxy/resume/set-server#0.past.half+show-servers#7.before.reload",
        "reference/resume/ModifyRule#3.past.5xx+AddTags#0.journalled.disk",
    ] {
        assert_eq!(text.parse::<Schedule>().expect("the schedule should parse").to_string(), text);
    }
    assert!("small/resume/GET#17.soon.crash".parse::<Schedule>().is_err());
}
