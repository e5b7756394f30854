//! The data plane's copy of the actions, and the weighted choice of a target group.
//!
//! The choice is deterministic: each request adds the share of each group to the missing requests of the group, and the
//! group with the most missing requests gets the request. The amounts are kept for each route and summed for the load
//! balancer, so that neither a single route nor all routes together are off by more than one or two requests.

use std::collections::BTreeMap;

use serde_json::Value;

use super::balancer::{number, weights};

/// The action that the data plane currently uses on a route.
#[derive(Debug, Clone, Default)]
pub(crate) struct EffectiveAction {
    pub action: FinalAction,
    /// Seconds for which a cookie binds a client to its group; `None` means no group stickiness.
    pub sticky: Option<u64>,
}

/// The last action of a route, which determines the response.
#[derive(Debug, Clone, Default)]
pub(crate) enum FinalAction {
    /// Forwards the request to one of these groups.
    Forward(Vec<WeightedGroup>),
    /// Responds with this HTTP status.
    Status(u16),
    /// The data plane does not know the route yet.
    #[default]
    Unknown,
}

/// A target group in a forward action.
#[derive(Debug, Clone)]
pub(crate) struct WeightedGroup {
    /// Index of the target group.
    pub group: usize,
    /// Share of the group in the action, 0–1.
    pub share: f64,
    /// Number of requests of this route that the group should have received but has not yet (may be a fraction).
    pub missing_requests: f64,
}

impl EffectiveAction {
    /// Reads an action tree. `phase` (0–1) shifts where in the sequence the route starts.
    pub fn read(actions: &[Value], index: &BTreeMap<std::sync::Arc<str>, usize>, phase: f64) -> Self {
        let Some(last) = actions.last() else { return Self::default() };
        let status = |value: &Value| value.as_str().and_then(|s| s.trim_start_matches("HTTP_").parse().ok());
        match last["Type"].as_str() {
            Some("forward") => {
                Self { action: FinalAction::Forward(entries(actions, index, phase)), sticky: sticky(last) }
            }
            Some("redirect") => Self {
                action: FinalAction::Status(status(&last["RedirectConfig"]["StatusCode"]).unwrap_or(302)),
                sticky: None,
            },
            _ => Self {
                action: FinalAction::Status(status(&last["FixedResponseConfig"]["StatusCode"]).unwrap_or(200)),
                sticky: None,
            },
        }
    }

    /// Returns the groups of a forward action; an empty slice for other actions.
    pub fn entries(&self) -> &[WeightedGroup] {
        match &self.action {
            FinalAction::Forward(entries) => entries,
            FinalAction::Status(_) | FinalAction::Unknown => &[],
        }
    }

    /// Copies from the action `before` the missing requests of each group.
    pub fn keep_owed(&mut self, before: &Self) {
        if let FinalAction::Forward(entries) = &mut self.action {
            for entry in entries.iter_mut() {
                if let Some(old) = before.entries().iter().find(|e| e.group == entry.group && e.share > 0.0) {
                    entry.missing_requests = old.missing_requests;
                }
            }
        }
    }

    /// Chooses the next group by weight; `None` if every weight is 0.
    pub fn next_group(&mut self, missing_requests: &mut BTreeMap<usize, f64>) -> Option<usize> {
        let FinalAction::Forward(entries) = &mut self.action else { return None };
        let mut best: Option<(usize, f64)> = None;
        for (index, entry) in entries.iter_mut().enumerate().filter(|(_, e)| e.share > 0.0) {
            entry.missing_requests += entry.share;
            let over_all = missing_requests.entry(entry.group).or_insert(0.0);
            *over_all += entry.share;
            let want = entry.missing_requests + *over_all;
            if best.is_none_or(|(_, most)| want > most) {
                best = Some((index, want));
            }
        }
        let chosen = &mut entries[best?.0];
        chosen.missing_requests -= 1.0;
        *missing_requests.entry(chosen.group).or_insert(0.0) -= 1.0;
        Some(chosen.group)
    }
}

fn entries(actions: &[Value], index: &BTreeMap<std::sync::Arc<str>, usize>, phase: f64) -> Vec<WeightedGroup> {
    let weights = weights(actions);
    let total: u32 = weights.iter().map(|w| w.1).sum();
    let mut entries: Vec<WeightedGroup> = weights
        .iter()
        .filter_map(|(arn, weight)| {
            let share = if total == 0 { 0.0 } else { f64::from(*weight) / f64::from(total) };
            Some(WeightedGroup { group: *index.get(*arn)?, share, missing_requests: 0.0 })
        })
        .collect();
    // Give two groups opposite offsets, so that routes do not all choose the same group at the same time. The offsets
    // add up to zero.
    let mut used = entries.iter_mut().filter(|e| e.share > 0.0);
    if let (Some(first), Some(second)) = (used.next(), used.next()) {
        first.missing_requests = phase - 0.5;
        second.missing_requests = 0.5 - phase;
    }
    entries
}

fn sticky(action: &Value) -> Option<u64> {
    let config = &action["ForwardConfig"]["TargetGroupStickinessConfig"];
    let enabled = config["Enabled"].as_bool().unwrap_or_else(|| config["Enabled"].as_str() == Some("true"));
    enabled.then(|| number(&config["DurationSeconds"]).map_or(86_400, u64::from))
}
