//! Finds the counterpart of a target group in the new cluster. The rules are tried in order; the first rule that applies
//! decides. A rule that finds several groups decides that the group is left out.

use std::collections::{BTreeMap, BTreeSet};

use super::super::pairs::star_text;
use super::model::{ClusterInitFacts, ClusterInitRequest};
use super::names::{ClusterNames, ClusterTexts};
use crate::domain::elb::balancer::TargetGroup;
use crate::domain::kubernetes::binding::Binding;

/// The rule that found a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The new cluster has a binding of the same namespace and name.
    Binding,
    /// The groups have the same tags, except for those that name the cluster.
    Tags,
    /// The names of the groups follow a pattern.
    Name,
}

/// Finds counterparts among the groups of the account.
pub struct CounterpartSearch<'a> {
    request: &'a ClusterInitRequest,
    facts: &'a ClusterInitFacts,
    names: &'a ClusterNames,
    /// The ARNs of the groups that the old cluster binds.
    bound: BTreeSet<&'a str>,
    /// The number of bound groups with each set of comparable tags.
    tagged: BTreeMap<BTreeSet<String>, usize>,
}

impl<'a> CounterpartSearch<'a> {
    pub fn new(request: &'a ClusterInitRequest, facts: &'a ClusterInitFacts, names: &'a ClusterNames) -> Self {
        let is_bound = |group: &&TargetGroup| facts.from_bindings.iter().any(|binding| binding.binds(group));
        let bound: Vec<&TargetGroup> = facts.groups.iter().filter(is_bound).collect();
        let mut tagged = BTreeMap::new();
        for tags in bound.iter().filter_map(|group| comparable_tags(group, &names.from)) {
            *tagged.entry(tags).or_default() += 1;
        }
        Self { request, facts, names, bound: bound.into_iter().map(|group| group.arn.as_str()).collect(), tagged }
    }

    /// Returns the counterpart of a group that a binding of the old cluster has.
    ///
    /// # Errors
    /// Why the group has no counterpart.
    pub fn find(&self, binding: &Binding, group: &TargetGroup) -> Result<(&'a TargetGroup, Rule), String> {
        let (groups, to) = (&self.facts.groups, &self.names.to.planned);
        let same = |b: &&Binding| (&b.namespace, &b.name) == (&binding.namespace, &binding.name);
        let (found, rule) = if let Some(same) = self.facts.to_bindings.iter().find(same) {
            let found = groups.iter().find(|g| same.binds(g));
            let found = found.ok_or_else(|| {
                format!("the target group of the binding {} in {to} does not exist", same.full_name())
            })?;
            (found, Rule::Binding)
        } else {
            self.by_tags_or_name(binding, group)?
        };
        if found.arn == group.arn || self.bound.contains(found.arn.as_str()) {
            return Err(format!("{} is bound in both clusters, so its traffic cannot be divided", found.name));
        }
        if !found.load_balancers.is_empty() && found.load_balancers != group.load_balancers {
            return Err(format!("its counterpart {} is attached to another load balancer", found.name));
        }
        Ok((found, rule))
    }

    fn by_tags_or_name(&self, binding: &Binding, group: &TargetGroup) -> Result<(&'a TargetGroup, Rule), String> {
        let found = self.same_tags(group);
        let (found, rule) = if found.is_empty() { (self.same_name(group), Rule::Name) } else { (found, Rule::Tags) };
        match found.as_slice() {
            [one] => Ok((one, rule)),
            [] => Err(format!(
                "{} has no counterpart: {} has no binding {}, and no target group has equal tags or a matching name",
                group.name,
                self.names.to.planned,
                binding.full_name()
            )),
            several => {
                let names: Vec<_> = several.iter().map(|group| group.name.as_str()).collect();
                let what = if rule == Rule::Tags { "tags" } else { "name" };
                Err(format!("by its {what}, {} has several counterparts: {}", group.name, names.join(", ")))
            }
        }
    }

    /// Returns the groups that are not bound in the old cluster, and whose load balancer is that of a group, if any.
    fn candidates(&self, group: &TargetGroup) -> impl Iterator<Item = &'a TargetGroup> {
        let fits = |g: &&TargetGroup| g.load_balancers.is_empty() || g.load_balancers == group.load_balancers;
        self.facts.groups.iter().filter(|g| !self.bound.contains(g.arn.as_str())).filter(fits)
    }

    /// Returns the groups with the tags of a group. Tags that several bound groups share do not identify a group.
    fn same_tags(&self, group: &TargetGroup) -> Vec<&'a TargetGroup> {
        let Some(tags) = comparable_tags(group, &self.names.from) else { return Vec::new() };
        if self.tagged.get(&tags).is_some_and(|groups| *groups > 1) {
            return Vec::new();
        }
        let same = |g: &&TargetGroup| comparable_tags(g, &self.names.to).as_ref() == Some(&tags);
        self.candidates(group).filter(same).collect()
    }

    fn same_name(&self, group: &TargetGroup) -> Vec<&'a TargetGroup> {
        let ClusterInitRequest { from, to, .. } = self.request;
        if from.is_empty() {
            let Some(name) = self.names.from.neutral(&group.name) else { return Vec::new() };
            return self.candidates(group).filter(|g| self.names.to.neutral(&g.name).as_ref() == Some(&name)).collect();
        }
        let mut wanted = BTreeSet::new();
        for (place, glob) in from.iter().enumerate() {
            let in_order = |other: usize| from.len() != to.len() || other == place;
            let globs = to.iter().enumerate().filter(|(other, _)| in_order(*other)).map(|(_, glob)| glob);
            match star_text(glob, &group.name) {
                Some(star) => wanted.extend(globs.map(|to| to.replacen('*', &star, 1))),
                None if *glob == group.name => wanted.extend(globs.cloned()),
                None => {}
            }
        }
        self.candidates(group).filter(|g| wanted.contains(&g.name)).collect()
    }
}

/// Returns the tags of a group with a placeholder for the name of its cluster; `None` if no tag names the cluster. Tags
/// that AWS manages are omitted.
fn comparable_tags(group: &TargetGroup, cluster: &ClusterTexts) -> Option<BTreeSet<String>> {
    let mut names_cluster = false;
    let mut tags = BTreeSet::new();
    for (key, value) in group.tags.iter().filter(|(key, _)| !key.starts_with("aws:")) {
        let tag = format!("{key}={value}");
        let neutral = cluster.neutral(&tag);
        names_cluster |= neutral.is_some();
        tags.insert(neutral.unwrap_or(tag));
    }
    names_cluster.then_some(tags)
}
