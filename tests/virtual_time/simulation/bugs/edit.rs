//! Edits of a recorded history, for the seeded bugs.

use cutover::domain::run::event::{Event, Record};
use cutover::domain::traffic::Split;

use crate::simulation::history::{By, Entry, EntryContent};
use crate::simulation::route_actions::RouteActions;

/// Returns the index of the n-th matching entry, counted from 0.
pub fn place(entries: &[Entry], n: usize, fits: impl Fn(&EntryContent) -> bool) -> usize {
    let mut all = entries.iter().enumerate().filter(|(_, e)| fits(&e.what)).map(|(index, _)| index);
    all.nth(n).expect("the history should have the entry that the edit needs")
}

pub fn is_set(what: &EntryContent) -> bool {
    matches!(what, EntryContent::Set { .. })
}

/// Whether the entry records the start of a rollback.
pub fn is_rollback(what: &EntryContent) -> bool {
    matches!(what, EntryContent::Published(Record { event: Event::RollbackStarted { .. }, .. }))
}

pub fn is_ramp(what: &EntryContent) -> bool {
    matches!(what, EntryContent::Published(Record { event: Event::RampStarted { .. }, .. }))
}

/// Inserts an entry right after another one, with the same process and time.
pub fn after(entries: &mut Vec<Entry>, index: usize, what: EntryContent) {
    let entry = Entry { what, ..entries[index].clone() };
    entries.insert(index + 1, entry);
}

/// Removes the matching entries before an index.
pub fn forget(entries: &mut Vec<Entry>, before: usize, fits: impl Fn(&EntryContent) -> bool) {
    let mut index = 0;
    entries.retain(|e| {
        index += 1;
        index > before || !fits(&e.what)
    });
}

/// Changes the split of the n-th write.
pub fn set(entries: &mut [Entry], n: usize, change: impl Fn(&mut Split)) {
    let index = place(entries, n, is_set);
    if let EntryContent::Set { content, .. } = &mut entries[index].what {
        change(&mut content.split);
    }
}

/// Changes the actions before and after the n-th change that a call of the program made in the simulated AWS.
pub fn applied(entries: &mut [Entry], n: usize, change: impl Fn(&mut RouteActions, &mut RouteActions)) {
    let index = place(entries, n, |w| matches!(w, EntryContent::Applied { by: By::Us, .. }));
    if let EntryContent::Applied { before, after: Some(after), .. } = &mut entries[index].what {
        change(before, after);
    }
}

/// Appends to the body of the first call of an operation.
pub fn body(entries: &mut [Entry], name: &str, more: &str) {
    let index = place(entries, 0, |w| matches!(w, EntryContent::Sent { operation, .. } if operation == name));
    if let EntryContent::Sent { body, .. } = &mut entries[index].what {
        body.push_str(more);
    }
}

/// Returns the bytes of the journal when it was last opened.
pub fn journal(entries: &[Entry]) -> Vec<u8> {
    let opened = entries
        .iter()
        .rev()
        .find_map(|e| if let EntryContent::Opened { bytes, .. } = &e.what { Some(bytes.clone()) } else { None });
    opened.expect("the history should show that a journal was opened")
}
