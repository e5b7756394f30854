//! A crash at every record of a journal, before anything follows it or in the middle of its line; then `resume`, or
//! `rollback`.

use std::time::Duration;

use cutover::port::store::Request;

use super::small;
use super::store::Death;
use super::theatre::{Life, Theatre, scenario, word};

/// Dies there, is away for a while, and comes back; returns the ending, or nothing where the run was over before it
/// could die there.
async fn dies(seq: u64, death: Death, back: Option<Request>) -> Option<&'static str> {
    let mut theatre = Theatre::begin(small::two_routes(), &scenario("{}")).await;
    theatre.ledger.dies_at(Some((seq, death)));
    let life = theatre.live().await;
    theatre.ledger.dies_at(None);
    if life != Life::Killed {
        theatre.stage.stop().await;
        return None;
    }
    theatre.sleep(Duration::from_secs(20)).await;
    let back_asked = back.is_some();
    if let Some(request) = back {
        theatre.ask(request);
    }
    let ending = word(&theatre.run().await);
    let text = format!("{death:?} at record {seq}: {:#?}", theatre.lines());
    match ending {
        "completed" if !back_asked => theatre.assert_shares(100, &[]),
        "aborted" if back_asked => theatre.assert_original(&[]),
        other => panic!("{other}: {text}"),
    }
    // As the journal says it, so it is: nothing more would be written.
    let writes = theatre.witness.writes.lock().expect("a lock").len();
    assert!(theatre.run().await == theatre.run().await, "{text}");
    assert_eq!(theatre.witness.writes.lock().expect("a lock").len(), writes, "{text}");
    theatre.stage.stop().await;
    Some(ending)
}

/// Dies at every record after those of the beginning (`started`, `kept`), until the run outlives it.
async fn at_every_record(death: Death, back: impl Fn() -> Option<Request>) {
    let mut seq = 3;
    while dies(seq, death, back()).await.is_some() {
        seq += 1;
    }
    assert!(seq > 20, "the run has {seq} records");
}

fn rollback() -> Request {
    Request::Rollback { by: "bob@lab".into(), force: false }
}

#[tokio::test(start_paused = true)]
async fn killed_after_any_record_it_resumes_to_the_goal() {
    at_every_record(Death::After, || None).await;
}

#[tokio::test(start_paused = true)]
async fn killed_in_any_record_it_resumes_to_the_goal() {
    at_every_record(Death::Torn, || None).await;
}

#[tokio::test(start_paused = true)]
async fn killed_after_any_record_it_rolls_back_to_the_start() {
    at_every_record(Death::After, || Some(rollback())).await;
}

#[tokio::test(start_paused = true)]
async fn killed_in_any_record_it_rolls_back_to_the_start() {
    at_every_record(Death::Torn, || Some(rollback())).await;
}
