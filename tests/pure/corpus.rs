//! Replays the corpora of the fuzz targets (`tests/fuzz`): inputs that once found a bug or that reach much code.
//!
//! `CUTOVER_FUZZ=60 cargo test --test pure corpus` continues for 60 seconds per target with random changes of these
//! inputs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[path = "../fuzz/targets.rs"]
mod targets;

use crate::support::parameter;

/// Returns the files of a corpus, sorted by path.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut all: Vec<_> = files
        .map(|f| f.expect("the entry should be readable").path())
        .map(|p| (p.clone(), std::fs::read(&p).expect("the file should be readable")))
        .collect();
    all.sort();
    assert!(all.len() >= 5, "{}: {} files", folder.display(), all.len());
    all
}

fn replay(name: &str, target: fn(&[u8])) {
    let corpus = corpus(name);
    for (path, bytes) in &corpus {
        assert!(catch_unwind(AssertUnwindSafe(|| target(bytes))).is_ok(), "{}", path.display());
    }
    let seconds = parameter("CUTOVER_FUZZ").unwrap_or(0);
    let (end, mut random, mut tries) = (Instant::now() + Duration::from_secs(seconds), fastrand::Rng::new(), 0);
    while Instant::now() < end {
        let bytes = mutate(&corpus, &mut random);
        tries += 1;
        if catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_err() {
            let path = std::env::temp_dir().join(format!("cutover-{name}-{:016x}", random.u64(..)));
            std::fs::write(&path, &bytes).expect("the failing input should be written");
            panic!("the target {name} failed; input: {}", path.display());
        }
    }
    if seconds > 0 {
        println!("fuzz: {name}: {tries} inputs");
    }
}

/// Returns one of the files with a few random changes: flipped, deleted or repeated bytes, or bytes from another file.
fn mutate(corpus: &[(PathBuf, Vec<u8>)], random: &mut fastrand::Rng) -> Vec<u8> {
    let any = |random: &mut fastrand::Rng| corpus[random.usize(..corpus.len())].1.clone();
    let mut bytes = any(random);
    for _ in 0..random.usize(1..6) {
        let (a, b) = (random.usize(..=bytes.len()), random.usize(..=bytes.len()));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 64));
        match random.u8(..6) {
            0 if from < bytes.len() => bytes[from] ^= 1 << random.u8(..8),
            1 if from < bytes.len() => {
                bytes[from] = *b"\0\n\"{}[]:,-'#&*<>/\xff09aZ".get(random.usize(..24)).unwrap_or(&b' ');
            }
            2 => drop(bytes.drain(from..to)),
            3 => {
                let twice = bytes[from..to].to_vec();
                bytes.splice(from..from, twice);
            }
            4 => {
                let other = any(random);
                let at = random.usize(..=other.len());
                let end = other.len().min(at + random.usize(..256));
                bytes.splice(from..to, other[at..end].iter().copied());
            }
            _ => {
                let numbers: [&[u8]; 6] = [b"0", b"-1", b"65536", b"4294967296", b"99999999999999999999", b"1e308"];
                bytes.splice(from..from, numbers[random.usize(..numbers.len())].iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn plan_corpus_passes() {
    replay("plan", targets::plan);
}

#[test]
fn journal_corpus_passes() {
    replay("journal", targets::journal);
    // Also parse the journals that every version must read.
    for path in std::fs::read_dir("tests/journals")
        .expect("the folder tests/journals should be readable")
        .map(|e| e.expect("the entry should be readable").path())
    {
        targets::journal(&std::fs::read(path).expect("the journal should be readable"));
    }
}

#[test]
fn wire_corpus_passes() {
    replay("wire", targets::wire);
}
