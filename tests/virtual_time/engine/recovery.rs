//! A crash at every record of a journal, right after the record or in the middle of its line; then `resume`, or
//! `rollback`.

use std::time::Duration;

use cutover::port::store::Request;

use super::small;
use super::store::Death;
use super::test_run::{ProcessEnd, TestRun, ending_name, scenario};

/// Crashes at a record, and continues the run after a while. Returns the ending, or `None` if the run ended before it
/// could crash there.
async fn crashes_at(seq: u64, death: Death, back: Option<Request>) -> Option<&'static str> {
    let mut test_run = TestRun::begin(small::two_routes(), &scenario("{}")).await;
    test_run.test_store.dies_at(Some((seq, death)));
    let life = test_run.run_process().await;
    test_run.test_store.dies_at(None);
    if life != ProcessEnd::Killed {
        test_run.lab.stop().await;
        return None;
    }
    test_run.sleep(Duration::from_secs(20)).await;
    let back_asked = back.is_some();
    if let Some(request) = back {
        test_run.send_request(request);
    }
    let ending = ending_name(&test_run.run().await);
    let text = format!("{death:?} at record {seq}: {:#?}", test_run.output());
    match ending {
        "completed" if !back_asked => test_run.assert_shares(100, &[]),
        "aborted" if back_asked => test_run.assert_original(&[]),
        other => panic!("{other}: {text}"),
    }
    // The run has ended as the journal says: another process writes nothing.
    let writes = test_run.write_checker.writes.lock().expect("no thread should have panicked").len();
    assert!(test_run.run().await == test_run.run().await, "{text}");
    assert_eq!(test_run.write_checker.writes.lock().expect("no thread should have panicked").len(), writes, "{text}");
    test_run.lab.stop().await;
    Some(ending)
}

/// Crashes at every record after those of the start (`started`, `kept`), until the run ends without a crash.
async fn crash_at_every_record(death: Death, back: impl Fn() -> Option<Request>) {
    let mut seq = 3;
    while crashes_at(seq, death, back()).await.is_some() {
        seq += 1;
    }
    assert!(seq > 20, "the run should have more than 20 records, but it has {seq}");
}

fn rollback() -> Request {
    Request::Rollback { by: "bob@lab".into(), force: false, break_stickiness: None }
}

#[tokio::test(start_paused = true)]
async fn a_run_killed_after_any_record_resumes_to_the_goal() {
    crash_at_every_record(Death::After, || None).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_killed_in_any_record_resumes_to_the_goal() {
    crash_at_every_record(Death::Torn, || None).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_killed_after_any_record_rolls_back() {
    crash_at_every_record(Death::After, || Some(rollback())).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_killed_in_any_record_rolls_back() {
    crash_at_every_record(Death::Torn, || Some(rollback())).await;
}
