//! Changes that faults make as if other people or tools made them: weights, rules, replicas, versions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::build::cluster_name;
use super::cluster::NamespacedName;
use super::{Caller, Condition, World, weights};
use crate::base::text::list;
use crate::lab::objects::Kind;
use crate::lab::scenario::fault::{ChangeConditions, ForeignWrite, RemakeRule, RuleRef};

impl World {
    /// Changes the weights of an action.
    pub(super) fn apply_foreign_write(&mut self, write: &ForeignWrite) -> Result<(), String> {
        let ForeignWrite { load_balancer, listener, priority, .. } = write.clone();
        let route = match priority {
            None => self.listeners[self.find_listener(load_balancer.as_deref(), listener)?].default,
            Some(_) => self.find_rule(&RuleRef { load_balancer, listener, priority })?,
        };
        let balancer = self.listeners[self.routes[route].listener].balancer;
        if self.balancers[balancer].haproxy.is_some() {
            return self.apply_foreign_server_weights(balancer, route, write);
        }
        let mut changed = false;
        let mut actions = self.routes[route].actions.clone();
        for tuple in actions.iter_mut().filter_map(|a| a["ForwardConfig"]["TargetGroups"].as_array_mut()).flatten() {
            let arn = tuple["TargetGroupArn"].as_str().unwrap_or_default();
            let Some(group) = self.group_index.get(arn).map(|g| &self.groups[*g]) else { continue };
            let cluster = group.cluster.map(|c| &*self.clusters[c].name);
            let is_group = |key: &str| key == group.name || Some(cluster_name(&self.plan, key)) == cluster;
            if let Some((_, weight)) = write.weights.iter().find(|(key, _)| is_group(key)) {
                tuple["Weight"] = Value::String(weight.to_string());
                changed = true;
            }
        }
        if !changed {
            let names = write.weights.keys().cloned().collect::<Vec<_>>();
            return Err(format!("the action has no target group of {}", list(&names)));
        }
        let operation = if write.priority.is_some() { "ModifyRule" } else { "ModifyListener" };
        self.log("elasticloadbalancing", operation, true, Caller::Foreign, "ok");
        self.write_actions(route, actions);
        Ok(())
    }

    /// Changes the weights of the servers of a backend of HAProxy.
    fn apply_foreign_server_weights(
        &mut self,
        balancer: usize,
        route: usize,
        write: &ForeignWrite,
    ) -> Result<(), String> {
        let mut changed = Vec::new();
        for (arn, _) in weights(&self.routes[route].actions) {
            let Some(group) = self.group_index.get(arn).copied() else { continue };
            let cluster = self.groups[group].cluster.map(|c| &*self.clusters[c].name);
            let is_group = |key: &str| key == self.groups[group].name || Some(cluster_name(&self.plan, key)) == cluster;
            changed.extend(write.weights.iter().find(|(key, _)| is_group(key)).map(|(_, weight)| (group, *weight)));
        }
        if changed.is_empty() {
            let names = write.weights.keys().cloned().collect::<Vec<_>>();
            return Err(format!("the backend has no servers of {}", list(&names)));
        }
        for (group, weight) in changed {
            self.foreign_weights(balancer, group, weight);
        }
        Ok(())
    }

    /// Deletes a rule.
    pub(super) fn apply_foreign_delete(&mut self, rule: &RuleRef) -> Result<(), String> {
        let route = self.find_rule(rule)?;
        self.log("elasticloadbalancing", "DeleteRule", true, Caller::Foreign, "ok");
        self.delete_route(route);
        Ok(())
    }

    /// Deletes a rule, and creates a new rule with another priority and the actions that the rule had at the start of
    /// the lab.
    pub(super) fn apply_foreign_remake(&mut self, remake: &RemakeRule) -> Result<(), String> {
        let RemakeRule { load_balancer, listener, priority, to } = remake.clone();
        let old = self.find_rule(&RuleRef { load_balancer, listener, priority })?;
        let route = &self.routes[old];
        let (listener, tags) = (route.listener, route.tags.clone());
        let (conditions, matcher) = (route.conditions.clone(), route.matcher.clone());
        let actions =
            route.earlier_actions.first().map_or_else(|| route.actions.clone(), |(_, actions)| actions.clone());
        self.log("elasticloadbalancing", "DeleteRule", true, Caller::Foreign, "ok");
        self.delete_route(old);
        self.log("elasticloadbalancing", "CreateRule", true, Caller::Foreign, "ok");
        let new = self.add_rule(listener, to, tags);
        (self.routes[new].conditions, self.routes[new].matcher) = (conditions, matcher);
        self.write_actions(new, actions);
        Ok(())
    }

    /// Replaces the conditions of a rule with one path pattern.
    pub(super) fn apply_foreign_conditions(&mut self, change: &ChangeConditions) -> Result<(), String> {
        let ChangeConditions { load_balancer, listener, priority, path } = change.clone();
        let route = self.find_rule(&RuleRef { load_balancer, listener, priority })?;
        let condition = json!({"Field": "path-pattern", "PathPatternConfig": {"Values": [path]}, "Values": [path]});
        self.log("elasticloadbalancing", "ModifyRule", true, Caller::Foreign, "ok");
        self.routes[route].matcher = vec![Condition::read(&condition)];
        self.routes[route].conditions = vec![condition];
        Ok(())
    }

    /// Returns the route of a rule, or what is missing.
    fn find_rule(&self, rule: &RuleRef) -> Result<usize, String> {
        let listener = self.find_listener(rule.load_balancer.as_deref(), rule.listener)?;
        let mut rules = self.listeners[listener].rules.iter().copied();
        rules.find(|r| rule.priority.is_none() || self.routes[*r].priority == rule.priority).ok_or_else(|| {
            let port = self.listeners[listener].port;
            rule.priority.map_or_else(
                || format!("the listener on port {port} has no rule"),
                |priority| format!("the listener on port {port} has no rule with priority {priority}"),
            )
        })
    }

    /// Returns the listener, or what is missing.
    fn find_listener(&self, balancer: Option<&str>, port: Option<u16>) -> Result<usize, String> {
        let matches = |l: &super::Listener| {
            balancer.is_none_or(|b| self.balancers[l.balancer].name == b) && port.is_none_or(|p| l.port == p)
        };
        self.listeners.iter().position(matches).ok_or_else(|| {
            let name = balancer.unwrap_or("the plan's load balancer");
            port.map_or_else(
                || format!("the lab has no load balancer {name}"),
                |port| format!("{name} has no listener on port {port}"),
            )
        })
    }

    /// Replaces the actions of a route and schedules their propagation.
    pub(crate) fn write_actions(&mut self, route: usize, actions: Vec<Value>) {
        let now = self.now;
        let own = &mut self.routes[route];
        let before = std::mem::replace(&mut own.actions, actions);
        let groups = |actions: &[Value]| weights(actions).into_iter().map(|w| w.0.to_owned()).collect::<BTreeSet<_>>();
        // Attachments change only if the groups change, and most writes change only weights.
        let same_groups = groups(&before) == groups(&own.actions);
        own.earlier_actions.push((now, before));
        if own.earlier_actions.len() > 64 {
            own.earlier_actions.remove(0);
        }
        self.schedule_propagation(route);
        if !same_groups {
            self.update_attachments();
        }
        self.check_share_faults();
    }

    /// Adds a rule without conditions and actions to a listener. Returns the index of the new route.
    pub(crate) fn add_rule(&mut self, listener: usize, priority: u32, tags: super::Pairs) -> usize {
        let prefix = self.listeners[listener].arn.replacen(":listener/", ":listener-rule/", 1);
        let arn = format!("{prefix}/{}", self.identifier());
        let index = self.routes.len();
        self.rule_index.insert(arn.clone(), index);
        self.routes.push(super::Route {
            arn: arn.as_str().into(),
            rule_arn: arn,
            listener,
            priority: Some(priority),
            conditions: Vec::new(),
            matcher: vec![Condition::Never],
            actions: Vec::new(),
            other_fields: Vec::new(),
            earlier_actions: Vec::new(),
            effective: super::routing::EffectiveAction::default(),
            propagated_until: self.now,
            tags,
            managed: false,
            deleted: false,
        });
        let routes = &self.routes;
        let rules = &mut self.listeners[listener].rules;
        rules.push(index);
        rules.sort_by_key(|r| routes[*r].priority);
        index
    }

    /// Marks the route of a rule as deleted, and removes the rule from the listener.
    pub(crate) fn delete_route(&mut self, route: usize) {
        self.routes[route].deleted = true;
        let listener = self.routes[route].listener;
        self.listeners[listener].rules.retain(|r| *r != route);
        self.update_attachments();
        self.check_share_faults();
    }

    /// Changes the replicas of a Deployment, or the limits of its HPA.
    pub(super) fn rescale(
        &mut self,
        cluster: usize,
        deployment: &NamespacedName,
        replicas: Option<u32>,
        min: Option<u32>,
        max: Option<u32>,
    ) {
        let now = self.now;
        let objects = &mut self.clusters[cluster].objects;
        if let Some(replicas) = replicas {
            objects.update(Kind::Deployment, &deployment.0, &deployment.1, now, |d| {
                d["spec"]["replicas"] = replicas.into();
            });
        }
        objects.update(Kind::HorizontalPodAutoscaler, &deployment.0, &deployment.1, now, |h| {
            if let Some(min) = min {
                h["spec"]["minReplicas"] = min.into();
            }
            if let Some(max) = max {
                h["spec"]["maxReplicas"] = max.into();
            }
        });
        self.schedule_controllers(cluster);
    }

    /// Changes the pod template of a Deployment, so that its pods are replaced. The new pods answer health checks with
    /// `health_status`.
    pub(super) fn roll_out_version(&mut self, cluster: usize, deployment: &NamespacedName, health_status: u16) {
        let (now, version) = (self.now, self.later(std::time::Duration::ZERO).as_second());
        self.clusters[cluster].objects.update(Kind::Deployment, &deployment.0, &deployment.1, now, |d| {
            let annotations = &mut d["spec"]["template"]["metadata"]["annotations"];
            annotations["lab.cutover.dev/version"] = version.to_string().into();
            annotations["lab.cutover.dev/health-status"] = health_status.to_string().into();
        });
        self.schedule_controllers(cluster);
    }
}
