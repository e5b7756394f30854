//! Writes and reads a tag on a listener or rule that records the original weights of a route. The tag is the second
//! source of a rollback, in case the journal is on a machine that cannot be reached. The tag is never the only source,
//! because other actors may edit or remove tags.
//!
//! Format: `1 RUN ID=WEIGHT ID:WEIGHT … SUM`. RUN is the run that wrote the tag. ID is the last segment of a group's
//! ARN, followed by `=` if the plan manages the group, otherwise by `:`. WEIGHT is the weight of the group, `-` for a
//! single group without a weight, or `x` if the group was not attached. SUM is a checksum over the text before SUM.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

pub use crate::base::arn::last as id;
use crate::domain::elb::LIMITS;
use crate::domain::run::event::{RouteStart, Started};
use crate::domain::traffic::{Member, Split, shares};

/// The tag's key.
pub const KEY: &str = "cutover.dev/weights";

/// Maximum number of characters in a tag's value.
pub(super) const MAX_TAG_LENGTH: usize = 256;

/// A target group of a route, as a tag records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedGroup {
    /// The last segment of the group's ARN.
    pub id: String,
    /// Whether the plan manages the group.
    pub managed: bool,
    /// Whether the group was attached at the start.
    pub attached: bool,
    /// The weight, 0–999; `None` for a single group without a weight.
    pub weight: Option<u16>,
}

impl TaggedGroup {
    /// Whether the group had traffic at the start.
    pub fn carries(&self) -> bool {
        self.attached && self.weight != Some(0)
    }
}

/// The parsed value of a route's tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTag {
    /// The id of the run that wrote the tag.
    pub run: String,
    /// The target groups of the route.
    pub groups: Vec<TaggedGroup>,
}

/// Returns the tag's value for a route, which records the split that a rollback of this run restores. `None` if a tag
/// cannot express this split.
pub fn value(run: &str, started: &Started, route: &RouteStart) -> Option<String> {
    let original = route.content.forward_split()?;
    let restored = original_split(started, route, original)?;
    let managed = |arn: &str| route.groups.values().any(|own| own == arn);
    let attached = restored.members.iter().map(|m| TaggedGroup {
        id: id(&m.id).to_owned(),
        managed: managed(&m.id),
        attached: true,
        weight: m.weight,
    });
    let absent = route.groups.values().filter(|arn| restored.weight(arn).is_none());
    let absent = absent.map(|arn| TaggedGroup { id: id(arn).to_owned(), managed: true, attached: false, weight: None });
    let tag = RouteTag { run: run.to_owned(), groups: attached.chain(absent).collect() };
    let text = format_tag(&tag);
    let fits = text.chars().count() <= MAX_TAG_LENGTH
        && text.chars().all(|c| c.is_ascii_alphanumeric() || " +-=._:/@".contains(c));
    // A value that cannot be parsed again is useless for a rollback.
    (fits && read(&text).as_ref() == Some(&tag)).then_some(text)
}

/// Returns the split that a rollback of this run restores, without the groups that stay attached at weight 0.
fn original_split(started: &Started, route: &RouteStart, original: &Split) -> Option<Split> {
    let Some(start) = &started.start else { return Some(original.clone()) };
    let used =
        |cluster: &str, arn: &str| original.weight(arn).is_some() || start.get(cluster).is_some_and(|share| *share > 0);
    let managed: Vec<_> =
        route.groups.iter().filter(|(c, arn)| used(c, arn)).map(|(c, arn)| (c.clone(), arn.clone())).collect();
    let known =
        start.iter().filter(|(c, _)| managed.iter().any(|(m, _)| m == *c)).map(|(c, s)| (c.clone(), *s)).collect();
    shares::split_for(original, &managed, &known, route.limits).ok()
}

fn format_tag(tag: &RouteTag) -> String {
    let parts = tag.groups.iter().map(|p| {
        let weight = match (p.attached, p.weight) {
            (false, _) => "x".to_owned(),
            (true, None) => "-".to_owned(),
            (true, Some(weight)) => weight.to_string(),
        };
        format!("{}{}{weight}", p.id, if p.managed { '=' } else { ':' })
    });
    let text = std::iter::once(format!("1 {}", tag.run)).chain(parts).collect::<Vec<_>>().join(" ");
    format!("{text} {}", checksum(&text))
}

/// Parses a tag's value; `None` if it is incomplete, damaged, or not written by this tool.
pub fn read(value: &str) -> Option<RouteTag> {
    let (text, sum) = value.rsplit_once(' ')?;
    if checksum(text) != sum {
        return None;
    }
    let mut words = text.split(' ');
    if words.next() != Some("1") {
        return None;
    }
    let run = words.next()?.to_owned();
    let parts = words.map(parse_group).collect::<Option<Vec<_>>>()?;
    let carries = parts.iter().any(TaggedGroup::carries);
    carries.then_some(RouteTag { run, groups: parts })
}

fn parse_group(word: &str) -> Option<TaggedGroup> {
    let (id, weight) = word.split_once(['=', ':'])?;
    let weight_of = |text: &str| text.parse().ok().filter(|w| *w <= LIMITS.max_weight);
    let (attached, weight) = match weight {
        "x" => (false, None),
        "-" => (true, None),
        text => (true, Some(weight_of(text)?)),
    };
    Some(TaggedGroup { id: id.to_owned(), managed: word.as_bytes().get(id.len()) == Some(&b'='), attached, weight })
}

pub(super) fn checksum(text: &str) -> String {
    let number = Sha256::digest(text).iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    format!("{number:08x}")
}

impl RouteTag {
    /// Returns the recorded split. `groups` maps the last segment of an ARN to the ARN. `None` if `groups` lacks a
    /// group that was attached.
    pub fn split(&self, groups: &BTreeMap<&str, &str>) -> Option<Split> {
        let member = |p: &TaggedGroup| Some(Member::new((*groups.get(p.id.as_str())?).to_owned(), p.weight));
        let members = self.groups.iter().filter(|p| p.attached).map(member).collect::<Option<Vec<_>>>()?;
        Some(Split { members })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "alpha-webapp-20260105-080000-xtj4";

    fn arn(name: &str, id: &str) -> String {
        format!("arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/{name}/{id}")
    }

    fn start(weights: &[(&str, Option<u16>)]) -> (Started, RouteStart) {
        let members = weights.iter().map(|(id, weight)| Member::new(arn("g", id), *weight)).collect();
        let mut started = crate::domain::fixture::started(4);
        let mut route = started.routes.remove(0);
        route.groups = [("a".into(), arn("g", "00000000000000aa")), ("b".into(), arn("g", "00000000000000bb"))].into();
        route.content.split = Split { members };
        (started, route)
    }

    #[test]
    fn written_value_is_read_and_damaged_values_are_refused() {
        let (started, route) = start(&[("00000000000000aa", Some(100)), ("00000000000000cc", Some(25))]);
        let text = value(RUN, &started, &route).unwrap();
        assert!(
            text.starts_with(
                "1 alpha-webapp-20260105-080000-xtj4 00000000000000aa=100 00000000000000cc:25 00000000000000bb=x "
            ),
            "{text}"
        );
        let tag = read(&text).unwrap();
        assert_eq!(tag.run, RUN);
        assert_eq!(
            tag.groups.iter().map(|p| (p.managed, p.carries())).collect::<Vec<_>>(),
            [(true, true), (false, true), (true, false)]
        );
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(
                String::from_utf8(bytes).ok().and_then(|t| read(&t)),
                None,
                "a changed bit at byte {at} must be detected"
            );
            assert_eq!(read(&text[..at]), None, "a value cut at byte {at} must be refused");
        }
    }

    #[test]
    fn tag_gives_the_split_of_the_start() {
        let (started, route) = start(&[("00000000000000aa", None)]);
        let tag = read(&value(RUN, &started, &route).unwrap()).unwrap();
        let a = arn("g", "00000000000000aa");
        let groups: BTreeMap<&str, &str> = [("00000000000000aa", a.as_str())].into();
        assert_eq!(tag.split(&groups).as_ref(), Some(&route.content.split));
        assert_eq!(tag.split(&BTreeMap::new()), None, "a tag with a group that was not found must give no split");
    }

    /// A run that starts at a later step is rolled back to its start shares, not to the shares that it found.
    #[test]
    fn tag_records_the_start_shares_of_a_run_at_a_later_step() {
        let (mut started, route) = start(&[("00000000000000aa", Some(50)), ("00000000000000bb", Some(50))]);
        started.start = Some([("a".into(), 100), ("b".into(), 0)].into());
        let tag = read(&value(RUN, &started, &route).unwrap()).unwrap();
        assert_eq!(tag.groups.iter().map(|p| p.weight).collect::<Vec<_>>(), [Some(100), Some(0)]);
    }

    #[test]
    fn five_groups_with_long_names_fit() {
        let ids = ["00000000000000aa", "00000000000000bb", "00000000000000cc", "00000000000000dd", "00000000000000ee"];
        let (started, route) = start(&ids.map(|id| (id, Some(999))));
        let longest = format!("{}-20260105-080000-xtj4", "n".repeat(63));
        assert!(value(&longest, &started, &route).is_some_and(|text| text.len() <= 256));
    }
}
