//! A rollback without a journal: `cutover rollback --load-balancer LB`, with or without `--back-to GROUPS --away-from GROUPS`, or of
//! whatever load balancers carry a run's marker.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;

use crate::adapter::aws::SdkConfig;
use crate::adapter::aws::elb::Alb;
use crate::adapter::clock::System;
use crate::adapter::store::memory::Memory;
use crate::app::exit::{Exit, Failure};
use crate::app::find::{self, Found};
use crate::app::{self, drive, names, owner, steer, world};
use crate::cli::args::{Global, Rollback};
use crate::cli::term;
use crate::cli::verbs::rollback;
use crate::domain::elb::action::{self, Action};
use crate::domain::elb::balancer::{LoadBalancer, Unread};
use crate::domain::elb::select::spelled;
use crate::domain::elb::shares;
use crate::domain::emergency::kept::{self, Told};
use crate::domain::emergency::{self, EmergencyError, Seen, Wanted};
use crate::domain::run::event::{Event, RouteStart, Started};
use crate::domain::run::watch::Marker as There;
use crate::engine::live::{self, LookError};
use crate::engine::marker::KEY;
use crate::engine::{Ports, Settings, hold};
use crate::plan::model::{Plan, Selector};
use crate::plan::selector;
use crate::port::store::{Look, RunSummary, Store, StoreError, run_id};
use crate::port::{Balancer, Clock, Detail};

/// Routes that are shown before a rollback.
const SHOWN: usize = 8;

/// Runs it: with `--back-to` and `--away-from` by them, else by the journal of a run on it, else by the tags that a run left there.
pub async fn run(global: &Global, args: &Rollback, load_balancer: &str) -> Result<Exit, Failure> {
    let selector = selector(load_balancer).map_err(|e| Failure::new(Exit::Usage, format!("--load-balancer: {e}")))?;
    if !args.back_to.is_empty() {
        return Box::pin(by_groups(global, args, &selector)).await;
    }
    let store = app::place::named(&global.kept(), None).await.ok();
    if let Some(store) = &store
        && let Some(found) = on(&**store, &selector, false).await
    {
        return rollback::by_journal(global, args, Arc::clone(store), found).await;
    }
    match Box::pin(by_tags(global, args, std::slice::from_ref(&selector), None)).await {
        Err(untold) if untold.exit == Exit::Usage => match store {
            Some(store) => match on(&*store, &selector, true).await {
                Some(found) => rollback::by_journal(global, args, store, found).await,
                None => Err(untold),
            },
            None => Err(untold),
        },
        other => other,
    }
}

/// The last run on a load balancer that this machine knows of: an unfinished one, or with `finished` any.
async fn on(store: &dyn Store, selector: &Selector, finished: bool) -> Option<Found> {
    let named = |arn: &String| match selector {
        Selector::Arn(wanted) => arn == wanted,
        Selector::Name(name) => arn.split('/').nth(2) == Some(name),
        Selector::Tags(_) => false,
    };
    let mut runs = store.runs().await.ok()?;
    runs.retain(|r| r.damaged.is_none() && r.load_balancers.iter().any(named) && (finished || r.finished.is_none()));
    if runs.is_empty() { None } else { find::open(store, runs.swap_remove(0)).await.ok() }
}

/// No run was found here. A damaged journal's load balancers, a plan file's, or those that carry a marker: what do their tags tell?
pub async fn without(global: &Global, args: &Rollback, store: &dyn Store, failure: Failure) -> Result<Exit, Failure> {
    let runs = store.runs().await.unwrap_or_default();
    let target = args.target.as_deref();
    let plan = target.filter(|t| *t == "-" || Path::new(t).exists()).and_then(|t| find::file(t, false).ok());
    let name = plan.as_ref().map(|p| p.name.as_str()).or(target);
    let meant = |r: &&RunSummary| r.finished.is_none() && name.is_none_or(|n| r.plan == n || r.id == n);
    let tags = match runs.iter().filter(meant).collect::<Vec<_>>().as_slice() {
        [run] if run.damaged.is_some() && !run.load_balancers.is_empty() => {
            term::complain(&format!("{failure}\nasking the load balancer's tags instead"));
            let selectors: Vec<_> = run.load_balancers.iter().cloned().map(Selector::Arn).collect();
            Box::pin(by_tags(global, args, &selectors, Some(&run.id))).await
        }
        [] => {
            let selectors = match &plan {
                Some(plan) => plan.workloads.iter().flat_map(|w| w.routes.iter().map(|r| r.load_balancer.clone())).collect(),
                None => marked(name).await?,
            };
            let distinct: BTreeMap<_, _> = selectors.into_iter().map(|s| (spelled(&s), s)).collect();
            if distinct.is_empty() {
                return Err(failure);
            }
            Box::pin(by_tags(global, args, &distinct.into_values().collect::<Vec<_>>(), None)).await
        }
        _ => return Err(failure),
    };
    match tags {
        // Nothing was told there, so what was wrong here is what counts.
        Err(untold) if untold.exit == Exit::Usage => Err(failure),
        other => other,
    }
}

/// The load balancers of the region that are marked by one run, or by one of the named plan. Several runs have to be told apart by a person.
async fn marked(plan: Option<&str>) -> Result<Vec<Selector>, Failure> {
    let balancer = world::patient(&world::aws(None).await);
    let found = balancer.inventory.load_balancers(&Selector::Tags(BTreeMap::new()), Detail::Listed).await;
    let mut found = found.unwrap_or_else(|why| {
        term::complain(&format!("load balancers with a marker cannot be looked for: {why}"));
        Vec::new()
    });
    found.retain(|lb| lb.tags.contains_key(KEY));
    let run = |lb: &LoadBalancer| lb.tags.get(KEY).and_then(|v| v.split(' ').next()).unwrap_or_default().to_owned();
    let meant = |run: &str| plan.is_none_or(|plan| run == plan || run.strip_prefix(plan).is_some_and(|rest| rest.len() == 21));
    let mut runs: BTreeMap<String, Vec<LoadBalancer>> = BTreeMap::new();
    for lb in found {
        runs.entry(run(&lb)).or_default().push(lb);
    }
    runs.retain(|run, _| meant(run));
    if runs.len() > 1 {
        let failure = Failure::new(Exit::Usage, format!("{} runs have put their markers on load balancers: say which", runs.len()));
        let line = |lb: LoadBalancer| format!("cutover rollback --load-balancer {}    {}", lb.name, lb.tags[KEY]);
        return Err(runs.into_values().flatten().map(line).fold(failure, Failure::next));
    }
    Ok(runs.into_values().flatten().map(|lb| Selector::Arn(lb.arn)).collect())
}

/// From the weights that tags keep. `ours`: a run of this machine, whose marker is no other's.
///
/// # Errors
/// With [`Exit::Usage`] where no tag tells anything, and nothing was touched.
async fn by_tags(global: &Global, args: &Rollback, selectors: &[Selector], ours: Option<&str>) -> Result<Exit, Failure> {
    let Some(first) = selectors.first() else { return Err(Failure::new(Exit::Usage, "no load balancer is named")) };
    let config = world::aws_of(first).await;
    let balancer = world::patient(&config);
    let read = async |selector: &Selector| live::read_fast(selector, &balancer, &System, true).await;
    let seen = join_all(selectors.iter().map(read)).await.into_iter().collect::<Result<Vec<_>, _>>().map_err(unseen)?;
    let there = seen.iter().find_map(|s| s.load_balancer.tags.get(KEY)).cloned();
    let marker = there.as_deref().and_then(|value| value.split(' ').next());
    let told = kept::started(&seen, marker).map_err(|e| by_hand(e, &seen))?;
    let unread: Vec<_> = seen.iter().flat_map(|s| s.listeners.iter().flat_map(|(l, _)| l.unread.clone())).collect();
    let mut unknown: Vec<_> =
        unread.iter().filter(|u| u.may_concern(told.started.groups.keys())).map(|u| format!("{}: {}", u.label, u.why)).collect();
    unknown.extend(told.untold.iter().map(|label| format!("{label}: no tag says where it was")));
    term::complain(&picture(&told, &seen));
    let other = there.as_ref().filter(|_| marker != ours).cloned();
    let question = match &other {
        Some(value) if !args.take_over => format!("Put the traffic back, and take the load balancer over from {value}?"),
        _ => "Put the traffic back?".to_owned(),
    };
    let asked = if args.yes { false } else { confirm(&question)? };
    let back = Back {
        config,
        plan: told.plan,
        started: told.started,
        seen,
        unknown,
        take_over: args.take_over || asked || ours.is_some(),
        marker: other,
    };
    Box::pin(go(global, args, back, &format!("rollback from the tags of {}", told.run))).await
}

/// Nothing tells where the traffic was: what a person can say instead.
fn by_hand(error: EmergencyError, seen: &[Seen]) -> Failure {
    let failure = Failure::new(Exit::Usage, error).next("say which groups are to have the traffic again, and which are to lose it:");
    let line = |s: &Seen| {
        let groups = s.groups.iter().map(|g| g.name.as_str()).collect::<Vec<_>>().join(", ");
        format!("cutover rollback --load-balancer {} --back-to GROUPS --away-from GROUPS    (its groups: {groups})", s.load_balancer.name)
    };
    seen.iter().map(line).fold(failure, Failure::next)
}

fn unseen(error: LookError) -> Failure {
    let exit = if matches!(error, LookError::NotOne { .. }) { Exit::Usage } else { Exit::Stuck };
    Failure::new(exit, error).next("nothing was written")
}

/// Routes, shares and the way back.
fn picture(told: &Told, seen: &[Seen]) -> String {
    let names: Vec<_> = seen.iter().map(|s| s.load_balancer.name.as_str()).collect();
    let mut lines = vec![format!("{}: where {} began, by its tags", names.join(", "), told.run)];
    let share = |route: &RouteStart, actions: &[Action]| {
        let all = action::forward(actions)
            .and_then(|f| shares::read(f, &route.groups.iter().map(|(c, arn)| (c.clone(), arn.clone())).collect::<Vec<_>>()));
        let name =
            |cluster: &String| route.groups.get(cluster).and_then(|arn| told.started.groups.get(arn)).map_or("", |g| &g.name).to_owned();
        names::shares(&all.unwrap_or_default().into_iter().map(|(c, share)| (name(&c), share)).collect())
    };
    let routes = &told.started.routes;
    let line = |r: &RouteStart| format!("  {}: {} → {}", r.label, share(r, r.found.as_deref().unwrap_or(&r.actions)), share(r, &r.actions));
    lines.extend(routes.iter().take(SHOWN).map(line));
    if routes.len() > SHOWN {
        lines.push(format!("  and {} more", routes.len() - SHOWN));
    }
    let carriers = told.started.groups.iter().filter(|(_, g)| g.cluster.starts_with("from"));
    lines.extend(carriers.map(|(arn, g)| {
        let known = seen.iter().any(|s| s.health.get(arn).is_some_and(Result::is_ok));
        if known {
            format!("  way back: {} has {} healthy targets", g.name, g.healthy)
        } else {
            format!("  way back: the health of {} cannot be read", g.name)
        }
    }));
    lines.extend(told.untold.iter().map(|label| format!("  {label} stays as it is: no tag says where it was")));
    lines.join("\n")
}

fn confirm(question: &str) -> Result<bool, Failure> {
    if term::confirm(question).map_err(|e| Failure::new(Exit::Usage, e))? {
        Ok(true)
    } else {
        Err(Failure::new(Exit::Usage, "not rolled back; nothing was touched"))
    }
}

/// By the groups that the command line names.
async fn by_groups(global: &Global, args: &Rollback, selector: &Selector) -> Result<Exit, Failure> {
    let config = world::aws_of(selector).await;
    let balancer = world::patient(&config);
    let seen = live::read_fast(selector, &balancer, &System, false).await.map_err(unseen)?;
    let (lb, listeners) = (&seen.load_balancer, &seen.listeners);
    let wanted = Wanted { back_to: &args.back_to, away_from: &args.away_from, load_balancer: lb, listeners, groups: &seen.groups, health: &seen.health };
    let unread: Vec<&Unread> = listeners.iter().flat_map(|(l, _)| &l.unread).collect();
    for route in &unread {
        term::complain(&format!("{} cannot be read, so it stays as it is: {}", route.label, route.why));
    }
    let (plan, started) = emergency::started(&wanted).map_err(|e| Failure::new(Exit::Usage, e))?;
    term::complain(&format!("{} routes of {} go back to {}", started.routes.len(), lb.name, args.back_to.join(", ")));
    if !args.yes {
        confirm("Put the traffic back?")?;
    }
    // Nobody knows whether those are right; a route of other groups is none of ours.
    let unknown = unread.into_iter().filter(|u| u.may_concern(started.groups.keys())).map(|u| format!("{}: {}", u.label, u.why)).collect();
    let marker = lb.tags.get(KEY).cloned();
    let back = Back { config, plan, started, seen: vec![seen], unknown, take_over: args.take_over, marker };
    Box::pin(go(global, args, back, "rollback from what is live")).await
}

/// A rollback that is about to begin.
struct Back {
    config: SdkConfig,
    plan: Plan,
    started: Started,
    seen: Vec<Seen>,
    /// Routes of which nobody will know whether they are right, and why.
    unknown: Vec<String>,
    take_over: bool,
    /// Another run's marker, as it was read.
    marker: Option<String>,
}

/// A run that begins with its rollback, and needs no more reading than was done for it.
async fn go(global: &Global, args: &Rollback, back: Back, cause: &str) -> Result<Exit, Failure> {
    let Back { config, plan, started, seen, unknown, take_over, marker } = back;
    let (owner, host) = owner::owner();
    let settings = Settings::new(owner.clone(), host.clone(), started.groups.len());
    let run = run_id(&plan.name, System.now(), &mut fastrand::Rng::new());
    let mut ports = Ports {
        balancer: Balancer::new(Alb::new(&config)),
        clusters: BTreeMap::new(),
        metrics: Arc::new(crate::adapter::metric::Nobody),
        hooks: Arc::new(crate::adapter::hook::Nobody),
        clock: Arc::new(System),
        store: place(global, &run).await,
    };
    let load_balancers = started.load_balancers.clone();
    let (cause, by, force, request) = (cause.into(), owner.clone(), args.force, None);
    let cause = match rollback::ramp(args) {
        Some(ramp) => Event::RampStarted { cause, by, ramp, force, request },
        None => Event::RollbackStarted { cause, by, to_step: None, force, request },
    };
    // Held first: one that is refused must not look like a run that somebody has to finish.
    let there = Some(marker.map_or(There::Missing, There::Other));
    let hold = hold::take_to_restore(&ports, &settings, plan.marker, &run, &load_balancers, take_over, there).await;
    let hold = hold.map_err(|e| steer::over(drive::held(e), "the same command with --take-over"))?;
    let health = Event::Health { groups: seen.iter().flat_map(Seen::counts).collect() };
    let events = [Event::Started(Box::new(started)), health, cause];
    if let Err(error) = journal(&ports, &run, &events).await {
        ports.store = nowhere(&error);
        let made = match ports.store.create(&run).await {
            Ok(()) => journal(&ports, &run, &events).await,
            failed => failed,
        };
        made.map_err(|e| Failure::new(Exit::Internal, e))?;
    }
    let at = seen.iter().map(|s| s.at).min();
    // From here on the journal says all of it.
    drop((seen, events));
    let look = Look {
        owner,
        host,
        pid: settings.pid,
        at: ports.clock.now(),
        watching: true,
        message: "rolling back".into(),
        seen: at,
        every: None,
    };
    // Without it everything is read once more.
    let _ = ports.store.put_look(&run, &look).await;
    let exit = drive::drive(global, &plan, ports, settings, hold).await.map(Exit::done_if_back)?;
    for route in &unknown {
        term::complain(&format!("NOT known to be back: {route}"));
    }
    Ok(if exit == Exit::Done && !unknown.is_empty() { Exit::Stuck } else { exit })
}

/// The store of this machine with a place for the run; where that cannot be had (a full disk, no home), memory does.
async fn place(global: &Global, run: &str) -> Arc<dyn Store> {
    let made = async {
        let store = app::place::named(&global.kept(), None).await?;
        store.create(run).await.map_err(|e| Failure::new(Exit::Internal, e))?;
        Ok::<_, Failure>(store)
    };
    match made.await {
        Ok(store) => store,
        Err(failure) => {
            let memory = nowhere(&failure);
            let _ = memory.create(run).await;
            memory
        }
    }
}

fn nowhere(why: &dyn std::fmt::Display) -> Arc<dyn Store> {
    term::complain(&format!("{why}\nthe rollback goes on without a journal"));
    Arc::new(Memory::new())
}

async fn journal(ports: &Ports, run: &str, events: &[Event]) -> Result<(), StoreError> {
    for event in events {
        ports.store.append(run, ports.clock.now(), event).await?;
    }
    Ok(())
}
