//! Removes header rules in parallel with the restoring writes. A rule is removed when a read does not find it any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

use super::MAX_REFUSALS;
use crate::base::retry::RESTORE;
use crate::domain::run::event::Event;
use crate::domain::run::header_rule::{HeaderRuleEnd, HeaderRuleEvent};
use crate::domain::traffic::{RouteId, Unreadable};
use crate::engine::Ports;
use crate::engine::limit::CallPace;
use crate::port::WriteError;

/// The result of a removal: whether the rule is gone, or why the call failed.
type RemovalResult = (u32, Result<bool, WriteError>);

/// The removals of header rules in progress.
#[derive(Default)]
pub struct Removals {
    sent: BTreeSet<u32>,
    /// The number of failures in a row, and the time of the next try, by number of the rule.
    backoffs: BTreeMap<u32, (u32, Timestamp)>,
    /// The number of refusals in a row, by number of the rule.
    refusals: BTreeMap<u32, u32>,
}

impl Removals {
    /// Returns those of these rules, each as number and ARN, whose removal may be sent now.
    pub fn ready<'a>(
        &self,
        rules: &'a [(u32, String)],
        now: Timestamp,
    ) -> impl Iterator<Item = &'a (u32, String)> + use<'a, '_> {
        let due = move |number: &u32| self.backoffs.get(number).is_none_or(|(_, at)| *at <= now);
        rules.iter().filter(move |(number, _)| !self.sent.contains(number) && due(number))
    }

    /// Returns the time of the next try of one of these rules; `None` if all are in progress.
    pub fn next(&self, numbers: &[u32], now: Timestamp) -> Option<Timestamp> {
        let left = numbers.iter().filter(|number| !self.sent.contains(number));
        left.map(|number| self.backoffs.get(number).map_or(now, |(_, at)| *at)).min()
    }

    /// Returns the calls that remove these rules and read them back.
    pub fn start(
        &mut self,
        ports: &Ports,
        deadline: Duration,
        rules: Vec<(u32, String)>,
    ) -> impl Future<Output = Vec<RemovalResult>> + Send + 'static + use<> {
        self.sent.extend(rules.iter().map(|(number, _)| *number));
        let (store, traffic) = (Arc::clone(&ports.balancer.rules), Arc::clone(&ports.balancer.traffic));
        async move {
            let delete = async |(number, id): &(u32, String)| (*number, store.delete(id, deadline).await);
            let answers = join_all(rules.iter().map(delete)).await;
            let accepted = |number: &u32| answers.iter().any(|(other, answer)| other == number && answer.is_ok());
            let ids: Vec<_> = rules.iter().filter(|(n, _)| accepted(n)).map(|(_, id)| RouteId::rule(id)).collect();
            let live = if ids.is_empty() { BTreeMap::new() } else { traffic.routes(&ids).await };
            let gone = |number: u32| {
                let id = rules.iter().find(|(other, _)| *other == number).map(|(_, id)| RouteId::rule(id));
                id.is_some_and(|id| matches!(live.get(&id), Some(Err(Unreadable::NotFound(_)))))
            };
            answers.into_iter().map(|(number, answer)| (number, answer.map(|()| gone(number)))).collect()
        }
    }

    /// Counts a refusal. Returns whether the load balancer has refused often enough in a row.
    fn is_refused(&mut self, rule: u32) -> bool {
        let refusals = self.refusals.entry(rule).or_default();
        *refusals += 1;
        *refusals >= MAX_REFUSALS
    }

    /// Returns the events of removals that ended.
    pub fn process(&mut self, results: Vec<RemovalResult>, pace: &mut CallPace, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        for (rule, result) in results {
            self.sent.remove(&rule);
            let (result, detail) = match result {
                Ok(true) | Err(WriteError::NotFound(_)) => (HeaderRuleEnd::Removed, String::new()),
                Err(WriteError::Refused(why)) if self.is_refused(rule) => (HeaderRuleEnd::Kept, why),
                Err(WriteError::Throttled) => {
                    pace.record_throttled(now, now);
                    continue;
                }
                // The rule is removed again, which does nothing if it is gone.
                Ok(false) | Err(_) => {
                    let (failures, at) = self.backoffs.entry(rule).or_insert((0, now));
                    *failures += 1;
                    *at = now + RESTORE.after(*failures);
                    continue;
                }
            };
            pace.record_accepted();
            self.backoffs.remove(&rule);
            self.refusals.remove(&rule);
            events.push(Event::HeaderRules(HeaderRuleEvent::Ended { rule, result, detail }));
        }
        events
    }
}
