//! The interface that a surface implements for a run that its process drives: a subscriber, texts for people, and a way
//! to stop the run. Do not add decisions.

use futures::stream::BoxStream;

use super::names::RecordText;
use super::view::RunView;
use crate::adapter::telemetry::Outlets;
use crate::domain::run::event::Record;
use crate::engine::{Ending, Subscriber};
use crate::plan::model::Plan;

/// A surface: the command line, a controller or a page.
pub trait Surface: Sync {
    /// Creates a subscriber for a run of this plan. The subscriber knows the routes in the earlier records and does not
    /// show these records.
    fn subscriber<'a>(&self, plan: &'a Plan, earlier: &[Record]) -> Box<dyn Subscriber + 'a>;
    /// Shows a message about this process: progress, or what to do next.
    fn show(&self, message: &str);
    /// Shows how a run ended, if the subscriber does not show it.
    fn show_ending(&self, ending: &Ending);
    /// Returns the situation after the process stops: the live shares, who guards them, how to continue and how to roll
    /// back, one line each.
    fn final_lines(&self, view: &RunView) -> Vec<String>;
    /// Returns the function that builds the text of a record for notifications.
    fn record_text(&self) -> RecordText;
    /// Returns a stream with one item for each later request to stop this process, such as `^C`.
    fn stop_requests(&self) -> BoxStream<'static, ()>;
    /// Returns the file and the port at which metrics are published.
    fn metric_outlets(&self) -> &Outlets;
}
