//! `check`, `status`, `report` and `init` change nothing (except by server-side dry runs).

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{By, Entry, EntryContent, Verb};

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    if facts.verb != Verb::Check {
        return Ok(());
    }
    match &entry.what {
        EntryContent::Sent { operation, .. } => {
            let reads = ["Describe", "Get", "GET ", "show-"].iter().any(|r| operation.starts_with(r))
                || operation.contains("dryRun=All");
            ensure(reads, || format!("{operation} is sent by a verb that only reads"))
        }
        EntryContent::Bind { binding, dry_run, .. } => {
            ensure(*dry_run, || format!("{binding} is created by a verb that only reads"))
        }
        EntryContent::Applied { by: By::Us, route, .. } => Err(format!("{route} is changed by a verb that only reads")),
        _ => Ok(()),
    }
}
