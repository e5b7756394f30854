//! Runs that a later version wrote into: a run with unknown parts is guarded and can be rolled back, but is never
//! raised, for any request.
//!
//! The runs are the `newer-` journals of the corpus ([`super::journals`]), whose tests also list, report and roll back
//! each of them.

use std::time::Duration;

use cutover::base::time::later;
use cutover::domain::run::event::{Event, Record, ResumeMode, WaitReason};
use cutover::port::store::Request;

use super::journals::{newer, staged};
use super::test_run::{ending_name, exit, scenario};

#[tokio::test(start_paused = true)]
async fn a_newer_run_is_never_raised_whatever_is_requested() {
    for journal in newer() {
        let name = &journal.name;
        let mut test_run = staged(&journal, &scenario("{}")).await;
        let before = test_run.write_checker.writes.lock().expect("no thread should have panicked").len();
        let by = || "bob@lab".to_owned();
        let all = [
            Request::Resume { by: by(), mode: ResumeMode::PLAIN, ignore_hours: None },
            Request::Promote { by: by(), full: true },
            Request::Promote { by: by(), full: false },
            Request::Approve { by: by() },
            Request::Resume { by: by(), mode: ResumeMode::KEEP_LIVE, ignore_hours: None },
            Request::Resume { by: by(), mode: ResumeMode::REASSERT, ignore_hours: None },
            Request::Resume { by: by(), mode: ResumeMode::INCLUDE_NEW, ignore_hours: None },
            Request::Pause { by: by(), reason: "read the dashboards first".into() },
            Request::Resume { by: by(), mode: ResumeMode::PLAIN, ignore_hours: None },
            Request::Detach { by: by(), bindings: true },
        ];
        // Run one process after another, as a scheduler calls `step`.
        for request in all {
            test_run.settings.orders.exit_after = Some(later(test_run.ports.clock.now(), Duration::from_mins(2)));
            test_run.send_request(request.clone());
            assert_eq!(ending_name(&test_run.run().await), "waiting", "{name}: {request:?}\n{}", test_run.output());
            let message = test_run.published.iter().rev().find_map(newer_wait);
            let message = message
                .unwrap_or_else(|| panic!("{name}: the output must say why the run waits\n{}", test_run.output()));
            assert!(message.contains("newer") && message.contains(env!("CARGO_PKG_VERSION")), "{message}");
        }
        assert_eq!(
            test_run.write_checker.writes.lock().expect("no thread should have panicked").len(),
            before,
            "{name}: nothing may be written"
        );
        test_run.assert_shares(20, &[]);
        test_run.send_request(Request::Rollback { by: by(), force: false, break_stickiness: None });
        let ending = test_run.run().await;
        assert_eq!((ending_name(&ending), exit(&ending).code()), ("aborted", 4), "{name}: {}", test_run.output());
        test_run.assert_original(&[]);
        test_run.check_views().await;
        test_run.lab.stop().await;
    }
}

fn newer_wait(record: &Record) -> Option<String> {
    let Event::Waiting { waits } = &record.event else { return None };
    waits.iter().find(|wait| wait.reason == WaitReason::Newer).map(|wait| wait.message.clone())
}

#[tokio::test(start_paused = true)]
async fn a_newer_run_is_guarded() {
    for journal in newer() {
        let mut test_run = staged(&journal, &scenario("{faults: [{at: {time: 15m}, kill: {cluster: to}}]}")).await;
        let ending = test_run.run().await;
        assert_eq!(
            (ending_name(&ending), exit(&ending).code()),
            ("rolled back", 4),
            "{}: {}",
            journal.name,
            test_run.output()
        );
        test_run.assert_original(&[]);
        test_run.check_views().await;
        test_run.lab.stop().await;
    }
}
