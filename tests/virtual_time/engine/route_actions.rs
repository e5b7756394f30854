//! The actions of a route in the simulated AWS, split into the weights by group and all other parts, which must never
//! change.

use std::collections::BTreeMap;

use serde_json::Value;

/// The actions of one route: weights and everything else.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteActions {
    /// Weights by target group ARN; a single group has weight 1.
    pub weights: BTreeMap<String, u32>,
    /// The actions without their groups.
    pub rest: Vec<Value>,
}

impl RouteActions {
    pub fn of(actions: &[Value]) -> Self {
        let mut weights = BTreeMap::new();
        let mut rest = actions.to_vec();
        for action in rest.iter_mut().filter_map(Value::as_object_mut).filter(|a| a["Type"] == "forward") {
            let lone = action.remove("TargetGroupArn");
            let config = action.get_mut("ForwardConfig").and_then(Value::as_object_mut);
            let groups = config.and_then(|c| c.remove("TargetGroups"));
            match groups {
                Some(groups) => weights = tuples(&groups),
                None => weights.extend(lone.and_then(|a| Some((a.as_str()?.to_owned(), 1)))),
            }
            // An action without stickiness equals an action with disabled stickiness.
            let config = action.remove("ForwardConfig").unwrap_or_default();
            let sticky = config["TargetGroupStickinessConfig"].clone();
            if sticky["Enabled"] == "true" || sticky["Enabled"] == true {
                action.insert(
                    "Sticky".into(),
                    sticky["DurationSeconds"]
                        .as_str()
                        .map_or(sticky["DurationSeconds"].to_string(), str::to_owned)
                        .into(),
                );
            }
        }
        Self { weights, rest }
    }

    /// Returns the share of a group among the `managed` groups, in percent.
    pub fn share(&self, group: &str, managed: &[&str]) -> f64 {
        let total: u32 = managed.iter().filter_map(|g| self.weights.get(*g)).sum();
        f64::from(self.weights.get(group).copied().unwrap_or(0)) * 100.0 / f64::from(total.max(1))
    }

    /// Returns the fraction of all weights that a group has, from 0 to 1.
    pub fn part(&self, group: &str) -> f64 {
        let total: u32 = self.weights.values().sum();
        f64::from(self.weights.get(group).copied().unwrap_or(0)) / f64::from(total.max(1))
    }
}

fn tuples(groups: &Value) -> BTreeMap<String, u32> {
    let groups = groups.as_array().expect("TargetGroups should be a list");
    let weight = |g: &Value| match &g["Weight"] {
        Value::String(text) => text.parse().expect("a weight should be a number"),
        Value::Number(number) => u32::try_from(number.as_u64().expect("a weight should be a whole number"))
            .expect("a weight should be small"),
        _ => 0,
    };
    let lone = groups.len() == 1;
    groups
        .iter()
        .map(|g| {
            (
                g["TargetGroupArn"].as_str().expect("a group should have an ARN").to_owned(),
                if lone { 1 } else { weight(g) },
            )
        })
        .collect()
}
