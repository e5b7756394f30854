//! Writes the runbook of a plan: a Markdown document for the people on the call who have not read the plan. The
//! document is made from the plan alone, and from what is live where AWS could be read. Do not read anything here, and
//! do not decide anything: the times come from `plan::schedule`, the words about gates and steps from `view`.

mod document;
mod emergency;
mod input;
mod people;
mod rules;
#[cfg(test)]
mod tests;
mod timetable;

pub use document::markdown;
pub use input::{LiveFacts, RunbookInput};
