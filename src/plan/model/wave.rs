//! Represents waves, and narrows a plan to one of them. Which wave is next is determined in `domain::waves`.

use super::{Plan, Strategy, Workload};

/// An entry of `spec.waves`: workloads that move together, as a run of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Wave {
    /// The name of the wave, unique within the plan.
    pub name: String,
    /// The names of the workloads of the wave.
    pub workloads: Vec<String>,
    /// The strategy of the wave: its steps and gates. The last step is the pause `between`, if the wave has a later
    /// wave.
    pub strategy: Strategy,
}

/// The wave to which a plan is narrowed.
#[derive(Debug, Clone, PartialEq)]
pub struct WaveScope {
    /// The name of the wave.
    pub name: String,
    /// The workloads of the other waves. The checks know them.
    pub others: Vec<Workload>,
}

impl Plan {
    /// Returns this plan with only the workloads and the strategy of a wave. A run of the wave is a run of that plan.
    /// Name, text and hash stay those of the whole plan. `None` if the plan does not have the wave.
    pub fn narrowed(&self, wave: &str) -> Option<Self> {
        let wave = self.waves.iter().find(|w| w.name == wave)?;
        let (workloads, others) = self.workloads.iter().cloned().partition(|w| wave.workloads.contains(&w.name));
        let scope = WaveScope { name: wave.name.clone(), others };
        Some(Self { workloads, strategy: wave.strategy.clone(), wave: Some(scope), ..self.clone() })
    }

    /// Returns the plan of each run: one for each wave, in order, or this plan alone if it has no waves or is already
    /// narrowed to a wave.
    pub fn runs(&self) -> Vec<Self> {
        if self.wave.is_some() || self.waves.is_empty() {
            return vec![self.clone()];
        }
        self.waves.iter().filter_map(|wave| self.narrowed(&wave.name)).collect()
    }

    /// Returns the plan's name for people, with the wave to which this plan is narrowed.
    pub fn title(&self) -> String {
        self.wave_name().map_or_else(|| self.name.clone(), |wave| format!("{}, wave {wave}", self.name))
    }

    /// Returns the name of the wave to which this plan is narrowed.
    pub fn wave_name(&self) -> Option<&str> {
        self.wave.as_ref().map(|wave| wave.name.as_str())
    }
}
