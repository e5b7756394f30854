//! Seeded bugs of rollbacks, of commands and hooks, and of finalization.

use cutover::domain::run::event::{Event, Record};
use cutover::domain::run::hook::HookPoint;

use super::edit::{after, is_ramp, is_rollback, is_set, place, set};
use super::table::{edit_rollback, is_first_health};
use super::wrong_balancer::WrongAnswer;
use super::{Bug, How};
use crate::simulation::history::{By, Entry, EntryContent, Verb};

pub fn emergency() -> Vec<Bug> {
    vec![
        edit_rollback(
            "ends with half of the routes restored",
            "28 of 100 rules rolled back (SDK default retries)",
            11,
            |all| {
                let began = place(all, 0, is_rollback);
                let index = began + place(&all[began..], 0, |w| matches!(w, EntryContent::Applied { by: By::Us, .. }));
                all.remove(index);
            },
        ),
        edit_rollback("the emergency command gives up", "abort deadlocks (argo-rollouts#4898)", 11, |all| {
            let index =
                all.iter().rposition(|e| matches!(e.what, EntryContent::Ends(..))).expect("a process should end");
            all[index].what = EntryContent::Ends(1, "throttled".into());
        }),
        edit_rollback(
            "stuck without naming the routes",
            "exit code 5 names each route that is not restored",
            11,
            |all| {
                let began = place(all, 0, is_rollback);
                all.retain({
                    let mut index = 0;
                    move |e| {
                        index += 1;
                        index <= began || !matches!(e.what, EntryContent::Applied { by: By::Us, .. })
                    }
                });
                let index =
                    all.iter().rposition(|e| matches!(e.what, EntryContent::Ends(..))).expect("a process should end");
                all[index].what = EntryContent::Ends(5, "something is not back".into());
            },
        ),
    ]
}

/// Returns the seeded bugs of a finished run that is rolled back in stages.
pub fn staged_rollbacks() -> Vec<Bug> {
    const fn ramp(name: &'static str, breaks: &'static str, caught_by: u8, edit: fn(&mut Vec<Entry>)) -> Bug {
        Bug { name, breaks, caught_by, how: How::Edit("small/ramp/", edit) }
    }
    vec![
        ramp("restores everything in the first stage", "a cold old cluster gets all traffic at once", 1, |all| {
            let began = place(all, 0, is_ramp);
            let n = all[..began].iter().filter(|e| is_set(&e.what)).count();
            set(all, n, |f| (f.members[0].weight, f.members[1].weight) = (Some(100), Some(0)));
        }),
        ramp("the next stage does not wait", "caches and autoscalers need time", 5, |all| {
            for entry in all {
                if let EntryContent::Published(Record { event: Event::RampStarted { ramp, .. }, .. })
                | EntryContent::Journalled(Record { event: Event::RampStarted { ramp, .. }, .. }) = &mut entry.what
                {
                    ramp.every = 600;
                }
            }
        }),
        ramp("the next stage reads no health", "the old cluster failed in the first stage", 5, |all| {
            let began = place(all, 0, is_ramp);
            let mut index = 0;
            all.retain(|e| {
                index += 1;
                index <= began || !is_first_health(&e.what)
            });
        }),
    ]
}

/// Returns the seeded bugs of commands and hooks.
pub fn commands_and_hooks() -> Vec<Bug> {
    const fn edit_hook_run(name: &'static str, breaks: &'static str, caught_by: u8, edit: fn(&mut Vec<Entry>)) -> Bug {
        Bug { name, breaks, caught_by, how: How::Edit("hooks/resume/", edit) }
    }
    const fn edit_hook_rollback(
        name: &'static str,
        breaks: &'static str,
        caught_by: u8,
        edit: fn(&mut Vec<Entry>),
    ) -> Bug {
        Bug { name, breaks, caught_by, how: How::Edit("hooks/rollback/afterShift#0.answered.reset", edit) }
    }
    vec![
        edit_hook_run("raises before the hook has ended", "the hook prepares the shift", 1, |all| {
            all.retain(|e| !is_hook_record(&e.what, HookPoint::BeforeShift, true));
        }),
        edit_hook_run("a step ends before its after-hook", "a step includes its after-hook", 5, |all| {
            all.retain(|e| !is_hook_record(&e.what, HookPoint::AfterShift, true));
        }),
        edit_hook_run("a command starts before its record", "after a crash nothing undoes the command", 6, |all| {
            all.retain(|e| {
                !(matches!(e.what, EntryContent::Journalled(_)) && is_hook_record(&e.what, HookPoint::Command, false))
            });
        }),
        edit_hook_run("a finished command runs again", "a migration that is run twice", 8, |all| {
            let first = place(all, 0, |w| matches!(w, EntryContent::HookBegins(hook) if hook.at == HookPoint::Command));
            let (what, last) = (all[first].what.clone(), all.len() - 1);
            after(all, last, what);
        }),
        edit_hook_rollback(
            "undoes a command that never started",
            "a migration that is undone before it is done",
            8,
            |all| {
                all.retain(|e| !is_hook_record(&e.what, HookPoint::Command, false));
            },
        ),
        edit_hook_rollback(
            "a rollback that does not undo a command",
            "traffic is restored, database tables are not",
            6,
            |all| {
                all.retain(|e| !is_hook_record(&e.what, HookPoint::Undo, true));
            },
        ),
        edit_hook_rollback("runs a hook before the first restoring write", "traffic is restored first", 11, |all| {
            move_to_rollback_start(all, HookPoint::BeforeRollback);
        }),
        edit_hook_rollback(
            "undoes a command before traffic is restored",
            "the new cluster serves with the old tables",
            11,
            |all| {
                move_to_rollback_start(all, HookPoint::Undo);
            },
        ),
    ]
}

/// Whether the entry is the record of the start (or, with `end`, of the end) of a hook.
fn is_hook_record(what: &EntryContent, at: HookPoint, end: bool) -> bool {
    let (EntryContent::Published(record) | EntryContent::Journalled(record)) = what else { return false };
    match &record.event {
        Event::HookStarted { hook, .. } => !end && hook.at == at,
        Event::HookEnded { hook, .. } => end && hook.at == at,
        _ => false,
    }
}

/// Moves the start of a hook to right after the start of the rollback.
fn move_to_rollback_start(all: &mut Vec<Entry>, at: HookPoint) {
    let index = place(all, 0, |w| matches!(w, EntryContent::HookBegins(hook) if hook.at == at));
    let what = all.remove(index).what;
    let began = place(all, 0, is_rollback);
    after(all, began, what);
}

/// Returns the seeded bugs of `finalize --detach`.
pub fn detaching() -> Vec<Bug> {
    const fn detach(name: &'static str, breaks: &'static str, caught_by: u8, edit: fn(&mut Vec<Entry>)) -> Bug {
        Bug { name, breaks, caught_by, how: How::Edit("small/finalize/", edit) }
    }
    vec![
        detach("detaches without a request", "rollback becomes impossible", 3, |all| {
            all.retain(|e| {
                let (EntryContent::Published(record) | EntryContent::Journalled(record)) = &e.what else { return true };
                !matches!(record.event, Event::RetireStarted { .. })
            });
        }),
        detach("detaches without reading the route", "a person had restored the traffic", 3, |all| {
            let begins = place(all, 0, |w| *w == EntryContent::Begins(Verb::Finalize));
            for entry in &mut all[begins..] {
                if let EntryContent::SawRoute { live, .. } = &mut entry.what {
                    *live = None;
                }
            }
        }),
    ]
}

pub fn header_rules() -> Vec<Bug> {
    vec![Bug {
        name: "a header rule outlives its run",
        breaks: "a canary header still routes after the rollback (argo-rollouts#4486)",
        caught_by: 6,
        how: How::WrongAnswers(WrongAnswer::KeepsRules, "header/resume/"),
    }]
}
