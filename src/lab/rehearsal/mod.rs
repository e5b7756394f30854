//! The environment of a rehearsal: the lab for a plan and a scenario (live or in virtual time), the adapters that
//! connect to the lab, and the clients that measure.
//!
//! A rehearsal uses the same engine as a production run. The caller takes the adapters from this module and reports the
//! start of each step.

mod adapters;
mod hooks;
mod metrics;
mod timing;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::load::clients::Clients;
use super::load::meter::Meter;
use super::load::virtual_time::Pace;
use super::load::{live as live_load, virtual_time as virtual_load};
use super::model::World;
use super::scenario::{Scenario, ScenarioError};
use super::shared_model::SharedModel;
use super::{live, virtual_time};
use crate::adapter::clock::LabClock;
use crate::domain::decide;
use crate::domain::run::event::{ClientMeasurement, Event, MeasuredTime, StepType};
use crate::engine::items::ItemPorts;
use crate::plan::model::{ClusterName, Plan, Shares, Step};
use crate::port::{Clock, Cluster, ComparedCluster, Hooks, LoadBalancerApi, Metrics};

use adapters::Adapters;
pub use timing::{APPROVAL_DELAY, LIVE_DURATION, length, speed};

/// Start of virtual time. Constant, so that two runs with the same seed print the same times.
const VIRTUAL_START: Timestamp = Timestamp::constant(1_767_600_000, 0);

/// How long the clients continue after the end of a run, in the lab's time.
const AFTER_THE_RUN: Duration = Duration::from_mins(5);

/// How long the clients continue after the end of a run at most, in real time.
const MAX_REAL_WAIT: Duration = Duration::from_secs(3);

/// An error that prevents the start of a rehearsal.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The scenario does not fit the plan.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The sockets or the temporary folder of the lab cannot be created.
    #[error("cannot start the lab's servers: {0}")]
    Server(#[from] std::io::Error),
    /// An AWS or Kubernetes client for the lab cannot be created.
    #[error("cannot create a client for the lab: {0}")]
    Client(String),
}

/// Options of a rehearsal.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Options {
    /// Speed relative to real time, above 0; `None` uses [`speed`]. Ignored in virtual time.
    pub speed: Option<f64>,
    /// Requests per second of the lab's time, above 0. `None` uses the scenario's rate; without one, 1500 requests per
    /// second of real time when live, and 20,000 requests for the shares of each step in virtual time.
    pub rate: Option<f64>,
}

/// The lab of a plan, ready for a run.
pub struct RehearsalLab {
    /// The plan of the run that is rehearsed: the plan of the lab, or that plan narrowed to a wave.
    pub plan: Plan,
    /// The API of the load balancers.
    pub balancer: LoadBalancerApi,
    /// The Kubernetes APIs of the clusters that the plan can access.
    pub clusters: BTreeMap<ClusterName, Arc<dyn Cluster>>,
    /// These clusters for the compare gate.
    pub compared: BTreeMap<ClusterName, Arc<dyn ComparedCluster>>,
    /// The items of hand-overs in these clusters.
    pub items: ItemPorts,
    /// The metrics for gates.
    pub metrics: Arc<dyn Metrics>,
    /// Simulated commands and hooks; nothing is executed.
    pub hooks: Arc<dyn Hooks>,
    /// The clock of the lab.
    pub clock: Arc<dyn Clock>,
    /// Counters of the clients' requests.
    pub meter: Arc<Meter>,
    model: SharedModel,
    backend: Backend,
    measured_step: Mutex<MeasuredStep>,
}

/// The steps whose shares are live.
#[derive(Default)]
struct MeasuredStep {
    /// The step that writes its shares, or waits for their settle.
    writing: Option<usize>,
    /// The step whose shares are being measured.
    settled: Option<usize>,
}

enum Backend {
    Live { lab: Box<live::LiveLab>, traffic: live_load::LiveTraffic },
    Paused { lab: virtual_time::VirtualLab, traffic: virtual_load::VirtualTraffic },
}

impl RehearsalLab {
    /// Starts the lab on loopback sockets, with a fast clock.
    ///
    /// # Errors
    /// Returns an error if the scenario does not fit the plan, or if a server or client cannot be created.
    pub async fn live(plan: Plan, scenario: &Scenario, seed: u64, options: Options) -> Result<Self, RehearsalError> {
        let start = timing::start_time(&plan, Timestamp::now());
        World::check_names(&plan, scenario)?;
        let world = World::new(&plan, scenario, seed, start)?;
        let speed = options.speed.unwrap_or_else(|| speed(&plan, start));
        let rate =
            options.rate.or(world.load().requests_per_second).map_or(live_load::DEFAULT_RATE, |rate| rate * speed);
        let clock = LabClock::new(start, speed);
        let lab = live::LiveLab::start(world, clock).await?;
        let Adapters { balancer, clusters, compared, items } = adapters::live(&plan, &lab, speed).await?;
        let meter = Arc::new(Meter::default());
        let model = lab.model().clone();
        let clock: Arc<dyn Clock> = Arc::new(model.clock());
        let traffic = live_load::LiveTraffic::start(
            lab.listeners(),
            model.call(|world, _| Clients::for_world(world, seed)),
            Arc::clone(&meter),
            Arc::clone(&clock),
            rate,
        );
        let house = Backend::Live { lab: Box::new(lab), traffic };
        let (metrics, hooks) =
            (Arc::new(metrics::LabMetrics(model.clone())), Arc::new(hooks::SimulatedHooks(model.clone())));
        Ok(Self {
            plan,
            balancer,
            clusters,
            compared,
            items,
            metrics,
            hooks,
            clock,
            meter,
            model,
            backend: house,
            measured_step: Mutex::default(),
        })
    }

    /// Starts the lab without sockets, in virtual time. Must be called in a current-thread runtime whose clock is
    /// paused.
    ///
    /// # Errors
    /// Returns an error if the scenario does not fit the plan, or if a client cannot be created.
    pub async fn virtual_time(
        plan: Plan,
        scenario: &Scenario,
        seed: u64,
        options: Options,
    ) -> Result<Self, RehearsalError> {
        let start = timing::start_time(&plan, VIRTUAL_START);
        World::check_names(&plan, scenario)?;
        let world = World::new(&plan, scenario, seed, start)?;
        let pace = options
            .rate
            .or(world.load().requests_per_second)
            .map_or(Pace::for_duration(timing::BIND_DURATION), Pace::fixed);
        let clock = LabClock::new(start, 1.0);
        let lab = virtual_time::VirtualLab::start(world, clock.clone());
        let Adapters { balancer, clusters, compared, items } = adapters::paused(&plan, &lab).await?;
        let meter = Arc::new(Meter::default());
        let model = lab.model().clone();
        let clients = model.call(|world, _| Clients::for_world(world, seed));
        let traffic = virtual_load::VirtualTraffic::start(model.clone(), clients, Arc::clone(&meter), pace);
        let house = Backend::Paused { lab, traffic };
        let (metrics, hooks) =
            (Arc::new(metrics::LabMetrics(model.clone())), Arc::new(hooks::SimulatedHooks(model.clone())));
        Ok(Self {
            plan,
            balancer,
            clusters,
            compared,
            items,
            metrics,
            hooks,
            clock: Arc::new(clock),
            meter,
            model,
            backend: house,
            measured_step: Mutex::default(),
        })
    }

    /// Reports the start of a step to the model, because faults may wait for this step.
    pub fn step_changed(&self, number: usize) {
        let name = self.step(number).and_then(|s| s.name.clone());
        self.model.change(|world, now| world.step_started(number, name.as_deref(), now));
        if let Backend::Paused { traffic, .. } = &self.backend {
            traffic.set_step_duration(timing::share_duration(&self.plan, number, self.clock.now()));
        }
    }

    /// Follows a run by its journal events: reports the start of each step to the model, and measures the shares of
    /// each step from the end of settling until the next change or the end of the run. A step that freezes after its
    /// first write is measured from there.
    pub fn on_event(&self, event: &Event) -> Option<ClientMeasurement> {
        let mut measured_step = self.measured_step.lock().unwrap_or_else(PoisonError::into_inner);
        let MeasuredStep { writing, settled } = &mut *measured_step;
        match event {
            Event::StepStarted { step, kind, .. } => {
                let over = matches!(kind, StepType::Shares | StepType::Bind).then(|| settled.take()).flatten();
                // The machine was too busy for any request, so there is nothing to report.
                let measured = over.map(|step| self.measure_complete(step)).filter(|m| m.requests > 0);
                self.step_changed(*step);
                *writing = matches!(kind, StepType::Shares).then_some(*step);
                measured
            }
            Event::Settled { step } => {
                *settled = Some(*step);
                *writing = None;
                self.start_measuring();
                None
            }
            Event::Frozen { .. } if writing.is_some() => {
                *settled = writing.take();
                self.start_measuring();
                None
            }
            Event::Finished { .. } => settled.take().map(|step| self.measure_complete(step)),
            // A rollback must not wait for more requests.
            Event::RollbackStarted { .. } | Event::RampStarted { .. } | Event::Stopped { .. } => {
                settled.take().map(|step| self.measure(step))
            }
            _ => None,
        }
    }

    /// Waits for enough requests to measure a share, then measures. Without a pause after a step, the shares of this
    /// step last only an instant.
    fn measure_complete(&self, step: usize) -> ClientMeasurement {
        match &self.backend {
            Backend::Paused { traffic, .. } => traffic.send_missing(),
            Backend::Live { .. } => live_load::wait_for_requests(&self.meter),
        }
        self.measure(step)
    }

    /// Starts a new measurement, because the shares of a step have settled.
    pub fn start_measuring(&self) {
        self.meter.start_window();
    }

    /// Returns the measurement since [`RehearsalLab::start_measuring`] as a record of `step`. Must be called before the
    /// next write.
    pub fn measure(&self, step: usize) -> ClientMeasurement {
        self.meter.take_window().into_measured(
            step,
            &self.step(step).map(decide::label).unwrap_or_default(),
            &timing::shares(&self.plan, step),
        )
    }

    /// Returns the measurement of the time since the last one, which is not the time of a step; `None` without requests.
    pub fn measure_rest(&self, step: usize, during: MeasuredTime) -> Option<ClientMeasurement> {
        // After a rollback, the shares at the start are in effect; after a run without a rollback, the shares of the
        // last step.
        let shares_of = if during == MeasuredTime::AfterRun { step } else { 0 };
        let label = self.step(step).map(decide::label).unwrap_or_default();
        let window = self.meter.take_window();
        let measured = window.into_measured(step, &label, &self.all_shares(shares_of));
        (measured.requests > 0).then_some(ClientMeasurement { during, ..measured })
    }

    /// Returns the shares of a step, with 0 for the clusters without a share.
    fn all_shares(&self, step: usize) -> Shares {
        let mut shares = timing::shares(&self.plan, step);
        if shares.is_empty() {
            shares.insert(self.plan.strategy.from.clone(), 100);
        }
        for cluster in [&self.plan.strategy.from, &self.plan.strategy.to] {
            shares.entry(cluster.clone()).or_default();
        }
        shares
    }

    /// Keeps the clients running for some minutes of the lab's time after the end of a run, so that late effects of its
    /// last writes, such as those of stickiness, are visible.
    pub async fn linger(&self) {
        match &self.backend {
            Backend::Paused { traffic, .. } => {
                traffic.set_step_duration(AFTER_THE_RUN);
                self.clock.sleep(AFTER_THE_RUN).await;
            }
            Backend::Live { .. } => {
                self.clock.sleep(AFTER_THE_RUN.min(self.clock.of_real(MAX_REAL_WAIT))).await;
            }
        }
    }

    /// Returns all requests of the clients so far, and how many of them failed.
    pub fn client_totals(&self) -> (u64, u64) {
        let total = self.meter.total();
        (total.requests, total.errors)
    }

    fn step(&self, number: usize) -> Option<&Step> {
        self.plan.strategy.steps.iter().find(|s| s.number == number)
    }

    /// Returns the model, with the call log and the operator requests of the scenario.
    pub fn model(&self) -> &SharedModel {
        &self.model
    }

    /// Returns the live lab; `None` in virtual time.
    pub fn live_lab(&self) -> Option<&live::LiveLab> {
        match &self.backend {
            Backend::Live { lab, .. } => Some(lab),
            Backend::Paused { .. } => None,
        }
    }

    /// Stops the traffic and the lab, and waits until their tasks have ended.
    pub async fn stop(self) {
        match self.backend {
            Backend::Live { lab, traffic } => {
                traffic.stop().await;
                lab.stop().await;
            }
            Backend::Paused { lab, traffic } => {
                traffic.stop().await;
                lab.stop().await;
            }
        }
    }
}
