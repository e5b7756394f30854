//! Paces the reads outside the loop of a run: `check`, `init`, `status`, the start of a run, the preview of a rollback.
//! Throttling makes these reads slower and is not a failure. The loop of a run does not use this pace, because it reads
//! again anyway. Do not pace or retry writes here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::first_contact::FirstContact;
use crate::base::duration::format_exact;
use crate::base::retry::READ;
use crate::base::time::later;
use crate::domain::traffic::Unreadable;
use crate::engine::limit::CallPace;
use crate::port::{Clock, PacedApi, ReadPace, Tries, with_pace};

/// The longest duration of a reading, unless the user sets another duration.
pub const MAX_READ_TIME: Duration = Duration::from_hours(1);

/// The pace of all reads of a process. Clones share it.
#[derive(Clone)]
pub struct ReadPacer(Arc<Shared>);

/// The state that all clones of a [`ReadPacer`] share.
struct Shared {
    clock: Arc<dyn Clock>,
    elb: ApiPace,
    sts: ApiPace,
    eks: ApiPace,
    iam: ApiPace,
    ec2: ApiPace,
    reading: Mutex<Reading>,
}

/// The pace of one API.
struct ApiPace {
    /// The lock that makes waiting calls take turns in their order.
    turn: tokio::sync::Mutex<()>,
    pace: Mutex<CallPace>,
    contact: FirstContact,
}

/// A reading: all scopes that are open at the same time.
#[derive(Debug)]
struct Reading {
    limit: Duration,
    open_scopes: usize,
    started: Timestamp,
    /// The number of calls that the reading needs, as estimated before.
    estimated: usize,
    /// The number of calls that were announced, and of calls that were sent.
    announced: usize,
    sent: usize,
    answered: usize,
    /// Why the reading ended early.
    ended: Option<String>,
}

/// The progress of a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadProgress {
    /// The number of calls with a response.
    pub answered: usize,
    /// The number of calls that the reading needs, as known so far.
    pub expected: usize,
    /// The estimated time until the end.
    pub left: Duration,
    /// Whether AWS has throttled a call.
    pub throttled: bool,
}

impl ReadPacer {
    /// Creates a pace that is unlimited until AWS throttles a call.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let api = || ApiPace {
            turn: tokio::sync::Mutex::default(),
            pace: Mutex::new(CallPace::of_reads()),
            contact: FirstContact::default(),
        };
        Self(Arc::new(Shared {
            clock,
            elb: api(),
            sts: api(),
            eks: api(),
            iam: api(),
            ec2: api(),
            reading: Mutex::new(Reading::new(MAX_READ_TIME, Timestamp::MIN)),
        }))
    }

    /// Sets the longest duration of a reading.
    pub fn set_limit(&self, limit: Duration) {
        self.0.reading().limit = limit;
    }

    /// Runs reads at this pace. The reading starts with the first of several scopes that are open at the same time.
    /// `calls` is the estimated number of calls; 0 if it is unknown.
    pub async fn read<T>(&self, calls: usize, reads: impl Future<Output = T>) -> T {
        let _open = OpenScope::new(&self.0, calls);
        with_pace(Arc::clone(&self.0) as Arc<dyn ReadPace>, reads).await
    }

    /// Returns the progress of the current reading; `None` if there is none.
    #[allow(clippy::cast_precision_loss)] // numbers of calls
    pub fn progress(&self) -> Option<ReadProgress> {
        let rate = lock(&self.0.elb.pace).rate();
        let reading = self.0.reading();
        let expected = reading.expected();
        let open = (expected - reading.answered) as f64;
        let passed = self.0.clock.now().duration_since(reading.started).as_secs_f64();
        let left = rate.map_or_else(|| passed / (reading.answered.max(1) as f64) * open, |rate| open / rate);
        (reading.open_scopes > 0).then(|| ReadProgress {
            answered: reading.answered,
            expected,
            left: Duration::try_from_secs_f64(left).unwrap_or(MAX_READ_TIME),
            throttled: rate.is_some(),
        })
    }

    /// Returns why the last reading ended early, and how much was read; `None` if it did not end early.
    pub fn ended_early(&self) -> Option<String> {
        self.0.reading().ended.clone()
    }
}

impl Reading {
    fn new(limit: Duration, started: Timestamp) -> Self {
        let (estimated, announced, sent, answered) = (0, 0, 0, 0);
        Self { limit, open_scopes: 0, started, estimated, announced, sent, answered, ended: None }
    }

    fn expected(&self) -> usize {
        self.estimated.max(self.announced).max(self.sent)
    }
}

impl Shared {
    fn reading(&self) -> MutexGuard<'_, Reading> {
        lock(&self.reading)
    }

    fn api(&self, api: PacedApi) -> &ApiPace {
        match api {
            PacedApi::Elb => &self.elb,
            PacedApi::Sts => &self.sts,
            PacedApi::Eks => &self.eks,
            PacedApi::Iam => &self.iam,
            PacedApi::Ec2 => &self.ec2,
        }
    }

    /// Returns why no more calls are sent, if the time for the reading has passed, otherwise the end of that time.
    fn end(&self, now: Timestamp) -> Result<Timestamp, Unreadable> {
        let mut reading = self.reading();
        let end = later(reading.started, reading.limit);
        if now < end {
            return Ok(end);
        }
        let text = format!(
            "the time for reading ({}) is over: {} of about {} calls were answered; to allow more time: \
             --max-read-time",
            format_exact(reading.limit),
            reading.answered,
            reading.expected()
        );
        Err(Unreadable::Unavailable(reading.ended.get_or_insert(text).clone()))
    }
}

/// An open scope of a reading.
struct OpenScope<'a>(&'a Shared);

impl<'a> OpenScope<'a> {
    fn new(shared: &'a Shared, calls: usize) -> Self {
        let mut reading = shared.reading();
        if reading.open_scopes == 0 {
            // An API that did not respond some time ago is tried again.
            for api in [&shared.elb, &shared.sts, &shared.eks, &shared.iam, &shared.ec2] {
                api.contact.forget_unresponsive();
            }
            *reading = Reading::new(reading.limit, shared.clock.now());
        }
        reading.open_scopes += 1;
        reading.estimated += calls;
        drop(reading);
        Self(shared)
    }
}

impl Drop for OpenScope<'_> {
    fn drop(&mut self) {
        self.0.reading().open_scopes -= 1;
    }
}

#[async_trait]
impl ReadPace for Shared {
    fn announce(&self, calls: usize) {
        self.reading().announced += calls;
    }

    async fn admit(&self, api: PacedApi, before: Option<Tries>) -> Result<Tries, Unreadable> {
        let api = self.api(api);
        let _turn = api.turn.lock().await;
        loop {
            if let Some(why) = api.contact.unresponsive_reason() {
                return Err(why);
            }
            let now = self.clock.now();
            let end = self.end(now)?;
            let next = {
                let mut pace = lock(&api.pace);
                if pace.grant(1, now) == 1 { None } else { Some(pace.next()) }
            };
            let Some(next) = next else {
                self.reading().sent += usize::from(before.is_none());
                return Ok(before.map_or(Tries { first: now, last: now, failures: 0 }, |b| Tries { last: now, ..b }));
            };
            let pause = next.min(end).duration_since(now).unsigned_abs();
            self.clock.sleep(pause.max(Duration::from_millis(1))).await;
        }
    }

    async fn repeats(&self, api: PacedApi, tries: &mut Tries, failure: Option<&Unreadable>) -> bool {
        let api = self.api(api);
        let now = self.clock.now();
        let temporary = matches!(failure, Some(Unreadable::Unavailable(_)));
        tries.failures += usize::from(temporary);
        let spent = now.duration_since(tries.first).unsigned_abs();
        let unresponsive = api.contact.is_unresponsive(failure, tries.failures, spent);
        match failure {
            Some(Unreadable::Throttled) => {
                lock(&api.pace).record_throttled(tries.last, now);
                return true;
            }
            None => lock(&api.pace).record_accepted(),
            Some(_) => {}
        }
        let pause = READ.pauses().nth(tries.failures.saturating_sub(1)).filter(|_| temporary && !unresponsive);
        match pause {
            Some(pause) => self.clock.sleep(pause).await,
            None => self.reading().answered += 1,
        }
        pause.is_some()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
