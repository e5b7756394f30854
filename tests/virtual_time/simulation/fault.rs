//! Faults, with their place and time; and schedules of faults as lines of text, which replay them.

use std::fmt;
use std::str::FromStr;

use super::history::Verb;

/// When, around one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The call is not sent.
    Before,
    /// It is carried out; its answer is lost.
    Lost,
    /// It is answered, and nothing is journalled since.
    Answered,
    /// It is answered, and the next record is on disk.
    Journalled,
    /// It is carried out seconds later, and never answered.
    Late,
    /// It is carried out just before its deadline, and nothing more happens before the deadline is over.
    Past,
}

/// What.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
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
    /// Someone deploys in the new cluster: its targets are replaced one after the other.
    Deploy,
    /// Every pod of the new cluster dies: the guard fails, and the run goes back by itself.
    Dead,
}

/// The verb that an operator uses after the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Then {
    /// The run continues to its goal; after a crash by `resume`.
    Resume,
    /// An operator uses `rollback`; to the original shares.
    Rollback,
    /// A rollback in stages: `rollback --ramp 25,50,100 --every 1m`.
    Ramp,
    /// After the run has completed, the old cluster is retired: `finalize --detach`.
    Finalize,
}

impl Then {
    /// The verb that an operator uses then.
    pub fn verb(self) -> Verb {
        match self {
            Self::Resume => Verb::Resume,
            Self::Rollback => Verb::Rollback,
            Self::Ramp => Verb::Ramp,
            Self::Finalize => Verb::Finalize,
        }
    }
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The call's operation (of Kubernetes: its method; outside: the occasion), and how many of them the run made
    /// before; so `ModifyRule#0` is its first write. Those of its beginning, from the preflight to its first records,
    /// are counted by themselves: `^DescribeTags#0`.
    pub call: (String, u32),
    pub moment: Moment,
    pub kind: Kind,
}

/// A run and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// `small`, `hooks` or `reference`.
    pub plan: String,
    pub then: Then,
    pub points: Vec<Point>,
}

pub const MOMENTS: [(Moment, &str); 6] = [
    (Moment::Before, "before"),
    (Moment::Lost, "lost"),
    (Moment::Answered, "answered"),
    (Moment::Journalled, "journalled"),
    (Moment::Late, "late"),
    (Moment::Past, "past"),
];

pub const KINDS: [(Kind, &str); 14] = [
    (Kind::Crash, "crash"),
    (Kind::Throttle, "throttle"),
    (Kind::ServerError, "5xx"),
    (Kind::TimeOut, "timeout"),
    (Kind::Reset, "reset"),
    (Kind::Malformed, "malformed"),
    (Kind::Stale, "stale"),
    (Kind::Denied, "denied"),
    (Kind::Expired, "expired"),
    (Kind::ClockJump, "clock"),
    (Kind::Foreign, "foreign"),
    (Kind::DiskFull, "disk"),
    (Kind::Unmarked, "unmarked"),
    (Kind::Deploy, "deploy"),
];

/// A fault that only some schedules have.
const DEAD: (Kind, &str) = (Kind::Dead, "dead");

const THENS: [(Then, &str); 4] =
    [(Then::Resume, "resume"), (Then::Rollback, "rollback"), (Then::Ramp, "ramp"), (Then::Finalize, "finalize")];

fn kinds() -> Vec<(Kind, &'static str)> {
    KINDS.into_iter().chain([DEAD]).collect()
}

fn name<T: PartialEq + Copy>(table: &[(T, &'static str)], value: T) -> &'static str {
    table.iter().find(|(v, _)| *v == value).map_or("?", |(_, n)| n)
}

fn value<T: Copy>(table: &[(T, &str)], text: &str) -> Result<T, String> {
    let names = || table.iter().map(|(_, n)| *n).collect::<Vec<_>>().join(", ");
    table.iter().find(|(_, n)| *n == text).map(|(v, _)| *v).ok_or_else(|| format!("`{text}` is none of {}", names()))
}

/// `small/resume/ModifyRule#0.lost.crash+DescribeRules#7.before.throttle`.
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

/// `ModifyRule#0`.
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
                Ok(Point { call: numbered(call)?, moment: value(&MOMENTS, moment)?, kind: value(&kinds(), kind)? })
            }
            _ => Err(format!("`{p}` is not CALL.MOMENT.KIND")),
        });
        Ok(Self { plan, then, points: points.collect::<Result<_, _>>()? })
    }
}

#[test]
fn a_schedule_is_a_line_of_text_and_back() {
    for text in [
        "small/resume/",
        "small/rollback/GET#17.lost.crash",
        "small/ramp/ModifyRule#5.lost.reset",
        "small/finalize/DescribeTags#3.before.unmarked",
        "hooks/resume/beforeShift#1.answered.dead+undo#0.lost.crash",
        "reference/resume/ModifyRule#3.past.5xx+AddTags#0.journalled.disk",
    ] {
        assert_eq!(text.parse::<Schedule>().expect("it parses").to_string(), text);
    }
    assert!("small/resume/GET#17.soon.crash".parse::<Schedule>().is_err());
}
