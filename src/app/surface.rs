//! What a surface gives to a run that its process drives: somebody who follows, words for people, a way to stop. It decides nothing.

use futures::stream::BoxStream;

use super::names::Words;
use super::view::View;
use crate::adapter::telemetry::Outlets;
use crate::engine::{Audience, Ending};
use crate::plan::model::Plan;

/// A command line, a controller or a page.
pub trait Surface: Sync {
    /// Follows the records of a run of this plan.
    fn audience<'a>(&self, plan: &'a Plan) -> Box<dyn Audience + 'a>;
    /// Shows a message about this process: progress, or what to do next.
    fn say(&self, message: &str);
    /// Shows how a run ended, where the audience does not.
    fn ended(&self, ending: &Ending);
    /// How the process leaves a run: what is live, who watches it, how to go on and how to go back, a line each.
    fn left(&self, view: &View) -> Vec<String>;
    /// How notifications describe a record.
    fn words(&self) -> Words;
    /// An item for each request to stop this process, from now on.
    fn stops(&self) -> BoxStream<'static, ()>;
    /// Where metrics go.
    fn outlets(&self) -> &Outlets;
}
