//! Makes and removes header rules. Every rule is journalled before it is made. A rule whose call got no response is
//! searched.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};

use super::RunLoop;
use crate::base::retry::READ_BACK;
use crate::domain::decide::{HeaderTask, header_rules};
use crate::domain::run::event::{Event, Wait, WaitReason};
use crate::domain::run::header_rule::{HeaderRule, HeaderRuleEnd, HeaderRuleEvent, HeaderRuleProgress, TAG_KEY};
use crate::domain::run::state::Phase;
use crate::domain::traffic::{RouteId, Tags};
use crate::engine::EngineError;
use crate::engine::inventory::header_rules as inventory;
use crate::engine::write::MAX_REFUSALS;
use crate::port::WriteError;

/// The maximum number of rules in one loop iteration.
const CHUNK_SIZE: usize = 20;
/// The maximum number of calls at the same time.
const MAX_PARALLEL: usize = 10;
/// The longest sleep while a call is not possible.
const SLEEP: Duration = Duration::from_millis(500);
/// The time for which a rule that was made is read back.
const READ_BACK_TIMEOUT: SignedDuration = SignedDuration::from_secs(10);

impl RunLoop<'_> {
    /// Carries out a task about header rules.
    pub(super) async fn header_rules(&mut self, task: HeaderTask) -> Result<(), EngineError> {
        if !self.check_ownership() {
            return Ok(());
        }
        match task {
            HeaderTask::Plan => self.plan_header_rules().await,
            HeaderTask::Create(rules) => self.make_header_rules(rules).await,
            HeaderTask::Find => self.find_header_rules().await,
            HeaderTask::Remove(rules) => self.remove_header_rules(&rules).await,
        }
    }

    async fn plan_header_rules(&mut self) -> Result<(), EngineError> {
        let now = self.ports.clock.now();
        match inventory::plan(&*self.ports.balancer.inventory, self.plan, &self.state).await {
            Ok(planned) => self.journal_header_rules(planned, now).await.map(drop),
            Err(why) => {
                self.wait_for_header_rules(&why);
                Ok(())
            }
        }
    }

    /// Makes the first of these rules that the rate allows.
    async fn make_header_rules(&mut self, mut numbers: Vec<u32>) -> Result<(), EngineError> {
        let now = self.ports.clock.now();
        numbers.truncate(CHUNK_SIZE);
        numbers.truncate(self.executor.grant(numbers.len(), now));
        if numbers.is_empty() {
            self.journal_waits(vec![header_rules::rate_wait(None)], now).await?;
            self.ports.clock.sleep(SLEEP).await;
            return Ok(());
        }
        if !self.marker_is_current().await {
            return Ok(());
        }
        let sent = HeaderRuleEvent::Sent { rules: numbers.clone(), deadline: self.deadline() };
        if !self.journal_header_rules(sent, now).await? {
            return Ok(());
        }
        if !self.lock_confirmed(&[]).await {
            let not_sent = "not sent: the lock may expire before the call ends";
            for rule in numbers {
                self.end_header_rule(rule, HeaderRuleEnd::NotMade, not_sent).await?;
            }
            return Ok(());
        }
        let made = self.create_rules(&numbers).await?;
        self.read_back_rules(made).await
    }

    /// Sends the calls. Returns the rules that were made, with their ARNs.
    async fn create_rules(&mut self, numbers: &[u32]) -> Result<Vec<(HeaderRule, String)>, EngineError> {
        let rules = numbers.iter().filter_map(|number| Some(self.state.header_rules.rules.get(number)?.rule.clone()));
        let (store, run, deadline) = (&self.ports.balancer.rules, &self.state.run, self.settings.deadline);
        let calls = rules.map(async |rule: HeaderRule| {
            let tags: Tags = [(TAG_KEY.to_owned(), rule.tag_value(run))].into();
            let answer = store.create(&rule, &tags, deadline).await;
            (rule, answer)
        });
        let answers: Vec<_> = stream::iter(calls).buffer_unordered(MAX_PARALLEL).collect().await;
        let mut made = Vec::new();
        for (rule, answer) in answers {
            match answer {
                Ok(id) => made.push((rule, id)),
                Err(WriteError::Unanswered(why)) => {
                    tracing::warn!("{}: no response ({why}); cutover searches the rule", rule.label);
                }
                Err(error @ (WriteError::Refused(_) | WriteError::NotFound(_))) if self.is_refused(rule.number) => {
                    self.end_header_rule(rule.number, HeaderRuleEnd::Refused, &error.to_string()).await?;
                }
                Err(error) => {
                    if matches!(error, WriteError::Throttled) {
                        self.executor.drain();
                    } else {
                        self.wait_for_header_rules(&error);
                    }
                    self.end_header_rule(rule.number, HeaderRuleEnd::NotMade, &error.to_string()).await?;
                }
            }
        }
        Ok(made)
    }

    /// Counts a refusal. Returns whether the load balancer has refused often enough to give up the rule.
    fn is_refused(&mut self, rule: u32) -> bool {
        let refusals = self.header_refusals.entry(rule).or_default();
        *refusals += 1;
        *refusals >= MAX_REFUSALS
    }

    /// Reads rules back until each is as it was sent. The others are searched later.
    async fn read_back_rules(&mut self, mut made: Vec<(HeaderRule, String)>) -> Result<(), EngineError> {
        let until = self.ports.clock.now() + READ_BACK_TIMEOUT;
        let mut pauses = READ_BACK.pauses();
        loop {
            let ids: Vec<_> = made.iter().map(|(_, id)| RouteId::rule(id)).collect();
            let live = self.ports.balancer.traffic.routes(&ids).await;
            let mut left = Vec::new();
            for (rule, id) in made {
                let read = live.get(&RouteId::rule(&id)).and_then(|read| read.as_ref().ok());
                if read.is_some_and(|content| content.equivalent(&rule.content)) {
                    let made = HeaderRuleEvent::Made { rule: rule.number, id };
                    self.journal(Event::HeaderRules(made)).await?;
                } else {
                    left.push((rule, id));
                }
            }
            made = left;
            if made.is_empty() || self.ports.clock.now() >= until {
                return Ok(());
            }
            self.ports.clock.sleep(pauses.next().unwrap_or(SLEEP)).await;
        }
    }

    async fn find_header_rules(&mut self) -> Result<(), EngineError> {
        let read_at = self.ports.clock.now();
        let found = match inventory::find(&*self.ports.balancer.inventory, &self.state).await {
            Ok(found) => found,
            Err(why) => {
                self.wait_for_header_rules(&why);
                return self.pause_in_rollback().await;
            }
        };
        let mut deadline = None;
        for number in self.state.header_rules.numbers(|rule| matches!(rule.progress, HeaderRuleProgress::Sent(_))) {
            let Some(rule) = self.state.header_rules.rules.get(&number) else { continue };
            let HeaderRuleProgress::Sent(until) = rule.progress else { continue };
            if let Some(id) = found.get(&number) {
                let made = HeaderRuleEvent::Made { rule: number, id: id.clone() };
                self.journal(Event::HeaderRules(made)).await?;
            } else if header_rules::is_certain(until, read_at) {
                self.end_header_rule(number, HeaderRuleEnd::NotMade, "").await?;
            } else {
                deadline = deadline.max(Some(until));
            }
        }
        if deadline.is_some() {
            self.watch.header_waits = vec![Wait {
                reason: WaitReason::OpenWrite,
                message: "it is not known whether a header rule exists; the run waits until its call can no longer \
                          take effect"
                    .to_owned(),
                until: None,
            }];
            return self.pause_in_rollback().await;
        }
        Ok(())
    }

    async fn remove_header_rules(&mut self, numbers: &[u32]) -> Result<(), EngineError> {
        self.start_removals(numbers);
        let more = self.in_flight.next_removal_at(numbers, self.ports.clock.now());
        self.process_responses(more).await
    }

    /// Starts to remove those of these rules that the rate allows now.
    pub(super) fn start_removals(&mut self, numbers: &[u32]) {
        let now = self.ports.clock.now();
        let id = |number: &u32| match &self.state.header_rules.rules.get(number)?.progress {
            HeaderRuleProgress::Made(id, _) => Some((*number, id.clone())),
            _ => None,
        };
        let rules: Vec<_> = numbers.iter().filter_map(id).collect();
        // Before a rollback, calls leave the reserve that a rollback needs.
        let most = if self.state.phase == Phase::RollingBack {
            rules.len()
        } else {
            self.executor.grant(self.in_flight.ready_removals(&rules, now), now)
        };
        self.in_flight.launch_removals(&self.ports, &self.settings, &rules, most);
    }

    /// Journals a plan or an intent. Returns false if it could not be journalled, so that nothing may be sent.
    async fn journal_header_rules(&mut self, event: HeaderRuleEvent, now: Timestamp) -> Result<bool, EngineError> {
        match self.journal(Event::HeaderRules(event)).await {
            Ok(()) => Ok(true),
            Err(error) => self.wait_for_journal(error, now).await.map(|()| false),
        }
    }

    async fn end_header_rule(&mut self, rule: u32, result: HeaderRuleEnd, detail: &str) -> Result<(), EngineError> {
        let ended = HeaderRuleEvent::Ended { rule, result, detail: detail.to_owned() };
        self.journal(Event::HeaderRules(ended)).await
    }

    fn wait_for_header_rules(&mut self, why: &dyn std::fmt::Display) {
        let message = format!("header rules: {why}");
        self.watch.header_waits = vec![Wait { reason: WaitReason::Unreadable, message, until: None }];
    }

    /// A rollback does not wait for the next observation, but tries again soon.
    async fn pause_in_rollback(&mut self) -> Result<(), EngineError> {
        if self.state.phase == Phase::RollingBack {
            let (waits, now) = (std::mem::take(&mut self.watch.header_waits), self.ports.clock.now());
            self.journal_waits(waits, now).await?;
            self.ports.clock.sleep(SLEEP).await;
        }
        Ok(())
    }
}
