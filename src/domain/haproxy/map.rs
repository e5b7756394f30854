//! Represents a map whose entries are slots: each slot names a backend, and a request takes a slot at random. The share of
//! a backend is its number of slots (`use_backend %[rand(100),map(FILE)]` in the configuration of HAProxy).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::content::{ContentError, VENDOR, VERSION};
use crate::base::haproxy::Backend;
use crate::domain::traffic::{Limits, Member, RouteContent, Split, VendorConfig};

/// A slot: its key, and the backend that it names.
pub type Slot = (String, String);

/// The part of a content that a write needs, in addition to the split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Table {
    /// The number of slots.
    slots: u16,
}

/// Parses the answer to `show map FILE`: lines with a pointer, a key and a value.
///
/// # Errors
/// Returns what is malformed.
pub fn parse_map(answer: &str) -> Result<Vec<Slot>, String> {
    let slot = |line: &str| {
        let mut words = line.split_whitespace().skip(1).map(str::to_owned);
        words.next().zip(words.next()).ok_or_else(|| format!("`show map` has the line `{line}`"))
    };
    let slots: Vec<Slot> = answer.lines().filter(|line| !line.trim().is_empty()).map(slot).collect::<Result<_, _>>()?;
    if slots.is_empty() || slots.len() > usize::from(u16::MAX) {
        return Err(format!("the map has {} entries; a table of slots has 100 or 1,000", slots.len()));
    }
    Ok(slots)
}

/// Returns the limits of a table with this number of slots, which never changes.
pub fn map_limits(content: &RouteContent) -> Limits {
    let slots = table(content).map_or(0, |table| table.slots);
    Limits { max_weight: slots, max_members: usize::from(u16::MAX), fixed_total: true }
}

fn table(content: &RouteContent) -> Result<Table, ContentError> {
    let VendorConfig { vendor, v, value } = &content.vendor_config;
    if (vendor.as_str(), *v) != (VENDOR, VERSION) {
        return Err(ContentError::Version(vendor.clone(), *v));
    }
    serde_json::from_value(value.clone()).map_err(|error| ContentError::Malformed(error.to_string()))
}

/// Converts the slots of a map to the content of a route. `managed` are the backends of the plan, which are members also
/// without a slot.
pub fn map_content(map: &Backend, managed: &[String], slots: &[Slot], process: String) -> RouteContent {
    let mut counts: BTreeMap<&str, u16> = BTreeMap::new();
    for (_, backend) in slots {
        *counts.entry(backend).or_default() += 1;
    }
    let own = managed.iter().map(String::as_str);
    let others = counts.keys().copied().filter(|name| !managed.iter().any(|own| own == name));
    let members =
        own.chain(others).map(|name| Member::new(map.group(name), Some(counts.get(name).copied().unwrap_or(0))));
    let table = Table { slots: u16::try_from(slots.len()).unwrap_or(u16::MAX) };
    RouteContent {
        split: Split { members: members.collect() },
        stickiness: None,
        process: Some(process),
        vendor_config: VendorConfig {
            vendor: VENDOR.to_owned(),
            v: VERSION,
            value: serde_json::to_value(table).unwrap_or_default(),
        },
    }
}

/// Returns the slots that a content means. Only as few slots as necessary change, the last ones first, and never a slot
/// whose backend keeps its number of slots.
///
/// # Errors
/// Returns an error if the content was not made by [`map_content`], or has a different number of slots.
pub fn new_slots(map: &Backend, content: &RouteContent, live: &[Slot]) -> Result<Vec<Slot>, ContentError> {
    let wanted_slots = table(content)?.slots;
    let prefix = map.group("");
    let weight =
        |m: &Member| (m.id.strip_prefix(&prefix).unwrap_or(&m.id).to_owned(), i64::from(m.weight.unwrap_or(0)));
    let mut open: BTreeMap<String, i64> = content.split.members.iter().map(weight).collect();
    let total: i64 = open.values().sum();
    let count = i64::try_from(live.len()).unwrap_or(i64::MAX);
    if total != count || usize::from(wanted_slots) != live.len() {
        return Err(ContentError::Slots { wanted: total, live: count });
    }
    for (_, backend) in live {
        *open.entry(backend.clone()).or_default() -= 1;
    }
    let mut slots = live.to_vec();
    for (_, backend) in slots.iter_mut().rev() {
        if open.get(backend).is_none_or(|open| *open >= 0) {
            continue;
        }
        let Some((taker, missing)) = open.iter_mut().find(|(_, open)| **open > 0) else { break };
        *missing -= 1;
        let giver = std::mem::replace(backend, taker.clone());
        *open.entry(giver).or_default() += 1;
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::traffic::shares::split_for;

    fn map() -> Backend {
        Backend::of_map("tcp://10.0.1.10:9999", "/etc/haproxy/shares.map")
    }

    fn managed() -> Vec<String> {
        ["webapp-a", "webapp-b"].map(str::to_owned).into()
    }

    /// Returns an answer of HAProxy 2.6.12 with these numbers of slots.
    fn answer(counts: &[(&str, usize)]) -> String {
        let names = counts.iter().flat_map(|(name, count)| vec![*name; *count]);
        let lines = names.enumerate().map(|(n, name)| format!("0x55c232127{n:03x} {n} {name}"));
        lines.chain([String::new(), String::new()]).collect::<Vec<_>>().join("\n")
    }

    fn counts(slots: &[Slot]) -> BTreeMap<&str, usize> {
        slots.iter().fold(BTreeMap::new(), |mut counts, (_, name)| {
            *counts.entry(name.as_str()).or_default() += 1;
            counts
        })
    }

    #[test]
    fn members_have_their_number_of_slots() {
        let slots = parse_map(&answer(&[("webapp-a", 90), ("static", 10)])).unwrap();
        let content = map_content(&map(), &managed(), &slots, "pid 7".to_owned());
        let found: Vec<_> =
            content.split.members.iter().map(|m| (m.id.rsplit('/').next().unwrap(), m.weight)).collect();
        assert_eq!(found, [("webapp-a", Some(90)), ("webapp-b", Some(0)), ("static", Some(10))]);
        assert_eq!(map_limits(&content).max_weight, 100);
        assert!(parse_map("\n").is_err() && parse_map("0x1 5\n\n").is_err());
    }

    /// Every share of every table: only the difference in slots changes, the total stays, and the slots of a backend
    /// outside of the plan stay where they are.
    #[test]
    fn as_few_slots_as_needed_change() {
        let mut written = 0;
        for (size, other) in [(100, 0), (100, 10), (1000, 0), (1000, 250)] {
            let start = parse_map(&answer(&[("webapp-a", size - other), ("static", other)])).unwrap();
            let content = map_content(&map(), &managed(), &start, "pid 7".to_owned());
            let pairs: Vec<_> =
                ["a", "b"].iter().map(|c| ((*c).to_owned(), map().group(&format!("webapp-{c}")))).collect();
            let mut live = start.clone();
            for share in (0..=100).chain([50, 1, 0, 100, 0]) {
                let shares = [("a".to_owned(), 100 - share), ("b".to_owned(), share)].into();
                let Ok(split) = split_for(&content.split, &pairs, &shares, map_limits(&content)) else { continue };
                let new = new_slots(&map(), &content.with_split(&split), &live).unwrap();
                let changed = new.iter().zip(&live).filter(|(new, old)| new != old).count();
                let number = |slots: &[Slot]| counts(slots).get("webapp-b").copied().unwrap_or(0);
                assert_eq!(changed, number(&new).abs_diff(number(&live)), "{size} {other} {share}");
                assert!(new.iter().zip(&start).all(|(new, old)| (new.1 == "static") == (old.1 == "static")));
                assert_eq!(split.total_traffic(), u64::try_from(size).unwrap());
                (live, written) = (new, written + 1);
            }
        }
        assert!(written > 300, "{written}");
    }

    #[test]
    fn another_number_of_slots_is_refused() {
        let slots = parse_map(&answer(&[("webapp-a", 100)])).unwrap();
        let content = map_content(&map(), &managed(), &slots, "pid 7".to_owned());
        let refused = new_slots(&map(), &content, &slots[..99]);
        assert_eq!(refused, Err(ContentError::Slots { wanted: 100, live: 99 }));
    }
}
