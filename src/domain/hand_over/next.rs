//! Decides what happens next with the items of a run: forwards in a `handOver` step, back in a rollback.
//!
//! Each item is on its own: it is stopped in the old cluster; when nothing of it runs there, it is started in the new
//! one. The way back is the same in the other direction, the last item first.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::item::ItemId;
use super::message;
use super::progress::{ItemDrained, ItemIntent, ItemOutcome, ItemProgress, ItemResult, Items, Side};
use super::reading::ItemReading;
use crate::base::time::later;
use crate::domain::traffic::{ClusterName, Reading, Unreadable};

/// The time between two readings of an item, and between two tries of a write. A reading that a write depends on is not
/// older.
pub const RETRY: Duration = Duration::from_secs(5);

/// The time after a stop was read back in which a controller may still create a Job or a pod from an older state of the
/// object. Only a later reading shows that nothing runs.
const QUIET: Duration = Duration::from_secs(5);

/// An item in a cluster.
pub type ItemPlace = (ClusterName, ItemId);

/// The last reading of each item in each cluster.
pub type Readings = BTreeMap<ItemPlace, Reading<ItemReading>>;

/// The input of a decision about items.
#[derive(Debug, Clone, Copy)]
pub struct HandOver<'a> {
    /// The cluster in which the items ran at the start of the run.
    pub from: &'a ClusterName,
    /// The cluster that takes them over.
    pub to: &'a ClusterName,
    /// The number of the step.
    pub step: usize,
    /// How long running Jobs and pods of the side that stops may take to end.
    pub drain: Duration,
    /// Whether an item is started on the one side before it is stopped on the other.
    pub overlap: bool,
    /// Whether another tool moves the items.
    pub verify: bool,
    /// The items of the step, in the order of the plan.
    pub items: &'a [ItemId],
    /// What the run has done with its items.
    pub progress: &'a Items,
    /// The readings of this process.
    pub readings: &'a Readings,
    /// The beginning of the time limit for items without a write: of the step, of the process, or of the rollback.
    pub since: Timestamp,
    /// The time of the decision.
    pub now: Timestamp,
}

/// The next action.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Read these items, then decide again.
    Read(Vec<ItemPlace>),
    /// Journal this intent, write, read back.
    Write(ItemIntent),
    /// Journal that nothing of an item runs any more.
    Drained(ItemDrained),
    /// Journal the outcome of an item that needs no write.
    Outcome(Box<ItemOutcome>),
    /// Wait for these reasons, each with its end.
    Wait(Vec<(String, Option<Timestamp>)>),
    /// The step failed for this reason.
    Failed(String),
    /// Every item is where it should be, except these, each with the reason.
    Done(Vec<String>),
}

/// Returns the next action of a `handOver` step.
pub fn forward(input: &HandOver<'_>) -> Next {
    let next = |item: &ItemId| if input.verify { input.verified(item) } else { input.over(item) };
    combine(input.items.iter().map(next))
}

/// Returns the next action that takes the items of a step back, the last one first.
pub fn back(input: &HandOver<'_>) -> Next {
    let next = |item: &ItemId| match input.progress.get(item) {
        Some(progress) if progress.settled == Some(ItemResult::Verified) => input.verified_back(item),
        Some(progress) if !progress.sides.is_empty() => input.taken_back(item, progress),
        _ => Next::Done(Vec::new()),
    };
    // The other items go back, whatever happens to one of them.
    let left = |next: Next| if let Next::Failed(why) = next { Next::Done(vec![why]) } else { next };
    combine(input.items.iter().rev().map(|item| left(next(item))))
}

/// Combines what the items need: what can be done is done first; the run waits only if all other items wait, too.
fn combine(all: impl Iterator<Item = Next>) -> Next {
    let (mut places, mut waits, mut left) = (Vec::new(), Vec::new(), Vec::new());
    let (mut first, mut failed) = (None, None);
    for next in all {
        match next {
            Next::Read(more) => places.extend(more),
            Next::Wait(more) => waits.extend(more),
            Next::Done(more) => left.extend(more),
            Next::Failed(_) => failed = failed.or(Some(next)),
            Next::Write(_) | Next::Drained(_) | Next::Outcome(_) => first = first.or(Some(next)),
        }
    }
    match failed.or(first) {
        Some(next) => next,
        None if !places.is_empty() => Next::Read(places),
        None if !waits.is_empty() => Next::Wait(waits),
        None => Next::Done(left),
    }
}

impl HandOver<'_> {
    /// Hands an item over.
    fn over(&self, item: &ItemId) -> Next {
        let progress = self.progress.get(item);
        if progress.is_some_and(|progress| progress.settled.is_some()) {
            return Next::Done(Vec::new());
        }
        let side = |cluster: &ClusterName| progress.and_then(|progress| progress.sides.get(cluster));
        let (old, new) = (side(self.from), side(self.to));
        if let Some(next) = [old, new].into_iter().flatten().find_map(|side| self.unwritten(item, side)) {
            return next;
        }
        let stopped = old.is_some_and(|side| side.set == 0 && side.is_done());
        let started = new.is_some_and(|side| side.set > 0 && side.is_done());
        if started && (!self.overlap || old.is_some_and(|side| side.drained)) {
            return Next::Done(Vec::new());
        }
        let (from, to) = match self.both(item, old, new) {
            Ok(both) => both,
            Err(next) => return next,
        };
        if let Some(progress) = progress.filter(|_| old.is_some() || new.is_some()) {
            let count = progress.count;
            return match (stopped, started) {
                (false, false) if old.is_none() => self.write(item, self.to, Some(to.wanted), count, count),
                (false, _) => self.write(item, self.from, Some(from.wanted), 0, count),
                (true, _) if old.is_some_and(|side| !side.drained) => self.drained(item, self.from, old, from, false),
                // Someone else started the item again. It must not run on both sides.
                (true, false) if !self.overlap && from.wanted > 0 => {
                    Next::Failed(message::started_again(item, self.from, from.owner.as_deref()))
                }
                (true, _) => self.write(item, self.to, Some(to.wanted), count, count),
            };
        }
        match (from.wanted, to.wanted) {
            (0, 0) if from.running + to.running == 0 => {
                self.settled(item, ItemResult::Already, 0, "it is stopped on both sides, and stays stopped")
            }
            (0, wanted) if from.running == 0 && wanted > 0 => {
                let detail = format!("it runs in {} already", self.to);
                self.settled(item, ItemResult::Already, wanted, &detail)
            }
            (0, _) if from.running > 0 => self.limited(item, message::still_runs(item, from, self.from)),
            (0, _) => self.limited(item, message::still_runs(item, to, self.to)),
            (_, wanted) if wanted > 0 => Next::Failed(format!(
                "{item} is active in {} and in {}; stop it in {} first",
                self.from, self.to, self.to
            )),
            _ if to.running > 0 && !self.overlap => self.limited(item, message::still_runs(item, to, self.to)),
            (count, _) if self.overlap => self.write(item, self.to, Some(0), count, count),
            (count, _) => self.write(item, self.from, Some(count), 0, count),
        }
    }

    /// Returns what to do after a write without effect; `None` if the write may be sent.
    fn unwritten(&self, item: &ItemId, side: &Side) -> Option<Next> {
        let why = || format!("{item}: {}", side.detail.as_deref().unwrap_or("no response"));
        match side.result? {
            ItemResult::Failed => Some(Next::Failed(why())),
            ItemResult::Unknown if self.now >= self.ends(side) => Some(Next::Failed(why())),
            ItemResult::Unknown if self.now < later(side.at, RETRY) => {
                Some(Next::Wait(vec![(why(), Some(later(side.at, RETRY)))]))
            }
            _ => None,
        }
    }

    /// Waits until another tool has handed an item over.
    fn verified(&self, item: &ItemId) -> Next {
        if self.progress.get(item).is_some_and(|progress| progress.settled.is_some()) {
            return Next::Done(Vec::new());
        }
        let (from, to) = match self.both(item, None, None) {
            Ok(both) => both,
            Err(next) => return next,
        };
        let wait = |message: String| Next::Wait(vec![(message, Some(later(self.now, RETRY)))]);
        if from.wanted > 0 {
            return wait(format!("the owner of {item} must stop it in {}", self.from));
        }
        if from.running > 0 {
            return wait(message::still_runs(item, from, self.from));
        }
        if to.wanted == 0 {
            return wait(format!("the owner of {item} must start it in {}", self.to));
        }
        self.settled(item, ItemResult::Verified, to.wanted, "its owner moved it")
    }

    /// Returns what is left of an item that another tool must take back.
    fn verified_back(&self, item: &ItemId) -> Next {
        let ends = later(self.since, self.drain);
        let wanted = |cluster: &ClusterName| {
            let reading = self.readings.get(&(cluster.clone(), item.clone()));
            reading.and_then(|reading| reading.value.as_ref().ok()).map(|reading| reading.wanted)
        };
        if let (Some(from), Some(0)) = (wanted(self.from), wanted(self.to))
            && from > 0
        {
            return Next::Done(Vec::new());
        }
        let message = format!("{item}: its owner must stop it in {} and start it in {}", self.to, self.from);
        match self.both(item, None, None) {
            Err(read @ Next::Read(_)) => read,
            _ if self.now >= ends => Next::Done(vec![message]),
            _ => Next::Wait(vec![(message, Some(ends.min(later(self.now, RETRY))))]),
        }
    }

    /// Takes an item back: stops it in the new cluster if it was or may have been started there, then starts it in the
    /// old one.
    fn taken_back(&self, item: &ItemId, progress: &ItemProgress) -> Next {
        let (old, new) = (progress.sides.get(self.from), progress.sides.get(self.to));
        let returned = old.is_none_or(|side| side.set > 0 && side.is_done());
        let gone = new.is_none_or(|side| side.set == 0 && side.is_done() && side.drained);
        let start = || self.returned(item, progress, old, gone);
        let stop = || self.withdrawn(item, progress, new);
        match (returned, gone) {
            (true, true) => Next::Done(Vec::new()),
            (false, _) if self.overlap => start(),
            (_, false) => stop(),
            (false, true) => start(),
        }
    }

    /// Stops an item in the new cluster, and waits until nothing of it runs there.
    fn withdrawn(&self, item: &ItemId, progress: &ItemProgress, new: Option<&Side>) -> Next {
        let Some(side) = new else { return Next::Done(Vec::new()) };
        if side.set > 0 {
            return self.write(item, self.to, None, 0, progress.count);
        }
        let why = || side.detail.clone().unwrap_or_else(|| "no response".to_owned());
        if !side.is_done() {
            return self
                .tried_again(item, self.to, side, progress.count, || format!("not stopped in {}: {}", self.to, why()));
        }
        match self.fresh(item, self.to, Some(side)) {
            Ok(reading) => self.drained(item, self.to, new, reading, true),
            Err(next) => next,
        }
    }

    /// Starts an item in the old cluster again.
    fn returned(&self, item: &ItemId, progress: &ItemProgress, old: Option<&Side>, gone: bool) -> Next {
        let count = progress.count;
        let Some(side) = old else { return Next::Done(Vec::new()) };
        if side.set > 0 {
            let why = || side.detail.clone().unwrap_or_else(|| "no response".to_owned());
            let left = || format!("not started in {}: {}", self.from, why());
            return self.tried_again(item, self.from, side, count, left);
        }
        // The other side is read, so that its last schedule is known. A side that cannot be read stops nothing.
        let unread = !self.readings.contains_key(&(self.to.clone(), item.clone()));
        if unread && gone && !progress.sides.contains_key(self.to) {
            return Next::Read(vec![(self.to.clone(), item.clone())]);
        }
        self.write(item, self.from, None, count, count)
    }

    /// Sends a write again that has no result, in the pace of [`RETRY`]; gives up after the time for draining.
    fn tried_again(
        &self,
        item: &ItemId,
        cluster: &ClusterName,
        side: &Side,
        count: u32,
        left: impl Fn() -> String,
    ) -> Next {
        let again = later(side.at, RETRY);
        // The write of a process that has died is sent again at once.
        if side.result.is_none() || side.at < self.since || (self.now >= again && self.now < self.ends(side)) {
            return self.write(item, cluster, None, side.set, count);
        }
        if self.now >= self.ends(side) {
            return Next::Done(vec![format!("{item}: {}", left())]);
        }
        Next::Wait(vec![(format!("{item}: {}", left()), Some(again))])
    }

    /// Waits until nothing of a stopped item runs. On the way back, the run goes on without an item that takes too long.
    fn drained(
        &self,
        item: &ItemId,
        cluster: &ClusterName,
        side: Option<&Side>,
        reading: &ItemReading,
        back: bool,
    ) -> Next {
        let Some(side) = side else { return Next::Done(Vec::new()) };
        let ends = self.ends(side);
        let over = |why: String| if back { Next::Done(vec![why]) } else { Next::Failed(why) };
        if reading.wanted > 0 {
            return over(message::started_again(item, cluster, reading.owner.as_deref()));
        }
        if reading.running > 0 {
            let message = message::still_runs(item, reading, cluster);
            if self.now < ends {
                return Next::Wait(vec![(message, Some(later(self.now, RETRY).min(ends)))]);
            }
            let limit = crate::base::duration::format_exact(self.drain);
            return over(format!("{message} after the {limit} of `drain`; it is stopped on both sides"));
        }
        let quiet = later(side.at, QUIET);
        if self.at(item, cluster) < quiet {
            return Next::Wait(vec![(
                format!("{item} is stopped in {cluster}"),
                Some(quiet.max(later(self.now, RETRY))),
            )]);
        }
        let (item, cluster) = (item.clone(), cluster.clone());
        Next::Drained(ItemDrained { step: self.step, item, cluster, assumed_by: None })
    }

    /// Returns when the time for draining is over.
    fn ends(&self, side: &Side) -> Timestamp {
        later(side.since.max(self.since), self.drain)
    }

    fn write(&self, item: &ItemId, cluster: &ClusterName, expect: Option<u32>, set: u32, count: u32) -> Next {
        Next::Write(ItemIntent { step: self.step, item: item.clone(), cluster: cluster.clone(), expect, set, count })
    }

    fn settled(&self, item: &ItemId, result: ItemResult, value: u32, why: &str) -> Next {
        Next::Outcome(Box::new(ItemOutcome {
            step: self.step,
            item: item.clone(),
            cluster: self.to.clone(),
            result,
            value,
            last_schedule: None,
            detail: Some(why.to_owned()),
        }))
    }

    /// Waits for at most the time for draining.
    fn limited(&self, item: &ItemId, message: String) -> Next {
        let ends = later(self.since, self.drain);
        if self.now < ends {
            return Next::Wait(vec![(message, Some(later(self.now, RETRY).min(ends)))]);
        }
        let message = if message.contains(&item.to_string()) { message } else { format!("{item}: {message}") };
        Next::Failed(message)
    }

    /// Returns the readings of both sides, each from after the last event of its side.
    fn both(
        &self,
        item: &ItemId,
        old: Option<&Side>,
        new: Option<&Side>,
    ) -> Result<(&ItemReading, &ItemReading), Next> {
        let rank = |next: &Next| match next {
            Next::Failed(_) => 2,
            Next::Read(_) => 1,
            _ => 0,
        };
        match (self.fresh(item, self.from, old), self.fresh(item, self.to, new)) {
            (Ok(from), Ok(to)) => Ok((from, to)),
            (Err(Next::Read(from)), Err(Next::Read(to))) => Err(Next::Read([from, to].concat())),
            (Err(from), Err(to)) if rank(&to) > rank(&from) => Err(to),
            (Err(next), _) | (_, Err(next)) => Err(next),
        }
    }

    /// Returns the last reading of an item in a cluster, or what to do without one.
    fn fresh(&self, item: &ItemId, cluster: &ClusterName, side: Option<&Side>) -> Result<&ItemReading, Next> {
        let place = (cluster.clone(), item.clone());
        let reading = self.readings.get(&place);
        let old = |reading: &Reading<ItemReading>| {
            self.now.duration_since(reading.at) >= SignedDuration::try_from(RETRY).unwrap_or_default()
                || side.is_some_and(|side| reading.at < side.at)
        };
        match reading {
            Some(reading) if !old(reading) => match &reading.value {
                Ok(value) => Ok(value),
                Err(Unreadable::NotFound(_)) => Err(self.limited(item, format!("{item} does not exist in {cluster}"))),
                Err(why) => Err(self.limited(item, format!("{item} cannot be read in {cluster}: {why}"))),
            },
            _ => Err(Next::Read(vec![place])),
        }
    }

    fn at(&self, item: &ItemId, cluster: &ClusterName) -> Timestamp {
        self.readings.get(&(cluster.clone(), item.clone())).map_or(Timestamp::MIN, |reading| reading.at)
    }
}
