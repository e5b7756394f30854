//! The true history of a pair: who had the Lease when, and who wrote what.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// A write that reached the load balancer.
#[derive(Debug, Clone)]
pub struct Write {
    pub by: &'static str,
    /// When the engine sent the write, right after it had confirmed the lock.
    pub sent: Timestamp,
    /// When the write arrived.
    pub arrived: Timestamp,
    pub raises: bool,
}

#[derive(Debug, Default)]
struct HistoryData {
    /// The holders of the Lease, each with the time of the change.
    holders: Vec<(Timestamp, Option<String>)>,
    writes: Vec<Write>,
    shares: BTreeMap<String, f64>,
    notes: Vec<(Timestamp, String)>,
}

/// The true history of a pair. Clones share the data.
#[derive(Debug, Clone, Default)]
pub struct TrueHistory(Arc<Mutex<HistoryData>>);

/// The sums of one pair or of many.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    pub pairs: u64,
    pub raises: u64,
    pub restores: u64,
    /// How often the Lease went to the other operator.
    pub handed_over: u64,
    /// Raises that arrived while the other operator had the Lease, and that were sent while the other operator had it.
    pub outside: u64,
    /// Raises that arrived while the other operator had the Lease, and that were sent before the other operator
    /// acquired it.
    pub inside: u64,
    /// The longest time between the acquisition of the Lease by the other operator and the arrival of a raise.
    pub longest: Duration,
}

impl TrueHistory {
    fn with_data<T>(&self, with: impl FnOnce(&mut HistoryData) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn note(&self, at: Timestamp, what: impl Into<String>) {
        self.with_data(|b| b.notes.push((at, what.into())));
    }

    pub fn lease(&self, at: Timestamp, holder: Option<String>) {
        self.with_data(|b| {
            if b.holders.last().is_none_or(|(_, last)| *last != holder) {
                b.notes.push((at, format!("the lease belongs to {holder:?}")));
                b.holders.push((at, holder));
            }
        });
    }

    /// Records the arrival of a write, with the share that the write gives the new cluster.
    pub fn write(&self, by: &'static str, route: &str, share: f64, sent: Timestamp, arrived: Timestamp) {
        self.with_data(|b| {
            let before = b.shares.insert(route.to_owned(), share).unwrap_or(0.0);
            let raises = share > before + 1e-9;
            b.notes.push((arrived, format!("{by} writes the share {share:.2} instead of {before:.2}, sent at {sent}")));
            b.writes.push(Write { by, sent, arrived, raises });
        });
    }

    pub fn transcript(&self) -> String {
        self.with_data(|b| b.notes.iter().map(|(at, what)| format!("{at} {what}")).collect::<Vec<_>>().join("\n"))
    }

    pub fn counts(&self) -> Counts {
        self.with_data(|b| {
            let mut counts = Counts { pairs: 1, ..Counts::default() };
            let named: Vec<_> = b.holders.iter().filter_map(|(_, who)| who.as_deref()).collect();
            counts.handed_over = named.windows(2).filter(|w| w[0] != w[1]).count() as u64;
            for write in &b.writes {
                if !write.raises {
                    counts.restores += 1;
                    continue;
                }
                counts.raises += 1;
                let Some((taken, Some(holder))) = b.holders.iter().rev().find(|(at, _)| *at <= write.arrived) else {
                    continue;
                };
                if holder == write.by {
                    continue;
                }
                if *taken <= write.sent {
                    counts.outside += 1;
                } else {
                    counts.inside += 1;
                    counts.longest = counts.longest.max(write.arrived.duration_since(*taken).unsigned_abs());
                }
            }
            counts
        })
    }
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.pairs += other.pairs;
        self.raises += other.raises;
        self.restores += other.restores;
        self.handed_over += other.handed_over;
        self.outside += other.outside;
        self.inside += other.inside;
        self.longest = self.longest.max(other.longest);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, raises, restores, handed_over, outside, inside, longest } = self;
        write!(
            f,
            "{pairs} pairs, {raises} raising and {restores} restoring writes, the lease changed hands {handed_over} times; {outside} raises were sent without the lock, \
             {inside} were in progress when the other operator acquired the lock, and arrived up to {:.1} s after",
            longest.as_secs_f64()
        )
    }
}
