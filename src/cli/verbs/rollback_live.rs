//! `cutover rollback --load-balancer LB --from GROUPS --to GROUPS`: no journal, no plan; the pairs of groups say where the traffic goes.

use std::sync::Arc;

use crate::adapter::Balancer;
use crate::adapter::alb::Alb;
use crate::adapter::clock::System;
use crate::adapter::store::memory::Memory;
use crate::adapter::store::{Store, run_id};
use crate::cli::args::{Global, Rollback};
use crate::cli::exit::{Exit, Failure};
use crate::cli::{drive, owner, term, world};
use crate::domain::emergency::{self, Wanted};
use crate::domain::event::Event;
use crate::engine::{Ports, Settings, hold};
use crate::plan::selector;

/// Runs it.
pub async fn run(global: &Global, args: &Rollback, load_balancer: &str) -> Result<Exit, Failure> {
    let selector = selector(load_balancer).map_err(|e| Failure::new(Exit::Usage, format!("--load-balancer: {e}")))?;
    let config = world::aws(None).await;
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
    let (plan, started) = emergency::started(&wanted).map_err(|e| Failure::new(Exit::Usage, e))?;
    term::complain(&format!("{} routes of {} go back to {}", started.routes.len(), lb.name, args.from.join(", ")));
    if !args.yes && !term::confirm("Put the traffic back?").map_err(|e| Failure::new(Exit::Usage, e))? {
        return Err(Failure::new(Exit::Usage, "not rolled back; nothing was touched"));
    }
    let (owner, host) = owner::owner();
    let settings = Settings::new(owner.clone(), host, started.groups.len());
    let ports = Ports {
        balancer: Arc::new(Alb::new(&config)),
        clusters: std::collections::BTreeMap::new(),
        clock: Arc::new(System),
        store: place(global),
    };
    let run = run_id(&plan.name, ports.clock.now(), &mut fastrand::Rng::new());
    let load_balancers = started.load_balancers.clone();
    let cause = Event::RollbackStarted { cause: "rollback from what is live".into(), by: owner, to_step: None, force: args.force };
    journal(&ports, &run, vec![Event::Started(Box::new(started)), cause]).map_err(|e| Failure::new(Exit::Internal, e))?;
    let hold = hold::take_to_restore(&ports, &settings, plan.marker, &run, &load_balancers, args.take_over).await.map_err(drive::held)?;
    drive::drive(global, &plan, ports, settings, hold).await.map(super::steer::done_if_back)
}

/// The store of this machine; where that cannot be had (a full disk, no home), memory does.
fn place(global: &Global) -> Arc<dyn Store> {
    let local = world::store(global.state_dir.as_ref());
    let probed = local.and_then(|store| {
        let probe = format!("probe-{}", std::process::id());
        store.create(&probe).map_err(|e| Failure::new(Exit::Internal, e))?;
        Ok(store)
    });
    probed.unwrap_or_else(|failure| {
        term::complain(&format!("{failure}\nthe rollback goes on without a journal"));
        Arc::new(Memory::new())
    })
}

fn journal(ports: &Ports, run: &str, events: Vec<Event>) -> Result<(), crate::adapter::store::StoreError> {
    ports.store.create(run)?;
    events.into_iter().try_for_each(|event| ports.store.append(run, ports.clock.now(), &event).map(drop))
}
