//! The hand-over of what must not run in two clusters at once: CronJobs, workers, and objects of KEDA.
//!
//! An [`ItemId`] names an object that exists in both clusters. [`Items`] folds the events of a run, and `next` decides
//! what happens next, forwards and back. Do not add I/O, and nothing about traffic.

mod item;
mod message;
mod next;
mod progress;
mod reading;
mod schedule;
#[cfg(test)]
mod tests;

pub use item::{InvalidItem, ItemId, ItemKind};
pub use next::{HandOver, ItemPlace, Next, RETRY, Readings, back, forward};
pub use progress::{ItemDrained, ItemIntent, ItemOutcome, ItemProgress, ItemResult, ItemStart, Items, Side};
pub use reading::{Claim, ItemReading, Timetable};
pub use schedule::{missed, without_missed};
