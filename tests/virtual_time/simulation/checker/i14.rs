//! `check`, `status`, `report`, `init` change nothing (a server-side dry-run excepted).

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{By, Entry, Verb, What};

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    if facts.verb != Verb::Check {
        return Ok(());
    }
    match &entry.what {
        What::Sent { operation, .. } => {
            let reads = ["Describe", "Get", "GET "].iter().any(|r| operation.starts_with(r))
                || operation.contains("dryRun=All");
            ensure(reads, || format!("{operation} is sent by a verb that only reads"))
        }
        What::Bind { binding, dry_run, .. } => {
            ensure(*dry_run, || format!("{binding} is made by a verb that only reads"))
        }
        What::Applied { by: By::Us, route, .. } => Err(format!("{route} is changed by a verb that only reads")),
        _ => Ok(()),
    }
}
