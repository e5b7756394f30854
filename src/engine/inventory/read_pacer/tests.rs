use futures::future::join_all;
use tokio::time::Instant;

use super::*;
use crate::adapter::clock::LabClock;
use crate::port::current_pace;

fn pacer() -> ReadPacer {
    ReadPacer::new(Arc::new(LabClock::new(Timestamp::UNIX_EPOCH, 1.0)))
}

/// The bucket of an account: 40 calls, and ten more per second.
struct Account(Mutex<(f64, Instant)>);

impl Account {
    fn new() -> Self {
        Self(Mutex::new((40.0, Instant::now())))
    }

    fn accepts(&self) -> bool {
        let mut state = lock(&self.0);
        state.0 = (state.0 + state.1.elapsed().as_secs_f64() * 10.0).min(40.0);
        state.1 = Instant::now();
        let accepted = state.0 >= 1.0;
        state.0 -= f64::from(u8::from(accepted));
        accepted
    }
}

/// Sends a call of 50 ms until its result is final. `answer` returns the failure of a try.
async fn call(answer: impl Fn() -> Option<Unreadable>) -> Result<usize, Unreadable> {
    let pace = current_pace().expect("the call must be in a scope");
    let (mut before, mut sent) = (None, 0);
    loop {
        let mut tries = pace.admit(PacedApi::Elb, before).await?;
        sent += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let failure = answer();
        if !pace.repeats(PacedApi::Elb, &mut tries, failure.as_ref()).await {
            return failure.map_or(Ok(sent), Err);
        }
        before = Some(tries);
    }
}

fn throttled_by(account: &Account) -> Option<Unreadable> {
    (!account.accepts()).then_some(Unreadable::Throttled)
}

#[tokio::test(start_paused = true)]
async fn throttled_reads_use_the_rate_that_aws_accepts_and_do_not_fail() {
    let (pacer, account, start) = (pacer(), Account::new(), Instant::now());
    let calls = join_all((0..840).map(|_| call(|| throttled_by(&account))));
    let sent: Result<Vec<_>, _> = pacer.read(840, calls).await.into_iter().collect();
    let sent: usize = sent.expect("throttling must not fail a read").into_iter().sum();
    let took = start.elapsed().as_secs_f64();
    assert!((80.0..84.0).contains(&took), "800 calls beyond the burst must take 80 s, not {took} s");
    assert!(sent < 840 + 840 / 10 + 840, "{sent} tries");
    assert_eq!((pacer.ended_early(), pacer.progress()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn reads_without_throttling_never_wait() {
    let (pacer, start) = (pacer(), Instant::now());
    pacer.read(0, join_all((0..1000).map(|_| call(|| None)))).await;
    assert_eq!(start.elapsed(), Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn reading_ends_at_the_limit_and_says_how_much_is_read() {
    let (pacer, account) = (pacer(), Account::new());
    pacer.set_limit(Duration::from_secs(10));
    let results = pacer.read(1000, join_all((0..300).map(|_| call(|| throttled_by(&account))))).await;
    let answered = results.iter().filter(|read| read.is_ok()).count();
    let text = format!(
        "the time for reading (10s) is over: {answered} of about 1000 calls were answered; to allow more time: \
         --max-read-time"
    );
    assert!(answered > 100 && results.contains(&Err(Unreadable::Unavailable(text.clone()))), "{answered}, {text}");
    assert_eq!(pacer.ended_early(), Some(text));
    assert_eq!(pacer.read(0, call(|| None)).await, Ok(1), "the next reading must have the full time again");
    assert_eq!(pacer.ended_early(), None);
}

/// Reads twice. Returns whether each read succeeded, the number of tries and the time in seconds.
async fn read_twice(takes: u64, failures: usize) -> ([bool; 2], usize, u64) {
    let (pacer, start, tries) = (pacer(), Instant::now(), Mutex::new(0));
    let failing = async || {
        let pace = current_pace().expect("the call must be in a scope");
        let mut before = None;
        loop {
            let Ok(mut call) = pace.admit(PacedApi::Elb, before).await else { return false };
            *lock(&tries) += 1;
            let failure = (*lock(&tries) <= failures).then(|| Unreadable::Unavailable("no response".into()));
            if failure.is_some() {
                tokio::time::sleep(Duration::from_secs(takes)).await;
            }
            if !pace.repeats(PacedApi::Elb, &mut call, failure.as_ref()).await {
                return failure.is_none();
            }
            before = Some(call);
        }
    };
    let results = pacer.read(0, async { [failing().await, failing().await] }).await;
    (results, *lock(&tries), start.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn silent_api_is_given_up_once_for_all_reads() {
    assert_eq!(read_twice(7, 99).await, ([false, false], 2, 14));
}

#[tokio::test(start_paused = true)]
async fn api_that_fails_quickly_or_once_is_tried_again() {
    assert_eq!(read_twice(7, 1).await, ([true, true], 3, 7));
    assert_eq!(read_twice(0, 4).await, ([true, true], 6, 7));
}
