//! Represents how a route divides traffic: members and weights.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The weight that a single member without a weight gets when other members are added.
const SINGLE_MEMBER_WEIGHT: u16 = 100;

/// The members of a route, in the order in which they were read. A route without members does not forward.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Split {
    /// The members with their weights.
    pub members: Vec<Member>,
}

/// A target group, or a set of servers, to which a route forwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The id that the vendor assigned, which is an ARN at AWS.
    pub id: String,
    /// The weight in the unit of the load balancer. May be absent for a single member, where a weight has no effect.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<u16>,
    /// The traffic of one unit of weight, in units that all members of the route share. It is 1 where the load balancer
    /// has one weight for each member, and larger where a member is a set of servers with a weight each.
    #[serde(skip_serializing_if = "is_one", default = "one")]
    pub size: u32,
    /// The maximum weight of this member, if it is below the maximum of the route.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_weight: Option<u16>,
}

fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_one(size: &u32) -> bool {
    *size == 1
}

impl Member {
    /// Creates a member of size 1.
    pub fn new(id: impl Into<String>, weight: Option<u16>) -> Self {
        Self { id: id.into(), weight, size: 1, max_weight: None }
    }
}

/// The limits of a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// The maximum weight of a member.
    pub max_weight: u16,
    /// The maximum number of members of a route.
    pub max_members: usize,
    /// Whether the sum of the weights never changes, because each unit of weight is one of a fixed number of slots.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub fixed_total: bool,
}

impl Split {
    /// Creates a split from ids and weights.
    pub fn of<I: Into<String>>(members: impl IntoIterator<Item = (I, u16)>) -> Self {
        Self { members: members.into_iter().map(|(id, weight)| Member::new(id, Some(weight))).collect() }
    }

    /// Returns the ids of the members.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        self.members.iter().map(|m| &m.id)
    }

    /// Returns the weight of a member; 1 for a single member with any weight; `None` if the member is not attached.
    pub fn weight(&self, id: &str) -> Option<u16> {
        let member = self.members.iter().find(|m| m.id == id)?;
        if self.members.len() == 1 { Some(1) } else { Some(member.weight.unwrap_or(0)) }
    }

    /// Whether a member has traffic.
    pub fn carries(&self, id: &str) -> bool {
        self.weight(id).is_some_and(|weight| weight > 0)
    }

    /// Whether two splits have the same members and weights, in any order.
    pub fn equivalent(&self, other: &Self) -> bool {
        let within = |a: &Self, b: &Self| a.ids().all(|id| a.weight(id) == b.weight(id));
        self == other || within(self, other) && within(other, self)
    }

    /// Adds the missing members at weight 0. A single member without a weight gets the weight 100, so that it keeps all
    /// traffic.
    #[must_use]
    pub fn attach(&self, ids: &[&str]) -> Self {
        self.with_weights(ids.iter().copied(), &self.effective_weights())
    }

    /// Removes members; `None` if the remaining members would have no weight, because a single member gets all traffic
    /// even at weight 0.
    pub fn detach(&self, ids: &[&str]) -> Option<Self> {
        let left: u64 = self.effective_weights().iter().filter(|(id, _)| !ids.contains(id)).map(|(_, w)| w).sum();
        let mut remaining = self.clone();
        remaining.members.retain(|m| !ids.contains(&m.id.as_str()));
        (left > 0).then_some(remaining)
    }

    /// Returns the traffic of a member: its effective weight, times its size; 0 if the member is not attached.
    pub fn traffic(&self, id: &str) -> u64 {
        self.members.iter().rfind(|m| m.id == id).map_or(0, |m| self.traffic_of(m))
    }

    /// Returns the traffic of all members.
    pub fn total_traffic(&self) -> u64 {
        self.members.iter().map(|m| self.traffic_of(m)).sum()
    }

    /// Returns the traffic of each member.
    pub(super) fn traffic_by_id(&self) -> BTreeMap<&str, u64> {
        self.members.iter().map(|m| (m.id.as_str(), self.traffic_of(m))).collect()
    }

    fn traffic_of(&self, member: &Member) -> u64 {
        self.effective(member) * u64::from(member.size)
    }

    /// Returns the effective weights. A single member always has all traffic, so its effective weight is never 0.
    pub(super) fn effective_weights(&self) -> BTreeMap<&str, u64> {
        self.members.iter().map(|m| (m.id.as_str(), self.effective(m))).collect()
    }

    fn effective(&self, member: &Member) -> u64 {
        match member.weight.unwrap_or(0) {
            0 if self.members.len() == 1 => SINGLE_MEMBER_WEIGHT.into(),
            weight => weight.into(),
        }
    }

    /// Returns this split with these weights. Members without a weight in `weights` get 0. Missing members are
    /// appended.
    pub(super) fn with_weights<'a>(
        &self,
        ensure: impl Iterator<Item = &'a str>,
        weights: &BTreeMap<&str, u64>,
    ) -> Self {
        let mut set = self.clone();
        for id in ensure {
            if !set.members.iter().any(|m| m.id == id) {
                set.members.push(Member::new(id, None));
            }
        }
        for member in &mut set.members {
            let weight = weights.get(member.id.as_str()).copied().unwrap_or(0);
            member.weight = Some(u16::try_from(weight).unwrap_or(u16::MAX));
        }
        set
    }
}
