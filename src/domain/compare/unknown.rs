//! Reports what could not be read, with the permission that is missing. An unknown fact is never reported as equal.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use super::facts::{Candidate, KINDS, KindApi};
use super::identity;
use super::platform::PlatformFacts;
use crate::base::finding::{Code, Finding};
use crate::domain::traffic::Unreadable;

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for cluster in [context.from, context.to] {
        let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut add = |what: String, why: &Unreadable| {
            let why = match why {
                Unreadable::Denied(_) => "the permission is missing".to_owned(),
                other => other.to_string(),
            };
            reasons.entry(why).or_default().push(what);
        };
        if let Err(why) = &cluster.version {
            add("get /version".to_owned(), why);
        }
        if let Err(why) = &cluster.served {
            add("get /apis".to_owned(), why);
        }
        for (kind, objects) in &cluster.objects {
            if let (Some(api), Err(why)) = (KINDS.iter().find(|api| api.kind == *kind), objects) {
                add(KindApi::permission(api), why);
            }
        }
        if let Some(why) = cluster.secrets.values().find_map(|keys| keys.as_ref().err()) {
            add("get secrets".to_owned(), why);
        }
        for unread in cluster.platform.iter().flat_map(PlatformFacts::unread) {
            add(unread.action.to_owned(), &unread.why);
        }
        for (candidate, result) in &cluster.dry_runs {
            if let Err(why) = result {
                add(format!("{} (a dry-run)", Candidate::permission(candidate.kind)), why);
            }
        }
        for (why, mut what) in reasons {
            let mut done = BTreeSet::new();
            what.retain(|what| done.insert(what.clone()));
            let message = format!("{}: {}: {why}", cluster.name, what.join(", "));
            let help = "what this would show is unknown, not fine: grant the permission (`cutover help compare`)";
            findings.push(Finding::new(Code::CUT190, cluster.name.clone(), message).help(help));
        }
    }
    for identity::Unjudged { role, condition } in identity::unjudged(context) {
        let to = &context.to.name;
        let message =
            format!("{to}: the trust policy of the role {role} has a condition that is not known: {condition}");
        let help = "whether the pods of the new cluster can assume the role is unknown: try it with one pod";
        findings.push(Finding::new(Code::CUT190, role, message).help(help));
    }
}
