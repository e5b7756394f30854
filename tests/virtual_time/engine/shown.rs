//! A run as every view shows it: none of them may fail, whatever is in the journal.

use cutover::app::find;
use cutover::app::view::RunView;
use cutover::cli::render::style::Style;
use cutover::cli::render::{history, report, status};
use cutover::cli::verbs::report::render_report;
use cutover::domain::decide::newer;

use super::theatre::Theatre;

/// Lists, tells and reports the run, found by its id and by its plan's name.
pub async fn shown(theatre: &Theatre) -> String {
    let (store, style) = (&*theatre.ports.store, Style::plain());
    let runs = store.runs().await.expect("a list");
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].damaged, None);
    let list = history::list(&runs, &style);
    assert!(list.contains(&theatre.run), "{list}");
    let by_id = find::run(store, Some(&theatre.run), false).await.unwrap_or_else(|e| panic!("{e}"));
    let by_name = find::run(store, Some(&theatre.plan.name), false).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((by_id.run.id.as_str(), &by_id.plan), (by_name.run.id.as_str(), &by_name.plan));
    let state = cutover::domain::run::state::State::fold(&by_id.records).expect("legal").expect("a state");
    let view = RunView::of(&by_id.plan, &state, None, &[], theatre.ports.clock.now());
    let status = status::text(&view, &style);
    let unknown = newer::unknown_parts(&by_id.plan, &state).filter(|_| state.finished.is_none());
    assert!(unknown.is_none_or(|what| status.contains(what.split(';').next().unwrap_or_default())), "{status}");
    let page = render_report(&by_id.plan, &by_id.records, &style, report::html).unwrap_or_else(|e| panic!("{e}"));
    assert!(page.contains(&theatre.run));
    let markdown =
        render_report(&by_id.plan, &by_id.records, &style, report::markdown).unwrap_or_else(|e| panic!("{e}"));
    [list, status, history::run_events(&by_id.records, &style), markdown].join("\n")
}
