//! The seeded bugs of ways back, of commands and of letting go.

use cutover::domain::run::event::{Event, Record};
use cutover::domain::run::hook::{HookId, HookPoint};

use super::edit::{after, is_ramp, is_rollback, is_set, place, set};
use super::table::{back, is_first_health};
use super::{Bug, How};
use crate::simulation::history::{By, Entry, Verb, What};

pub fn emergency() -> Vec<Bug> {
    vec![
        back("done with half of it", "28 of 100 rules rolled back (SDK default retries)", 11, |all| {
            let began = place(all, 0, is_rollback);
            let index = began + place(&all[began..], 0, |w| matches!(w, What::Applied { by: By::Us, .. }));
            all.remove(index);
        }),
        back("the emergency command gives up", "abort deadlocks (argo-rollouts#4898)", 11, |all| {
            let index = all.iter().rposition(|e| matches!(e.what, What::Ends(..))).expect("an end");
            all[index].what = What::Ends(1, "throttled".into());
        }),
        back("stuck, and does not say where", "exit 5 says exactly what is where", 11, |all| {
            let began = place(all, 0, is_rollback);
            all.retain({
                let mut index = 0;
                move |e| {
                    index += 1;
                    index <= began || !matches!(e.what, What::Applied { by: By::Us, .. })
                }
            });
            let index = all.iter().rposition(|e| matches!(e.what, What::Ends(..))).expect("an end");
            all[index].what = What::Ends(5, "something is not back".into());
        }),
    ]
}

/// A finished run that is taken back in parts.
pub fn parts() -> Vec<Bug> {
    const fn ramp(name: &'static str, breaks: &'static str, caught_by: u8, edit: fn(&mut Vec<Entry>)) -> Bug {
        Bug { name, breaks, caught_by, how: How::Edit("small/ramp/", edit) }
    }
    vec![
        ramp("all of it in the first part", "an old cluster that has grown cold gets everything at once", 1, |all| {
            let began = place(all, 0, is_ramp);
            let n = all[..began].iter().filter(|e| is_set(&e.what)).count();
            set(all, n, |f| (f.members[0].weight, f.members[1].weight) = (Some(100), Some(0)));
        }),
        ramp("the next part does not wait", "caches and autoscalers need their time", 5, |all| {
            for entry in all {
                if let What::Told(Record { event: Event::RampStarted { ramp, .. }, .. })
                | What::Journalled(Record { event: Event::RampStarted { ramp, .. }, .. }) = &mut entry.what
                {
                    ramp.every = 600;
                }
            }
        }),
        ramp("the next part looks at nobody", "the old cluster fell over at the first part", 5, |all| {
            let began = place(all, 0, is_ramp);
            let mut index = 0;
            all.retain(|e| {
                index += 1;
                index <= began || !is_first_health(&e.what)
            });
        }),
    ]
}

/// Commands and hooks.
pub fn outside() -> Vec<Bug> {
    const fn goal(name: &'static str, breaks: &'static str, caught_by: u8, edit: fn(&mut Vec<Entry>)) -> Bug {
        Bug { name, breaks, caught_by, how: How::Edit("hooks/resume/", edit) }
    }
    const fn back(name: &'static str, breaks: &'static str, caught_by: u8, edit: fn(&mut Vec<Entry>)) -> Bug {
        Bug { name, breaks, caught_by, how: How::Edit("hooks/rollback/afterShift#0.answered.reset", edit) }
    }
    vec![
        goal("raises before its hook has ended", "a hook brings what the gates ask for", 1, |all| {
            all.retain(|e| !hooks(&e.what, HookPoint::BeforeShift, true));
        }),
        goal("a step ends before what comes after it", "the step is over after it", 5, |all| {
            all.retain(|e| !hooks(&e.what, HookPoint::AfterShift, true));
        }),
        goal("a command before its record", "a crash between the two, and nobody takes it back", 6, |all| {
            all.retain(|e| !(matches!(e.what, What::Journalled(_)) && hooks(&e.what, HookPoint::Command, false)));
        }),
        goal("a finished command once more", "a migration that is run twice", 8, |all| {
            let last = all.len() - 1;
            after(all, last, What::Does(HookId { at: HookPoint::Command, step: 2, number: 0 }));
        }),
        back("takes back what was never begun", "a migration that is undone before it is done", 8, |all| {
            all.retain(|e| !hooks(&e.what, HookPoint::Command, false));
        }),
        back("a rollback that forgets a command", "the traffic is back, and the tables are not", 6, |all| {
            all.retain(|e| !hooks(&e.what, HookPoint::Undo, true));
        }),
        back("calls somebody before it writes", "the traffic goes first", 11, |all| {
            earlier(all, HookPoint::BeforeRollback);
        }),
        back("takes back before the traffic is back", "the old tables, and the new cluster is asked", 11, |all| {
            earlier(all, HookPoint::Undo);
        }),
    ]
}

/// Whether it is the record of a hook's beginning, or of its end.
fn hooks(what: &What, at: HookPoint, end: bool) -> bool {
    let (What::Told(record) | What::Journalled(record)) = what else { return false };
    match &record.event {
        Event::HookStarted { hook, .. } => !end && hook.at == at,
        Event::HookEnded { hook, .. } => end && hook.at == at,
        _ => false,
    }
}

/// A hook is begun as soon as the rollback is.
fn earlier(all: &mut Vec<Entry>, at: HookPoint) {
    let index = place(all, 0, |w| matches!(w, What::Does(hook) if hook.at == at));
    let what = all.remove(index).what;
    let began = place(all, 0, is_rollback);
    after(all, began, what);
}

/// The old cluster is let go.
pub fn let_go() -> Vec<Bug> {
    const fn detach(name: &'static str, breaks: &'static str, caught_by: u8, edit: fn(&mut Vec<Entry>)) -> Bug {
        Bug { name, breaks, caught_by, how: How::Edit("small/finalize/", edit) }
    }
    vec![
        detach("lets go of what nobody asked for", "the way back is gone", 3, |all| {
            all.retain(|e| {
                let (What::Told(record) | What::Journalled(record)) = &e.what else { return true };
                !matches!(record.event, Event::RetireStarted { .. })
            });
        }),
        detach("lets go of what it has not read", "a person had taken the traffic back", 3, |all| {
            let begins = place(all, 0, |w| *w == What::Begins(Verb::Finalize));
            for entry in &mut all[begins..] {
                if let What::SawRoute { live, .. } = &mut entry.what {
                    *live = None;
                }
            }
        }),
    ]
}
