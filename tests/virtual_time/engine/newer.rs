//! Runs that a later version wrote into: what this build does not know is guarded and rolled back, and never raised,
//! whatever anybody asks.
//!
//! The runs are the `newer-` journals of the corpus ([`super::journals`]), which lists, reports and rolls back each of
//! them, too.

use std::time::Duration;

use cutover::base::time::later;
use cutover::domain::run::event::{Event, Record, ResumeMode, WaitReason};
use cutover::port::store::Request;

use super::journals::{newer, staged};
use super::theatre::{exit, scenario, word};

#[tokio::test(start_paused = true)]
async fn a_newer_run_is_never_raised_whatever_is_asked() {
    for journal in newer() {
        let name = &journal.name;
        let mut theatre = staged(&journal, &scenario("{}")).await;
        let before = theatre.witness.writes.lock().expect("a lock").len();
        let by = || "bob@lab".to_owned();
        let all = [
            Request::Resume { by: by(), mode: ResumeMode::PLAIN },
            Request::Promote { by: by(), full: true },
            Request::Promote { by: by(), full: false },
            Request::Approve { by: by() },
            Request::Resume { by: by(), mode: ResumeMode::KEEP_LIVE },
            Request::Resume { by: by(), mode: ResumeMode::REASSERT },
            Request::Resume { by: by(), mode: ResumeMode::INCLUDE_NEW },
            Request::Pause { by: by(), reason: "read the dashboards first".into() },
            Request::Resume { by: by(), mode: ResumeMode::PLAIN },
            Request::Detach { by: by(), bindings: true },
        ];
        // One process after another, as a scheduler calls `step`.
        for request in all {
            theatre.settings.orders.exit_after = Some(later(theatre.ports.clock.now(), Duration::from_mins(2)));
            theatre.ask(request.clone());
            assert_eq!(word(&theatre.run().await), "waiting", "{name}: {request:?}\n{}", theatre.lines());
            let message = theatre.told.iter().rev().find_map(newer_wait);
            let message = message.unwrap_or_else(|| panic!("{name}: it does not say why\n{}", theatre.lines()));
            assert!(message.contains("newer") && message.contains(env!("CARGO_PKG_VERSION")), "{message}");
        }
        assert_eq!(theatre.witness.writes.lock().expect("a lock").len(), before, "{name}: something is written");
        theatre.assert_shares(20, &[]);
        theatre.ask(Request::Rollback { by: by(), force: false });
        let ending = theatre.run().await;
        assert_eq!((word(&ending), exit(&ending).code()), ("aborted", 4), "{name}: {}", theatre.lines());
        theatre.assert_original(&[]);
        theatre.shown().await;
        theatre.stage.stop().await;
    }
}

fn newer_wait(record: &Record) -> Option<String> {
    let Event::Waiting { waits } = &record.event else { return None };
    waits.iter().find(|wait| wait.reason == WaitReason::Newer).map(|wait| wait.message.clone())
}

#[tokio::test(start_paused = true)]
async fn a_newer_run_is_guarded() {
    for journal in newer() {
        let mut theatre = staged(&journal, &scenario("{faults: [{at: {time: 15m}, kill: {cluster: to}}]}")).await;
        let ending = theatre.run().await;
        assert_eq!((word(&ending), exit(&ending).code()), ("rolled back", 4), "{}: {}", journal.name, theatre.lines());
        theatre.assert_original(&[]);
        theatre.shown().await;
        theatre.stage.stop().await;
    }
}
