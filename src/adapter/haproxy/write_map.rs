//! Writes the slots of a map: a new version of the whole table is prepared, filled, and committed. The commit is atomic on
//! one instance.

use std::time::Duration;

use tokio::time::Instant;

use super::write::{lines, not_sent, refused, send};
use super::{RuntimeApi, answer, read_map};
use crate::domain::haproxy::{self, Backend};
use crate::domain::traffic::RouteContent;
use crate::port::WriteError;

/// Sets the slots of a map to those of `content`. The table in use does not change before the commit.
pub(super) async fn set(
    api: &RuntimeApi,
    map: &Backend,
    file: &str,
    content: &RouteContent,
    deadline: Duration,
) -> Result<(), WriteError> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let (_, live) = read_map(api, map, file, deadline).await.map_err(|why| not_sent(&why))?;
    let slots = haproxy::new_slots(map, content, &live).map_err(|why| refused(map, &why.to_string()))?;
    if slots == live {
        return Ok(());
    }
    let prepared = api.ask(&map.address, &[format!("prepare map {file}")], left()).await;
    let prepared = prepared.map_err(|why| not_sent(&why.into()))?;
    let prepared = answer(map, &prepared, 0).map_err(|why| not_sent(&why))?;
    let version = prepared.trim().strip_prefix("New version created: ").and_then(|text| text.parse::<u64>().ok());
    let version = version.ok_or_else(|| refused(map, prepared.trim()))?;
    let add = |(key, backend): &haproxy::Slot| format!("add map @{version} {file} {key} {backend}");
    for line in lines(slots.iter().map(add).collect()) {
        if let Err(error) = send(api, map, &line, left(), false).await {
            let _ = api.ask(&map.address, &[format!("clear map @{version} {file}")], left()).await;
            let why = format!("{error}; the new table was not committed, so nothing was changed");
            return Err(WriteError::NotSent(why));
        }
    }
    send(api, map, &[format!("commit map @{version} {file}")], left(), false).await
}
