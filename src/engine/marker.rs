//! The marker: a tag on each load balancer that says which run moves its traffic, so that a second operator on another machine is refused.
//!
//! ELBv2 has no conditional write, and tags are not one either: two runs that put their markers within the same second may both read their
//! own back before the other's write lands. The next batch of the loser then stops.

use futures::future::join_all;

use crate::adapter::{Balancer, WriteError};
use crate::domain::alb::{Tags, Unreadable};
use crate::domain::watch::Marker;

/// The tag's key.
pub const KEY: &str = "cutover.dev/run";

/// The tag's value: run, owner, since when; in the characters and the length that tags allow.
pub fn value(run: &str, owner: &str, since: jiff::Timestamp) -> String {
    let text = format!("{run} {owner} {}", since.strftime("%Y-%m-%dT%H:%M:%SZ"));
    text.chars().map(|c| if c.is_alphanumeric() || " +-=._:/@".contains(c) { c } else { '_' }).take(256).collect()
}

/// Whose marker is there; `None` where it cannot be read.
pub async fn read(balancer: &dyn Balancer, load_balancers: &[String], run: &str) -> Option<Marker> {
    let all = join_all(load_balancers.iter().map(|arn| balancer.tags(arn))).await;
    let mut missing = false;
    for tags in all {
        match tags.ok()?.get(KEY) {
            Some(value) if value.split(' ').next() == Some(run) => {}
            Some(value) => return Some(Marker::Other(value.clone())),
            None => missing = true,
        }
    }
    Some(if missing { Marker::Missing } else { Marker::Ours })
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
    if let (Some(Marker::Other(other)), false) = (read(balancer, load_balancers, run).await, take_over) {
        return Err(MarkerError::Other(other));
    }
    let tags: Tags = [(KEY.to_owned(), value.to_owned())].into();
    for arn in load_balancers {
        balancer.tag(arn, &tags).await?;
    }
    match read(balancer, load_balancers, run).await {
        Some(Marker::Ours) => Ok(()),
        Some(Marker::Other(other)) => Err(MarkerError::Other(other)),
        Some(Marker::Missing) => Err(MarkerError::Read("it is not there".into())),
        None => Err(MarkerError::Read(Unreadable::Unavailable("the tags cannot be read".into()).to_string())),
    }
}

/// Removes our marker; another run's is left alone.
pub async fn remove(balancer: &dyn Balancer, load_balancers: &[String], run: &str) {
    for arn in load_balancers {
        let ours = balancer.tags(arn).await.is_ok_and(|tags| tags.get(KEY).is_some_and(|v| v.split(' ').next() == Some(run)));
        if ours && let Err(error) = balancer.untag(arn, &[KEY.to_owned()]).await {
            tracing::warn!("the marker tag stays on {arn}: {error}");
        }
    }
}
