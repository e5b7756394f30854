//! Where the faults of a scenario are in its file. The model of the scenario has no positions.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

/// The file of a scenario and the lines of its faults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    file: String,
    /// The line of each fault, from 1.
    faults: Vec<u64>,
}

/// The parts of a scenario that lead to its faults.
#[derive(Deserialize)]
struct Lines {
    #[serde(default)]
    spec: Faults,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Faults {
    faults: Vec<Spanned<IgnoredAny>>,
}

impl Places {
    /// Reads the places from the text of a valid scenario.
    pub(super) fn read(file: &str, text: &str) -> Self {
        let lines = serde_saphyr::from_str::<Lines>(text).map_or_else(|_| Vec::new(), |lines| lines.spec.faults);
        Self { file: file.to_owned(), faults: lines.iter().map(|fault| fault.referenced.line()).collect() }
    }

    /// Returns the line of a fault; `None` for a scenario without a file.
    pub fn line_of_fault(&self, index: usize) -> Option<u64> {
        self.faults.get(index).copied()
    }

    /// Returns the file and the line of a fault, such as `faults.yaml:7`.
    pub(super) fn of_fault(&self, index: usize) -> Option<String> {
        self.line_of_fault(index).map(|line| format!("{}:{line}", self.file))
    }
}
