//! Shows a run in every view: no view may fail, for any content of the journal.

use cutover::app::find;
use cutover::app::view::RunView;
use cutover::cli::render::style::Style;
use cutover::cli::render::{history, report, status};
use cutover::cli::verbs::report::render_report;
use cutover::domain::decide::newer;
use cutover::domain::run::state::State;
use cutover::plan::model::Plan;
use cutover::port::store::Store;
use jiff::Timestamp;

use super::test_run::TestRun;

impl TestRun {
    /// Lists the run, shows its status and events, and reports it. Returns all outputs.
    pub async fn check_views(&self) -> String {
        views(&*self.ports.store, &self.run, &self.plan.name, self.ports.clock.now()).await
    }
}

/// Checks all views of the only run of a store, found by its id and by its plan's name. Returns the outputs.
pub async fn views(store: &dyn Store, run: &str, plan: &str, now: Timestamp) -> String {
    let style = Style::plain();
    let runs = store.runs().await.expect("the runs should be readable");
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].damaged, None);
    let list = history::list(&runs, &style);
    assert!(list.contains(run), "{list}");
    let by_id = find::run(store, Some(run), false).await.unwrap_or_else(|e| panic!("{e}"));
    let by_name = find::run(store, Some(plan), false).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((by_id.run.id.as_str(), &by_id.plan), (by_name.run.id.as_str(), &by_name.plan));
    let state = State::fold(&by_id.records).expect("the records should be valid").expect("the run should have a state");
    let status = status::text(&view(&by_id.plan, &state, now), &style);
    let unknown = newer::unknown_parts(&by_id.plan, &state).filter(|_| state.finished.is_none());
    assert!(unknown.is_none_or(|what| status.contains(what.split(';').next().unwrap_or_default())), "{status}");
    let page = render_report(&by_id.plan, &by_id.records, &style, |told| report::html(&told))
        .unwrap_or_else(|e| panic!("{e}"));
    assert!(page.contains(run));
    let markdown = render_report(&by_id.plan, &by_id.records, &style, |told| report::markdown(&told))
        .unwrap_or_else(|e| panic!("{e}"));
    [list, status, history::run_events(&by_id.records, &style), markdown].join("\n")
}

/// Returns the view of `status` on a run that no process drives.
pub fn view(plan: &Plan, state: &State, now: Timestamp) -> RunView {
    RunView::of(plan, state, None, &[], now)
}
