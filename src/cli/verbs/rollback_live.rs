//! `cutover rollback --load-balancer LB --from GROUPS --to GROUPS`: no journal, no plan; the pairs of groups say where the traffic goes.

use std::sync::Arc;

use crate::adapter::alb::Alb;
use crate::adapter::clock::System;
use crate::adapter::store::memory::Memory;
use crate::adapter::store::{Store, StoreError, run_id};
use crate::adapter::{Balancer, Clock};
use crate::cli::args::{Global, Rollback};
use crate::cli::exit::{Exit, Failure};
use crate::cli::{drive, owner, term, world};
use crate::domain::alb::Unread;
use crate::domain::emergency::{self, Wanted};
use crate::domain::event::Event;
use crate::engine::{Ports, Settings, hold};
use crate::plan::selector;

/// Runs it.
pub async fn run(global: &Global, args: &Rollback, load_balancer: &str) -> Result<Exit, Failure> {
    let selector = selector(load_balancer).map_err(|e| Failure::new(Exit::Usage, format!("--load-balancer: {e}")))?;
    let config = world::aws_of(&selector).await;
    let balancer = world::patient(&config);
    let wrong = |what: &str| {
        let what = what.to_owned();
        move |e| Failure::new(Exit::Stuck, format!("{what}: {e}"))
    };
    let mut found = balancer.load_balancers(&selector).await.map_err(wrong("cannot read the load balancer, nothing was written"))?;
    let Some(lb) = found.pop().filter(|_| found.is_empty()) else {
        return Err(Failure::new(Exit::Usage, format!("`{load_balancer}` does not name exactly one load balancer")));
    };
    let listeners = balancer.listeners(&lb.arn).await.map_err(wrong("cannot read its listeners, nothing was written"))?;
    let groups = balancer.target_groups(Some(&lb.arn)).await.map_err(wrong("cannot read its target groups, nothing was written"))?;
    let health = balancer.health(&groups.iter().map(|g| g.arn.clone()).collect::<Vec<_>>()).await;
    let wanted = Wanted { from: &args.from, to: &args.to, load_balancer: &lb, listeners: &listeners, groups: &groups, health: &health };
    let unread: Vec<&Unread> = listeners.iter().flat_map(|(l, _)| &l.unread).collect();
    for route in &unread {
        term::complain(&format!("{} cannot be read, so it stays as it is: {}", route.label, route.why));
    }
    let (plan, started) = emergency::started(&wanted).map_err(|e| Failure::new(Exit::Usage, e))?;
    term::complain(&format!("{} routes of {} go back to {}", started.routes.len(), lb.name, args.from.join(", ")));
    if !args.yes && !term::confirm("Put the traffic back?").map_err(|e| Failure::new(Exit::Usage, e))? {
        return Err(Failure::new(Exit::Usage, "not rolled back; nothing was touched"));
    }
    let (owner, host) = owner::owner();
    let settings = Settings::new(owner.clone(), host, started.groups.len());
    let run = run_id(&plan.name, System.now(), &mut fastrand::Rng::new());
    let mut ports = Ports {
        balancer: Arc::new(Alb::new(&config)),
        clusters: std::collections::BTreeMap::new(),
        clock: Arc::new(System),
        store: place(global, &run).await,
    };
    let load_balancers = started.load_balancers.clone();
    // Nobody knows whether those are right; a route of other groups is none of ours.
    let unknown: Vec<_> = unread.into_iter().filter(|u| u.may_concern(started.groups.keys())).cloned().collect();
    let cause =
        Event::RollbackStarted { cause: "rollback from what is live".into(), by: owner, to_step: None, force: args.force, request: None };
    // Held first: one that is refused must not look like a run that somebody has to finish.
    let hold = hold::take_to_restore(&ports, &settings, plan.marker, &run, &load_balancers, args.take_over).await;
    let hold = hold.map_err(|e| over(drive::held(e), "the same command with --take-over"))?;
    let events = [Event::Started(Box::new(started)), cause];
    if let Err(error) = journal(&ports, &run, &events).await {
        ports.store = nowhere(&error);
        let made = match ports.store.create(&run).await {
            Ok(()) => journal(&ports, &run, &events).await,
            failed => failed,
        };
        made.map_err(|e| Failure::new(Exit::Internal, e))?;
    }
    let exit = drive::drive(global, &plan, ports, settings, hold).await.map(super::steer::done_if_back)?;
    for route in &unknown {
        term::complain(&format!("NOT known to be back: {}: {}", route.label, route.why));
    }
    Ok(if exit == Exit::Done && !unknown.is_empty() { Exit::Stuck } else { exit })
}

/// Someone else's run is no reason to be helpless at 3 a.m.
pub fn over(failure: Failure, command: &str) -> Failure {
    if failure.exit == Exit::Locked { failure.next(format!("to take the load balancer out of their hands: {command}")) } else { failure }
}

/// The store of this machine with a place for the run; where that cannot be had (a full disk, no home), memory does.
async fn place(global: &Global, run: &str) -> Arc<dyn Store> {
    let made = async {
        let store = crate::cli::place::named(global, None).await?;
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
