//! A rollback on HAProxy without a journal: from the servers that lose the traffic to the servers that get it. It needs
//! the runtime API of the instances, and nothing of AWS. An instance that does not answer is named and delays no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::args::Rollback;
use super::without_journal::{ProposedRollback, propose};
use crate::adapter::clock::SystemClock;
use crate::adapter::haproxy::Haproxy;
use crate::app::exit::{Exit, Failure};
use crate::base::haproxy::{Backend, Group, is_glob, is_name};
use crate::cli::args::Global;
use crate::domain::elb::balancer::LoadBalancer;
use crate::domain::emergency::{LoadBalancerReading, NAMED_GROUPS, from_names};
use crate::domain::traffic::Unreadable;
use crate::port::store::Store;
use crate::port::{Clock, Detail, LoadBalancerApi};

/// The longest wait for an instance. The question does not wait longer for an instance that is down.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// Rolls back to the servers, or to the backends of a map, that the command line names.
pub async fn by_servers(global: &Global, args: &Rollback, store: Option<Arc<dyn Store>>) -> Result<Exit, Failure> {
    let backends = backends(args)?;
    let (back_to, away_from) = (&args.back_to, &args.away_from);
    let groups = backends.iter().flat_map(|backend| {
        let group = |glob: &String| Group { backend: backend.clone(), glob: glob.clone() };
        back_to.iter().chain(away_from).map(group).collect::<Vec<_>>()
    });
    let balancer = LoadBalancerApi::new(Haproxy::new(groups));
    let read = join_all(backends.iter().map(|backend| read(&balancer, backend, args))).await;
    let mut left_out: Vec<String> = read.iter().filter_map(|reading| reading.clone().err()).collect();
    let all_unread = left_out.len() == backends.len();
    let mut readings: Vec<LoadBalancerReading> = read.into_iter().flatten().collect();
    readings.retain(|reading| match missing_name(reading, args) {
        Some(why) => {
            left_out.push(why);
            false
        }
        None => true,
    });
    if readings.is_empty() {
        let failure = if all_unread {
            Failure::new(Exit::Stuck, "no instance of HAProxy can be read; nothing was written")
        } else {
            Failure::new(Exit::Usage, "no instance has servers of these names; nothing was written")
        };
        return Err(left_out.into_iter().fold(failure, Failure::next));
    }
    let pairs = backends.iter().flat_map(|backend| {
        let pair = |(back, away): (&String, &String)| (backend.group(back), backend.group(away));
        from_names::combined(back_to, away_from).into_iter().map(pair).collect::<Vec<_>>()
    });
    let pairs: Vec<_> = pairs.collect();
    let mut way = from_names::prepare_by_ids(&readings, &pairs).map_err(|error| {
        let failure = Failure::new(Exit::Usage, error).next("nothing was written");
        left_out.iter().cloned().fold(failure, Failure::next)
    })?;
    way.unclear.extend(left_out);
    let names = [back_to, away_from].map(|names| names.join(", "));
    let table = args.backend.as_ref().or(args.map.as_ref()).map_or("", String::as_str);
    let source = format!("{table} on HAProxy: back to {}, away from {}", names[0], names[1]);
    let rollback = ProposedRollback::new(balancer, None, way, readings, store);
    Box::pin(propose(global, args, rollback, source, NAMED_GROUPS.to_owned())).await
}

/// Returns the backend, or the map, of each instance.
fn backends(args: &Rollback) -> Result<Vec<Backend>, Failure> {
    let refused = |why: String| Err(Failure::new(Exit::Usage, why).next("nothing was written"));
    if let Some(name) = args.backend.as_ref().filter(|name| !is_name(name)) {
        return refused(format!("--backend: `{name}` is not a valid name of a backend"));
    }
    if let Some(glob) = args.back_to.iter().chain(&args.away_from).find(|glob| !is_glob(glob)) {
        return refused(format!("`{glob}` is not a valid name or glob of servers"));
    }
    let of = |address: &String| match (&args.backend, &args.map) {
        (Some(name), _) => Backend { address: address.clone(), name: name.clone() },
        (None, file) => Backend::of_map(address, file.as_deref().unwrap_or_default()),
    };
    let mut all: Vec<_> = args.haproxy.iter().map(of).collect();
    all.sort();
    all.dedup();
    Ok(all)
}

/// Reads a backend and the health of the named servers, in one round. The health may be unreadable.
///
/// # Errors
/// Returns why the backend cannot be read, in one line.
async fn read(balancer: &LoadBalancerApi, backend: &Backend, args: &Rollback) -> Result<LoadBalancerReading, String> {
    let (id, at) = (backend.id(), SystemClock.now());
    let groups: Vec<_> = args.back_to.iter().chain(&args.away_from).map(|glob| backend.group(glob)).collect();
    let (listeners, health) = futures::join!(
        tokio::time::timeout(READ_TIMEOUT, balancer.inventory.listeners(&id, Detail::Listed)),
        tokio::time::timeout(READ_TIMEOUT, balancer.traffic.health(&groups)),
    );
    let listeners = match listeners {
        Ok(read) => read.map_err(|why| format!("{} cannot be read: {why}", backend.label()))?,
        Err(_) => return Err(format!("{} has not answered within {} s", backend.label(), READ_TIMEOUT.as_secs())),
    };
    let skipped = match &health {
        Ok(read) => read.values().find_map(|health| health.as_ref().err().map(ToString::to_string)),
        Err(_) => Some(format!("no answer within {} s", READ_TIMEOUT.as_secs())),
    };
    let skipped = skipped.map(|why| format!("{}: the health of its servers is unknown: {why}", backend.label()));
    Ok(LoadBalancerReading {
        at,
        load_balancer: LoadBalancer { name: backend.label(), ..LoadBalancer::named(&id) },
        listeners,
        groups: Vec::new(),
        health: health.unwrap_or_else(|_| BTreeMap::new()),
        skipped: skipped.into_iter().collect(),
    })
}

/// Says that an instance does not have what a name names; `None` if it has all. A map takes every name, so that the
/// backend must exist.
fn missing_name(reading: &LoadBalancerReading, args: &Rollback) -> Option<String> {
    let id = &reading.load_balancer.arn;
    let missing = |name: &&String| {
        let group = format!("{id}/{name}");
        let is_member = reading.routes().any(|route| route.content.split.weight(&group).is_some());
        !is_member || matches!(reading.health.get(&group), Some(Err(Unreadable::NotFound(_))))
    };
    let name = args.back_to.iter().chain(&args.away_from).find(missing)?;
    let there = reading.names().into_values().collect::<Vec<_>>().join(", ");
    Some(format!("{}: nothing matches `{name}`; it has {there}", reading.load_balancer.name))
}
