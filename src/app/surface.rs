//! The interface that a surface implements for a run that its process drives: an audience, texts for people, a way to
//! stop. It takes no decisions.

use futures::stream::BoxStream;

use super::names::RecordText;
use super::view::RunView;
use crate::adapter::telemetry::Outlets;
use crate::domain::run::event::Record;
use crate::engine::{Audience, Ending};
use crate::plan::model::Plan;

/// A command line, a controller or a page.
pub trait Surface: Sync {
    /// An audience for a run of this plan that knows the routes of the earlier records and shows nothing of them.
    fn audience<'a>(&self, plan: &'a Plan, earlier: &[Record]) -> Box<dyn Audience + 'a>;
    /// Shows a message about this process: progress, or what to do next.
    fn show(&self, message: &str);
    /// Shows how a run ended, if the audience does not.
    fn show_ending(&self, ending: &Ending);
    /// The situation after the process stops: the live shares, who guards them, how to continue and how to roll back,
    /// one line each.
    fn final_lines(&self, view: &RunView) -> Vec<String>;
    /// The text of a record for notifications.
    fn record_text(&self) -> RecordText;
    /// An item for each request to stop this process, such as `^C`, from now on.
    fn stop_requests(&self) -> BoxStream<'static, ()>;
    /// Where metrics are published.
    fn metric_outlets(&self) -> &Outlets;
}
