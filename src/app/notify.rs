//! Sends the plan's notifications: follows a run's records and passes messages to each notification target. The engine
//! does not depend on this module.
//!
//! The process that journals an event also notifies, so that each event is sent once. If a process dies right after an
//! event, its notification may be lost.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::names::{Names, RecordText};
use crate::adapter::http::DeliveryQueue;
use crate::adapter::notify::{self, Message, QUEUE_LIMITS};
use crate::adapter::process::Folder;
use crate::base::number::count;
use crate::domain::decide::label;
use crate::domain::run::event::{Event, Record, StepType, StopReason, Wait};
use crate::domain::run::header_rule::{HeaderRuleEnd, HeaderRuleEvent};
use crate::domain::run::hook::HookResult;
use crate::domain::run::observation::Observed;
use crate::domain::run::state::State;
use crate::domain::view::gates;
use crate::engine::Subscriber;
use crate::plan::model::Plan;
use crate::plan::model::notify::{Kind, Notification};

/// How long a process waits for undelivered messages before it exits.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the notification kinds of an event, the most specific first.
fn kinds(event: &Event) -> &'static [Kind] {
    match event {
        Event::Started(_) => &[Kind::Started],
        Event::StepStarted { kind: StepType::Approval, .. } => &[Kind::ApprovalNeeded, Kind::StepStarted],
        Event::StepStarted { .. } => &[Kind::StepStarted],
        Event::StepDone { .. } => &[Kind::StepDone],
        Event::TimedOut { .. } => &[Kind::ApprovalNeeded],
        Event::Approved { .. } | Event::Promoted { .. } => &[Kind::Approved],
        Event::Paused { .. } => &[Kind::Paused],
        Event::Resumed { .. } | Event::LeftOut { .. } | Event::Unfrozen {} => &[Kind::Resumed],
        Event::Frozen { .. } => &[Kind::Frozen],
        Event::Drifted { expected, live: Some(live), .. } if expected.kept_as(live) => &[],
        Event::Drifted { .. } | Event::ConditionsChanged { .. } | Event::RuleCreated { .. } => &[Kind::Drifted],
        Event::GateFailed { .. } => &[Kind::GateFailed],
        Event::RollbackStarted { .. } | Event::RampStarted { .. } => &[Kind::RollbackStarted],
        Event::Finished { .. } => &[Kind::Finished],
        // Every call of `cutover step` stops with this reason.
        Event::Stopped { reason: StopReason::Waiting, .. } => &[],
        Event::Stopped { .. } => &[Kind::Stopped],
        Event::Notice { .. } | Event::RetireStarted { .. } | Event::HookEnded { result: HookResult::Failed, .. } => {
            &[Kind::Notice]
        }
        Event::HeaderRules(HeaderRuleEvent::Ended { result: HeaderRuleEnd::Kept, .. }) => &[Kind::Notice],
        Event::ProcessStarted { .. }
        | Event::BindingDone { .. }
        | Event::Intended { .. }
        | Event::Outcome { .. }
        | Event::Settled { .. }
        | Event::Baked { .. }
        | Event::GateMeasured { .. }
        | Event::VerdictChanged { .. }
        | Event::Compared(_)
        | Event::Ramped { .. }
        | Event::HookStarted { .. }
        | Event::HookEnded { .. }
        | Event::HeaderRules(_)
        | Event::BindingRemoved { .. }
        | Event::ItemIntended(_)
        | Event::ItemOutcome(_)
        | Event::ItemDrained(_)
        | Event::Waiting { .. }
        | Event::Health { .. }
        | Event::WeightsTagged { .. }
        | Event::Unknown { .. }
        | Event::ClientsMeasured(_)
        | Event::Notified { .. } => &[],
    }
}

/// A notification that was built from a record and not sent yet.
#[derive(Debug, Clone)]
struct PendingNotification {
    kinds: &'static [Kind],
    message: Message,
}

impl PendingNotification {
    /// Returns the message for a notification target if the target subscribes to one of the kinds.
    fn message_for(&self, notification: &Notification) -> Option<Message> {
        let event = self.kinds.iter().copied().find(|kind| notification.on.contains(kind))?;
        Some(Message { event, ..self.message.clone() })
    }
}

/// The metric gates of a run as its records leave them. A verdict is journalled only when it changes, but its numbers
/// change with every measurement.
struct GateWatch {
    plan: Plan,
    state: Option<State>,
}

impl GateWatch {
    fn update(&mut self, record: &Record) {
        match &mut self.state {
            // A record that is only shown is not in the journal.
            Some(state) => {
                let _ = state.apply_record(record);
            }
            None => self.state = State::fold(std::slice::from_ref(record)).ok().flatten(),
        }
    }

    fn lines(&self, at: Timestamp) -> Vec<String> {
        let views = self.state.iter().flat_map(|state| gates::of_run(&self.plan, state, None, at));
        views.map(|view| format!("gate {}: {}", view.gate, view.words())).collect()
    }
}

/// Converts records to notifications.
struct MessageBuilder {
    record_text: RecordText,
    names: Names,
    plan: String,
    /// The labels of the plan's steps.
    steps: Vec<String>,
    /// The current step; between two steps the next one, as `status` says.
    step: Option<(usize, String)>,
    /// The gates of a plan with metric gates, for the message to an approver.
    gates: Option<GateWatch>,
    owner: String,
    /// The unsent notification about the first drifted route, and how many other routes have also drifted. Drift often
    /// concerns many routes at once.
    drifted: Option<(PendingNotification, usize)>,
    /// The last message of the previous process, if nothing has happened since. The next call of a scheduler may stop
    /// with the same message, which is not sent again.
    left: Option<String>,
    /// Whether commands from another terminal reach the run. They do not reach a rehearsal.
    reachable: bool,
}

impl MessageBuilder {
    fn new(plan: &Plan, record_text: RecordText, reachable: bool) -> Self {
        let gates = (!plan.strategy.metrics.is_empty()).then(|| GateWatch { plan: plan.clone(), state: None });
        let (plan, steps) = (plan.title(), plan.strategy.steps.iter().map(label).collect());
        Self {
            record_text,
            names: Names::default(),
            plan,
            steps,
            step: None,
            gates,
            owner: String::new(),
            drifted: None,
            left: None,
            reachable,
        }
    }

    /// Returns the notifications that are due after this record.
    fn notifications_for(&mut self, record: &Record) -> Vec<PendingNotification> {
        self.update(&record.event);
        if let Some(gates) = &mut self.gates {
            gates.update(record);
        }
        let kinds = kinds(&record.event);
        if kinds.is_empty() {
            return Vec::new();
        }
        let outgoing = PendingNotification { kinds, message: self.message(record, kinds[0]) };
        if let Event::StepDone { step } = &record.event
            && let Some(next) = self.steps.get(*step)
        {
            self.step = Some((step + 1, next.clone()));
        }
        match (&record.event, &mut self.drifted) {
            (Event::Drifted { .. }, Some((_, more))) => {
                *more += 1;
                return Vec::new();
            }
            (Event::Drifted { .. }, none) => {
                *none = Some((outgoing, 0));
                return Vec::new();
            }
            _ => {}
        }
        let again = matches!(&record.event, Event::Stopped { message, .. } if self.left.as_ref() == Some(message));
        self.left = if let Event::Stopped { message, .. } = &record.event { Some(message.clone()) } else { None };
        let before = self.take_drift();
        before.into_iter().chain((!again).then_some(outgoing)).collect()
    }

    /// Takes the notification about drift that was not sent yet.
    fn take_drift(&mut self) -> Option<PendingNotification> {
        let (mut outgoing, more) = self.drifted.take()?;
        self.left = None;
        if more > 0 {
            outgoing.message.message = format!("{}\nand {}", outgoing.message.message, count(more, "more route"));
        }
        Some(outgoing)
    }

    fn update(&mut self, event: &Event) {
        self.names.update(event);
        match event {
            Event::Started(started) => self.owner.clone_from(&started.owner),
            Event::ProcessStarted { owner, .. } => self.owner.clone_from(owner),
            Event::StepStarted { step, label, .. } => self.step = Some((*step, label.clone())),
            _ => {}
        }
    }

    /// Adds the verdicts of the metric gates, because the approver needs to know them.
    fn with_verdicts(&self, text: String, at: Timestamp) -> String {
        let lines = self.gates.iter().flat_map(|gates| gates.lines(at));
        lines.fold(text, |text, line| format!("{text}\n{line}"))
    }

    fn message(&self, record: &Record, event: Kind) -> Message {
        let text = (self.record_text)(record, &self.names).unwrap_or_default();
        let approval = matches!(record.event, Event::StepStarted { kind: StepType::Approval, .. });
        let message = if approval { self.with_verdicts(text, record.time) } else { text };
        let command = self.reachable && approval;
        let message = if command { format!("{message}\ncutover approve {}", record.run) } else { message };
        let (step, label) = self.step.clone().unzip();
        let (plan, run, owner) = (self.plan.clone(), record.run.clone(), self.owner.clone());
        Message {
            v: 1,
            event,
            plan,
            run,
            seq: record.seq,
            time: record.time,
            step,
            steps: self.steps.len(),
            label,
            owner,
            message,
        }
    }
}

/// Sends the notifications of a run to every target of its plan.
pub struct Notifier {
    messages: MessageBuilder,
    targets: Vec<(Notification, DeliveryQueue<Message>)>,
}

impl Notifier {
    /// Starts one delivery queue for each target of a plan. Needs a Tokio runtime.
    pub fn for_plan(plan: &Plan, record_text: RecordText) -> Self {
        let folder = Folder::of(plan);
        let targets = plan.notifications.iter().map(|n| (n.clone(), notify::delivery_queue(n, &folder, QUEUE_LIMITS)));
        Self { messages: MessageBuilder::new(plan, record_text, true), targets: targets.collect() }
    }

    /// Warns about targets that are known to be unreachable, because the first message may be hours away.
    pub fn warn_unreachable(&self) {
        for (notification, _) in &self.targets {
            if let Some(why) = notify::known_failure(&notification.to) {
                tracing::warn!(
                    "notifications to {} cannot be delivered: {why}; the run continues without these notifications",
                    notification.to.kind()
                );
            }
        }
    }

    /// Processes the records before this process. The first process that drives a run also sends the notification of
    /// the run's start.
    pub fn process_earlier(&mut self, records: &[Record]) {
        if records.iter().any(|r| matches!(r.event, Event::ProcessStarted { .. })) {
            self.skip(records);
        } else {
            for record in records {
                self.record(record);
            }
        }
    }

    /// Processes records without sending notifications, because another process has sent them.
    pub fn skip(&mut self, records: &[Record]) {
        for record in records {
            self.messages.notifications_for(record);
        }
        self.messages.drifted = None;
    }

    fn send(&mut self, outgoing_list: impl IntoIterator<Item = PendingNotification>) {
        for outgoing in outgoing_list {
            for (notification, queue) in &mut self.targets {
                if let Some(message) = outgoing.message_for(notification) {
                    queue.add(message);
                }
            }
        }
    }

    /// Waits a limited time for undelivered messages.
    pub async fn finish(mut self) {
        let pending = self.messages.take_drift();
        self.send(pending);
        let until = Instant::now() + DRAIN_TIMEOUT;
        futures::future::join_all(self.targets.into_iter().map(|(_, queue)| queue.finish(until))).await;
    }
}

impl Subscriber for Notifier {
    fn record(&mut self, record: &Record) {
        let outgoing_list = self.messages.notifications_for(record);
        self.send(outgoing_list);
    }

    fn iteration_ended(&mut self, _: &State, _: &Observed, _: &[Wait], _: Timestamp) {
        let pending = self.messages.take_drift();
        self.send(pending);
    }
}

/// The notifications of a rehearsal. They are shown and not sent.
pub struct ShownNotifications<'a> {
    inner: &'a mut dyn Subscriber,
    messages: MessageBuilder,
    notifications: &'a [Notification],
}

impl<'a> ShownNotifications<'a> {
    /// Creates the subscriber. Call this before the first record.
    pub fn new(inner: &'a mut dyn Subscriber, plan: &'a Plan, record_text: RecordText) -> Self {
        Self { inner, messages: MessageBuilder::new(plan, record_text, false), notifications: &plan.notifications }
    }

    fn show(&mut self, outgoing_list: impl IntoIterator<Item = PendingNotification>) {
        for outgoing in outgoing_list {
            for notification in self.notifications {
                let Some(message) = outgoing.message_for(notification) else { continue };
                let text = message.text(notification, str::to_owned);
                let event =
                    Event::Notified { to: notification.to.kind().into(), about: message.event.word().into(), text };
                self.inner.record(&Record::new(0, message.time, message.run, event));
            }
        }
    }
}

impl Subscriber for ShownNotifications<'_> {
    fn record(&mut self, record: &Record) {
        self.inner.record(record);
        let outgoing_list = self.messages.notifications_for(record);
        self.show(outgoing_list);
    }

    fn iteration_ended(&mut self, state: &State, watch: &Observed, waits: &[Wait], now: Timestamp) {
        let pending = self.messages.take_drift();
        self.show(pending);
        self.inner.iteration_ended(state, watch, waits, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;
    use crate::domain::run::event::FreezeReason;
    use crate::domain::traffic::RouteId;

    fn sent(builder: &mut MessageBuilder, events: &[Event]) -> Vec<(Kind, String)> {
        let record = |event: &Event| Record::new(1, Timestamp::UNIX_EPOCH, "alpha-1", event.clone());
        let outgoing_list: Vec<_> = events.iter().flat_map(|event| builder.notifications_for(&record(event))).collect();
        outgoing_list.into_iter().map(|t| (t.kinds[0], t.message.message)).collect()
    }

    fn text_of(record: &Record, names: &Names) -> Option<String> {
        match &record.event {
            Event::Drifted { route, .. } => Some(format!("{} has changed", names.route(route))),
            Event::StepStarted { step, label, .. } => Some(format!("step {step}  {label}")),
            _ => None,
        }
    }

    fn notification_kinds(sent: &[(Kind, String)]) -> Vec<&'static str> {
        sent.iter().map(|(kind, _)| kind.word()).collect()
    }

    #[test]
    fn drift_of_many_routes_is_one_message_sent_before_the_next_one() {
        let mut builder = MessageBuilder::new(&fixture::plan(), text_of, true);
        let started = fixture::started(4);
        let drifted = |route: &RouteId| {
            let expected = Box::new(fixture::forward(&[("webapp-a", 100)]));
            Event::Drifted { route: route.clone(), expected, live: None }
        };
        let mut events: Vec<_> = started.routes.iter().map(|r| drifted(&r.id)).collect();
        events.insert(0, Event::Started(Box::new(started.clone())));
        events.push(Event::Health { groups: [].into() });
        events.push(Event::Frozen { reason: FreezeReason::Drift, message: "changed".into() });
        let sent = sent(&mut builder, &events);
        assert_eq!(notification_kinds(&sent), ["started", "drifted", "frozen"]);
        assert!(sent[1].1.ends_with(" has changed\nand 1 more route"), "{sent:?}");
        assert!(builder.take_drift().is_none());
    }

    #[test]
    fn calls_that_stop_for_the_same_reason_send_one_message() {
        let mut builder = MessageBuilder::new(&fixture::plan(), text_of, true);
        let stopped = |reason, message: &str| Event::Stopped { reason, message: message.into() };
        let claimed = Event::ProcessStarted { owner: "bob@pc".into(), pid: 1, tool: String::new(), continuous: true };
        let drift = stopped(StopReason::Drift, "443 is not as we left it");
        let events = [
            stopped(StopReason::Waiting, "baking"),
            drift.clone(),
            claimed.clone(),
            drift.clone(),
            claimed.clone(),
            drift.clone(),
        ];
        assert_eq!(notification_kinds(&sent(&mut builder, &events)), ["stopped"]);
        let events = [claimed, Event::Unfrozen {}, drift, stopped(StopReason::Stuck, "no way back")];
        assert_eq!(notification_kinds(&sent(&mut builder, &events)), ["resumed", "stopped", "stopped"]);
        assert_eq!(builder.owner, "bob@pc");
    }

    #[test]
    fn approval_message_names_the_command_if_it_reaches_the_run() {
        let step = Event::StepStarted { step: 5, kind: StepType::Approval, label: "approval: dashboards".into() };
        let of = |reachable| {
            sent(&mut MessageBuilder::new(&fixture::plan(), text_of, reachable), std::slice::from_ref(&step)).remove(0)
        };
        assert_eq!(of(true), (Kind::ApprovalNeeded, "step 5  approval: dashboards\ncutover approve alpha-1".into()));
        assert_eq!(of(false).1, "step 5  approval: dashboards");
    }

    /// Regression test: `paused` and `resumed` between two steps named the previous step, but `status` named the next
    /// one.
    #[test]
    fn a_message_between_two_steps_names_the_next_step_as_status_does() {
        let plan = fixture::plan();
        let mut builder = MessageBuilder::new(&plan, text_of, true);
        let events = [
            Event::StepStarted { step: 1, kind: StepType::Bind, label: "bind".into() },
            Event::StepDone { step: 1 },
            Event::Paused { by: "bob@pc".into(), reason: String::new(), request: None },
        ];
        let record = |event: &Event| Record::new(1, Timestamp::UNIX_EPOCH, "alpha-1", event.clone());
        let sent = events.iter().flat_map(|event| builder.notifications_for(&record(event)));
        let steps: Vec<_> = sent.map(|sent| (sent.kinds[0], sent.message.step, sent.message.label)).collect();
        let label = label(&plan.strategy.steps[1]);
        assert_eq!(steps[1], (Kind::StepDone, Some(1), Some("bind".to_owned())));
        assert_eq!(steps[2], (Kind::Paused, Some(2), Some(label)));
    }
}
