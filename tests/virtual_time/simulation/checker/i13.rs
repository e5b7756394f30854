//! Account, region, load balancer and cluster identity are checked before the first write.

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{Entry, EntryContent, Verb};

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    match &entry.what {
        EntryContent::Sent { service, operation, .. }
            if service == "elasticloadbalancing" && !operation.starts_with("Describe") =>
        {
            let wanted = &facts.plan.account_id;
            let caller = facts
                .caller
                .as_ref()
                .ok_or_else(|| format!("{operation} before the account of the caller was read"))?;
            // An unreadable account is accepted, except in `cutover run`.
            let right = caller.as_ref().map_or_else(|()| facts.verb != Verb::Run, |account| account == wanted);
            ensure(right, || format!("{operation} as {caller:?} instead of {wanted}"))?;
            let Some(started) = facts.started() else { return Err(format!("{operation} before the start")) };
            let place = format!(":{}:{wanted}:", facts.plan.region);
            let strange = started.load_balancers.iter().find(|arn| !arn.contains(&place));
            ensure(strange.is_none(), || format!("{strange:?} is not in region and account {place}"))
        }
        EntryContent::Bind { cluster, binding, dry_run: false } => {
            let pinned = facts.started().and_then(|s| s.clusters.get(cluster));
            let seen = facts.clusters.get(cluster);
            ensure(pinned.is_some() && seen == pinned, || {
                format!("{binding} is created in {cluster}, whose UID is {seen:?} instead of {pinned:?}")
            })
        }
        EntryContent::Started(started) => {
            let mut uids: Vec<_> = started.clusters.values().collect();
            uids.sort_unstable();
            uids.dedup();
            ensure(uids.len() == started.clusters.len(), || {
                format!("two clusters of the plan have one UID: {:?}", started.clusters)
            })
        }
        _ => Ok(()),
    }
}
