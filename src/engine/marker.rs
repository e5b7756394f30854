//! The marker: a tag on each load balancer that names the run that moves its traffic, so that a second operator on
//! another machine is refused.
//!
//! The load balancer has no conditional write, and neither do tags: two runs that put their markers within the same
//! second may both read back their own before the other's write takes effect. The next batch of the loser then stops.

use std::slice;

use futures::future::join_all;

use crate::domain::run::observation::Marker;
use crate::domain::traffic::{Tags, Unreadable};
use crate::port::store::{RunSummary, Store};
use crate::port::{TagStore, WriteError};

/// The tag's key.
pub const KEY: &str = "cutover.dev/run";

/// The tag's value: run, owner, start time. Only characters that tags allow, at most 256.
pub fn value(run: &str, owner: &str, since: jiff::Timestamp) -> String {
    let text = format!("{run} {owner} {}", since.strftime("%Y-%m-%dT%H:%M:%SZ"));
    text.chars().map(|c| if c.is_alphanumeric() || " +-=._:/@".contains(c) { c } else { '_' }).take(256).collect()
}

/// Reads whose marker is there. Another run's marker on one load balancer counts even if a second one cannot be read.
pub async fn read(marks: &dyn TagStore, load_balancers: &[String], run: &str) -> Result<Marker, Unreadable> {
    marker_state(&tags(marks, load_balancers).await, run)
}

async fn tags(marks: &dyn TagStore, load_balancers: &[String]) -> Vec<Result<Tags, Unreadable>> {
    join_all(load_balancers.iter().map(|arn| tags_of(marks, arn))).await
}

async fn tags_of(marks: &dyn TagStore, arn: &String) -> Result<Tags, Unreadable> {
    Ok(marks.tags(slice::from_ref(arn)).await?.remove(arn).unwrap_or_default())
}

fn marker_state(all: &[Result<Tags, Unreadable>], run: &str) -> Result<Marker, Unreadable> {
    let mut seen = Ok(Marker::Ours);
    for tags in all {
        match tags.as_ref().map(|tags| tags.get(KEY)) {
            Ok(Some(value)) if names_run(value, run) => {}
            Ok(Some(value)) => return Ok(Marker::Other(value.clone())),
            Ok(None) => seen = seen.map(|_| Marker::Missing),
            Err(why) => seen = Err(why.clone()),
        }
    }
    seen
}

/// Whether a tag's value names this run.
fn names_run(value: &str, run: &str) -> bool {
    run_of(value) == run
}

/// Whether a marker belongs to a run of this store that has no record yet or is finished. A marker is put before the
/// first record and removed after the last, and a process can die in between. This proves that the marker has no owner
/// only if the caller owns the locks.
pub async fn is_unstarted_or_finished(store: &dyn Store, value: &str) -> bool {
    let run = run_of(value);
    store.read(run).await.is_ok_and(|records| records.is_empty() || RunSummary::of(run, &records).finished.is_some())
}

/// Whether no process drives the run of a marker: the run is finished or was never started, or no process of this store
/// owns it. A run that this store does not have may be driven from another machine.
pub async fn has_no_driver(store: &dyn Store, value: &str) -> bool {
    let run = run_of(value);
    let known = async || store.find(run).await.is_ok_and(|runs| runs.iter().any(|r| r.id == run));
    is_unstarted_or_finished(store, value).await || (known().await && store.lock_owner(run).await.is_none())
}

/// The run that put a marker.
pub fn run_of(value: &str) -> &str {
    value.split(' ').next().unwrap_or_default()
}

/// Why the marker is not ours.
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    /// Another run's marker is there: its value.
    #[error("another run owns this load balancer (run, owner, since): {0}")]
    Other(String),
    /// It could not be written.
    #[error("the marker tag cannot be written: {0}")]
    Write(#[from] WriteError),
    /// It could not be read.
    #[error("the marker tag cannot be read: {0}")]
    Read(String),
}

/// Puts our marker on every load balancer without another run's marker (with `take_over`: on all), and reads it back.
/// On an error it undoes what it put, as far as AWS allows: a marker that was ours stays, another run's is restored.
/// Without `take_over`, nothing is put if the tags cannot be read.
pub async fn put(
    marks: &dyn TagStore,
    load_balancers: &[String],
    run: &str,
    value: &str,
    take_over: bool,
) -> Result<(), MarkerError> {
    let before = tags(marks, load_balancers).await;
    match marker_state(&before, run) {
        Ok(Marker::Other(other)) if !take_over => return Err(MarkerError::Other(other)),
        Err(why) if !take_over => return Err(MarkerError::Read(why.to_string())),
        _ => {}
    }
    let result = put_all(marks, load_balancers, run, value).await;
    if result.is_err() {
        let ours = |tags: &Result<Tags, Unreadable>| {
            tags.as_ref().is_ok_and(|t| t.get(KEY).is_some_and(|v| names_run(v, run)))
        };
        for (arn, tags) in load_balancers.iter().zip(&before).filter(|(_, tags)| !ours(tags)) {
            let previous = tags.as_ref().ok().and_then(|tags| tags.get(KEY));
            if let Err(error) = restore_previous(marks, arn, run, previous).await {
                tracing::warn!("the marker tag {KEY} may still be on {arn}: {error}");
            }
        }
    }
    result
}

async fn put_all(marks: &dyn TagStore, load_balancers: &[String], run: &str, value: &str) -> Result<(), MarkerError> {
    let tags: Tags = [(KEY.to_owned(), value.to_owned())].into();
    for arn in load_balancers {
        marks.put(slice::from_ref(arn), &tags).await?;
    }
    match read(marks, load_balancers, run).await {
        Ok(Marker::Ours) => Ok(()),
        Ok(Marker::Other(other)) => Err(MarkerError::Other(other)),
        Ok(Marker::Missing) => Err(MarkerError::Read("the tag is missing after it was put".into())),
        Err(why) => Err(MarkerError::Read(why.to_string())),
    }
}

/// Replaces our marker by the tag value that was there before.
async fn restore_previous(
    marks: &dyn TagStore,
    arn: &String,
    run: &str,
    previous: Option<&String>,
) -> Result<(), String> {
    let Some(value) = previous else { return remove_one(marks, arn, &[run]).await.map_err(|e| e.to_string()) };
    let tags = tags_of(marks, arn).await.map_err(|e| e.to_string())?;
    if tags.get(KEY).is_none_or(|v| !names_run(v, run)) {
        return Ok(());
    }
    marks.put(slice::from_ref(arn), &[(KEY.to_owned(), value.clone())].into()).await.map_err(|e| e.to_string())
}

/// Removes the marker if it belongs to one of these runs. Another run's marker stays.
pub(super) async fn remove_one(marks: &dyn TagStore, arn: &String, owners: &[&str]) -> Result<(), WriteError> {
    let tags = tags_of(marks, arn).await.map_err(unread_as_write_error)?;
    if tags.get(KEY).is_none_or(|v| !owners.iter().any(|run| names_run(v, run))) {
        return Ok(());
    }
    marks.remove(slice::from_ref(arn), &[KEY.to_owned()]).await
}

/// The write error for a write that was not sent because its precondition cannot be read.
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
    async fn a_marker_that_cannot_be_put_everywhere_stays_nowhere() {
        let fake = FakeTags::default().refusing("lb-2");
        assert!(matches!(put_a_1(&fake).await, Err(MarkerError::Write(_))));
        assert_eq!(fake.tag_of("lb", KEY), None);
    }

    #[tokio::test]
    async fn what_was_ours_before_stays_ours_when_putting_it_again_fails() {
        let fake = FakeTags::default().refusing("lb-2").tagged("lb", KEY, "a-1 alice@mac before");
        assert!(put_a_1(&fake).await.is_err());
        assert_eq!(fake.tag_of("lb", KEY).as_deref(), Some("a-1 alice@mac now"));
    }

    #[tokio::test]
    async fn a_take_over_that_fails_gives_the_marker_back() {
        let fake = FakeTags::default().refusing("lb-2").tagged("lb", KEY, "b-1 bob@mac before");
        assert!(put(&fake, &["lb".into(), "lb-2".into()], "a-1", "a-1 alice@mac now", true).await.is_err());
        assert_eq!(fake.tag_of("lb", KEY).as_deref(), Some("b-1 bob@mac before"));
    }

    #[tokio::test]
    async fn nothing_is_put_over_a_tag_that_nobody_could_read() {
        let fake = FakeTags::default().tagged("lb", KEY, "b-1 bob@mac before").unreadable();
        assert!(matches!(put_a_1(&fake).await, Err(MarkerError::Read(_))));
        assert_eq!(fake.tag_of("lb", KEY).as_deref(), Some("b-1 bob@mac before"));
    }
}
