//! A torn, truncated or changed journal is recognised and never accepted in part, and the message names the emergency
//! command.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{Entry, EntryContent};
use cutover::base::text::hex;

pub fn holds(_: &Facts, entry: &Entry) -> Found {
    let EntryContent::Opened { bytes, read } = &entry.what else { return Ok(()) };
    match (intact(bytes), read) {
        (Ok((least, most)), Ok(believed)) => ensure((least..=most).contains(believed), || {
            format!("{believed} records are accepted, but {least} to {most} are complete")
        }),
        (Ok(_), Err(why)) => Err(format!("an intact journal is refused: {why}")),
        (Err(line), Ok(believed)) => Err(format!("line {line} is damaged, but {believed} records are accepted")),
        (Err(line), Err(why)) => ensure(why.contains("cutover rollback"), || {
            format!("line {line} is damaged; the message does not name `cutover rollback`: {why}")
        }),
    }
}

/// Returns the least and greatest number of complete records. The error is the number of the first damaged line.
fn intact(bytes: &[u8]) -> Result<(usize, usize), usize> {
    let mut sum = String::new();
    let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    let (last, whole) = lines.split_last().map_or((&[][..], &[][..]), |(last, whole)| (*last, whole));
    for (index, line) in whole.iter().enumerate() {
        sum = next(&sum, line).ok_or(index + 1)?;
    }
    let open = next(&sum, last).is_some();
    Ok((whole.len() + usize::from(open), whole.len() + usize::from(open)))
}

/// Returns the checksum of a line, if it matches the line's content.
fn next(before: &str, line: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(line).ok()?;
    serde_json::from_str::<Value>(text).ok()?;
    let (record, sum) = text.strip_suffix("\"}")?.split_once(",\"sum\":\"")?;
    let digest = Sha256::new().chain_update(before).chain_update(record).chain_update("}").finalize();
    let own = hex(&digest[..8]);
    (own == sum).then_some(own)
}
