//! Two operators, their Lease, the marker, a route: what each may do next, and what must never be.

pub const BOTH: &str = "both write";
pub const LATE: &str = "a raise without the lock";
pub const MARKED: &str = "a batch after another's marker";
pub const OVERWRITTEN: &str = "a foreign write is overwritten";
pub const TAKEN: &str = "a dead one's lease is taken";

/// Ticks that a Lease lasts which is not renewed.
const LEASE: u8 = 3;
/// Ticks that a write may be under way.
const WRITE: u8 = 1;
/// Batches that each operator writes.
const BATCHES: u8 = 2;

/// Somebody who writes routes without asking.
const FOREIGN: u8 = 9;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    Away,
    /// Somebody has the Lease; for how many ticks it did not change.
    Watching(u8),
    /// The Lease is ours, or there is none in this protocol.
    Held,
    /// No other marker was seen.
    Unmarked,
    /// Ours was put, and is to be read back.
    Put,
    Ready,
    /// The marker was ours at the last look.
    Looked,
    /// The route was as expected.
    Compared,
    /// The Lease was ours a moment ago: nothing but a stop comes before the write.
    Confirmed,
    /// The write has left, and is waited for.
    Sent,
    /// Finished, refused, or stopped by what it saw.
    Left,
    Dead,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operator {
    step: Step,
    /// Whether the version of the Lease that it knows is the one that is there.
    current: bool,
    stopped: bool,
    /// A write is under way, for so many ticks more.
    wire: Option<u8>,
    /// The author of the content that it read last.
    known: u8,
    /// Whether the route was written by somebody else since it was compared.
    changed: bool,
    batches: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    lease: Option<usize>,
    marker: Option<usize>,
    route: u8,
    operators: Vec<Operator>,
    stops: u8,
    crashes: u8,
    overs: u8,
    foreign: u8,
    /// Raises that arrived while the other had the Lease.
    late: u8,
    /// Raises that arrived while the marker was the other's, by operator.
    after_marker: Vec<u8>,
    /// Somebody's write was overwritten that came after the route was compared.
    unseen: bool,
    /// The same, of one that was there before.
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

impl World {
    /// The Lease has another version, which only `i` knows.
    fn renewed(&mut self, i: usize) {
        for (other, operator) in self.operators.iter_mut().enumerate() {
            operator.current = other == i;
        }
    }

    /// Gives back what is one's own.
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

/// The state of the protocol and the possible events.
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
    /// Where a raise begins.
    fn ready(&self) -> Step {
        if self.marker { Step::Ready } else { Step::Looked }
    }

    /// The next action of an operator. `None`: nothing now.
    fn go(&self, world: &mut World, i: usize) -> Option<()> {
        let (lease, marker, route) = (world.lease, world.marker, world.route);
        let held = if self.marker { Step::Held } else { self.ready() };
        let me = &mut world.operators[i];
        me.step = match me.step {
            Step::Away if !self.lease => held,
            Step::Away | Step::Watching(LEASE) if lease.is_none() || (me.step != Step::Away && me.current) => {
                self.take(world, i);
                return Some(());
            }
            Step::Away => {
                me.current = true;
                Step::Watching(0)
            }
            // It was renewed: somebody is alive.
            Step::Watching(_) if !me.current => Step::Away,
            Step::Held => match marker {
                Some(other) if other != i => Step::Left,
                _ => Step::Unmarked,
            },
            Step::Unmarked => {
                world.marker = Some(i);
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
                me.wire = Some(WRITE);
                Step::Sent
            }
            Step::Watching(_) | Step::Sent | Step::Left | Step::Dead => return None,
        };
        let (step, confirmed) = (world.operators[i].step, world.operators[i].step == Step::Confirmed);
        if confirmed && self.lease {
            world.renewed(i);
        }
        if step == Step::Left {
            world.leave(i);
        }
        Some(())
    }

    fn take(&self, world: &mut World, i: usize) {
        world.lease = Some(i);
        world.renewed(i);
        let held = if self.marker { Step::Held } else { self.ready() };
        world.operators[i].step = held;
        world.operators[i].known = world.route;
    }

    fn arrive(&self, world: &mut World, i: usize) {
        let other = 1 - i;
        world.late += u8::from(world.lease == Some(other));
        world.after_marker[i] += u8::from(self.marker && world.marker == Some(other));
        let me = &mut world.operators[i];
        if me.changed {
            world.unseen = true;
        } else if world.route != me.known {
            world.seen = true;
        }
        let mark = 1 + u8::try_from(i).unwrap_or_default() * 2 + me.batches;
        world.route = mark;
        me.batches += 1;
        me.known = mark;
        me.wire = None;
        if me.step == Step::Sent {
            me.step = self.ready();
        }
        world.operators[other].changed = true;
    }
}

impl Protocol {
    pub fn begin(&self) -> World {
        let operator = Operator {
            step: Step::Away,
            current: false,
            stopped: false,
            wire: None,
            known: 0,
            changed: false,
            batches: 0,
        };
        World {
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

    /// The possible next events.
    pub fn acts(&self, world: &World) -> Vec<Act> {
        let mut actions = Vec::new();
        for (i, me) in world.operators.iter().enumerate() {
            let over = matches!(me.step, Step::Left | Step::Dead);
            // What is on the wire arrives whatever becomes of its sender.
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
            if self.lease && me.current && world.lease == Some(i) {
                actions.push(Act::Renew(i));
            }
            if world.overs > 0 && world.lease.is_some_and(|holder| holder != i) {
                actions.push(Act::TakeOver(i));
            }
            if world.stops > 0 {
                actions.push(Act::Stop(i));
            }
            if world.crashes > 0 {
                actions.push(Act::Crash(i));
            }
        }
        if world.foreign > 0 {
            actions.push(Act::Foreign);
        }
        // Between the confirmation and the write no time passes for a process that runs.
        if !world.operators.iter().any(|o| o.step == Step::Confirmed && !o.stopped) {
            actions.push(Act::Tick);
        }
        actions
    }

    pub fn after(&self, before: &World, action: Act) -> Option<World> {
        let mut world = before.clone();
        match action {
            Act::Go(i) => self.go(&mut world, i)?,
            Act::TakeOver(i) => {
                world.overs -= 1;
                self.take(&mut world, i);
                if self.marker {
                    world.operators[i].step = Step::Unmarked;
                }
            }
            Act::Renew(i) => world.renewed(i),
            Act::Arrive(i) => self.arrive(&mut world, i),
            Act::Stop(i) => {
                world.stops -= 1;
                world.operators[i].stopped = true;
            }
            Act::Wake(i) => world.operators[i].stopped = false,
            Act::Crash(i) => {
                world.crashes -= 1;
                world.operators[i].step = Step::Dead;
            }
            Act::Foreign => {
                world.foreign -= 1;
                world.route = FOREIGN;
                world.operators.iter_mut().for_each(|o| o.changed = true);
            }
            Act::Tick => {
                for operator in &mut world.operators {
                    // Where its deadline is over, it never arrives.
                    let over = operator.wire == Some(0);
                    operator.wire = operator.wire.and_then(|ticks| ticks.checked_sub(1));
                    operator.step = match operator.step {
                        Step::Watching(ticks) => Step::Watching((ticks + 1).min(LEASE)),
                        Step::Sent if over => self.ready(),
                        other => other,
                    };
                }
            }
        }
        Some(world)
    }

    /// The violation of the invariant, if there is one.
    pub fn wrong(&self, w: &World) -> Option<&'static str> {
        let allowed = (self.stops - w.stops) + (self.overs - w.overs);
        if self.lease && w.late > allowed {
            return Some("more raises without the lock than stops and take-overs");
        }
        if w.after_marker.iter().any(|n| *n > 1) {
            return Some("more than one batch after another's marker");
        }
        w.seen.then_some("what was seen is overwritten")
    }

    /// The states that are allowed.
    pub fn marks(w: &World) -> impl Iterator<Item = &'static str> {
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
