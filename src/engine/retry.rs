//! Retries calls after the pauses of a [`RetrySchedule`]. Do not retry writes here.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::retry::RetrySchedule;
use crate::port::Clock;

/// Repeats a call until it succeeds, or fails with an error that is not temporary, or the schedule ends.
pub async fn retry<T, E, F>(
    schedule: RetrySchedule,
    clock: &dyn Clock,
    passes: fn(&E) -> bool,
    call: impl Fn() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    for pause in schedule.pauses() {
        match call().await {
            Err(why) if passes(&why) => clock.sleep(pause).await,
            other => return other,
        }
    }
    call().await
}

/// Repeats a call while its response is `partial`, until the schedule ends or `limit` has passed. The limit is needed
/// because each call to an unreachable server takes a full time-out. Returns the last response.
pub async fn retry_within<T, F: Future<Output = T>>(
    schedule: RetrySchedule,
    limit: Duration,
    clock: &dyn Clock,
    partial: impl Fn(&T) -> bool,
    call: impl Fn() -> F,
) -> T {
    let started_at = clock.now();
    let mut answer = call().await;
    for pause in schedule.pauses() {
        let spent = clock.now().duration_since(started_at).unsigned_abs();
        if !partial(&answer) || spent > limit {
            break;
        }
        clock.sleep(pause).await;
        answer = call().await;
    }
    answer
}

/// Makes one call for many keys, and repeats it for the keys whose response is `unsettled`.
pub async fn retry_each<K, T, F>(
    schedule: RetrySchedule,
    clock: &dyn Clock,
    unsettled: fn(&T) -> bool,
    keys: &[K],
    ask: impl Fn(Vec<K>) -> F,
) -> BTreeMap<K, T>
where
    K: Ord + Clone,
    F: Future<Output = BTreeMap<K, T>>,
{
    let mut all = ask(keys.to_vec()).await;
    for pause in schedule.pauses() {
        let left: Vec<K> = all.iter().filter(|(_, answer)| unsettled(answer)).map(|(key, _)| key.clone()).collect();
        if left.is_empty() {
            break;
        }
        clock.sleep(pause).await;
        all.extend(ask(left).await);
    }
    all
}
