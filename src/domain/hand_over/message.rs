//! Words of messages about items. Do not add decisions.

use super::item::ItemId;
use super::reading::ItemReading;
use crate::base::number::count;

/// Describes what still runs, such as `2 Jobs of CronJob/shop/nightly run in a`.
pub fn still_runs(item: &ItemId, reading: &ItemReading, cluster: &str) -> String {
    let verb = if reading.running == 1 { "runs" } else { "run" };
    format!("{} of {item} still {verb} in {cluster}", count(reading.running as usize, item.kind.runs()))
}

/// Says that someone else started an item that this run stopped.
pub fn started_again(item: &ItemId, cluster: &str, owner: Option<&str>) -> String {
    let who = owner.map_or_else(|| "someone else".to_owned(), |owner| format!("someone else, probably {owner},"));
    format!("{item} was stopped in {cluster}, and {who} started it there again")
}
