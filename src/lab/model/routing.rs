//! The data plane's own copy of the actions, and the weighted choice among groups.
//!
//! The choice is smooth: each group is owed its share of every request, and the group that is owed most is taken. What is owed is kept per route and summed
//! over the load balancer, so that both a single route and all of them together are never off by more than a request or two.

use std::collections::BTreeMap;

use serde_json::Value;

use super::balancer::{number, weights};

/// What the data plane does on a route.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effective {
    pub what: What,
    /// For how many seconds a cookie binds a client to its group; `None`: no group stickiness.
    pub sticky: Option<u64>,
}

/// A route's final action.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Forwards to these groups.
    Forward(Vec<Entry>),
    /// Answers with a status.
    Status(u16),
}

impl Default for What {
    fn default() -> Self {
        Self::Status(404)
    }
}

/// A group in a forward action.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Index of the group.
    pub group: usize,
    /// Its share of the action, 0–1.
    pub share: f64,
    /// How many requests of this route it is owed.
    pub owed: f64,
}

impl Effective {
    /// Reads an action tree. `phase` (0–1) shifts where in the sequence a route starts.
    pub fn read(actions: &[Value], index: &BTreeMap<std::sync::Arc<str>, usize>, phase: f64) -> Self {
        let Some(last) = actions.last() else { return Self::default() };
        let status = |value: &Value| value.as_str().and_then(|s| s.trim_start_matches("HTTP_").parse().ok());
        match last["Type"].as_str() {
            Some("forward") => Self { what: What::Forward(entries(actions, index, phase)), sticky: sticky(last) },
            Some("redirect") => {
                Self { what: What::Status(status(&last["RedirectConfig"]["StatusCode"]).unwrap_or(302)), sticky: None }
            }
            _ => Self {
                what: What::Status(status(&last["FixedResponseConfig"]["StatusCode"]).unwrap_or(200)),
                sticky: None,
            },
        }
    }

    /// The groups, where it forwards.
    pub fn entries(&self) -> &[Entry] {
        match &self.what {
            What::Forward(entries) => entries,
            What::Status(_) => &[],
        }
    }

    /// Takes over what groups are owed from the state before a change.
    pub fn carry(&mut self, before: &Self) {
        if let What::Forward(entries) = &mut self.what {
            for entry in entries.iter_mut() {
                if let Some(old) = before.entries().iter().find(|e| e.group == entry.group && e.share > 0.0) {
                    entry.owed = old.owed;
                }
            }
        }
    }

    /// The next group by weight; `None`: every weight is 0.
    pub fn next(&mut self, owed: &mut BTreeMap<usize, f64>) -> Option<usize> {
        let What::Forward(entries) = &mut self.what else { return None };
        let mut best: Option<(usize, f64)> = None;
        for (index, entry) in entries.iter_mut().enumerate().filter(|(_, e)| e.share > 0.0) {
            entry.owed += entry.share;
            let over_all = owed.entry(entry.group).or_insert(0.0);
            *over_all += entry.share;
            let want = entry.owed + *over_all;
            if best.is_none_or(|(_, most)| want > most) {
                best = Some((index, want));
            }
        }
        let chosen = &mut entries[best?.0];
        chosen.owed -= 1.0;
        *owed.entry(chosen.group).or_insert(0.0) -= 1.0;
        Some(chosen.group)
    }
}

fn entries(actions: &[Value], index: &BTreeMap<std::sync::Arc<str>, usize>, phase: f64) -> Vec<Entry> {
    let weights = weights(actions);
    let total: u32 = weights.iter().map(|w| w.1).sum();
    let mut entries: Vec<Entry> = weights
        .iter()
        .filter_map(|(arn, weight)| {
            let share = if total == 0 { 0.0 } else { f64::from(*weight) / f64::from(total) };
            Some(Entry { group: *index.get(*arn)?, share, owed: 0.0 })
        })
        .collect();
    // Shifting two groups against each other spreads the routes' turns, and sums to zero.
    let mut used = entries.iter_mut().filter(|e| e.share > 0.0);
    if let (Some(first), Some(second)) = (used.next(), used.next()) {
        first.owed = phase - 0.5;
        second.owed = 0.5 - phase;
    }
    entries
}

fn sticky(action: &Value) -> Option<u64> {
    let config = &action["ForwardConfig"]["TargetGroupStickinessConfig"];
    let enabled = config["Enabled"].as_bool().unwrap_or_else(|| config["Enabled"].as_str() == Some("true"));
    enabled.then(|| number(&config["DurationSeconds"]).map_or(86_400, u64::from))
}
