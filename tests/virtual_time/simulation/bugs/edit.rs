//! Edits of a history.

use cutover::domain::run::event::{Event, Record};
use cutover::domain::traffic::Split;

use crate::simulation::face::Face;
use crate::simulation::history::{By, Entry, What};

/// The place of the n-th entry that fits, from 0.
pub fn place(entries: &[Entry], n: usize, fits: impl Fn(&What) -> bool) -> usize {
    let mut all = entries.iter().enumerate().filter(|(_, e)| fits(&e.what)).map(|(index, _)| index);
    all.nth(n).expect("such an entry")
}

pub fn is_set(what: &What) -> bool {
    matches!(what, What::Set { .. })
}

/// Whether it is a restoring write's intent, or one that moves on.
pub fn is_rollback(what: &What) -> bool {
    matches!(what, What::Told(Record { event: Event::RollbackStarted { .. }, .. }))
}

pub fn is_ramp(what: &What) -> bool {
    matches!(what, What::Told(Record { event: Event::RampStarted { .. }, .. }))
}

/// Puts something right after an entry, in the same process at the same time.
pub fn after(entries: &mut Vec<Entry>, index: usize, what: What) {
    let entry = Entry { what, ..entries[index].clone() };
    entries.insert(index + 1, entry);
}

/// Removes what fits before an entry.
pub fn forget(entries: &mut Vec<Entry>, before: usize, fits: impl Fn(&What) -> bool) {
    let mut index = 0;
    entries.retain(|e| {
        index += 1;
        index > before || !fits(&e.what)
    });
}

/// Changes the split of the n-th write.
pub fn set(entries: &mut [Entry], n: usize, change: impl Fn(&mut Split)) {
    let index = place(entries, n, is_set);
    if let What::Set { content, .. } = &mut entries[index].what {
        change(&mut content.split);
    }
}

/// Changes what the n-th write of ours came to in the world.
pub fn applied(entries: &mut [Entry], n: usize, change: impl Fn(&mut Face, &mut Face)) {
    let index = place(entries, n, |w| matches!(w, What::Applied { by: By::Us, .. }));
    if let What::Applied { before, after: Some(after), .. } = &mut entries[index].what {
        change(before, after);
    }
}

/// Changes the body of the n-th call of an operation.
pub fn body(entries: &mut [Entry], name: &str, more: &str) {
    let index = place(entries, 0, |w| matches!(w, What::Sent { operation, .. } if operation == name));
    if let What::Sent { body, .. } = &mut entries[index].what {
        body.push_str(more);
    }
}

/// A journal's bytes as they were last opened.
pub fn journal(entries: &[Entry]) -> Vec<u8> {
    let opened = entries
        .iter()
        .rev()
        .find_map(|e| if let What::Opened { bytes, .. } = &e.what { Some(bytes.clone()) } else { None });
    opened.expect("a journal was opened")
}
