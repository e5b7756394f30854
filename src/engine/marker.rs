//! The marker: a tag on each load balancer that says which run moves its traffic, so that a second operator on another machine is refused.
//!
//! ELBv2 has no conditional write, and tags are not one either: two runs that put their markers within the same second may both read their
//! own back before the other's write lands. The next batch of the loser then stops.

use std::time::Duration;

use futures::future::join_all;

use crate::adapter::{Balancer, Clock, WriteError};
use crate::domain::alb::{Tags, Unreadable};
use crate::domain::watch::Marker;

/// The tag's key.
pub const KEY: &str = "cutover.dev/run";

/// The tag's value: run, owner, since when; in the characters and the length that tags allow.
pub fn value(run: &str, owner: &str, since: jiff::Timestamp) -> String {
    let text = format!("{run} {owner} {}", since.strftime("%Y-%m-%dT%H:%M:%SZ"));
    text.chars().map(|c| if c.is_alphanumeric() || " +-=._:/@".contains(c) { c } else { '_' }).take(256).collect()
}

/// Whose marker is there. Another run's on one load balancer is told even where a second one cannot be read.
pub async fn read(balancer: &dyn Balancer, load_balancers: &[String], run: &str) -> Result<Marker, Unreadable> {
    let all = join_all(load_balancers.iter().map(|arn| balancer.tags(arn))).await;
    let mut seen = Ok(Marker::Ours);
    for tags in all {
        match tags.as_ref().map(|tags| tags.get(KEY)) {
            Ok(Some(value)) if value.split(' ').next() == Some(run) => {}
            Ok(Some(value)) => return Ok(Marker::Other(value.clone())),
            Ok(None) => seen = seen.map(|_| Marker::Missing),
            Err(why) => seen = Err(why.clone()),
        }
    }
    seen
}

/// Why the marker is not ours.
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    /// Another run's is there: its value.
    #[error("this load balancer is being moved by another run: {0}")]
    Other(String),
    /// It could not be written.
    #[error("the marker tag could not be written: {0}")]
    Write(#[from] WriteError),
    /// It could not be read.
    #[error("the marker tag could not be read back: {0}")]
    Read(String),
}

/// Puts our marker where nobody else's is (or over it, with `take_over`), and reads it back.
pub async fn put(balancer: &dyn Balancer, load_balancers: &[String], run: &str, value: &str, take_over: bool) -> Result<(), MarkerError> {
    if let (Ok(Marker::Other(other)), false) = (read(balancer, load_balancers, run).await, take_over) {
        return Err(MarkerError::Other(other));
    }
    let tags: Tags = [(KEY.to_owned(), value.to_owned())].into();
    for arn in load_balancers {
        balancer.tag(arn, &tags).await?;
    }
    match read(balancer, load_balancers, run).await {
        Ok(Marker::Ours) => Ok(()),
        Ok(Marker::Other(other)) => Err(MarkerError::Other(other)),
        Ok(Marker::Missing) => Err(MarkerError::Read("it is not there".into())),
        Err(why) => Err(MarkerError::Read(why.to_string())),
    }
}

/// Tries until a marker that cannot be removed is left behind.
const TRIES: u32 = 6;

/// Removes our marker; another run's is left alone.
pub async fn remove(balancer: &dyn Balancer, clock: &dyn Clock, load_balancers: &[String], run: &str) {
    for arn in load_balancers {
        let mut result = remove_one(balancer, arn, run).await;
        for attempt in 0..TRIES {
            if result.is_ok() {
                break;
            }
            clock.sleep(Duration::from_millis(500 << attempt)).await;
            result = remove_one(balancer, arn, run).await;
        }
        if let Err(error) = result {
            tracing::warn!("the marker tag {KEY} stays on {arn}: {error}");
        }
    }
}

async fn remove_one(balancer: &dyn Balancer, arn: &str, run: &str) -> Result<(), String> {
    let tags = balancer.tags(arn).await.map_err(|e| e.to_string())?;
    if tags.get(KEY).is_none_or(|v| v.split(' ').next() != Some(run)) {
        return Ok(());
    }
    balancer.untag(arn, &[KEY.to_owned()]).await.map_err(|e| e.to_string())
}
