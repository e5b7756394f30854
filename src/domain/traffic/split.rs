//! How a route divides its traffic: members and weights.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The weight that a lone member without a weight gets when other members are added.
const LONE_WEIGHT: u16 = 100;

/// The members of a route, in the order in which they were read. A route without members forwards nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Split {
    /// The members.
    pub members: Vec<Member>,
}

/// A destination of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The id that its vendor assigned.
    pub id: String,
    /// Weight in the balancer's own unit. May be absent on a lone member, where it has no effect.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<u16>,
}

/// The limits of a balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Maximum weight of a member.
    pub max_weight: u16,
    /// Maximum number of members of a route.
    pub max_members: usize,
}

impl Split {
    /// Returns a split with weights.
    pub fn of<I: Into<String>>(members: impl IntoIterator<Item = (I, u16)>) -> Self {
        Self {
            members: members.into_iter().map(|(id, weight)| Member { id: id.into(), weight: Some(weight) }).collect(),
        }
    }

    /// Returns the ids of the members.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        self.members.iter().map(|m| &m.id)
    }

    /// Returns the weight of a member, 1 for a lone member whatever its weight; `None` if it is not attached.
    pub fn weight(&self, id: &str) -> Option<u16> {
        let member = self.members.iter().find(|m| m.id == id)?;
        if self.members.len() == 1 { Some(1) } else { Some(member.weight.unwrap_or(0)) }
    }

    /// Whether a member carries traffic.
    pub fn carries(&self, id: &str) -> bool {
        self.weight(id).is_some_and(|weight| weight > 0)
    }

    /// Whether two splits mean the same to the balancer: the same members and weights in any order.
    pub fn equivalent(&self, other: &Self) -> bool {
        let weights =
            |s: &Self| -> BTreeMap<String, Option<u16>> { s.ids().map(|id| (id.clone(), s.weight(id))).collect() };
        weights(self) == weights(other)
    }

    /// Adds the missing members at weight 0. The weight of a lone member becomes explicit (its own, or 100), so that it
    /// continues to carry all traffic.
    #[must_use]
    pub fn attach(&self, ids: &[&str]) -> Self {
        self.with_weights(ids.iter().copied(), &self.effective_weights())
    }

    /// Removes members. `None` if the remaining members would carry no weight: a lone member at weight 0 would suddenly
    /// carry all traffic.
    pub fn detach(&self, ids: &[&str]) -> Option<Self> {
        let left: u64 = self.effective_weights().iter().filter(|(id, _)| !ids.contains(id)).map(|(_, w)| w).sum();
        let mut kept = self.clone();
        kept.members.retain(|m| !ids.contains(&m.id.as_str()));
        (left > 0).then_some(kept)
    }

    /// Effective weights: a lone member always carries all traffic, whatever its weight.
    pub(super) fn effective_weights(&self) -> BTreeMap<&str, u64> {
        let lone = self.members.len() == 1;
        let act = |m: &Member| match m.weight.unwrap_or(0) {
            0 if lone => LONE_WEIGHT.into(),
            w => w.into(),
        };
        self.members.iter().map(|m| (m.id.as_str(), act(m))).collect()
    }

    /// This split with these weights; 0 for members without a weight here. Missing members are appended.
    pub(super) fn with_weights<'a>(
        &self,
        ensure: impl Iterator<Item = &'a str>,
        weights: &BTreeMap<&str, u64>,
    ) -> Self {
        let mut set = self.clone();
        for id in ensure {
            if !set.members.iter().any(|m| m.id == id) {
                set.members.push(Member { id: id.to_owned(), weight: None });
            }
        }
        for member in &mut set.members {
            let weight = weights.get(member.id.as_str()).copied().unwrap_or(0);
            member.weight = Some(u16::try_from(weight).unwrap_or(u16::MAX));
        }
        set
    }
}
