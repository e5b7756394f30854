//! The truth about a pair: who had the Lease when, and who wrote what.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// A write that reached the load balancer.
#[derive(Debug, Clone)]
pub struct Write {
    pub by: &'static str,
    /// When the engine let go of it: right after it had confirmed the lock.
    pub sent: Timestamp,
    /// When it arrived.
    pub arrived: Timestamp,
    pub raises: bool,
}

#[derive(Debug, Default)]
struct Book {
    /// Changes of the Lease's holder.
    holders: Vec<(Timestamp, Option<String>)>,
    writes: Vec<Write>,
    shares: BTreeMap<String, f64>,
    notes: Vec<(Timestamp, String)>,
}

/// See the module. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Truth(Arc<Mutex<Book>>);

/// The sums of one pair or of many.
#[derive(Debug, Clone, Default)]
pub struct Account {
    pub pairs: u64,
    pub raises: u64,
    pub restores: u64,
    /// How often the Lease went to the other.
    pub handed_over: u64,
    /// Raises that arrived while the other had the Lease, although he had it when they were sent.
    pub outside: u64,
    /// Raises that arrived while the other had the Lease, who took it after they were sent.
    pub inside: u64,
    /// The longest that such a raise came after the other had taken it.
    pub longest: Duration,
}

impl Truth {
    fn book<T>(&self, with: impl FnOnce(&mut Book) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn note(&self, at: Timestamp, what: impl Into<String>) {
        self.book(|b| b.notes.push((at, what.into())));
    }

    pub fn lease(&self, at: Timestamp, holder: Option<String>) {
        self.book(|b| {
            if b.holders.last().is_none_or(|(_, last)| *last != holder) {
                b.notes.push((at, format!("the lease is {holder:?}'s")));
                b.holders.push((at, holder));
            }
        });
    }

    /// A write arrives, with the share that it gives the new cluster.
    pub fn write(&self, by: &'static str, route: &str, share: f64, sent: Timestamp, arrived: Timestamp) {
        self.book(|b| {
            let before = b.shares.insert(route.to_owned(), share).unwrap_or(0.0);
            let raises = share > before + 1e-9;
            b.notes.push((arrived, format!("{by} writes {share:.2} for {before:.2}, sent {sent}")));
            b.writes.push(Write { by, sent, arrived, raises });
        });
    }

    pub fn story(&self) -> String {
        self.book(|b| b.notes.iter().map(|(at, what)| format!("{at} {what}")).collect::<Vec<_>>().join("\n"))
    }

    pub fn account(&self) -> Account {
        self.book(|b| {
            let mut account = Account { pairs: 1, ..Account::default() };
            let named: Vec<_> = b.holders.iter().filter_map(|(_, who)| who.as_deref()).collect();
            account.handed_over = named.windows(2).filter(|w| w[0] != w[1]).count() as u64;
            for write in &b.writes {
                if !write.raises {
                    account.restores += 1;
                    continue;
                }
                account.raises += 1;
                let Some((taken, Some(holder))) = b.holders.iter().rev().find(|(at, _)| *at <= write.arrived) else {
                    continue;
                };
                if holder == write.by {
                    continue;
                }
                if *taken <= write.sent {
                    account.outside += 1;
                } else {
                    account.inside += 1;
                    account.longest = account.longest.max(write.arrived.duration_since(*taken).unsigned_abs());
                }
            }
            account
        })
    }
}

impl Account {
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

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, raises, restores, handed_over, outside, inside, longest } = self;
        write!(
            f,
            "{pairs} pairs, {raises} raising and {restores} restoring writes, the lease went over {handed_over} times; {outside} raised without the lock, \
             {inside} were under way when the other took it and arrived up to {:.1} s after",
            longest.as_secs_f64()
        )
    }
}
