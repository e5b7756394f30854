//! The rules for dependencies between rooms (top-level modules).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use super::arrow::{Arrow, To};

/// The rooms, top to bottom: a room may use only rooms below it.
const ROOMS: [&[&str]; 9] =
    [&["cli"], &["app"], &["lab"], &["adapter"], &["engine"], &["port"], &["domain"], &["plan"], &["base"]];

/// The rooms of `domain`, top to bottom: a room may use only rooms of lower lines. Rooms of one line must not use each
/// other.
const DOMAIN: [&[&str]; 9] = [
    &["emergency", "view"],
    &["compare", "waves"],
    &["preflight"],
    &["decide"],
    &["run"],
    &["hand_over", "health", "metric"],
    &["kubernetes"],
    &["elb", "haproxy"],
    &["traffic"],
];

/// Rooms for the types of one load balancer vendor each.
const VENDORS: [&str; 2] = ["domain/elb", "domain/haproxy"];

/// Rooms that must not use types of a vendor, and the parts of them that may.
const NEUTRAL: [&str; 6] = ["domain/run", "domain/health", "domain/metric", "domain/decide", "engine", "port"];
const VENDOR_SEAMS: [&str; 2] = ["engine/inventory", "port/inventory.rs"];

/// Rooms whose files must not use each other in a circle.
const NO_CIRCLES: [&str; 4] = ["domain", "engine", "app", "cli"];

/// Prefixes of crate names, and the rooms that may use these crates. Every room may use other crates.
const CRATES: [(&[&str], &[&str]); 4] = [
    (&["aws_", "kube", "k8s_openapi", "tower"], &["adapter", "lab"]),
    (&["hyper", "http_body"], &["adapter", "lab"]),
    (
        &["tokio", "async_trait", "futures", "std::fs", "std::net", "std::process", "std::env"],
        &["cli", "app", "lab", "adapter", "engine", "port"],
    ),
    (&["clap", "indicatif", "console", "maud"], &["cli"]),
];

/// Returns the violations as texts. Dependencies in `known` (from, to) are allowed.
pub fn violations(arrows: &BTreeSet<Arrow>, known: &[(&str, &str)]) -> Vec<String> {
    let new = |arrow: &&Arrow| !known.contains(&(arrow.from.as_str(), target(arrow)));
    let arrows: BTreeSet<_> = arrows.iter().filter(new).cloned().collect();
    let mut wrong: Vec<_> = arrows.iter().filter_map(violation_of).collect();
    wrong.extend(NO_CIRCLES.iter().flat_map(|room| circles(&arrows, room)));
    wrong
}

/// Returns the entries of `known` that no dependency needs any more.
pub fn needless<'a>(arrows: &BTreeSet<Arrow>, known: &'a [(&'a str, &'a str)]) -> Vec<&'a (&'a str, &'a str)> {
    known.iter().filter(|(from, to)| !arrows.iter().any(|arrow| arrow.from == *from && target(arrow) == *to)).collect()
}

fn target(arrow: &Arrow) -> &str {
    let (To::File(to) | To::Crate(to)) = &arrow.to;
    to
}

fn violation_of(arrow: &Arrow) -> Option<String> {
    let why = match &arrow.to {
        To::Crate(path) => forbidden_crate(&arrow.from, path)?,
        To::File(to) => forbidden_direction(&ROOMS, &arrow.from, to, 0).or_else(|| {
            let both = [&arrow.from, to].iter().all(|file| file.starts_with("domain/"));
            both.then(|| forbidden_direction(&DOMAIN, &arrow.from, to, 1))
                .flatten()
                .or_else(|| forbidden_vendor(&arrow.from, to))
        })?,
    };
    Some(format!("src/{}:{}: → {}: {why}", arrow.from, arrow.line, target(arrow)))
}

/// Returns the part of a path at a level, without `.rs`.
fn room(file: &str, level: usize) -> &str {
    file.split('/').nth(level).unwrap_or_default().trim_end_matches(".rs")
}

fn forbidden_direction(order: &[&[&str]], from: &str, to: &str, level: usize) -> Option<String> {
    let (from, to) = (room(from, level), room(to, level));
    let line = |room: &str| order.iter().position(|line| line.contains(&room));
    // `lib.rs` and the `mod.rs` of a folder are in no room.
    let (a, b) = (line(from)?, line(to)?);
    (from != to && b <= a).then(|| format!("{from} must not use {to}"))
}

fn forbidden_vendor(from: &str, to: &str) -> Option<String> {
    let within = |file: &str, rooms: &[&str]| rooms.iter().any(|room| Path::new(file).starts_with(room));
    let neutral = within(from, &NEUTRAL) && !within(from, &VENDOR_SEAMS);
    (neutral && within(to, &VENDORS)).then(|| format!("{} must not use a vendor's types", room(from, 0)))
}

fn forbidden_crate(from: &str, path: &str) -> Option<String> {
    let of = |name: &str| {
        if name.ends_with('_') {
            path.starts_with(name)
        } else {
            path == name || path.starts_with(&format!("{name}::"))
        }
    };
    // A name also means crates with a suffix: `hyper_util`, `http_body_util`.
    let family = |name: &str| of(name) || path.starts_with(&format!("{name}_"));
    let rooms = CRATES.iter().find(|(names, _)| names.iter().any(|name| family(name))).map(|(_, rooms)| rooms)?;
    let here = room(from, 0);
    (!rooms.contains(&here)).then(|| format!("{here} must not use that crate; only {} may", rooms.join(", ")))
}

/// Returns the circles of files in a room, each once, by the shortest path.
fn circles(arrows: &BTreeSet<Arrow>, room_name: &str) -> Vec<String> {
    let mut next: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for arrow in arrows.iter().filter(|arrow| !arrow.declares) {
        if let To::File(to) = &arrow.to
            && room(&arrow.from, 0) == room_name
            && room(to, 0) == room_name
        {
            next.entry(&arrow.from).or_default().entry(to).or_insert(arrow.line);
        }
    }
    let mut reported = BTreeSet::new();
    let mut all = Vec::new();
    for start in next.keys() {
        let Some(way) = shortest_circle(&next, start) else { continue };
        if reported.insert(way.iter().copied().collect::<BTreeSet<_>>()) {
            let line = |i: usize| next[way[i]][way[(i + 1) % way.len()]];
            let steps: Vec<_> = way.iter().enumerate().map(|(i, file)| format!("src/{file}:{}", line(i))).collect();
            all.push(format!("{} → {start}: a circle", steps.join(" → ")));
        }
    }
    all
}

/// Returns the shortest path from a file back to itself.
fn shortest_circle<'a>(next: &BTreeMap<&'a str, BTreeMap<&'a str, usize>>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut queue = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = queue.pop_front() {
        for to in next.get(way[way.len() - 1]).into_iter().flat_map(BTreeMap::keys).copied() {
            if to == start {
                return Some(way);
            }
            if seen.insert(to) {
                queue.push_back(way.iter().copied().chain([to]).collect());
            }
        }
    }
    None
}
