//! A rehearsal's stage: the world of a plan and a scenario, one of the two shells around it, the adapters that reach it, and the audience that measures.
//!
//! Whoever runs the plan takes the seams from here, and says which step is on; everything else is as in production.

mod hooks;
mod metrics;
mod seams;
mod timing;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::load::clients::Clients;
use super::load::meter::Meter;
use super::load::paused::Pace;
use super::load::{live as street, paused as crowd};
use super::model::World;
use super::scenario::{Scenario, ScenarioError};
use super::shell::Shell;
use super::{live, paused};
use crate::adapter::clock::Scaled;
use crate::domain::decide;
use crate::domain::run::event::{Event, Measured, StepType};
use crate::plan::model::{ClusterName, Plan, Step};
use crate::port::{Balancer, Clock, Cluster, Hooks, Metrics};

use seams::Seams;
pub use timing::{APPROVAL, LENGTH, length, speed};

/// When virtual time begins: always the same, so that two runs of a seed print the same.
const VIRTUAL_START: Timestamp = Timestamp::constant(1_767_600_000, 0);

/// Why a rehearsal cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Plan and scenario do not make a world.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// No sockets, or no temporary folder.
    #[error("the lab's servers: {0}")]
    Server(#[from] std::io::Error),
    /// A client of ours cannot be made.
    #[error("the lab's clients: {0}")]
    Client(String),
}

/// What may be chosen about a rehearsal.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Options {
    /// How many times faster than the wall's clock, above 0; `None`: as [`speed`] says. Means nothing in virtual time.
    pub speed: Option<f64>,
    /// Requests a second of the lab's time, above 0; `None`: as the scenario says, else 1500 a second of real time when live, and 20,000
    /// for each step's shares in virtual time.
    pub rate: Option<f64>,
}

/// A plan's world, ready for a run.
pub struct Stage {
    /// The plan.
    pub plan: Plan,
    /// The load balancer's API.
    pub balancer: Balancer,
    /// The clusters' APIs, for those that the plan gives access to.
    pub clusters: BTreeMap<ClusterName, Arc<dyn Cluster>>,
    /// What metric gates see.
    pub metrics: Arc<dyn Metrics>,
    /// What becomes of commands and hooks in it: nothing is run.
    pub hooks: Arc<dyn Hooks>,
    /// The lab's time.
    pub clock: Arc<dyn Clock>,
    /// What clients saw.
    pub meter: Arc<Meter>,
    shell: Shell,
    house: House,
    /// The step whose shares are settled and being measured.
    settled: Mutex<Option<usize>>,
}

enum House {
    Live { lab: Box<live::Lab>, traffic: street::Traffic },
    Paused { lab: paused::Lab, traffic: crowd::Traffic },
}

impl Stage {
    /// Serves the world on loopback sockets, on a fast clock.
    ///
    /// # Errors
    /// Plan and scenario do not fit, or there are no sockets.
    pub async fn live(plan: Plan, scenario: &Scenario, seed: u64, options: Options) -> Result<Self, StageError> {
        let start = timing::opening(&plan, Timestamp::now());
        let world = World::new(&plan, scenario, seed, start)?;
        let speed = options.speed.unwrap_or_else(|| speed(&plan, start));
        let rate = options.rate.or(world.load().requests_per_second).map_or(street::RATE, |rate| rate * speed);
        let clock = Scaled::new(start, speed);
        let lab = live::Lab::start(world, clock).await?;
        let Seams { balancer, clusters } = seams::live(&plan, &lab, speed).await?;
        let meter = Arc::new(Meter::default());
        let shell = lab.shell().clone();
        let traffic =
            street::Traffic::start(lab.doors(), shell.call(|world, _| Clients::of(world)), Arc::clone(&meter), rate);
        let clock = Arc::new(shell.clock());
        let house = House::Live { lab: Box::new(lab), traffic };
        let (metrics, hooks) = (Arc::new(metrics::Meters(shell.clone())), Arc::new(hooks::Pretend(shell.clone())));
        Ok(Self { plan, balancer, clusters, metrics, hooks, clock, meter, shell, house, settled: Mutex::default() })
    }

    /// Keeps the world in process, in virtual time: inside a current-thread runtime whose clock is paused.
    ///
    /// # Errors
    /// Plan and scenario do not fit.
    pub async fn paused(plan: Plan, scenario: &Scenario, seed: u64, options: Options) -> Result<Self, StageError> {
        let start = timing::opening(&plan, VIRTUAL_START);
        let world = World::new(&plan, scenario, seed, start)?;
        let pace = options.rate.or(world.load().requests_per_second).map_or(Pace::over(timing::BIND), Pace::fixed);
        let clock = Scaled::new(start, 1.0);
        let lab = paused::Lab::start(world, clock.clone());
        let Seams { balancer, clusters } = seams::paused(&plan, &lab).await?;
        let meter = Arc::new(Meter::default());
        let shell = lab.shell().clone();
        let clients = shell.call(|world, _| Clients::of(world));
        let traffic = crowd::Traffic::start(shell.clone(), clients, Arc::clone(&meter), pace);
        let house = House::Paused { lab, traffic };
        let (metrics, hooks) = (Arc::new(metrics::Meters(shell.clone())), Arc::new(hooks::Pretend(shell.clone())));
        Ok(Self {
            plan,
            balancer,
            clusters,
            metrics,
            hooks,
            clock: Arc::new(clock),
            meter,
            shell,
            house,
            settled: Mutex::default(),
        })
    }

    /// A step begins: faults may wait for it.
    pub fn step_changed(&self, number: usize) {
        let name = self.step(number).and_then(|s| s.name.clone());
        self.shell.change(|world, now| world.step(number, name.as_deref(), now));
        if let House::Paused { traffic, .. } = &self.house {
            traffic.pace(timing::stands(&self.plan, number, self.clock.now()));
        }
    }

    /// Follows a run by its records: tells the world which step begins, and measures each step's shares from settled until others are to come,
    /// or the run ends.
    pub fn follow(&self, event: &Event) -> Option<Measured> {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::StepStarted { step, kind, .. } => {
                let over = matches!(kind, StepType::Shares | StepType::Bind).then(|| settled.take()).flatten();
                // A machine too busy for any request: nothing seen is nothing measured.
                let measured = over.map(|step| self.complete(step)).filter(|m| m.requests > 0);
                self.step_changed(*step);
                measured
            }
            Event::Settled { step } => {
                *settled = Some(*step);
                self.settled();
                None
            }
            Event::Finished { .. } => settled.take().map(|step| self.complete(step)),
            // Nothing may hold up a rollback.
            Event::RollbackStarted { .. } | Event::RampStarted { .. } | Event::Stopped { .. } => {
                settled.take().map(|step| self.measured(step))
            }
            _ => None,
        }
    }

    /// As [`Stage::measured`], once there are enough requests to tell a share: where no pause follows a step, its shares would stand for
    /// an instant only.
    fn complete(&self, step: usize) -> Measured {
        match &self.house {
            House::Paused { traffic, .. } => traffic.complete(),
            House::Live { .. } => street::enough(&self.meter),
        }
        self.measured(step)
    }

    /// The shares of a step are settled: what clients see from now on is measured.
    pub fn settled(&self) {
        self.meter.open();
    }

    /// What clients saw since [`Stage::settled`], as a record about `step`, whose shares stood until now. To be called before the next write.
    pub fn measured(&self, step: usize) -> Measured {
        self.meter.window().measured(
            step,
            &self.step(step).map(decide::label).unwrap_or_default(),
            &timing::shares(&self.plan, step),
        )
    }

    fn step(&self, number: usize) -> Option<&Step> {
        self.plan.strategy.steps.iter().find(|s| s.number == number)
    }

    /// The model, for a look at its calls and for what a scenario's operator asks.
    pub fn shell(&self) -> &Shell {
        &self.shell
    }

    /// The live lab, if this is one.
    pub fn live_lab(&self) -> Option<&live::Lab> {
        match &self.house {
            House::Live { lab, .. } => Some(lab),
            House::Paused { .. } => None,
        }
    }

    /// Ends the traffic and the world, and returns when nothing of them runs any more.
    pub async fn stop(self) {
        match self.house {
            House::Live { lab, traffic } => {
                traffic.stop().await;
                lab.stop().await;
            }
            House::Paused { lab, traffic } => {
                traffic.stop().await;
                lab.stop().await;
            }
        }
    }
}
