//! Removes the tags that a run put on load balancers, listeners and rules: the marker, the original weights, and the
//! tag of a break-glass script. The result of the run is reported before the tags are removed. Another run's marker
//! stays.

use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;

use super::marker::{self, taggable};
use super::tag_calls::{TagCalls, is_temporary};
use crate::base::rate::WRITE_RATE;
use crate::base::retry::{UNTAG, UNTAG_WITHIN};
use crate::domain::emergency::{route_tag, script};
use crate::domain::run::script_use;
use crate::port::{Clock, TAG_BATCH_SIZE, TagStore, WriteError};

/// A tag of the run that was not removed, or may not have been removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftoverTag {
    /// The key of the tag.
    pub key: &'static str,
    /// The ARNs of the resources that may still have the tag.
    pub arns: Vec<String>,
    /// The reason why the tag could not be removed.
    pub why: String,
}

impl LeftoverTag {
    /// Returns the `aws` command that removes the tag.
    pub fn command(&self) -> String {
        script::untag(self.key, &self.arns)
    }
}

/// Removes all tags in one round, and repeats the calls until AWS accepts them, at most for [`time_limit`]. `owners`
/// are the runs whose markers may be removed. The markers are read first, unless AWS accepted a marker of one of these
/// runs within the last second (`just_marked`). Returns the tags that could not be removed.
pub async fn remove(
    tag_store: &dyn TagStore,
    clock: &dyn Clock,
    load_balancers: &[String],
    routes: &[String],
    owners: &[&str],
    just_marked: bool,
) -> Vec<LeftoverTag> {
    let load_balancers = &taggable(tag_store, load_balancers);
    let all: Vec<_> = load_balancers.iter().cloned().chain(taggable(tag_store, routes)).collect();
    let removal = Removal::new(tag_store, clock, owners, just_marked, all.len() + load_balancers.len());
    let (weights, markers) =
        futures::join!(removal.remove_all(route_tag::KEY, &all), removal.remove_all(marker::KEY, load_balancers));
    let mut left: Vec<LeftoverTag> = Vec::new();
    for one in markers.into_iter().chain(weights) {
        match left.iter_mut().find(|l| l.key == one.key && l.why == one.why) {
            Some(same) => same.arns.extend(one.arns),
            None => left.push(one),
        }
    }
    left
}

/// Removes only the markers, like [`remove`], and keeps the weights in the tags.
pub async fn remove_markers(
    tag_store: &dyn TagStore,
    clock: &dyn Clock,
    load_balancers: &[String],
    owners: &[&str],
    just_marked: bool,
) -> Vec<LeftoverTag> {
    let load_balancers = taggable(tag_store, load_balancers);
    let removal = Removal::new(tag_store, clock, owners, just_marked, load_balancers.len());
    removal.remove_all(marker::KEY, &load_balancers).await
}

/// Returns the longest duration of the removal: [`UNTAG_WITHIN`], and twice the time that AWS's rate needs for the calls
/// beyond its burst.
fn time_limit(resources: usize) -> Duration {
    UNTAG_WITHIN + WRITE_RATE.min_duration(resources.div_ceil(TAG_BATCH_SIZE)) * 2
}

/// The removal of all tags of a run.
struct Removal<'a> {
    tag_store: &'a dyn TagStore,
    clock: &'a dyn Clock,
    calls: TagCalls<'a>,
    owners: &'a [&'a str],
    just_marked: bool,
    limit: Duration,
}

impl<'a> Removal<'a> {
    fn new(
        tag_store: &'a dyn TagStore,
        clock: &'a dyn Clock,
        owners: &'a [&'a str],
        just_marked: bool,
        resources: usize,
    ) -> Self {
        let (calls, limit) = (TagCalls::new(clock, UNTAG), time_limit(resources));
        Self { tag_store, clock, calls, owners, just_marked, limit }
    }

    async fn remove_all(&self, key: &'static str, arns: &[String]) -> Vec<LeftoverTag> {
        join_all(arns.chunks(TAG_BATCH_SIZE).map(|some| self.remove_within_limit(key, some))).await.concat()
    }

    async fn remove_within_limit(&self, key: &'static str, some: &[String]) -> Vec<LeftoverTag> {
        tokio::select! {
            left = self.remove_some(key, some) => left,
            () = self.clock.sleep(self.limit) => {
                let why = format!("AWS did not accept the call within {} s", self.limit.as_secs());
                vec![leftover(key, some, why)]
            }
        }
    }

    async fn remove_some(&self, key: &'static str, some: &[String]) -> Vec<LeftoverTag> {
        match self.send(key, some).await {
            Ok(()) => Vec::new(),
            Err(why) if is_temporary(&why) => vec![leftover(key, some, why.to_string())],
            Err(_) => {
                // A resource that was deleted meanwhile must not prevent the removal from the other resources.
                let alone = join_all(some.iter().map(|arn| self.send(key, slice::from_ref(arn)))).await;
                let left = some.iter().zip(alone).filter_map(|(arn, removed)| match removed {
                    Ok(()) | Err(WriteError::NotFound(_)) => None,
                    Err(why) => Some(leftover(key, slice::from_ref(arn), why.to_string())),
                });
                left.collect()
            }
        }
    }

    async fn send(&self, key: &'static str, some: &[String]) -> Result<(), WriteError> {
        // By the second try, another run may have put its marker.
        let known = AtomicBool::new(self.just_marked);
        let weights = [route_tag::KEY.to_owned(), script_use::KEY.to_owned()];
        let once = async || {
            if key == marker::KEY {
                marker::remove(self.tag_store, some, self.owners, known.swap(false, Ordering::Relaxed)).await
            } else {
                self.tag_store.remove(some, &weights).await
            }
        };
        self.calls.send(once).await
    }
}

fn leftover(key: &'static str, arns: &[String], why: String) -> LeftoverTag {
    LeftoverTag { key, arns: arns.to_vec(), why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::clock::LabClock;
    use crate::engine::fake::FakeTags;

    const LB: &str = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/shop/1";

    fn tagged() -> FakeTags {
        let weights = |fake: FakeTags, arn| fake.tagged(arn, route_tag::KEY, "1 a-1");
        let fake = weights(weights(FakeTags::default(), LB), "rule").tagged(LB, marker::KEY, "a-1 alice@mac now");
        fake.tagged(LB, script_use::KEY, "a-1 2026-03-01T14:02:09Z")
    }

    fn clock() -> LabClock {
        LabClock::new(jiff::Timestamp::UNIX_EPOCH, 1.0)
    }

    async fn removed(fake: &FakeTags, owners: &[&str]) -> Vec<LeftoverTag> {
        remove(fake, &clock(), &[LB.into()], &["rule".into()], owners, false).await
    }

    /// Regression test: after a rollback of 36 routes, the marker stayed because its removal was throttled, and no
    /// message said so.
    #[tokio::test(start_paused = true)]
    async fn throttled_removal_is_retried_and_then_reported() {
        let fake = tagged().throttling_removals(12);
        assert_eq!(removed(&fake, &["a-1"]).await, []);
        assert_eq!(
            [(LB, marker::KEY), (LB, route_tag::KEY), ("rule", route_tag::KEY), (LB, script_use::KEY)]
                .map(|(arn, key)| fake.tag_of(arn, key)),
            [None, None, None, None]
        );
        let started_at = tokio::time::Instant::now();
        let left = removed(&tagged().throttling_removals(usize::MAX), &["a-1"]).await;
        assert!(started_at.elapsed() <= UNTAG_WITHIN, "{:?}", started_at.elapsed());
        let commands: Vec<_> = left.iter().map(LeftoverTag::command).collect();
        let expected = [(marker::KEY, vec![LB]), (route_tag::KEY, vec![LB, "rule"])];
        let expected =
            expected.map(|(key, arns)| script::untag(key, &arns.into_iter().map(str::to_owned).collect::<Vec<_>>()));
        assert_eq!(commands, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_removal_of_one_tag_does_not_keep_the_others() {
        let fake = tagged().refusing("rule");
        let left = removed(&fake, &["a-1"]).await;
        assert_eq!(left, [leftover(route_tag::KEY, &["rule".into()], "access to rule is denied".into())]);
        assert_eq!(fake.tag_of(LB, route_tag::KEY), None);
    }

    /// A marker that AWS has just accepted is removed without a read, so the end of a rollback takes one round. If the
    /// removal fails, another run may have put its marker meanwhile.
    #[tokio::test(start_paused = true)]
    async fn marker_that_was_just_put_is_removed_without_a_read() {
        let just = async |fake: &FakeTags| remove(fake, &clock(), &[LB.into()], &["rule".into()], &["a-1"], true).await;
        let fake = tagged();
        assert_eq!((just(&fake).await, fake.calls(), fake.tag_of(LB, marker::KEY)), (vec![], 0, None));
        let replaced = tagged().tagged(LB, marker::KEY, "b-1 bob@mac now").throttling_removals(2);
        assert_eq!((just(&replaced).await, replaced.calls()), (vec![], 1));
        assert!(replaced.tag_of(LB, marker::KEY).is_some(), "the marker of another run must stay");
    }

    #[tokio::test(start_paused = true)]
    async fn marker_of_a_replaced_run_is_removed_but_not_another_marker() {
        let fake = tagged();
        assert_eq!(removed(&fake, &["b-1"]).await, []);
        assert!(fake.tag_of(LB, marker::KEY).is_some());
        removed(&fake, &["b-1", "a-1"]).await;
        assert_eq!(fake.tag_of(LB, marker::KEY), None);
    }

    /// The tags of 40 load balancers and 1,000 routes are removed with one call for twenty resources. AWS accepts 3
    /// calls per second, so the removal from 2,000 routes takes longer than 30 s.
    #[tokio::test(start_paused = true)]
    async fn tags_of_many_resources_are_removed_by_twenty() {
        let names = |of: &str, n: usize| (0..n).map(|i| format!("{of} {i}")).collect::<Vec<_>>();
        let (balancers, routes) = (names("lb", 40), names("rule", 1000));
        let fake = FakeTags::default();
        let fake = balancers.iter().fold(fake, |fake, arn| fake.tagged(arn, marker::KEY, "a-1 alice@mac now"));
        assert_eq!(remove(&fake, &clock(), &balancers, &routes, &["a-1"], false).await, []);
        assert!(balancers.iter().all(|arn| fake.tag_of(arn, marker::KEY).is_none()));
        assert_eq!((fake.calls(), fake.writes()), (2, 2 + 52));
        assert_eq!(time_limit(1040), UNTAG_WITHIN + WRITE_RATE.min_duration(52) * 2);
        assert_eq!(time_limit(22), UNTAG_WITHIN);
    }
}
