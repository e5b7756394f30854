//! Where the faults of a scenario are in its file. The model of the scenario has no positions.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

/// The file of a scenario and the lines of its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    file: String,
    /// The line of each fault, from 1.
    faults: Vec<u64>,
    /// The line of each cluster.
    clusters: Vec<u64>,
    /// The line of each target group.
    target_groups: Vec<u64>,
    /// The line of each load balancer.
    load_balancers: Vec<u64>,
}

/// The parts of a scenario that lead to its entries.
#[derive(Deserialize)]
struct Lines {
    #[serde(default)]
    spec: Entries,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Entries {
    faults: Vec<Spanned<IgnoredAny>>,
    clusters: Vec<Spanned<IgnoredAny>>,
    target_groups: Vec<Spanned<IgnoredAny>>,
    load_balancers: Vec<Spanned<IgnoredAny>>,
}

impl Places {
    /// Reads the places from the text of a valid scenario.
    pub(super) fn read(file: &str, text: &str) -> Self {
        let Entries { faults, clusters, target_groups, load_balancers } =
            serde_saphyr::from_str::<Lines>(text).map_or_else(|_| Entries::default(), |lines| lines.spec);
        let lines =
            |entries: Vec<Spanned<IgnoredAny>>| -> Vec<u64> { entries.iter().map(|e| e.referenced.line()).collect() };
        Self {
            file: file.to_owned(),
            faults: lines(faults),
            clusters: lines(clusters),
            target_groups: lines(target_groups),
            load_balancers: lines(load_balancers),
        }
    }

    /// Returns the line of a fault; `None` for a scenario without a file.
    pub fn line_of_fault(&self, index: usize) -> Option<u64> {
        self.faults.get(index).copied()
    }

    /// Returns the file and the line of the entry that a path leads to, such as `faults.yaml:7` for
    /// `spec.faults[0].kill`.
    pub(super) fn of(&self, path: &str) -> Option<String> {
        let (list, rest) = path.strip_prefix("spec.")?.split_once('[')?;
        let index: usize = rest.split(']').next()?.parse().ok()?;
        let lines = match list {
            "faults" => &self.faults,
            "clusters" => &self.clusters,
            "targetGroups" => &self.target_groups,
            "loadBalancers" => &self.load_balancers,
            _ => return None,
        };
        lines.get(index).map(|line| format!("{}:{line}", self.file))
    }
}
