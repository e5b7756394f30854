//! Refuses requests that would change nothing. The failure says what the run does now, and which commands have an
//! effect.

use jiff::Timestamp;

use crate::app::exit::{Exit, Failure};
use crate::app::find::StoredRun;
use crate::app::view::RunView;
use crate::cli::render::sections::state_line;
use crate::cli::render::status::next_commands;
use crate::cli::render::style::Style;
use crate::domain::decide::drift_text;
use crate::domain::run::event::ResumeMode;
use crate::domain::run::state::State;
use crate::port::store::{LockOwner, Request, Store};

/// Returns the failure for a request that does not apply to the run's current state.
pub async fn inapplicable(verb: &str, store: &dyn Store, found: &StoredRun, state: &State) -> Failure {
    let (view, status) = now(store, found, state).await;
    let why = format!("there is nothing to {verb} in the run {}: no request was sent", view.run);
    with_commands(Failure::new(Exit::Usage, why), &view, &status)
}

/// Returns why a `resume` without options has no effect: another process is driving the run, and the run is neither
/// paused nor frozen, or it is frozen by a change that an operator must decide about. `None` if it has an effect.
///
/// # Errors
/// Returns a failure if the journal cannot be read.
pub async fn idle_resume(store: &dyn Store, found: &StoredRun, asked: &Request) -> Result<Option<Failure>, Failure> {
    let is_plain = matches!(asked, Request::Resume { mode: ResumeMode::PLAIN, ignore_hours: None, .. });
    let Some(holder) = store.lock_owner(&found.run.id).await.filter(|_| is_plain) else { return Ok(None) };
    let state = found.state()?;
    let Some(why) = idle(&state, &holder) else { return Ok(None) };
    let (view, status) = now(store, found, &state).await;
    Ok(Some(with_commands(Failure::new(Exit::Usage, format!("nothing was changed: {why}")), &view, &status)))
}

fn idle(state: &State, holder: &LockOwner) -> Option<String> {
    let who = format!("{} (process {})", holder.owner, holder.pid);
    if drift_text::freeze_message(state).is_some() {
        return Some(format!("`resume` alone does not end this freeze; {who} guards the run"));
    }
    (!state.raises_stopped()).then(|| format!("the run is neither paused nor frozen; {who} is driving it"))
}

/// Returns the view of the run, from its journal and the heartbeat of its process, and its state as text.
async fn now(store: &dyn Store, found: &StoredRun, state: &State) -> (RunView, String) {
    let now = Timestamp::now();
    let heartbeat = store.heartbeat(&found.run.id).await;
    let view = RunView::of(&found.plan, state, None, &found.waits(state, now), now).with_heartbeat(heartbeat.as_ref());
    let (_, status) = state_line(&view, &Style::plain());
    (view, status)
}

fn with_commands(failure: Failure, view: &RunView, status: &str) -> Failure {
    let (step, of) = view.step_of();
    let label = view.steps.get(step.saturating_sub(1)).map_or("", String::as_str);
    let waits = view.waits.iter().map(|wait| format!("it waits: {}", wait.message));
    let failure = failure.next(format!("the run is at step {step} of {of}, {label}: {status}"));
    let lines = waits.chain(next_commands(view)).chain([format!("cutover status {}   # show the run", view.run)]);
    lines.fold(failure, Failure::next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;
    use crate::domain::run::event::Event;

    fn holder() -> LockOwner {
        LockOwner {
            owner: "alice@mac".into(),
            host: "mac".into(),
            pid: 4711,
            since: Timestamp::UNIX_EPOCH,
            run: "alpha-1".into(),
        }
    }

    /// Regression test: `resume` of a run that another process drove said `received` and `resumed`, and changed
    /// nothing.
    #[test]
    fn a_plain_resume_of_a_driven_run_is_idle_unless_the_run_is_paused() {
        let mut state = fixture::state(fixture::started(4));
        let why = idle(&state, &holder()).expect("neither paused nor frozen");
        assert_eq!(why, "the run is neither paused nor frozen; alice@mac (process 4711) is driving it");
        let pause = Event::Paused { by: "bob@pc".into(), reason: String::new(), request: None };
        state.apply(Timestamp::UNIX_EPOCH, &pause).expect("a legal event");
        assert_eq!(idle(&state, &holder()), None);
        let route = state.routes.values().next().expect("a route").clone();
        let expected = Box::new(route.confirmed.clone());
        let drifted = Event::Drifted { route: route.start.id, expected, live: None };
        state.apply(Timestamp::UNIX_EPOCH, &drifted).expect("a legal event");
        let why = idle(&state, &holder()).expect("frozen by drift");
        assert!(why.starts_with("`resume` alone does not end this freeze; alice@mac"), "{why}");
    }
}
