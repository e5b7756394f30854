//! The marker: a tag on each load balancer that names the run that moves its traffic. A run that another operator
//! starts on another machine is refused because of the marker.
//!
//! Load balancers and their tags have no conditional write. If two runs put their markers within the same second, both
//! may read back their own marker before the other write takes effect. The run whose marker was overwritten stops
//! before its next batch.

use std::slice;
use std::sync::Arc;

use futures::future::{BoxFuture, join_all};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::domain::run::observation::Marker;
use crate::domain::traffic::{Tags, Unreadable};
use crate::port::store::{RunSummary, Store};
use crate::port::{Clock, TAG_BATCH_SIZE, TagStore, WriteError};

pub use crate::domain::emergency::MARKER_KEY as KEY;

/// Returns the value of the marker tag: run, owner, start time, and the wave of a plan with waves. The value has only
/// characters that tags allow, and at most 256.
pub fn value(run: &str, owner: &str, wave: Option<&str>, since: Timestamp) -> String {
    let wave = wave.map_or_else(String::new, |wave| format!(" wave={wave}"));
    let text = format!("{run} {owner} {}{wave}", since.strftime("%Y-%m-%dT%H:%M:%SZ"));
    text.chars().map(|c| if c.is_alphanumeric() || " +-=._:/@".contains(c) { c } else { '_' }).take(256).collect()
}

/// Returns the resources that can have tags.
pub(super) fn taggable(tag_store: &dyn TagStore, ids: &[String]) -> Vec<String> {
    ids.iter().filter(|id| tag_store.has_tags(id)).cloned().collect()
}

/// Reads to which run the markers of these load balancers belong. Another run's marker on one load balancer counts even
/// if the tags of another load balancer cannot be read. Load balancers without tags have no marker.
pub async fn read(tag_store: &dyn TagStore, load_balancers: &[String], run: &str) -> Result<Marker, Unreadable> {
    marker_state(&tags(tag_store, &taggable(tag_store, load_balancers)).await, run)
}

async fn tags(tag_store: &dyn TagStore, load_balancers: &[String]) -> Vec<Result<Tags, Unreadable>> {
    join_all(load_balancers.chunks(TAG_BATCH_SIZE).map(|some| tags_of_some(tag_store, some))).await.concat()
}

/// Reads the tags of the load balancers in one call. If a load balancer was deleted, the tags of the other load
/// balancers are still read.
async fn tags_of_some(tag_store: &dyn TagStore, some: &[String]) -> Vec<Result<Tags, Unreadable>> {
    match tag_store.tags(some).await {
        Ok(mut found) => some.iter().map(|arn| Ok(found.remove(arn).unwrap_or_default())).collect(),
        Err(Unreadable::NotFound(_) | Unreadable::Denied(_)) if some.len() > 1 => {
            join_all(some.iter().map(|arn| tags_of(tag_store, arn))).await
        }
        Err(why) => vec![Err(why); some.len()],
    }
}

async fn tags_of(tag_store: &dyn TagStore, arn: &String) -> Result<Tags, Unreadable> {
    Ok(tag_store.tags(slice::from_ref(arn)).await?.remove(arn).unwrap_or_default())
}

fn marker_state(all: &[Result<Tags, Unreadable>], run: &str) -> Result<Marker, Unreadable> {
    let mut result = Ok(Marker::Ours);
    for tags in all {
        match tags.as_ref().map(|tags| tags.get(KEY)) {
            Ok(Some(value)) if names_run(value, run) => {}
            Ok(Some(value)) => return Ok(Marker::Other(value.clone())),
            Ok(None) => result = result.map(|_| Marker::Missing),
            Err(why) => result = Err(why.clone()),
        }
    }
    result
}

/// Returns whether the value of a marker tag names this run.
fn names_run(value: &str, run: &str) -> bool {
    run_of(value) == run
}

/// Returns whether a marker belongs to a run of this store that is finished or has no record yet. A marker is put
/// before the first record and removed after the last record, and a process can die in between. The result proves that
/// the marker has no owner only if the caller owns the locks.
pub async fn is_unstarted_or_finished(store: &dyn Store, value: &str) -> bool {
    let run = run_of(value);
    store.read(run).await.is_ok_and(|records| records.is_empty() || RunSummary::of(run, &records).finished.is_some())
}

/// Returns whether no process drives the run of a marker: the run is finished or was never started, or no process of
/// this store owns the run. A run that this store does not contain may be driven from another machine.
pub async fn has_no_driver(store: &dyn Store, value: &str) -> bool {
    let run = run_of(value);
    let known = async || store.find(run).await.is_ok_and(|runs| runs.iter().any(|r| r.id == run));
    is_unstarted_or_finished(store, value).await || (known().await && store.lock_owner(run).await.is_none())
}

/// Returns the id of the run in the value of a marker tag.
pub fn run_of(value: &str) -> &str {
    value.split(' ').next().unwrap_or_default()
}

/// The reason why the marker could not be put or does not belong to this run.
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    /// Another run's marker is on a load balancer. Contains the value of that marker.
    #[error("another run owns this load balancer (run, owner, since): {0}")]
    Other(String),
    /// The marker could not be written.
    #[error("the marker tag cannot be written: {0}")]
    Write(#[from] WriteError),
    /// The marker could not be read.
    #[error("the marker tag cannot be read: {0}")]
    Read(String),
}

/// Puts this run's marker on every load balancer without another run's marker, or with `take_over` on all load
/// balancers. Then reads the marker back. After an error, undoes its changes where AWS allows this: a marker that
/// already belonged to this run stays, and another run's marker is restored. Without `take_over`, puts nothing if the
/// tags cannot be read.
pub async fn put(
    tag_store: &dyn TagStore,
    load_balancers: &[String],
    run: &str,
    value: &str,
    take_over: bool,
) -> Result<(), MarkerError> {
    put_with_notice(tag_store, load_balancers, run, value, take_over, || ()).await
}

/// Puts the marker as [`put`] does, and calls `accepted` when AWS has accepted the marker on every load balancer.
async fn put_with_notice(
    tag_store: &dyn TagStore,
    load_balancers: &[String],
    run: &str,
    value: &str,
    take_over: bool,
    accepted: impl FnOnce(),
) -> Result<(), MarkerError> {
    let load_balancers = &taggable(tag_store, load_balancers);
    let before = tags(tag_store, load_balancers).await;
    match marker_state(&before, run) {
        Ok(Marker::Other(other)) if !take_over => return Err(MarkerError::Other(other)),
        Err(why) if !take_over => return Err(MarkerError::Read(why.to_string())),
        _ => {}
    }
    let result = put_all(tag_store, load_balancers, run, value, accepted).await;
    if result.is_err() {
        let ours = |tags: &Result<Tags, Unreadable>| {
            tags.as_ref().is_ok_and(|t| t.get(KEY).is_some_and(|v| names_run(v, run)))
        };
        for (arn, tags) in load_balancers.iter().zip(&before).filter(|(_, tags)| !ours(tags)) {
            let previous = tags.as_ref().ok().and_then(|tags| tags.get(KEY));
            if let Err(error) = restore_previous(tag_store, arn, run, previous).await {
                tracing::warn!(
                    "the tag {KEY} on {arn} cannot be removed or restored: {error}; if no run needs it, remove it"
                );
            }
        }
    }
    result
}

async fn put_all(
    tag_store: &dyn TagStore,
    load_balancers: &[String],
    run: &str,
    value: &str,
    accepted: impl FnOnce(),
) -> Result<(), MarkerError> {
    let tags: Tags = [(KEY.to_owned(), value.to_owned())].into();
    let put = join_all(load_balancers.chunks(TAG_BATCH_SIZE).map(|some| tag_store.put(some, &tags))).await;
    put.into_iter().collect::<Result<(), _>>()?;
    accepted();
    match read(tag_store, load_balancers, run).await {
        Ok(Marker::Ours) => Ok(()),
        Ok(Marker::Other(other)) => Err(MarkerError::Other(other)),
        Ok(Marker::Missing) => Err(MarkerError::Read("the tag is missing after the write".into())),
        Err(why) => Err(MarkerError::Read(why.to_string())),
    }
}

/// A marker that is being put in parallel with the writes of a rollback.
pub(super) struct MarkerWrite {
    /// Puts the marker and reads it back.
    pub write: BoxFuture<'static, Result<(), MarkerError>>,
    /// The time at which AWS accepted the marker on every load balancer.
    pub accepted: watch::Receiver<Option<Timestamp>>,
}

impl MarkerWrite {
    /// Prepares the write. See [`put`].
    pub fn new(
        tag_store: Arc<dyn TagStore>,
        clock: Arc<dyn Clock>,
        load_balancers: Vec<String>,
        run: String,
        value: String,
        take_over: bool,
    ) -> Self {
        let (notice, accepted) = watch::channel(None);
        let write = async move {
            let accepted = || {
                notice.send_replace(Some(clock.now()));
            };
            put_with_notice(&*tag_store, &load_balancers, &run, &value, take_over, accepted).await
        };
        Self { write: Box::pin(write), accepted }
    }
}

/// Restores the tag value that a load balancer had before this run's marker.
async fn restore_previous(
    tag_store: &dyn TagStore,
    arn: &String,
    run: &str,
    previous: Option<&String>,
) -> Result<(), String> {
    let Some(value) = previous else {
        return remove(tag_store, slice::from_ref(arn), &[run], false).await.map_err(|e| e.to_string());
    };
    let tags = tags_of(tag_store, arn).await.map_err(|e| e.to_string())?;
    if tags.get(KEY).is_none_or(|v| !names_run(v, run)) {
        return Ok(());
    }
    tag_store.put(slice::from_ref(arn), &[(KEY.to_owned(), value.clone())].into()).await.map_err(|e| e.to_string())
}

/// Removes the marker from up to [`TAG_BATCH_SIZE`] load balancers where it belongs to one of these runs. Another run's
/// marker stays. With `known`, all markers are known to belong to one of the runs, so they are not read first.
pub(super) async fn remove(
    tag_store: &dyn TagStore,
    arns: &[String],
    owners: &[&str],
    known: bool,
) -> Result<(), WriteError> {
    let mut ours = taggable(tag_store, arns);
    if !known && !ours.is_empty() {
        let tags = tag_store.tags(&ours).await.map_err(unread_as_write_error)?;
        let marker = |arn: &String| tags.get(arn).and_then(|tags| tags.get(KEY));
        ours.retain(|arn| marker(arn).is_some_and(|value| owners.iter().any(|run| names_run(value, run))));
    }
    if ours.is_empty() { Ok(()) } else { tag_store.remove(&ours, &[KEY.to_owned()]).await }
}

/// Returns the write error for a write that was not sent because the tags could not be read before.
fn unread_as_write_error(why: Unreadable) -> WriteError {
    match why {
        Unreadable::Throttled => WriteError::Throttled,
        Unreadable::Unavailable(why) => WriteError::Unanswered(why),
        Unreadable::Setup(why) => WriteError::NotSent(why),
        Unreadable::Credentials(why) => WriteError::Credentials(why),
        Unreadable::NotFound(what) => WriteError::NotFound(what),
        Unreadable::Denied(why) => WriteError::Refused(format!("access denied: {why}")),
        Unreadable::Unrepresentable(what) => WriteError::Refused(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::FakeTags;

    async fn put_a_1(fake: &FakeTags) -> Result<(), MarkerError> {
        put(fake, &["lb".into(), "lb-2".into()], "a-1", "a-1 alice@mac now", false).await
    }

    #[tokio::test]
    async fn refused_marker_is_removed_from_the_other_load_balancers() {
        let fake = FakeTags::default().refusing("lb-2");
        assert!(matches!(put_a_1(&fake).await, Err(MarkerError::Write(_))));
        assert_eq!(fake.tag_of("lb", KEY), None);
    }

    #[tokio::test]
    async fn own_marker_stays_if_putting_it_again_fails() {
        let fake = FakeTags::default().refusing("lb-2").tagged("lb", KEY, "a-1 alice@mac before");
        assert!(put_a_1(&fake).await.is_err());
        assert_eq!(fake.tag_of("lb", KEY).as_deref(), Some("a-1 alice@mac now"));
    }

    #[tokio::test]
    async fn failed_take_over_restores_the_other_marker() {
        let fake = FakeTags::default().refusing("lb-2").tagged("lb", KEY, "b-1 bob@mac before");
        assert!(put(&fake, &["lb".into(), "lb-2".into()], "a-1", "a-1 alice@mac now", true).await.is_err());
        assert_eq!(fake.tag_of("lb", KEY).as_deref(), Some("b-1 bob@mac before"));
    }

    #[tokio::test]
    async fn marker_is_not_put_over_an_unreadable_tag() {
        let fake = FakeTags::default().tagged("lb", KEY, "b-1 bob@mac before").unreadable();
        assert!(matches!(put_a_1(&fake).await, Err(MarkerError::Read(_))));
        assert_eq!(fake.tag_of("lb", KEY).as_deref(), Some("b-1 bob@mac before"));
    }

    /// One call for each of 40 load balancers would empty AWS's bucket of 20 calls.
    #[tokio::test]
    async fn markers_are_put_on_twenty_load_balancers_with_one_call() {
        let (fake, balancers) = (FakeTags::default(), (0..45).map(|n| format!("lb-{n}")).collect::<Vec<_>>());
        put(&fake, &balancers, "a-1", "a-1 alice@mac now", false).await.expect("the marker should be put");
        assert_eq!((fake.writes(), fake.calls()), (3, 2 * 3), "read before, put, and read back");
        assert!(balancers.iter().all(|arn| fake.tag_of(arn, KEY).is_some()));
    }
}
