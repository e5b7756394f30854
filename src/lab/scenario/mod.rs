//! Scenario files: parses YAML into a checked [`Scenario`], or reports what is wrong and where.

pub mod difference;
pub mod fault;
pub mod model;
pub mod period;
pub mod places;
pub mod verb;

pub use model::Scenario;
use places::Places;

use crate::plan::suggest::closest;

/// Largest scenario file, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// An error in a scenario, or between a scenario and a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// An error at a position in the file, such as a syntax error.
    #[error("{source_name}:{line}:{column}: {message}")]
    At {
        /// Name of the file.
        source_name: String,
        /// Line of the error, from 1.
        line: u64,
        /// Column of the error, from 1.
        column: u64,
        /// The description of the error, with the valid values.
        message: String,
    },
    /// An error that concerns the whole file, such as its size.
    #[error("{source_name}: {message}")]
    File {
        /// Name of the file.
        source_name: String,
        /// What is wrong.
        message: String,
    },
    /// An entry is not valid or does not fit the plan.
    #[error("{place}: {path}: {message}")]
    Entry {
        /// File and line of the entry, such as `faults.yaml:7`, or the name of a scenario without a file.
        place: String,
        /// Path of the entry, such as `spec.faults[2].kill.cluster`.
        path: String,
        /// The description of the error, with the valid values.
        message: String,
    },
    /// Several errors, one a line.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<ScenarioError>),
}

impl ScenarioError {
    /// Returns the errors as one; `Ok` without errors.
    pub(crate) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }
}

impl Scenario {
    /// Parses a scenario. Messages name the file as `source_name`.
    ///
    /// # Errors
    /// Returns the first syntax or type error with its position, otherwise all entries that are not valid.
    pub fn parse(source_name: &str, text: &str) -> Result<Self, ScenarioError> {
        let file = |message: String| ScenarioError::File { source_name: source_name.to_owned(), message };
        if text.len() > MAX_BYTES {
            return Err(file(format!("{} bytes; a scenario has at most {MAX_BYTES}", text.len())));
        }
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_depth: 32, max_nodes: 20_000, max_anchors: 0, max_aliases: 0 },
        };
        let mut scenario: Self = serde_saphyr::from_str_with_options(text, options).map_err(|e| {
            let message = e.without_snippet().to_string();
            match e.location() {
                Some(at) => ScenarioError::At {
                    source_name: source_name.to_owned(),
                    line: at.line(),
                    column: at.column(),
                    message: readable(&message, at.line(), at.column()),
                },
                None => file(message),
            }
        })?;
        scenario.places = Places::read(source_name, text);
        scenario.check()?;
        Ok(scenario)
    }

    /// Returns the JSON Schema of scenario files, generated from the types.
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Self)
    }

    fn check(&self) -> Result<(), ScenarioError> {
        let faults = self.spec.faults.iter().enumerate();
        let problems = faults.flat_map(|(index, fault)| {
            let problems = fault.problems().into_iter();
            problems.map(move |(field, message)| self.entry(&format!("spec.faults[{index}]{field}"), message))
        });
        ScenarioError::all(problems.collect())
    }

    /// Creates an error about the entry at this path.
    pub(crate) fn entry(&self, path: &str, message: impl Into<String>) -> ScenarioError {
        let place = self.places.of(path).unwrap_or_else(|| format!("scenario {}", self.metadata.name));
        ScenarioError::Entry { place, path: path.to_owned(), message: message.into() }
    }
}

/// Removes the place at the start of a message. If the message is about an unknown field, adds the known field with a
/// similar name.
fn readable(message: &str, line: u64, column: u64) -> String {
    let message = message.replace(&format!(" at line {line}, column {column}"), "");
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().filter(|_| message.starts_with("unknown "));
    let near = unknown.and_then(|unknown| {
        let known: Vec<_> = message.split_once("expected ")?.1.split([',', ' ']).map(|w| w.trim_matches('`')).collect();
        closest(unknown, known).map(str::to_owned)
    });
    match near {
        Some(near) => format!("{message}; did you mean `{near}`?"),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_verb_has_its_place_once_and_the_near_one() {
        let text = "apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {name: x}\nspec:\n  faults:\n    - at: \
                    {time: 1m}\n      kil: {cluster: b}\n";
        let error = Scenario::parse("x.yaml", text).map_err(|e| e.to_string()).unwrap_err();
        assert!(error.starts_with("x.yaml:7:7: unknown field `kil`, expected one of "), "{error}");
        assert!(error.ends_with("; did you mean `kill`?") && !error.contains("column"), "{error}");
    }
}
