//! Journals of released versions: each stays readable, and yields what it did.
//!
//! `tests/journals/vN.jsonl` is the journal of a real run: a canary with a pause, a promotion, a foreign write that was kept, an approval and
//! an abort. A file there is never changed; a new version of the records adds one.

use std::path::Path;

use cutover::adapter::store::fs::LocalStore;
use cutover::app::view::RunView;
use cutover::cli::render::style::Style;
use cutover::cli::render::{events::EventLines, status};
use cutover::domain::run::journal::{LineDamage, parse};
use cutover::domain::run::state::State;
use cutover::port::store::{Store, StoreError};
use jiff::Timestamp;

/// The file.
fn v1() -> Vec<u8> {
    std::fs::read("tests/journals/v1.jsonl").expect("a recorded journal")
}

/// A state directory with a run that has this journal, and the run's id.
fn store(bytes: &[u8]) -> (tempfile::TempDir, LocalStore, String) {
    let id = parse(&v1()).expect("it parses").records[0].run.clone();
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("runs").join(&id);
    std::fs::create_dir_all(&run).expect("a run's folder");
    std::fs::write(run.join("journal.jsonl"), bytes).expect("its journal");
    let store = open(folder.path());
    (folder, store, id)
}

#[tokio::test]
async fn a_journal_of_version_1_is_read_as_it_always_was() {
    let (_folder, store, id) = store(&v1());
    let records = store.read(&id).await.expect("it is read");
    assert!(records.iter().enumerate().all(|(i, r)| r.seq == i as u64 + 1 && r.run == id));
    let state = State::fold(&records).expect("legal").expect("a state");
    let plan = cutover::plan::lint("v1", state.started.text.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(plan.hash, state.started.hash, "the plan's text is what was hashed");
    let now = records.last().map_or(Timestamp::UNIX_EPOCH, |r| r.time);
    let view = RunView::of(&plan, &state, None, &[], now);
    let mut lines = EventLines::new(Style::plain());
    let told: String = records.iter().flat_map(|r| lines.lines_for(r)).map(|l| l + "\n").collect();
    let weights: Vec<_> = state.routes.values().map(|r| format!("{} {:?}", r.start.label, r.split())).collect();
    let text = format!("{told}\n{}\n\n{}\n", status::text(&view, &Style::plain()), weights.join("\n"));
    let text = text.replace(&format!("cutover {}", env!("CARGO_PKG_VERSION")), "cutover VERSION");
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(text) });
}

/// Cut in its last line, it is what came before; with one bit changed, it is refused and the emergency command named.
#[tokio::test]
async fn a_journal_of_version_1_that_was_damaged_is_recognised() {
    let whole = parse(&v1()).expect("it parses").records;
    let (_folder, cut, id) = store(&v1()[..v1().len() - 20]);
    assert_eq!(*cut.read(&id).await.expect("its beginning"), whole[..whole.len() - 1]);
    let mut bytes = v1();
    let middle = bytes.iter().position(|b| *b == b'\n').expect("a line") + 40;
    bytes[middle] ^= 1;
    assert!(
        matches!(parse(&bytes), Err(c) if c.line == 2 && matches!(c.why, LineDamage::Sum | LineDamage::Syntax(_)) && c.prefix == whole[..1])
    );
    let (_folder, flipped, id) = store(&bytes);
    let refused: StoreError = flipped.read(&id).await.expect_err("it is refused");
    assert!(
        refused.to_string().contains("cutover rollback --load-balancer shop --back-to shop-a --away-from shop-b"),
        "{refused}"
    );
}

fn open(folder: &Path) -> LocalStore {
    LocalStore::open(Some(folder.to_path_buf())).expect("a store")
}
