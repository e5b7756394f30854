//! The table of seeded bugs, except those of rollbacks, commands and finalization.

use std::time::Duration;

use cutover::domain::run::event::{Event, Record, Trigger};
use cutover::domain::traffic::{Member, RouteId};

use super::edit::{after, applied, body, forget, is_rollback, is_set, journal, place, set};
use super::wrong_balancer::WrongAnswer;
use super::{Bug, How, rollbacks};
use crate::simulation::checker::i12::SECRETS;
use crate::simulation::history::{By, Entry, EntryContent, Verb};
use crate::simulation::plans;

/// Schedules: a completed run, a run that is rolled back half-way, and a run in which someone else changes a route.
const COMPLETED_RUN: &str = "small/resume/";
const ROLLED_BACK_RUN: &str = "small/rollback/ModifyRule#1.lost.reset";
const FOREIGN_CHANGE_RUN: &str = "small/rollback/ModifyRule#1.journalled.foreign";

const fn edit(name: &'static str, breaks: &'static str, caught_by: u8, edit: fn(&mut Vec<Entry>)) -> Bug {
    Bug { name, breaks, caught_by, how: How::Edit(COMPLETED_RUN, edit) }
}

pub const fn edit_rollback(name: &'static str, breaks: &'static str, caught_by: u8, edit: fn(&mut Vec<Entry>)) -> Bug {
    Bug { name, breaks, caught_by, how: How::Edit(ROLLED_BACK_RUN, edit) }
}

pub fn all() -> Vec<Bug> {
    [
        gates(),
        weights(),
        preserved(),
        together(),
        settled(),
        durable(),
        journals(),
        again(),
        others(),
        owners(),
        rollbacks::emergency(),
        rollbacks::staged_rollbacks(),
        rollbacks::commands_and_hooks(),
        rollbacks::detaching(),
        rollbacks::header_rules(),
        secrets(),
    ]
    .into_iter()
    .flatten()
    .chain(identity())
    .collect()
}

pub fn is_first_health(what: &EntryContent) -> bool {
    matches!(what, EntryContent::SawHealth { .. })
}

fn gates() -> Vec<Bug> {
    let hasty = |plan: &mut cutover::plan::model::Plan| {
        let gate = &mut plan.strategy.gates.raise;
        (gate.min_healthy, gate.min_healthy_percent, gate.capacity, gate.stable_for) =
            (0, 0.0, 0.0, Some(Duration::ZERO));
    };
    vec![
        Bug {
            name: "raises before the targets are healthy",
            breaks: "weights change before targets are registered (argo-rollouts#4433)",
            caught_by: 1,
            how: How::WrongPlan(hasty),
        },
        Bug {
            name: "counts initial as healthy",
            breaks: "503 responses in the last percent (argo-rollouts#2864)",
            caught_by: 1,
            how: How::WrongAnswers(WrongAnswer::InitialIsHealthy, COMPLETED_RUN),
        },
        edit("one good reading is enough", "a gate must pass for some time", 1, |all| {
            let first = place(all, 0, is_set);
            let last = all[..first]
                .iter()
                .rposition(|e| is_first_health(&e.what))
                .expect("health should be read before the first write")
                - 1;
            forget(all, last, is_first_health);
        }),
        edit(
            "an old reading is good enough",
            "health is validated before each shift (containers-roadmap#2853)",
            1,
            |all| {
                for entry in all {
                    if let EntryContent::SawHealth { requested_at, .. } = &mut entry.what {
                        *requested_at -= jiff::SignedDuration::from_mins(2);
                    }
                }
            },
        ),
        edit("unreadable health counts as good", "missing data must not raise (argo-rollouts#1905)", 1, |all| {
            let first = place(all, 0, is_set);
            for entry in &mut all[..first] {
                if let EntryContent::SawHealth { counts, .. } = &mut entry.what {
                    *counts = None;
                }
            }
        }),
        edit_rollback(
            "a rollback that raises",
            "restoring writes skip the gates, so they may only restore",
            1,
            |all| {
                let began = place(all, 0, is_rollback);
                let n = all[..began].iter().filter(|e| is_set(&e.what)).count();
                set(all, n, |f| f.members.iter_mut().for_each(|t| t.weight = Some(50)));
            },
        ),
    ]
}

fn weights() -> Vec<Bug> {
    vec![
        edit("all weights zero", "an action without any traffic", 2, |all| {
            set(all, 0, |f| f.members.iter_mut().for_each(|t| t.weight = Some(0)));
        }),
        edit("a weight of 1000", "a weight must be 0 to 999", 2, |all| {
            set(all, 0, |f| f.members[0].weight = Some(1000));
        }),
        edit("six groups in an action", "AWS allows five groups", 2, |all| {
            set(all, 0, |f| f.members.resize(6, Member::new("arn:x", Some(0))));
        }),
        edit("a share rounds to nothing", "a non-zero share must not become weight 0", 2, |all| {
            set(all, 0, |f| (f.members[0].weight, f.members[1].weight) = (Some(100), Some(0)));
        }),
        edit("a share rounds to the whole", "a partial share must not become the whole", 2, |all| {
            set(all, 0, |f| (f.members[0].weight, f.members[1].weight) = (Some(0), Some(100)));
        }),
        edit("a third-party share changes", "overwrites what the plan does not name (argo-rollouts#1572)", 2, |all| {
            applied(all, 0, |_, after| {
                let third = after.weights.iter_mut().find(|(g, _)| g.contains("/shop-default/"));
                if let Some((_, weight)) = third {
                    *weight = 40;
                }
            });
        }),
    ]
}

fn preserved() -> Vec<Bug> {
    vec![
        Bug {
            name: "drops the third group",
            breaks: "tentez drops any third group from the rule",
            caught_by: 3,
            how: How::WrongAnswers(WrongAnswer::DropsThird, COMPLETED_RUN),
        },
        edit("loses stickiness", "tentez loses the stickiness of the action", 3, |all| {
            applied(all, 0, |before, _| before.rest[0]["Sticky"] = "600".into());
        }),
        edit(
            "overwrites another action",
            "an authentication before the forward is gone (argo-rollouts#1572)",
            3,
            |all| {
                applied(all, 0, |before, _| before.rest.insert(0, serde_json::json!({"Type": "authenticate-oidc"})));
            },
        ),
        edit("sends conditions", "conditions must not be written", 3, |all| {
            body(all, "ModifyRule", "&Conditions.member.1.Field=path-pattern");
        }),
        edit("sends a client secret", "an OIDC client secret is never written", 3, |all| {
            body(all, "ModifyRule", "&Actions.member.1.AuthenticateOidcConfig.ClientSecret=x");
        }),
        edit("writes the neighbour's rule", "only the run's routes are written", 3, |all| {
            let index = place(all, 0, |w| matches!(w, EntryContent::Applied { by: By::Us, .. }));
            if let EntryContent::Applied { route, .. } = &mut all[index].what {
                *route = RouteId::rule(format!("{route}0"));
            }
        }),
        edit("tags with a controller's key", "controllers act on their tags", 3, |all| {
            let index = place(all, 0, is_set);
            let (service, operation) = ("elasticloadbalancing".into(), "AddTags".into());
            after(
                all,
                index,
                EntryContent::Sent {
                    call: 0,
                    service,
                    operation,
                    body: "Tags.member.1.Key=elbv2.k8s.aws%2Fcluster".into(),
                },
            );
        }),
        edit("deletes a binding", "19 targets were deregistered (load-balancer-controller#4880)", 3, |all| {
            let index = place(all, 0, is_set);
            let operation = "DELETE /apis/elbv2.k8s.aws/v1beta1/namespaces/shop/targetgroupbindings/shop-b".into();
            after(
                all,
                index,
                EntryContent::Sent { call: 0, service: "kubernetes/b".into(), operation, body: String::new() },
            );
        }),
        edit("applies a binding with force", "fields of another manager must stay", 3, |all| {
            let index = place(all, 0, is_set);
            let operation =
                "PATCH /apis/elbv2.k8s.aws/v1beta1/namespaces/shop/targetgroupbindings/shop-b?force=true".into();
            after(
                all,
                index,
                EntryContent::Sent { call: 0, service: "kubernetes/b".into(), operation, body: String::new() },
            );
        }),
        edit_rollback(
            "a rollback touches targets",
            "abort changed targets and caused 503s (argo-rollouts#3758)",
            3,
            |all| {
                let index = place(all, 0, is_rollback);
                after(
                    all,
                    index,
                    EntryContent::Bind { cluster: "b".into(), binding: "shop/shop-b".into(), dry_run: false },
                );
            },
        ),
    ]
}

fn together() -> Vec<Bug> {
    vec![
        edit(
            "moves one rule completely before the next",
            "several rules must move as one (argo-rollouts#2471)",
            4,
            |all| {
                let index = place(all, 0, |w| matches!(w, EntryContent::Applied { by: By::Us, .. }));
                let EntryContent::Applied { route: first, .. } = all[index].what.clone() else { return };
                all.retain(|e| !matches!(&e.what, EntryContent::Applied { route, .. } if *route != first));
            },
        ),
        edit("skips a step", "from 0 % to 100 % in one write", 4, |all| {
            for n in 0..2 {
                applied(all, n, |_, after| {
                    for (group, weight) in &mut after.weights {
                        *weight = if plans::is_new(group) && n == 0 { 100 } else { 0 };
                    }
                });
            }
        }),
    ]
}

fn settled() -> Vec<Bug> {
    vec![
        Bug {
            name: "a sent write counts as applied",
            breaks: "finished, and all traffic on the old group (argo-rollouts#701)",
            caught_by: 5,
            how: How::WrongAnswers(WrongAnswer::NeverSent, COMPLETED_RUN),
        },
        Bug {
            name: "does not settle",
            breaks: "a correct ModifyRule propagates late (argo-rollouts#4595)",
            caught_by: 5,
            how: How::WrongPlan(|plan| plan.strategy.settle = Duration::ZERO),
        },
        edit("never reads back", "a weight that was sent may not be applied (argo-rollouts#3333)", 5, |all| {
            let first = place(all, 0, is_set);
            let mut index = 0;
            all.retain(|e| {
                index += 1;
                index <= first || !matches!(e.what, EntryContent::SawRoute { .. })
            });
        }),
        Bug {
            name: "missing data fails the guard",
            breaks: "rolls back because health is unreadable (flagger)",
            caught_by: 5,
            how: How::WrongAnswers(WrongAnswer::NoDataIsNone, "small/resume/ModifyRule#1.journalled.denied"),
        },
        edit_rollback(
            "a rollback that trusts an old reading",
            "the end needs a read-back after the rollback began",
            5,
            |all| {
                let began = place(all, 0, is_rollback);
                let mut index = 0;
                all.retain(|e| {
                    index += 1;
                    index <= began || !matches!(e.what, EntryContent::SawRoute { .. })
                });
            },
        ),
    ]
}

fn durable() -> Vec<Bug> {
    vec![
        edit("no intent on disk", "after a crash nothing shows the write", 6, |all| {
            all.retain(|e| !matches!(e.what, EntryContent::Journalled(Record { event: Event::Intended { .. }, .. })));
        }),
        edit("the effect comes before the intent", "a crash between the write and the intent", 6, |all| {
            let index =
                place(all, 0, |w| matches!(w, EntryContent::Journalled(Record { event: Event::Intended { .. }, .. })));
            let entry = all.remove(index);
            let write = place(all, 0, is_set);
            all.insert(write + 1, entry);
        }),
        edit("writes other weights than the intent has", "journal and request differ", 6, |all| {
            set(all, 0, |f| (f.members[0].weight, f.members[1].weight) = (Some(51), Some(49)));
        }),
        edit("a late write wins", "a write without a response takes effect after the end", 6, |all| {
            if let Some(EntryContent::FinalState(routes)) = all.last_mut().map(|e| &mut e.what) {
                routes.values_mut().flat_map(|f| f.weights.values_mut()).for_each(|w| *w = 50);
            }
        }),
        edit_rollback("a rollback forgets a route", "28 of 100 rules rolled back, then it exits", 6, |all| {
            if let Some(EntryContent::FinalState(routes)) = all.last_mut().map(|e| &mut e.what) {
                routes.values_mut().take(1).flat_map(|f| f.weights.values_mut()).for_each(|w| *w = 50);
            }
        }),
    ]
}

fn journals() -> Vec<Bug> {
    fn opened(all: &mut Vec<Entry>, change: fn(&mut Vec<u8>), read: Result<usize, String>) {
        let mut bytes = journal(all);
        change(&mut bytes);
        let last = all.len() - 1;
        after(all, last, EntryContent::Opened { bytes, read });
    }
    #[allow(clippy::ptr_arg)] // as the other changes
    fn flip(bytes: &mut Vec<u8>) {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }
    fn cut(bytes: &mut Vec<u8>) {
        bytes.truncate(bytes.len() - 9);
    }
    vec![
        edit("believes a flipped journal", "acting on half-believed intents moves traffic", 7, |all| {
            opened(all, flip, Ok(1));
        }),
        edit("believes a torn record", "half a record is none", 7, |all| {
            let records = journal(all).split(|b| *b == b'\n').count() - 1;
            opened(all, cut, Ok(records));
        }),
        edit("a refusal that names no way back", "3 a.m., and a checksum is wrong", 7, |all| {
            opened(all, flip, Err("line 1 is damaged".into()));
        }),
        edit("refuses what is whole", "a run that nobody can resume", 7, |all| {
            opened(all, |_| {}, Err("cutover rollback".into()));
        }),
    ]
}

fn again() -> Vec<Bug> {
    vec![
        edit("writes what is there", "each write is idempotent, and is not repeated", 8, |all| {
            let index = place(all, 0, is_set);
            let EntryContent::Set { route, .. } = all[index].what.clone() else { return };
            let read = index
                + place(&all[index..], 0, |w| matches!(w, EntryContent::SawRoute { route: r, .. } if *r == route));
            let what = all[index].what.clone();
            after(all, read, what);
        }),
        edit("writes after the end", "a finished run is finished", 8, |all| {
            let (index, last) = (place(all, 0, is_set), all.len() - 1);
            let what = all[index].what.clone();
            after(all, last, what);
        }),
    ]
}

fn others() -> Vec<Bug> {
    vec![
        Bug {
            name: "reads once and remembers",
            breaks: "live state that differs is overwritten (ACK community#2907)",
            caught_by: 9,
            how: How::WrongAnswers(WrongAnswer::Cached, "small/resume/ModifyRule#1.journalled.foreign"),
        },
        edit(
            "writes without reading",
            "the next apply, or a person, was there before (terraform-aws-alb#409)",
            9,
            |all| {
                let first = place(all, 0, is_set);
                forget(all, first, |w| matches!(w, EntryContent::SawRoute { .. }));
            },
        ),
        Bug {
            name: "overwrites and says nothing",
            breaks: "knowing who reverted you, and whom you reverted",
            caught_by: 9,
            how: How::Edit(FOREIGN_CHANGE_RUN, |all| {
                all.retain(|e| {
                    !matches!(
                        e.what,
                        EntryContent::Published(Record { event: Event::Notice { .. }, .. })
                            | EntryContent::Journalled(Record { event: Event::Notice { .. }, .. })
                    )
                });
            }),
        },
        Bug {
            name: "an automatic rollback overwrites",
            breaks: "drifted routes are left alone and named",
            caught_by: 9,
            how: How::Edit(FOREIGN_CHANGE_RUN, |all| {
                for entry in all {
                    if let EntryContent::Published(Record { event: Event::RollbackStarted { trigger, .. }, .. })
                    | EntryContent::Journalled(Record { event: Event::RollbackStarted { trigger, .. }, .. }) =
                        &mut entry.what
                    {
                        *trigger = Trigger::Gate;
                    }
                }
            }),
        },
    ]
}

fn owners() -> Vec<Bug> {
    vec![
        Bug {
            name: "puts no marker",
            breaks: "a second operator on another machine is not refused",
            caught_by: 10,
            how: How::WrongAnswers(WrongAnswer::MarkerIsOurs, COMPLETED_RUN),
        },
        edit("goes on under another's marker", "two runs over one load balancer", 10, |all| {
            for entry in all {
                if let EntryContent::SawMarker(value) = &mut entry.what {
                    *value = Ok(Some("other-1 bob@mac now".into()));
                }
            }
        }),
        edit("never reads the marker", "it is read again before each batch", 10, |all| {
            all.retain(|e| !matches!(e.what, EntryContent::SawMarker(_)));
        }),
        edit("two processes of one run", "the lock was not taken", 10, |all| {
            let index = place(all, 1, is_set);
            all[index].process += 7;
        }),
    ]
}

fn secrets() -> Vec<Bug> {
    vec![
        edit("a credential in a record", "an error text quotes the request", 12, |all| {
            let (time, run) = (all[0].at, "small-1");
            let event = Event::Frozen {
                reason: cutover::domain::run::event::FreezeReason::Unreadable,
                message: format!("signed with {}", SECRETS[1]),
            };
            after(all, 0, EntryContent::Journalled(Record::new(9, time, run, event)));
        }),
        edit("a session token in the log", "debug output of the SDK", 12, |all| {
            after(all, 0, EntryContent::Logged(format!("token {}", SECRETS[2])));
        }),
        edit("a cluster's token in the last words", "a pre-signed URL is a credential", 12, |all| {
            let last = all.len() - 1;
            after(all, last, EntryContent::Logged("Bearer k8s-aws-v1.aHR0cHM6".into()));
        }),
    ]
}

fn identity() -> Vec<Bug> {
    fn first_read(all: &mut [Entry], change: fn(&mut EntryContent)) {
        all.iter_mut().map(|e| &mut e.what).for_each(change);
    }
    vec![
        Bug {
            name: "nobody asks whose account it is",
            breaks: "the wrong profile",
            caught_by: 13,
            how: How::WrongAnswers(WrongAnswer::NobodyAsks, COMPLETED_RUN),
        },
        edit("another account", "the wrong profile, and nobody looks at the answer", 13, |all| {
            first_read(all, |w| {
                if let EntryContent::SawCaller(account) = w {
                    *account = Some("999999999999".into());
                }
            });
        }),
        edit("another cluster under the same name", "a copied context (load-balancer-controller#426)", 13, |all| {
            first_read(all, |w| {
                if let EntryContent::SawCluster { uid, .. } = w {
                    *uid = Some("another".into());
                }
            });
        }),
        edit("two names for one cluster", "two clusters on one group (load-balancer-controller#2757)", 13, |all| {
            first_read(all, |w| {
                if let EntryContent::Started(started) = w {
                    started.clusters.values_mut().for_each(|uid| "the-same".clone_into(uid));
                }
            });
        }),
        edit("check writes", "verbs that read change nothing", 14, |all| {
            let index = place(all, 0, |w| *w == EntryContent::Begins(Verb::Check));
            let (service, operation) = ("elasticloadbalancing".into(), "ModifyRule".into());
            after(all, index, EntryContent::Sent { call: 0, service, operation, body: String::new() });
        }),
        edit("a dry-run that is none", "check makes the binding", 14, |all| {
            let index = place(all, 0, |w| *w == EntryContent::Begins(Verb::Check));
            after(
                all,
                index,
                EntryContent::Bind { cluster: "b".into(), binding: "shop/shop-b".into(), dry_run: false },
            );
        }),
    ]
}
