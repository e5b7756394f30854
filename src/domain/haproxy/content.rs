//! Converts the servers of a backend to the content of a route, and a content to the weights of servers.
//!
//! A member is the set of servers whose names match a glob of the plan, or one server that no glob matches. The weight of
//! a set is the factor of the ratios among its servers; the ratios are those of the configured weights.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::servers::Server;
use crate::base::haproxy::{Backend, matches};
use crate::domain::traffic::{Limits, Member, RouteContent, Split, VendorConfig};

/// The limits of HAProxy: the maximum weight of a server. A backend has no limit of servers; the largest backends have
/// some thousand.
pub const LIMITS: Limits = Limits { max_weight: 256, max_members: 100_000, fixed_total: false };

/// The name in `vendor_config` that identifies the opaque part as HAProxy's.
pub(super) const VENDOR: &str = "haproxy";
/// The version of the format of the opaque part.
pub(super) const VERSION: u32 = 1;

/// Why the servers of a backend and a content do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The content belongs to another kind of load balancer, or has a version that this build does not know.
    #[error(
        "the recorded servers have the format {0} version {1}; this build can write only {VENDOR} version {VERSION}"
    )]
    Version(String, u32),
    /// The opaque part is not a list of servers.
    #[error("the recorded servers are not valid: {0}")]
    Malformed(String),
    /// A server matches two globs, so it would belong to two clusters.
    #[error("the server {0} matches both `{1}` and `{2}`: each server can belong to one cluster only")]
    TwoGlobs(String, String, String),
    /// The table has a different number of slots than the content.
    #[error("the weights need {wanted} slots, but the map has {live}")]
    Slots {
        /// The sum of the weights.
        wanted: i64,
        /// The number of slots of the map.
        live: i64,
    },
    /// A member of the content has no servers.
    #[error("no server of the backend matches `{0}`")]
    NoServer(String),
}

/// The servers of a backend, by set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Servers {
    /// The ratio of each server, by the glob of its set.
    pub sets: BTreeMap<String, BTreeMap<String, u32>>,
    /// The servers that no glob matches.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub others: BTreeSet<String>,
    /// The weights of the servers of sets whose weights do not have the configured ratios.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub uneven: BTreeMap<String, u32>,
}

/// Converts the servers of a backend to the content of a route. `process` identifies the process that has answered.
///
/// # Errors
/// Returns an error if a server matches two globs.
pub fn content(
    backend: &Backend,
    globs: &[String],
    live: &[Server],
    process: String,
) -> Result<RouteContent, ContentError> {
    let mut sets: BTreeMap<&str, Vec<&Server>> = BTreeMap::new();
    let mut servers = Servers::default();
    let mut others = Vec::new();
    for server in live {
        let mut fitting = globs.iter().filter(|glob| matches(glob, &server.name));
        match (fitting.next(), fitting.next()) {
            (Some(one), Some(two)) => {
                return Err(ContentError::TwoGlobs(server.name.clone(), one.clone(), two.clone()));
            }
            (Some(glob), None) => sets.entry(glob).or_default().push(server),
            (None, _) => {
                servers.others.insert(server.name.clone());
                others.push(Member::new(backend.group(&server.name), u16::try_from(server.weight).ok()));
            }
        }
    }
    let mut members = Vec::new();
    for glob in globs {
        let Some(set) = sets.get(glob.as_str()) else { continue };
        let ratios = ratios(set);
        members.push(member(backend.group(glob), set, &ratios, &mut servers.uneven));
        servers.sets.insert(glob.clone(), set.iter().map(|s| s.name.clone()).zip(ratios).collect());
    }
    members.extend(others);
    Ok(RouteContent {
        split: Split { members },
        stickiness: None,
        process: Some(process),
        vendor_config: VendorConfig {
            vendor: VENDOR.to_owned(),
            v: VERSION,
            value: serde_json::to_value(servers).unwrap_or_default(),
        },
    })
}

/// Returns the ratios of the configured weights in lowest terms; equal ratios if all configured weights are 0.
fn ratios(set: &[&Server]) -> Vec<u32> {
    let common = set.iter().fold(0, |g, server| gcd(g, server.initial_weight));
    set.iter().map(|server| server.initial_weight.checked_div(common).unwrap_or(1)).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn member(id: String, set: &[&Server], ratios: &[u32], uneven: &mut BTreeMap<String, u32>) -> Member {
    let (size, largest) = (ratios.iter().sum::<u32>().max(1), ratios.iter().copied().max().unwrap_or(1).max(1));
    let total: u32 = set.iter().map(|server| server.weight).sum();
    let weight = total / size;
    if set.iter().zip(ratios).any(|(server, ratio)| server.weight != weight * ratio) {
        uneven.extend(set.iter().map(|server| (server.name.clone(), server.weight)));
    }
    // A set with any traffic must not look as if it had none.
    let weight = if total > 0 { weight.max(1) } else { 0 };
    let max_weight = (largest > 1).then(|| u16::try_from(256 / largest).unwrap_or(1).max(1));
    Member { size, max_weight, ..Member::new(id, u16::try_from(weight).ok()) }
}

/// Returns the servers of a content.
///
/// # Errors
/// Returns an error if the content was not made by [`content`].
pub fn servers_of(content: &RouteContent) -> Result<Servers, ContentError> {
    let VendorConfig { vendor, v, value } = &content.vendor_config;
    if (vendor.as_str(), *v) != (VENDOR, VERSION) {
        return Err(ContentError::Version(vendor.clone(), *v));
    }
    serde_json::from_value(value.clone()).map_err(|error| ContentError::Malformed(error.to_string()))
}

/// Returns the weight of each server that a content means.
///
/// # Errors
/// Returns an error if the content was not made by [`content`], or has a member without servers.
pub fn weights(backend: &Backend, content: &RouteContent) -> Result<BTreeMap<String, u32>, ContentError> {
    let servers = servers_of(content)?;
    let prefix = backend.group("");
    let mut all = BTreeMap::new();
    for member in &content.split.members {
        let name = member.id.strip_prefix(&prefix).unwrap_or(&member.id);
        let weight = u32::from(member.weight.unwrap_or(0));
        match servers.sets.get(name) {
            Some(set) => all.extend(set.iter().map(|(server, ratio)| (server.clone(), weight * ratio))),
            None if servers.others.contains(name) => drop(all.insert(name.to_owned(), weight)),
            None => return Err(ContentError::NoServer(name.to_owned())),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::servers::{parse_servers, tests::ANSWER};
    use super::*;

    fn backend() -> Backend {
        Backend::parse("haproxy:tcp://10.0.1.10:9999/webapp").unwrap()
    }

    fn read(answer: &str) -> RouteContent {
        let globs = ["a-*".to_owned(), "b-*".to_owned()];
        content(&backend(), &globs, &parse_servers(answer).unwrap(), "pid 7".to_owned()).unwrap()
    }

    #[test]
    fn members_are_sets_of_servers_and_single_servers() {
        let content = read(ANSWER);
        let found: Vec<_> =
            content.split.members.iter().map(|m| (m.id.as_str(), m.weight, m.size, m.max_weight)).collect();
        let id = |name: &str| format!("haproxy:tcp://10.0.1.10:9999/webapp/{name}");
        assert_eq!(
            found,
            [
                (id("a-*").as_str(), Some(10), 3, Some(128)),
                (id("b-*").as_str(), Some(0), 1, None),
                (id("x-1").as_str(), Some(1), 1, None)
            ],
            "a-1 and a-2 have the ratio 2 : 1 of 100 and 50"
        );
        let wanted = weights(&backend(), &content).unwrap();
        let wanted: Vec<_> = wanted.iter().map(|(name, weight)| (name.as_str(), *weight)).collect();
        assert_eq!(wanted, [("a-1", 20), ("a-2", 10), ("b-1", 0), ("x-1", 1)]);
        let journalled: RouteContent = serde_json::from_value(serde_json::to_value(&content).unwrap()).unwrap();
        assert_eq!(journalled, content);
    }

    #[test]
    fn other_ratios_other_servers_and_another_process_are_differences() {
        let before = read(ANSWER);
        let uneven = read(&ANSWER.replace(" 20 100 ", " 21 100 "));
        assert!(!before.equivalent_except_split(&uneven));
        assert_eq!(servers_of(&uneven).unwrap().uneven, [("a-1".to_owned(), 21), ("a-2".to_owned(), 10)].into());
        assert!(!before.equivalent_except_split(&read(&ANSWER.replace(" x-1 ", " x-2 "))));
        let mut reloaded = before.clone();
        reloaded.process = Some("pid 8".to_owned());
        assert!(!before.equivalent(&reloaded) && before.restarted_as(&reloaded));
        assert!(before.equivalent(&read(ANSWER)));
    }

    #[test]
    fn server_of_two_clusters_is_refused() {
        let globs = ["a-*".to_owned(), "*-1".to_owned()];
        let refused = content(&backend(), &globs, &parse_servers(ANSWER).unwrap(), String::new()).unwrap_err();
        assert_eq!(refused, ContentError::TwoGlobs("a-1".into(), "a-*".into(), "*-1".into()));
    }

    #[test]
    fn content_of_another_vendor_is_not_written() {
        let mut content = read(ANSWER);
        content.vendor_config.vendor = "elbv2".to_owned();
        assert_eq!(weights(&backend(), &content), Err(ContentError::Version("elbv2".into(), 1)));
        let mut content = read(ANSWER);
        content.split.members.push(Member::new(backend().group("c-*"), Some(1)));
        assert_eq!(weights(&backend(), &content), Err(ContentError::NoServer("c-*".into())));
    }
}
