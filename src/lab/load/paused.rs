//! Traffic in virtual time: requests go straight to the model, some at every tick, while the step's time passes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::clients::{Clients, Visit};
use super::meter::{Meter, Seen};
use crate::lab::model::{Asker, ClientRequest, Outcome, PodAnswer, Served, World};
use crate::lab::shell::Shell;

/// Minimum number of requests between two changes of the shares.
pub const REQUESTS: u64 = 20_000;

/// An ALB's idle time-out.
const IDLE: Duration = Duration::from_mins(1);

/// Number of ticks over which the requests of a step are spread.
const TICKS: u32 = 1000;

/// Running clients. Dropping it aborts them.
pub struct Traffic {
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    shell: Shell,
    meter: Arc<Meter>,
    clients: Mutex<Clients>,
    pace: Mutex<Pace>,
}

/// Rate of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    tick: Duration,
    each: u64,
    fixed: bool,
}

impl Pace {
    /// `rate` requests a second (above 0), independent of the steps' durations.
    // A rate is positive and fits into 64 bits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn fixed(rate: f64) -> Self {
        let tick = Duration::from_secs_f64((1.0 / rate).clamp(1.0, 3600.0));
        Self { tick, each: (rate * tick.as_secs_f64()).round().max(1.0) as u64, fixed: true }
    }

    /// At least [`REQUESTS`] within `time`.
    pub fn over(time: Duration) -> Self {
        let tick = (time / TICKS).clamp(Duration::from_millis(100), Duration::from_secs(30));
        let ticks = u64::try_from(time.as_millis() / tick.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { tick, each: REQUESTS.div_ceil(ticks.min(u64::from(TICKS))), fixed: false }
    }
}

impl Traffic {
    /// Starts requests at this pace, one of each of `clients` in turn.
    pub fn start(shell: Shell, clients: Clients, meter: Arc<Meter>, pace: Pace) -> Self {
        let (clients, pace) = (Mutex::new(clients), Mutex::new(pace));
        let state = Arc::new(State { shell, meter, clients, pace });
        Self { task: tokio::spawn(flow(Arc::clone(&state))), state }
    }

    /// Adapts the pace, unless it is fixed: the next shares stay for `time`.
    pub fn pace(&self, time: Duration) {
        let mut pace = self.state.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if !pace.fixed {
            *pace = Pace::over(time);
        }
    }

    /// Sends, at once, what the meter's window lacks to [`REQUESTS`]: the shares changed too soon for a measurement.
    pub fn complete(&self) {
        if !self.state.pace().fixed {
            self.state.send(REQUESTS.saturating_sub(self.state.meter.pending()));
        }
    }

    /// Stops it.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn flow(state: Arc<State>) {
    loop {
        let pace = state.pace();
        tokio::time::sleep(pace.tick).await;
        state.send(pace.each);
    }
}

impl State {
    fn pace(&self) -> Pace {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, requests: u64) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        self.shell.call(|world, now| {
            for _ in 0..requests {
                let Some(visit) = clients.visit() else { break };
                let pick = world.pick(&asked(&visit), now);
                let served = served(world, pick.outcome);
                let failed = !matches!(served, Served::Answered(status, _) if status < 500);
                if let (Some(group), Outcome::Target { .. }) = (&pick.group, pick.outcome) {
                    world.served(group, served, now);
                }
                self.meter.record(Seen { cluster: pick.cluster.as_deref(), group: pick.group.as_deref(), failed });
                if let Some(cookie) = pick.set_cookie {
                    clients.keep(&visit, cookie);
                }
            }
        });
    }
}

fn asked(visit: &Visit) -> ClientRequest<'_> {
    let sample = &visit.sample;
    ClientRequest {
        load_balancer: &sample.load_balancer,
        port: sample.port,
        host: &sample.host,
        path: &sample.path,
        cookie: visit.cookie.as_deref(),
    }
}

fn served(world: &World, outcome: Outcome) -> Served {
    match outcome {
        Outcome::Reset => Served::Broken,
        Outcome::Status(status) => Served::Answered(status, Duration::ZERO),
        Outcome::Target { pod, .. } => match world.respond(pod, Asker::Client) {
            PodAnswer::Status { status, delay } if delay < IDLE => Served::Answered(status, delay),
            _ => Served::Broken,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_gets_its_requests_and_long_steps_not_many_more() {
        for seconds in [1, 9, 10, 600, 3600, 86_400, 604_800] {
            let time = Duration::from_secs(seconds);
            let pace = Pace::over(time);
            let sent = u64::try_from(time.as_millis() / pace.tick.as_millis()).expect("small") * pace.each;
            assert!(sent >= REQUESTS, "{seconds} s: {sent}");
            assert!(seconds > 30_000 || sent <= REQUESTS * 2, "{seconds} s: {sent}");
        }
    }
}
