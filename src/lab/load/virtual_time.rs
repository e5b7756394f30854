//! Traffic in virtual time: requests go directly to the model, a few at every tick, while the time of a step passes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::clients::{Clients, Visit};
use super::meter::{Meter, RequestResult};
use crate::lab::model::{ClientRequest, PodAnswer, Requester, RoutingOutcome, TargetResponse, World};
use crate::lab::shared_model::SharedModel;

/// Minimum number of requests between two changes of the shares.
pub const STEP_REQUESTS: u64 = 20_000;

/// The idle time-out of an ALB.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// Number of ticks over which the requests of a step are spread.
const TICKS_PER_STEP: u32 = 1000;

/// The running clients. Dropping this value aborts them.
pub struct VirtualTraffic {
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    model: SharedModel,
    meter: Arc<Meter>,
    clients: Mutex<Clients>,
    pace: Mutex<Pace>,
}

/// The rate at which requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    tick: Duration,
    per_tick: u64,
    fixed: bool,
}

impl Pace {
    /// Returns a pace of `rate` requests per second (above 0), independent of the durations of steps.
    // A rate is positive and fits into 64 bits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn fixed(rate: f64) -> Self {
        let tick = Duration::from_secs_f64((1.0 / rate).clamp(1.0, 3600.0));
        Self { tick, per_tick: (rate * tick.as_secs_f64()).round().max(1.0) as u64, fixed: true }
    }

    /// Returns a pace of at least [`STEP_REQUESTS`] within `time`.
    pub fn for_duration(time: Duration) -> Self {
        let tick = (time / TICKS_PER_STEP).clamp(Duration::from_millis(100), Duration::from_secs(30));
        let ticks = u64::try_from(time.as_millis() / tick.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { tick, per_tick: STEP_REQUESTS.div_ceil(ticks.min(u64::from(TICKS_PER_STEP))), fixed: false }
    }
}

impl VirtualTraffic {
    /// Starts requests at this pace, one from each of `clients` in turn.
    pub fn start(model: SharedModel, clients: Clients, meter: Arc<Meter>, pace: Pace) -> Self {
        let (clients, pace) = (Mutex::new(clients), Mutex::new(pace));
        let state = Arc::new(State { model, meter, clients, pace });
        Self { task: tokio::spawn(send_requests(Arc::clone(&state))), state }
    }

    /// Adapts the pace, unless it is fixed, because the next shares stay for `time`.
    pub fn set_step_duration(&self, time: Duration) {
        let mut pace = self.state.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if !pace.fixed {
            *pace = Pace::for_duration(time);
        }
    }

    /// Sends the requests that the meter's window lacks to [`STEP_REQUESTS`] at once, because the shares changed too
    /// soon for a measurement.
    pub fn send_missing(&self) {
        if !self.state.pace().fixed {
            self.state.send(STEP_REQUESTS.saturating_sub(self.state.meter.window_requests()));
        }
    }

    /// Stops the traffic.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for VirtualTraffic {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn send_requests(state: Arc<State>) {
    loop {
        let pace = state.pace();
        tokio::time::sleep(pace.tick).await;
        state.send(pace.per_tick);
    }
}

impl State {
    fn pace(&self) -> Pace {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, requests: u64) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        self.model.call(|world, now| {
            for _ in 0..requests {
                let Some(visit) = clients.next_visit(now) else { break };
                let pick = world.pick(&client_request(&visit), now);
                let response = target_response(world, pick.outcome);
                let failed = !matches!(response, TargetResponse::Answered(status, _) if status < 500);
                if let (Some(group), RoutingOutcome::Target { .. }) = (&pick.group, pick.outcome) {
                    world.record_response(group, response, now);
                }
                self.meter.record(RequestResult {
                    cluster: pick.cluster.as_deref(),
                    group: pick.group.as_deref(),
                    failed,
                });
                if let Some(cookie) = pick.set_cookie {
                    clients.store_cookie(&visit, cookie);
                }
            }
        });
    }
}

fn client_request(visit: &Visit) -> ClientRequest<'_> {
    let sample = &visit.sample;
    ClientRequest {
        load_balancer: &sample.load_balancer,
        port: sample.port,
        host: &sample.host,
        path: &sample.path,
        cookie: visit.cookie.as_deref(),
        headers: &[],
    }
}

fn target_response(world: &World, outcome: RoutingOutcome) -> TargetResponse {
    match outcome {
        RoutingOutcome::Reset => TargetResponse::NoAnswer,
        RoutingOutcome::Status(status) => TargetResponse::Answered(status, Duration::ZERO),
        RoutingOutcome::Target { pod, .. } => match world.respond(pod, Requester::Client) {
            PodAnswer::Status { status, delay } if delay < IDLE_TIMEOUT => TargetResponse::Answered(status, delay),
            _ => TargetResponse::NoAnswer,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_gets_the_minimum_of_requests_and_long_steps_few_more() {
        for seconds in [1, 9, 10, 600, 3600, 86_400, 604_800] {
            let time = Duration::from_secs(seconds);
            let pace = Pace::for_duration(time);
            let sent = u64::try_from(time.as_millis() / pace.tick.as_millis())
                .expect("the number of ticks should fit into 64 bits")
                * pace.per_tick;
            assert!(sent >= STEP_REQUESTS, "{seconds} s: {sent}");
            assert!(seconds > 30_000 || sent <= STEP_REQUESTS * 2, "{seconds} s: {sent}");
        }
    }
}
