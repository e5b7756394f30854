//! Removes the tags that a run put on load balancers, listeners and rules: the marker and the original weights, and the
//! trace of a break-glass script. The result of the run is reported before. Another run's marker stays.

use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;

use super::marker;
use super::retry::retry;
use crate::base::retry::{UNTAG, UNTAG_WITHIN};
use crate::domain::emergency::{route_tag, script};
use crate::domain::run::script_use;
use crate::port::{Clock, TagStore, WriteError};

/// The maximum number of resources in one call.
const BATCH_SIZE: usize = 20;

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

/// Removes all tags in one round, and retries within [`UNTAG_WITHIN`] until AWS accepts the calls. `owners`: the runs
/// whose markers may be removed. The markers are read first, unless AWS accepted a marker of one of these runs within the
/// last second (`just_marked`). Returns the tags that could not be removed.
pub async fn remove(
    tag_store: &dyn TagStore,
    clock: &dyn Clock,
    load_balancers: &[String],
    routes: &[String],
    owners: &[&str],
    just_marked: bool,
) -> Vec<LeftoverTag> {
    let all: Vec<_> = load_balancers.iter().chain(routes).cloned().collect();
    let weights = join_all(all.chunks(BATCH_SIZE).map(|some| remove_weights(tag_store, clock, some)));
    let markers = join_all(load_balancers.iter().map(|arn| remove_marker(tag_store, clock, arn, owners, just_marked)));
    let (weights, markers) = futures::join!(weights, markers);
    let mut left: Vec<LeftoverTag> = Vec::new();
    for one in markers.into_iter().flatten().chain(weights.into_iter().flatten()) {
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
    let markers = join_all(load_balancers.iter().map(|arn| remove_marker(tag_store, clock, arn, owners, just_marked)));
    markers.await.into_iter().flatten().collect()
}

async fn remove_weights(tag_store: &dyn TagStore, clock: &dyn Clock, some: &[String]) -> Vec<LeftoverTag> {
    let keys = [route_tag::KEY.to_owned(), script_use::KEY.to_owned()];
    let removed = async |some: &[String]| retry(UNTAG, clock, is_temporary, || tag_store.remove(some, &keys)).await;
    let each = async {
        let together = removed(some).await;
        if !matches!(together, Err(ref why) if !is_temporary(why)) {
            return together
                .map_err(|why| why.to_string())
                .err()
                .map(|why| leftover(route_tag::KEY, some, why))
                .into_iter()
                .collect();
        }
        // A resource that was deleted meanwhile must not prevent the removal from the other resources.
        let alone = join_all(some.iter().map(|arn| removed(slice::from_ref(arn)))).await;
        let left = some.iter().zip(alone).filter_map(|(arn, removed)| match removed {
            Ok(()) | Err(WriteError::NotFound(_)) => None,
            Err(why) => Some(leftover(route_tag::KEY, slice::from_ref(arn), why.to_string())),
        });
        left.collect()
    };
    tokio::select! {
        left = each => left,
        () = clock.sleep(UNTAG_WITHIN) => vec![leftover(route_tag::KEY, some, timeout_text())],
    }
}

async fn remove_marker(
    tag_store: &dyn TagStore,
    clock: &dyn Clock,
    arn: &String,
    owners: &[&str],
    just_marked: bool,
) -> Option<LeftoverTag> {
    // By the second try, another run may have put its marker.
    let known = AtomicBool::new(just_marked);
    let remove = || marker::remove_one(tag_store, arn, owners, known.swap(false, Ordering::Relaxed));
    let removed = tokio::select! {
        removed = retry(UNTAG, clock, is_temporary, remove) => {
            removed.map_err(|why| why.to_string())
        }
        () = clock.sleep(UNTAG_WITHIN) => Err(timeout_text()),
    };
    removed.err().map(|why| leftover(marker::KEY, slice::from_ref(arn), why))
}

fn leftover(key: &'static str, arns: &[String], why: String) -> LeftoverTag {
    LeftoverTag { key, arns: arns.to_vec(), why }
}

fn timeout_text() -> String {
    format!("AWS did not accept the call within {} s", UNTAG_WITHIN.as_secs())
}

/// Returns whether a retry of the write may succeed.
fn is_temporary(error: &WriteError) -> bool {
    matches!(error, WriteError::Throttled | WriteError::NotSent(_) | WriteError::Unanswered(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::clock::SystemClock;
    use crate::engine::fake::FakeTags;

    const LB: &str = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/shop/1";

    fn tagged() -> FakeTags {
        let weights = |fake: FakeTags, arn| fake.tagged(arn, route_tag::KEY, "1 a-1");
        let fake = weights(weights(FakeTags::default(), LB), "rule").tagged(LB, marker::KEY, "a-1 alice@mac now");
        fake.tagged(LB, script_use::KEY, "a-1 2026-03-01T14:02:09Z")
    }

    async fn removed(fake: &FakeTags, owners: &[&str]) -> Vec<LeftoverTag> {
        remove(fake, &SystemClock, &[LB.into()], &["rule".into()], owners, false).await
    }

    /// Tests a bug: after a rollback of 36 routes, the marker stayed because its removal was throttled, and no message
    /// said so.
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

    /// A marker that AWS has just accepted is removed without a read, so the end of a rollback takes one round. If that
    /// fails, another run may have put its marker meanwhile.
    #[tokio::test(start_paused = true)]
    async fn marker_that_was_just_put_is_removed_without_a_read() {
        let just =
            async |fake: &FakeTags| remove(fake, &SystemClock, &[LB.into()], &["rule".into()], &["a-1"], true).await;
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
}
