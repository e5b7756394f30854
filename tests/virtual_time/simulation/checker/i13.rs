//! Account, region, load balancer and cluster identity are checked before the first write.

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{Entry, Verb, What};

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    match &entry.what {
        What::Sent { service, operation, .. }
            if service == "elasticloadbalancing" && !operation.starts_with("Describe") =>
        {
            let wanted = &facts.plan.account_id;
            let caller = facts.caller.as_ref().ok_or_else(|| format!("{operation} before anybody asked who we are"))?;
            // Unknown is no evidence, except at the very beginning.
            let right = caller.as_ref().map_or_else(|()| facts.verb != Verb::Run, |account| account == wanted);
            ensure(right, || format!("{operation} as {caller:?} instead of {wanted}"))?;
            let Some(started) = facts.started() else { return Err(format!("{operation} before the start")) };
            let place = format!(":{}:{wanted}:", facts.plan.region);
            let strange = started.load_balancers.iter().find(|arn| !arn.contains(&place));
            ensure(strange.is_none(), || format!("{strange:?} is not in {place}"))
        }
        What::Bind { cluster, binding, dry_run: false } => {
            let pinned = facts.started().and_then(|s| s.clusters.get(cluster));
            let seen = facts.clusters.get(cluster);
            ensure(pinned.is_some() && seen == pinned, || {
                format!("{binding} is made in {cluster}, which is {seen:?} instead of {pinned:?}")
            })
        }
        What::Started(started) => {
            let mut uids: Vec<_> = started.clusters.values().collect();
            uids.sort_unstable();
            uids.dedup();
            ensure(uids.len() == started.clusters.len(), || format!("two clusters are one: {:?}", started.clusters))
        }
        _ => Ok(()),
    }
}
