//! The model: two operators, their Lease, the marker and a route; the possible next events, and the violations.

pub const BOTH: &str = "both write";
pub const LATE: &str = "a raise without the lock";
pub const MARKED: &str = "a batch after another operator's marker";
pub const OVERWRITTEN: &str = "a foreign write is overwritten";
pub const TAKEN: &str = "the lease of a dead operator is acquired";

/// Ticks that a Lease lasts without renewal.
const LEASE_TICKS: u8 = 3;
/// Ticks that a write may be in progress.
const WRITE_TICKS: u8 = 1;
/// Batches that each operator writes.
const BATCHES: u8 = 2;

/// The author of a route's content: someone who writes routes without the lock.
const FOREIGN: u8 = 9;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    Away,
    /// The other operator has the Lease; the number of ticks without a change of the Lease.
    Watching(u8),
    /// This operator has the Lease, or the protocol has no Lease.
    Held,
    /// No other marker was seen.
    Unmarked,
    /// The marker was written and must be read back.
    Put,
    Ready,
    /// The marker was this operator's at the last observation.
    Looked,
    /// The route had the expected content.
    Compared,
    /// The Lease was confirmed; only a stop may come before the write.
    Confirmed,
    /// The write was sent, and the response is awaited.
    Sent,
    /// The operator has finished, was refused, or has stopped because of a reading.
    Left,
    Dead,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operator {
    step: Step,
    /// Whether the operator knows the current version of the Lease.
    current: bool,
    stopped: bool,
    /// The number of ticks that the write in progress has left; `None` if no write is in progress.
    wire: Option<u8>,
    /// The author of the content that the operator read last.
    known: u8,
    /// Whether someone else wrote the route after it was compared.
    changed: bool,
    batches: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProtocolState {
    lease: Option<usize>,
    marker: Option<usize>,
    route: u8,
    operators: Vec<Operator>,
    stops: u8,
    crashes: u8,
    overs: u8,
    foreign: u8,
    /// Raises that arrived while the other operator had the Lease.
    late: u8,
    /// Raises that arrived while the marker was the other operator's, by operator.
    after_marker: Vec<u8>,
    /// Whether a foreign write after the comparison of the route was overwritten.
    unseen: bool,
    /// Whether a foreign write before the comparison of the route was overwritten.
    seen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    Go(usize),
    TakeOver(usize),
    Renew(usize),
    Arrive(usize),
    Stop(usize),
    Wake(usize),
    Crash(usize),
    Foreign,
    Tick,
}

impl ProtocolState {
    /// Changes the version of the Lease; only operator `i` knows the new version.
    fn renewed(&mut self, i: usize) {
        for (other, operator) in self.operators.iter_mut().enumerate() {
            operator.current = other == i;
        }
    }

    /// Releases the operator's marker and Lease.
    fn leave(&mut self, i: usize) {
        if self.marker == Some(i) {
            self.marker = None;
        }
        if self.lease == Some(i) && self.operators[i].current {
            self.lease = None;
            self.renewed(i);
        }
    }
}

/// The features of the protocol, and how many of each event may happen.
#[derive(Debug, Clone, Default)]
pub struct Protocol {
    pub lease: bool,
    pub marker: bool,
    pub stops: u8,
    pub crashes: u8,
    pub overs: u8,
    pub foreign: u8,
}

impl Protocol {
    /// Returns the step in which a raise begins.
    fn ready(&self) -> Step {
        if self.marker { Step::Ready } else { Step::Looked }
    }

    /// Performs the next step of an operator. Returns `None` if the operator has no step now.
    fn go(&self, state: &mut ProtocolState, i: usize) -> Option<()> {
        let (lease, marker, route) = (state.lease, state.marker, state.route);
        let held = if self.marker { Step::Held } else { self.ready() };
        let me = &mut state.operators[i];
        me.step = match me.step {
            Step::Away if !self.lease => held,
            Step::Away | Step::Watching(LEASE_TICKS) if lease.is_none() || (me.step != Step::Away && me.current) => {
                self.take(state, i);
                return Some(());
            }
            Step::Away => {
                me.current = true;
                Step::Watching(0)
            }
            // The Lease was renewed: the other operator is alive.
            Step::Watching(_) if !me.current => Step::Away,
            Step::Held => match marker {
                Some(other) if other != i => Step::Left,
                _ => Step::Unmarked,
            },
            Step::Unmarked => {
                state.marker = Some(i);
                Step::Put
            }
            Step::Put if marker == Some(i) => self.ready(),
            Step::Ready if marker == Some(i) => Step::Looked,
            Step::Put | Step::Ready => Step::Left,
            Step::Looked if me.batches >= BATCHES => Step::Left,
            Step::Looked if route != me.known => Step::Left,
            Step::Looked => {
                me.changed = false;
                Step::Compared
            }
            Step::Compared if self.lease && !me.current => Step::Left,
            Step::Compared => Step::Confirmed,
            Step::Confirmed => {
                me.wire = Some(WRITE_TICKS);
                Step::Sent
            }
            Step::Watching(_) | Step::Sent | Step::Left | Step::Dead => return None,
        };
        let (step, confirmed) = (state.operators[i].step, state.operators[i].step == Step::Confirmed);
        if confirmed && self.lease {
            state.renewed(i);
        }
        if step == Step::Left {
            state.leave(i);
        }
        Some(())
    }

    fn take(&self, state: &mut ProtocolState, i: usize) {
        state.lease = Some(i);
        state.renewed(i);
        let held = if self.marker { Step::Held } else { self.ready() };
        state.operators[i].step = held;
        state.operators[i].known = state.route;
    }

    fn arrive(&self, state: &mut ProtocolState, i: usize) {
        let other = 1 - i;
        state.late += u8::from(state.lease == Some(other));
        state.after_marker[i] += u8::from(self.marker && state.marker == Some(other));
        let me = &mut state.operators[i];
        if me.changed {
            state.unseen = true;
        } else if state.route != me.known {
            state.seen = true;
        }
        let mark = 1 + u8::try_from(i).unwrap_or_default() * 2 + me.batches;
        state.route = mark;
        me.batches += 1;
        me.known = mark;
        me.wire = None;
        if me.step == Step::Sent {
            me.step = self.ready();
        }
        state.operators[other].changed = true;
    }
}

impl Protocol {
    pub fn begin(&self) -> ProtocolState {
        let operator = Operator {
            step: Step::Away,
            current: false,
            stopped: false,
            wire: None,
            known: 0,
            changed: false,
            batches: 0,
        };
        ProtocolState {
            lease: None,
            marker: None,
            route: 0,
            operators: vec![operator.clone(), operator],
            stops: self.stops,
            crashes: self.crashes,
            overs: self.overs,
            foreign: self.foreign,
            late: 0,
            after_marker: vec![0, 0],
            unseen: false,
            seen: false,
        }
    }

    /// Returns the possible next events.
    pub fn acts(&self, state: &ProtocolState) -> Vec<Act> {
        let mut actions = Vec::new();
        for (i, me) in state.operators.iter().enumerate() {
            let over = matches!(me.step, Step::Left | Step::Dead);
            // A write in progress arrives even if its sender stops or crashes.
            if me.wire.is_some() {
                actions.push(Act::Arrive(i));
            }
            if me.stopped {
                actions.push(Act::Wake(i));
                continue;
            }
            if over {
                continue;
            }
            actions.push(Act::Go(i));
            if self.lease && me.current && state.lease == Some(i) {
                actions.push(Act::Renew(i));
            }
            if state.overs > 0 && state.lease.is_some_and(|holder| holder != i) {
                actions.push(Act::TakeOver(i));
            }
            if state.stops > 0 {
                actions.push(Act::Stop(i));
            }
            if state.crashes > 0 {
                actions.push(Act::Crash(i));
            }
        }
        if state.foreign > 0 {
            actions.push(Act::Foreign);
        }
        // A running process needs no time between the confirmation and the write.
        if !state.operators.iter().any(|o| o.step == Step::Confirmed && !o.stopped) {
            actions.push(Act::Tick);
        }
        actions
    }

    pub fn after(&self, before: &ProtocolState, action: Act) -> Option<ProtocolState> {
        let mut state = before.clone();
        match action {
            Act::Go(i) => self.go(&mut state, i)?,
            Act::TakeOver(i) => {
                state.overs -= 1;
                self.take(&mut state, i);
                if self.marker {
                    state.operators[i].step = Step::Unmarked;
                }
            }
            Act::Renew(i) => state.renewed(i),
            Act::Arrive(i) => self.arrive(&mut state, i),
            Act::Stop(i) => {
                state.stops -= 1;
                state.operators[i].stopped = true;
            }
            Act::Wake(i) => state.operators[i].stopped = false,
            Act::Crash(i) => {
                state.crashes -= 1;
                state.operators[i].step = Step::Dead;
            }
            Act::Foreign => {
                state.foreign -= 1;
                state.route = FOREIGN;
                state.operators.iter_mut().for_each(|o| o.changed = true);
            }
            Act::Tick => {
                for operator in &mut state.operators {
                    // A write whose deadline is over never arrives.
                    let over = operator.wire == Some(0);
                    operator.wire = operator.wire.and_then(|ticks| ticks.checked_sub(1));
                    operator.step = match operator.step {
                        Step::Watching(ticks) => Step::Watching((ticks + 1).min(LEASE_TICKS)),
                        Step::Sent if over => self.ready(),
                        other => other,
                    };
                }
            }
        }
        Some(state)
    }

    /// Returns the violation of the invariant, if there is one.
    pub fn wrong(&self, w: &ProtocolState) -> Option<&'static str> {
        let allowed = (self.stops - w.stops) + (self.overs - w.overs);
        if self.lease && w.late > allowed {
            return Some("more raises without the lock than stops and take-overs");
        }
        if w.after_marker.iter().any(|n| *n > 1) {
            return Some("more than one batch after another operator's marker");
        }
        w.seen.then_some("a foreign write before the comparison was overwritten")
    }

    /// Returns the allowed events that have happened.
    pub fn marks(w: &ProtocolState) -> impl Iterator<Item = &'static str> {
        let dead = w.operators.iter().any(|o| o.step == Step::Dead);
        let marks = [
            (BOTH, w.operators.iter().all(|o| o.batches > 0)),
            (LATE, w.late > 0),
            (MARKED, w.after_marker.iter().any(|n| *n > 0)),
            (OVERWRITTEN, w.unseen),
            (TAKEN, dead && w.operators.iter().any(|o| o.batches >= BATCHES && o.step != Step::Dead)),
        ];
        marks.into_iter().filter(|(_, is)| *is).map(|(mark, _)| mark)
    }
}
