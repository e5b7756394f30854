//! A rollback without a journal: from the tags of a run, or to the target groups that the command line names. Each such
//! rollback starts a new run.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;

use super::args::Rollback;
use super::ask::{RollbackPreview, ask};
use super::fix::{NO_REGION, existing_names, remedy};
use super::others;
use super::source::TagSource;
use crate::adapter::aws::SdkConfig;
use crate::adapter::clock::SystemClock;
use crate::adapter::metric::{AfterRollback, NoMetrics};
use crate::adapter::store::memory::MemoryStore;
use crate::app::exit::{Exit, Failure};
use crate::app::names::Names;
use crate::app::{connect, drive, owner};
use crate::base::haproxy::is_haproxy;
use crate::cli::args::Global;
use crate::cli::moves::{Moves, RouteMove};
use crate::cli::term;
use crate::domain::emergency::contradiction::{self, Contradiction};
use crate::domain::emergency::evacuation::capacity;
use crate::domain::emergency::{
    EmergencyError, LoadBalancerReading, NAMED_GROUPS, PreparedRollback, balancer_tag, from_names, from_tags, route_tag,
};
use crate::domain::run::event::{Event, RouteStart, Trigger};
use crate::domain::run::observation::Marker as There;
use crate::domain::traffic::{RouteContent, shares};
use crate::engine::inventory::read_balancer::{self, BalancerReadError};
use crate::engine::marker::{self, KEY};
use crate::engine::{Ports, Settings, ownership};
use crate::plan::model::Selector;
use crate::port::store::{Heartbeat, Store, StoreError, run_id};
use crate::port::{Clock, LoadBalancerApi};

/// Rolls back to the weights that are stored in tags.
///
/// # Errors
/// Returns a failure if no tag contains weights; then nothing is written.
pub async fn by_tags(global: &Global, args: &Rollback, tagged: TagSource) -> Result<Exit, Failure> {
    let TagSource { load_balancers, store, otherwise } = tagged;
    let Some(first) = load_balancers.first() else { return Err(otherwise.unwrap_or_else(no_tags)) };
    let config = aws_of(first).await?;
    let balancer = connect::balancer(&config);
    let read =
        async |selector: &Selector| read_balancer::read_for_rollback(selector, &balancer, &SystemClock, true).await;
    let readings = connect::reads().read(0, join_all(load_balancers.iter().map(read))).await;
    let readings = match readings.into_iter().collect::<Result<Vec<_>, _>>() {
        Ok(readings) => readings,
        Err(error) => return Err(read_failure(&config, error).await),
    };
    let markers = markers_of(&readings);
    let original = match from_tags::started(&readings, markers.first().map(|value| marker::run_of(value))) {
        Ok(original) => original,
        Err(error) => return Err(no_source(otherwise, error, &readings)),
    };
    let source =
        format!("{}: the shares before run {}, from the tags of the run", load_balancer_names(&readings), original.run);
    let cause = format!("rollback from the tags of {}", original.run);
    let rollback = ProposedRollback::new(balancer, Some(config), original.rollback, readings, store);
    Box::pin(propose(global, args, rollback, source, cause)).await
}

/// Rolls back to the target groups that the command line names.
pub async fn by_groups(
    global: &Global,
    args: &Rollback,
    selector: &Selector,
    store: Option<Arc<dyn Store>>,
) -> Result<Exit, Failure> {
    let config = aws_of(selector).await?;
    let balancer = connect::balancer(&config);
    let read = async {
        let mut seen = read_balancer::read_for_rollback(selector, &balancer, &SystemClock, false).await?;
        read_balancer::add_route_tags(&mut seen, &balancer, &SystemClock).await;
        Ok(seen)
    };
    let readings = match connect::reads().read(0, read).await {
        Ok(readings) => readings,
        Err(error) => return Err(read_failure(&config, error).await),
    };
    let mut way = from_names::prepare(&readings, &args.back_to, &args.away_from)
        .map_err(|e| other_type(&e).unwrap_or_else(|| Failure::new(Exit::Usage, e).next("nothing was written")))?;
    let source = format!(
        "{}: back to {}, away from {}",
        readings.load_balancer.name,
        args.back_to.join(", "),
        args.away_from.join(", ")
    );
    let against = contradiction::find(&readings, &way.started);
    // After a move in the wrong direction, the tags are the only source of the shares before the run.
    way.started.keeps_weights = against.is_some();
    let rollback =
        ProposedRollback { against, ..ProposedRollback::new(balancer, Some(config), way, vec![readings], store) };
    Box::pin(propose(global, args, rollback, source, NAMED_GROUPS.to_owned())).await
}

/// Returns the AWS configuration for the region of a load balancer, or a failure if the region is unknown.
pub(super) async fn aws_of(selector: &Selector) -> Result<SdkConfig, Failure> {
    if let Selector::Arn(id) = selector
        && is_haproxy(id)
    {
        let message = "HAProxy has no tags, so the original shares are only in the journal; nothing was written";
        return Err(Failure::new(Exit::Refused, message)
            .next(
                "to name the servers: cutover rollback --haproxy ADDRESS... --backend NAME --back-to 'a-*' \
                 --away-from 'b-*'",
            )
            .next(
                "to restore the weights: run break-glass.sh in the folder of the run, on the machine that started it",
            ));
    }
    let config = connect::aws_config_for(selector).await;
    if config.region().is_none() {
        return Err(Failure::new(Exit::Usage, "nothing was written").next(NO_REGION));
    }
    Ok(config)
}

/// Returns the markers on the load balancers.
fn markers_of(readings: &[LoadBalancerReading]) -> Vec<String> {
    readings.iter().filter_map(|s| s.load_balancer.tags.get(KEY)).cloned().collect()
}

/// Returns the runs that the tags of the load balancers name.
fn runs_of(readings: &[LoadBalancerReading]) -> Vec<String> {
    let tags = || readings.iter().map(|s| &s.load_balancer.tags);
    let marked = tags().filter_map(|tags| tags.get(KEY)).map(|value| marker::run_of(value));
    let weights = tags().filter_map(|tags| tags.get(route_tag::KEY)).map(|value| balancer_tag::run_of(value));
    let mut runs: Vec<_> = marked.chain(weights).map(str::to_owned).collect();
    runs.sort_unstable();
    runs.dedup();
    runs
}

pub(super) fn load_balancer_names(readings: &[LoadBalancerReading]) -> String {
    let names: Vec<_> = readings.iter().map(|s| s.load_balancer.name.as_str()).collect();
    match names.as_slice() {
        [first, second, _, _, ..] => format!("{first}, {second} and {} more", names.len() - 2),
        _ => names.join(", "),
    }
}

fn no_tags() -> Failure {
    Failure::new(Exit::Usage, "no load balancer was found").next("to name one: cutover rollback --load-balancer LB")
}

/// Returns the failure for the case that no source contains the original shares. The failure has the commands that name
/// the target groups instead.
fn no_source(otherwise: Option<Failure>, error: EmergencyError, readings: &[LoadBalancerReading]) -> Failure {
    if let Some(failure) = other_type(&error) {
        return failure;
    }
    let failure = match otherwise {
        Some(failure) => failure.next(error.to_string()),
        None => Failure::new(Exit::Usage, error),
    };
    let failure = readings.iter().flat_map(|s| s.skipped.iter().cloned()).fold(failure, Failure::next);
    let line = |s: &LoadBalancerReading| {
        let groups = s.names().into_values().collect::<Vec<_>>().join(", ");
        format!(
            "cutover rollback --load-balancer {} --back-to GROUPS --away-from GROUPS    # target groups: {groups}",
            s.load_balancer.name
        )
    };
    let failure = failure.next("name the target groups that get the traffic, and the target groups that lose traffic:");
    readings.iter().map(line).fold(failure, Failure::next)
}

/// Returns the failure for a load balancer that is not an Application Load Balancer; `None` for another error.
pub(super) fn other_type(error: &EmergencyError) -> Option<Failure> {
    let EmergencyError::OtherType { instead, .. } = error else { return None };
    let failure = Failure::new(Exit::Refused, error.clone()).next("nothing was written");
    Some(instead.iter().cloned().fold(failure, Failure::next))
}

pub(super) async fn read_failure(config: &SdkConfig, error: BalancerReadError) -> Failure {
    match error {
        BalancerReadError::NotOne { ref selector, .. } => {
            let names = existing_names(config, selector).await;
            let failure = Failure::new(Exit::Usage, error).next("nothing was written");
            names.into_iter().fold(failure, Failure::next)
        }
        BalancerReadError::Unreadable { ref why, .. } => {
            let fix = remedy(why);
            let failure = Failure::new(Exit::Stuck, error).next("nothing was written");
            fix.into_iter().fold(failure, Failure::next)
        }
    }
}

/// A rollback that the operator has not confirmed yet.
pub(super) struct ProposedRollback {
    /// The load balancers.
    pub balancer: LoadBalancerApi,
    /// The configuration to search other load balancers of the same run; `None` outside of AWS.
    pub aws: Option<SdkConfig>,
    pub way: PreparedRollback,
    pub readings: Vec<LoadBalancerReading>,
    pub store: Option<Arc<dyn Store>>,
    /// The tags of a run that say the opposite.
    pub against: Option<Contradiction>,
    /// Whether none of these runs has a process that drives it.
    pub owners_have_ended: bool,
}

impl ProposedRollback {
    pub fn new(
        balancer: LoadBalancerApi,
        aws: Option<SdkConfig>,
        way: PreparedRollback,
        readings: Vec<LoadBalancerReading>,
        store: Option<Arc<dyn Store>>,
    ) -> Self {
        Self { balancer, aws, way, readings, store, against: None, owners_have_ended: false }
    }

    /// Returns the routes that may need a rollback but are not changed, each with the reason.
    fn unclear_routes(&self) -> Vec<String> {
        let groups = &self.way.started.groups;
        let unread = self.readings.iter().flat_map(|s| s.listeners.iter().flat_map(|(l, _)| &l.unread));
        let unread =
            unread.filter(|u| u.may_concern(groups.keys())).map(|u| format!("{} cannot be read: {}", u.label, u.why));
        self.way.unclear.iter().cloned().chain(unread).collect()
    }

    fn remarks(&self, unknown: &[String]) -> Vec<String> {
        let started = &self.way.started;
        let groups_with_traffic =
            started.groups.iter().filter(|(arn, _)| started.routes.iter().any(|r| r.content.split.carries(arn)));
        let way_back = groups_with_traffic.map(|(arn, g)| {
            if self.readings.iter().any(|s| s.health.get(arn).is_some_and(Result::is_ok)) {
                format!("way back: {} has {} healthy targets", g.name, g.healthy)
            } else {
                format!("way back: the health of {} is unknown", g.name)
            }
        });
        let way_back: Vec<_> =
            if started.is_evacuation() { capacity(&self.readings, started) } else { way_back.collect() };
        let stays = unknown.iter().map(|route| format!("not changed: {route}"));
        let mut lines: Vec<_> = way_back
            .into_iter()
            .chain(stays)
            .chain(self.readings.iter().flat_map(|s| s.skipped.iter().cloned()))
            .collect();
        // Many instances of HAProxy have the same servers.
        lines.dedup();
        lines
    }

    fn moves(&self) -> Moves {
        let started = &self.way.started;
        let names = Names::of(started);
        let row = |r: &RouteStart| {
            let managed: Vec<_> = r.groups.iter().map(|(c, arn)| (c.clone(), arn.clone())).collect();
            let read = |content: &RouteContent| shares::live_shares(&content.split, &managed).unwrap_or_default();
            let now = read(r.content_at_start.as_ref().unwrap_or(&r.content));
            RouteMove::of(names.route(&r.id), r, &started.groups, &now, &read(&r.content))
        };
        Moves { routes: started.routes.iter().map(row).collect(), load_balancers: load_balancer_names(&self.readings) }
    }
}

/// Shows the rollback to the operator. If the operator confirms, starts a run, which uses the readings of the preview.
pub(super) async fn propose(
    global: &Global,
    args: &Rollback,
    mut rollback: ProposedRollback,
    source: String,
    cause: String,
) -> Result<Exit, Failure> {
    let unknown = rollback.unclear_routes();
    // An owner whose process has ended does not block a rollback.
    let mut other = None;
    for value in markers_of(&rollback.readings) {
        let driver_gone = match &rollback.store {
            Some(store) => marker::has_no_driver(&**store, &value).await,
            None => false,
        };
        other = other.or(Some(value).filter(|_| !driver_gone));
    }
    rollback.owners_have_ended = other.is_none();
    let proposal = RollbackPreview {
        source,
        moves: rollback.moves(),
        remarks: rollback.remarks(&unknown),
        detaches: None,
        ends_run: false,
        leaves: rollback.way.started.is_evacuation(),
        other: other.as_deref(),
        against: rollback.against.as_ref(),
    };
    let take_over = ask(args, &proposal)?;
    start_rollback(global, args, rollback, take_over, cause, &unknown).await
}

async fn start_rollback(
    global: &Global,
    args: &Rollback,
    rollback: ProposedRollback,
    take_over: bool,
    cause: String,
    unknown: &[String],
) -> Result<Exit, Failure> {
    let ProposedRollback {
        balancer,
        aws,
        way: PreparedRollback { plan, mut started, .. },
        readings,
        store,
        owners_have_ended: owners_ended,
        ..
    } = rollback;
    let markers = markers_of(&readings);
    let (owner, host) = owner::owner();
    started.owner.clone_from(&owner);
    let (runs, restored) = (runs_of(&readings), started.load_balancers.clone());
    let (known_runs, owners, keeps_weights) = (store.clone(), markers.clone(), started.keeps_weights);
    let settings = Settings::new(owner.clone(), host.clone(), started.groups.len());
    let run = run_id(&plan.name, SystemClock.now(), &mut fastrand::Rng::new());
    let mut ports = Ports {
        balancer,
        clusters: BTreeMap::new(),
        compared: BTreeMap::new(),
        items: BTreeMap::new(),
        metrics: match &aws {
            Some(config) => Arc::new(AfterRollback::new(config)),
            None => Arc::new(NoMetrics),
        },
        hooks: Arc::new(crate::adapter::hook::NoHooks),
        clock: Arc::new(SystemClock),
        reads: connect::reads().clone(),
        store: store_with_run(store, &run).await,
    };
    let (by, force, request) = (owner.clone(), args.force, None);
    // No plan says what to do with sticky clients, so that only the operator decides it.
    let break_stickiness = args.break_stickiness() == Some(true);
    let (trigger, to_step) = (Trigger::Operator, None);
    let cause = match args.ramp() {
        Some(ramp) => Event::RampStarted { cause, by, ramp, force, break_stickiness, request },
        None => Event::RollbackStarted { cause, by, trigger, to_step, force, break_stickiness, request },
    };
    // Acquire the locks first: a refused rollback must not leave an unfinished run behind. Without a store, a second
    // check could not find out again that no process drives the run of the marker.
    let take_over = take_over || (owners_ended && !ports.store.is_durable());
    let found_marker = Some(markers.into_iter().next().map_or(There::Missing, There::Other));
    let ownership = ownership::acquire_to_restore(
        &ports,
        &settings,
        plan.marker,
        &run,
        &started.load_balancers,
        take_over,
        found_marker,
    )
    .await;
    let ownership = ownership.map_err(|e| drive::ownership_failure(e, "the same command with --take-over"))?;
    let counts = readings.iter().flat_map(LoadBalancerReading::counts);
    let health = Event::Health { groups: counts.filter(|(arn, _)| started.groups.contains_key(arn)).collect() };
    let events = [Event::Started(Box::new(started)), health, cause];
    if let Err(error) = journal(&ports, &run, &events).await {
        ports.store = memory_store(&error);
        let created = match ports.store.create(&run).await {
            Ok(()) => journal(&ports, &run, &events).await,
            failed => failed,
        };
        created.map_err(|e| Failure::new(Exit::Internal, e))?;
    }
    let at = readings.iter().map(|s| s.at).min();
    // From here on, the journal contains all of this data.
    drop((readings, events));
    let heartbeat = Heartbeat {
        owner,
        host,
        pid: settings.pid,
        observed_at: ports.clock.now(),
        guarding: true,
        message: "rolling back".into(),
        verified_at: at,
        interval_seconds: None,
        oldest_health: None,
    };
    // If this write fails, the only effect is that everything is read once more.
    let _ = ports.store.put_heartbeat(&run, &heartbeat).await;
    // Without a name, the command has found all load balancers of the run.
    let search = aws.filter(|_| args.load_balancer.is_some());
    let others = search.map(|config| tokio::spawn(others::find(config, runs.clone(), restored)));
    let exit = drive::Drive { unknown, ..drive::Drive::new(&plan, ports, settings, ownership) }
        .run(global)
        .await
        .map(Exit::done_if_rolled_back);
    if exit.as_ref().is_ok_and(|exit| *exit == Exit::Done) && !keeps_weights {
        others::show_unfinished(known_runs.as_deref(), &runs, &owners).await;
    }
    if let Some(others) = others {
        others.await.unwrap_or_default().iter().for_each(|line| term::print_error(line));
    }
    exit
}

/// Returns the store with the new run; a store in memory if the run cannot be created (a full disk, no home directory).
async fn store_with_run(store: Option<Arc<dyn Store>>, run: &str) -> Arc<dyn Store> {
    let created = match store {
        Some(store) => store.create(run).await.map(|()| store),
        None => Err(StoreError::Unusable {
            place: "the store of the runs".into(),
            why: "the store cannot be reached".into(),
        }),
    };
    match created {
        Ok(store) => store,
        Err(error) => {
            let memory = memory_store(&error);
            let _ = memory.create(run).await;
            memory
        }
    }
}

fn memory_store(why: &dyn std::fmt::Display) -> Arc<dyn Store> {
    term::print_error(&format!("{why}\nthe rollback continues without a journal"));
    Arc::new(MemoryStore::new())
}

async fn journal(ports: &Ports, run: &str, events: &[Event]) -> Result<(), StoreError> {
    for event in events {
        ports.store.append(run, ports.clock.now(), event).await?;
    }
    Ok(())
}
