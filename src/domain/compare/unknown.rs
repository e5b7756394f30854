//! Reports what could not be read, with the permission that is missing. An unknown fact is never reported as equal.

use std::collections::BTreeMap;

use super::context::Context;
use super::facts::{Candidate, ClusterFacts, KINDS, KindApi};
use super::identity;
use super::platform::PlatformFacts;
use crate::base::finding::{Code, Finding};
use crate::domain::traffic::Unreadable;

/// A fact of a cluster that could not be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Unknown {
    /// The permission that the read needs, such as `list nodes`.
    pub what: String,
    /// The object, if the read is about one object.
    pub object: Option<String>,
    /// Why the read failed.
    pub why: Unreadable,
}

/// Returns the facts of a cluster that could not be read.
pub fn each(cluster: &ClusterFacts) -> Vec<Unknown> {
    let mut found = Vec::new();
    let mut add = |what: String, object: Option<String>, why: &Unreadable| {
        found.push(Unknown { what, object, why: why.clone() });
    };
    if let Err(why) = &cluster.version {
        add("get /version".to_owned(), None, why);
    }
    if let Err(why) = &cluster.served {
        add("get /apis".to_owned(), None, why);
    }
    for (kind, objects) in &cluster.objects {
        if let (Some(api), Err(why)) = (KINDS.iter().find(|api| api.kind == *kind), objects) {
            add(KindApi::permission(api), None, why);
        }
    }
    for ((namespace, name), keys) in &cluster.secrets {
        if let Err(why) = keys {
            add("get secrets".to_owned(), Some(format!("{namespace}/{name}")), why);
        }
    }
    for unread in cluster.platform.iter().flat_map(PlatformFacts::unread) {
        add(unread.action.to_owned(), None, &unread.why);
    }
    for (candidate, result) in &cluster.dry_runs {
        if let Err(why) = result {
            let object = format!("{}/{}", candidate.namespace, candidate.name);
            add(format!("{} (a dry-run)", Candidate::permission(candidate.kind)), Some(object), why);
        }
    }
    found
}

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for cluster in [context.from, context.to] {
        let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for Unknown { what, object, why } in each(cluster) {
            let why = match why {
                Unreadable::Denied(_) => "the permission is missing".to_owned(),
                other => other.to_string(),
            };
            let known = reasons.entry(why).or_default();
            // One permission is named once, however many objects need it.
            if object.is_none() || !known.contains(&what) {
                known.push(what);
            }
        }
        for (why, what) in reasons {
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
