//! A journal cut at every byte and with every bit flipped: the program must recover it up to that place, or refuse it
//! with the emergency command.

use cutover::adapter::store::fs::LocalStore;
use cutover::domain::run::event::Record;
use cutover::domain::run::journal::{LineDamage, Parsed, parse};
use cutover::port::store::{Store, StoreError};
use tempfile::TempDir;

/// The number of tried cases.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CaseCounts {
    pub cuts: usize,
    pub flips: usize,
    refused: usize,
}

/// A valid journal that the tests damage.
struct DamagedJournal<'a> {
    bytes: &'a [u8],
    records: Vec<Record>,
    /// The offset of each line, and of the end of the last line.
    bounds: Vec<usize>,
}

/// Cuts `bytes` before every byte, and flips bits of every byte: all eight bits, or a different bit in each byte. The
/// lines before the damaged line are the same in all cases and are parsed only once; [`samples`] parses complete
/// journals.
pub fn damage(bytes: &[u8], every_bit: bool) -> CaseCounts {
    let bounds: Vec<_> =
        [0].into_iter().chain(bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1)).collect();
    let victim = DamagedJournal { bytes, records: parse(bytes).expect("the journal should be valid").records, bounds };
    assert_eq!(victim.records.len() + 1, victim.bounds.len(), "every line must be a record");
    let mut tried = CaseCounts::default();
    let mut before = Parsed::default();
    for line in 0..victim.records.len() {
        assert_eq!(before.records, victim.records[..line], "the records before the damage must be valid");
        for at in victim.bounds[line]..victim.bounds[line + 1] {
            victim.cut(&before, at);
            tried.cuts += 1;
            for bit in if every_bit { 0..8 } else { at % 8..at % 8 + 1 } {
                tried.refused += usize::from(victim.flipped(&mut before, line, at, bit));
                tried.flips += 1;
            }
        }
        before
            .append(&bytes[victim.bounds[line]..victim.bounds[line + 1]])
            .expect("an undamaged line should be accepted");
    }
    // A missing last newline makes the last record torn; any other change must be refused.
    assert_eq!(tried.refused, if every_bit { tried.flips - 8 } else { tried.flips - 1 });
    tried
}

impl DamagedJournal<'_> {
    /// Asserts the records up to a cut: a partial record is dropped, unless it lacks only its newline.
    fn cut(&self, before: &Parsed, at: usize) {
        let line = before.records.len();
        let begun = &self.bytes[self.bounds[line]..at];
        let mut parsed = Parsed { checksums: before.checksums.clone(), ..Parsed::default() };
        // One record is enough: the next record is checked against the number and run of the previous record.
        parsed.records.extend(before.records.last().cloned());
        let held = parsed.records.len();
        parsed.append(begun).unwrap_or_else(|why| panic!("cut at {at}: {why}"));
        let whole = at + 1 == self.bounds[line + 1];
        assert_eq!(parsed.records[held..], self.records[line..line + usize::from(whole)], "cut at {at}");
        assert_eq!((parsed.torn, parsed.unterminated), (!begun.is_empty() && !whole, whole), "cut at {at}");
    }

    /// Flips a bit; returns whether the journal is refused. Only records before the damaged line may be accepted.
    fn flipped(&self, before: &mut Parsed, line: usize, at: usize, bit: usize) -> bool {
        // Include the next line, because a damaged newline joins the two lines.
        let end = self.bounds.get(line + 2).or(self.bounds.last()).copied().unwrap_or_default();
        let mut bytes = self.bytes[self.bounds[line]..end].to_vec();
        bytes[at - self.bounds[line]] ^= 1 << bit;
        let read = before.append(&bytes);
        assert_eq!(before.records.len(), line, "byte {at} bit {bit}: a damaged record must not be accepted");
        let torn = std::mem::take(&mut before.torn);
        match read {
            Ok(()) => {
                assert!(
                    torn && at + 1 == self.bytes.len(),
                    "byte {at} bit {bit}: only a damaged last newline may count as a torn record"
                );
            }
            Err(LineDamage::Newer(version)) => assert_ne!(version, 1, "byte {at} bit {bit}"),
            Err(_) => {}
        }
        read.is_err()
    }
}

/// Reads one damaged journal per line through the store: each must be refused, with the command that needs no journal.
pub async fn samples(bytes: &[u8], emergency: &str) -> usize {
    let records = parse(bytes).expect("the journal should be valid").records;
    let (folder, store) = (tempfile::tempdir().expect("the folder should be created"), |folder: &TempDir| {
        LocalStore::open(Some(folder.path().to_owned()))
    });
    let run = folder.path().join("runs").join(&records[0].run);
    std::fs::create_dir_all(&run).expect("the folder should be created");
    let store = store(&folder).expect("the store should be created");
    let mut start = 0;
    for (line, text) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let mut damaged = bytes.to_vec();
        damaged[start + (line * 7 + 11) % (text.len() - 1)] ^= 1 << (line % 8);
        start += text.len();
        std::fs::write(run.join("journal.jsonl"), &damaged).expect("the journal should be written");
        let refused = store.read(&records[0].run).await.expect_err("the damaged journal should be refused");
        let StoreError::Corrupt { line: named, .. } = &refused else { panic!("line {}: {refused}", line + 1) };
        let command = if line == 0 {
            "cutover rollback --load-balancer LB --back-to GROUPS --away-from GROUPS"
        } else {
            emergency
        };
        assert_eq!(*named, line + 1);
        assert!(refused.to_string().contains(command), "line {}: {refused}", line + 1);
    }
    records.len()
}

#[tokio::test]
async fn a_recorded_journal_is_recovered_or_refused_wherever_it_is_damaged() {
    let bytes = std::fs::read("tests/journals/canary-aborted.jsonl").expect("the recorded journal should be readable");
    let tried = damage(&bytes, crate::crash::all_cases());
    let lines = samples(&bytes, "cutover rollback --load-balancer shop --back-to shop-a --away-from shop-b").await;
    println!(
        "crash: a journal of the corpus: {} cuts, {} flipped bits, {lines} refusals by the store",
        tried.cuts, tried.flips
    );
    assert_eq!(tried.cuts, bytes.len());
}
