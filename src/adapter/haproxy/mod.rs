//! Implements the load balancer ports over HAProxy's runtime API. A route is one backend on one instance. Do not parse
//! answers or decide about weights here: that is in [`haproxy`].

mod connection;
mod names;
mod view;
mod write;
mod write_map;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use tokio::time::Instant;

pub use self::connection::{Connect, RuntimeApi, Stream};
pub use self::names::addresses;
use crate::domain::elb;
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::haproxy::{self, Backend, Group, Info, Server, Slot};
use crate::domain::health::Target;
use crate::domain::run::header_rule::HeaderRule;
use crate::domain::traffic::{RouteCensus, RouteContent, RouteId, Tags, Unreadable};
use crate::plan::model::Selector;
use crate::port::{Caller, Detail, Groups, Inventory, RuleStore, TagStore, Traffic, WriteError};

/// The longest wait for the answers of one read.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The age of a reading up to which a write does not read again. The engine has just read the route before it writes.
const FRESH: Duration = Duration::from_secs(1);

/// HAProxy's backends that this process may read and write, each with the globs of its sets of servers.
#[derive(Debug, Clone)]
pub struct Haproxy {
    api: RuntimeApi,
    last: LastReadings,
    backends: BTreeMap<Backend, Vec<String>>,
}

impl Haproxy {
    /// Creates the API for these groups, over the network and the sockets of this machine. The order of the groups of a
    /// backend is the order of its members.
    pub fn new(groups: impl IntoIterator<Item = Group>) -> Self {
        Self::over(RuntimeApi::of_machine(), groups)
    }

    /// Creates the API for these groups, over these connections.
    pub fn over(api: RuntimeApi, groups: impl IntoIterator<Item = Group>) -> Self {
        let mut backends: BTreeMap<Backend, Vec<String>> = BTreeMap::new();
        for Group { backend, glob } in groups {
            let globs = backends.entry(backend).or_default();
            if !globs.contains(&glob) {
                globs.push(glob);
            }
        }
        Self { api, last: LastReadings::default(), backends }
    }

    fn find(&self, id: &str) -> Result<(Backend, &[String]), Unreadable> {
        let known = Backend::parse(id).and_then(|backend| Some((self.backends.get(&backend)?, backend)));
        let (globs, backend) = known.ok_or_else(|| Unreadable::NotFound(format!("{id} is not in the plan")))?;
        Ok((backend, globs))
    }

    async fn route(&self, id: &str) -> Result<RouteContent, Unreadable> {
        let (backend, globs) = self.find(id)?;
        if let Some(file) = backend.map_file() {
            let (info, slots) = read_map(&self.api, &backend, &file, READ_TIMEOUT).await?;
            return Ok(haproxy::map_content(&backend, globs, &slots, info.process()));
        }
        let (info, servers) = read(&self.api, &backend, READ_TIMEOUT).await?;
        let content = content(&backend, globs, &servers, &info)?;
        self.last.put(backend, (info, servers));
        Ok(content)
    }
}

/// The last reading of each backend, for a write that follows at once.
#[derive(Debug, Clone, Default)]
struct LastReadings(Arc<Mutex<BTreeMap<Backend, (Instant, ServerReading)>>>);

/// One reading of an instance: the information about the HAProxy process, and the servers of a backend.
type ServerReading = (Info, Vec<Server>);

impl LastReadings {
    fn put(&self, backend: Backend, reading: ServerReading) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(backend, (Instant::now(), reading));
    }

    /// Removes the reading of a backend, and returns it if it is fresh.
    fn take(&self, backend: &Backend) -> Option<ServerReading> {
        let (at, reading) = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(backend)?;
        (at.elapsed() <= FRESH).then_some(reading)
    }
}

/// Reads the process and the slots of a map with one connection.
async fn read_map(
    api: &RuntimeApi,
    map: &Backend,
    file: &str,
    timeout: Duration,
) -> Result<(Info, Vec<Slot>), Unreadable> {
    let commands = ["show info".to_owned(), format!("show map {file}")];
    let answers = api.ask(&map.address, &commands, timeout).await?;
    let info = haproxy::parse_info(answer(map, &answers, 0)?);
    let slots = haproxy::parse_map(answer(map, &answers, 1)?);
    Ok((info.map_err(|why| malformed(map, &why))?, slots.map_err(|why| malformed(map, &why))?))
}

/// Reads the process and the servers of a backend with one connection.
async fn read(api: &RuntimeApi, backend: &Backend, timeout: Duration) -> Result<(Info, Vec<Server>), Unreadable> {
    read_servers(api, backend, &backend.name, timeout).await
}

/// Reads the process and the servers of the backend `name` with one connection.
async fn read_servers(
    api: &RuntimeApi,
    backend: &Backend,
    name: &str,
    timeout: Duration,
) -> Result<(Info, Vec<Server>), Unreadable> {
    let commands = ["show info".to_owned(), format!("show servers state {name}")];
    let answers = api.ask(&backend.address, &commands, timeout).await?;
    let info = haproxy::parse_info(answer(backend, &answers, 0)?);
    let servers = haproxy::parse_servers(answer(backend, &answers, 1)?);
    Ok((info.map_err(|why| malformed(backend, &why))?, servers.map_err(|why| malformed(backend, &why))?))
}

/// Returns an answer that is not a refusal.
fn answer<'a>(backend: &Backend, answers: &'a [String], at: usize) -> Result<&'a str, Unreadable> {
    let answer = answers.get(at).map_or("", String::as_str);
    match haproxy::problem(answer) {
        Some(Unreadable::NotFound(why)) => Err(Unreadable::NotFound(format!("{}: {why}", backend.label()))),
        Some(Unreadable::Denied(why)) => Err(Unreadable::Denied(format!("{}: {why}", backend.label()))),
        Some(Unreadable::Setup(why)) => Err(Unreadable::Setup(format!("{}: {why}", backend.label()))),
        Some(other) => Err(other),
        None => Ok(answer),
    }
}

fn malformed(backend: &Backend, why: &str) -> Unreadable {
    Unreadable::Unavailable(format!("{}: {why}", backend.label()))
}

fn content(backend: &Backend, globs: &[String], servers: &[Server], info: &Info) -> Result<RouteContent, Unreadable> {
    let content = haproxy::content(backend, globs, servers, info.process());
    content.map_err(|why| Unreadable::Unrepresentable(format!("{}: {why}", backend.label())))
}

#[async_trait]
impl Traffic for Haproxy {
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        join_all(ids.iter().map(async |id| (id.clone(), self.route(id.id()).await))).await.into_iter().collect()
    }

    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        let mut by_backend: BTreeMap<(Backend, String), Vec<(&String, String)>> = BTreeMap::new();
        let mut all = BTreeMap::new();
        for id in groups {
            match Group::parse(id) {
                Some(group) => {
                    let (name, glob) = group.servers();
                    let key = (group.backend.clone(), name.to_owned());
                    by_backend.entry(key).or_default().push((id, glob.to_owned()));
                }
                None => {
                    drop(all.insert(id.clone(), Err(Unreadable::NotFound(format!("{id} is not a set of servers")))));
                }
            }
        }
        let reads = by_backend.iter().map(async |((backend, name), groups)| {
            let read = read_servers(&self.api, backend, name, READ_TIMEOUT).await;
            let targets = |glob: &str| read.clone().map(|(_, servers)| view::targets(glob, &servers));
            groups.iter().map(|(id, glob)| ((*id).clone(), targets(glob))).collect::<Vec<_>>()
        });
        all.extend(join_all(reads).await.into_iter().flatten());
        all
    }

    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable> {
        Ok(elb::route_census(load_balancer, self.listeners(load_balancer, Detail::Listed).await?))
    }

    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError> {
        let (backend, globs) = self.find(id.id()).map_err(|why| WriteError::NotFound(why.to_string()))?;
        match backend.map_file() {
            Some(file) => write_map::set(&self.api, &backend, &file, content, deadline).await,
            None => write::set(&self.api, self.last.take(&backend), &backend, globs, content, deadline).await,
        }
    }
}

#[async_trait]
impl Inventory for Haproxy {
    async fn caller(&self) -> Result<Caller, Unreadable> {
        Err(Unreadable::Setup("HAProxy has no accounts".to_owned()))
    }

    async fn load_balancers(&self, selector: &Selector, _: Detail) -> Result<Vec<LoadBalancer>, Unreadable> {
        let Selector::Arn(id) = selector else { return Ok(Vec::new()) };
        let (backend, _) = self.find(id)?;
        Ok(vec![view::load_balancer(&self.api, &backend).await?])
    }

    async fn listeners(&self, load_balancer: &str, _: Detail) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable> {
        let content = self.route(load_balancer).await?;
        let (backend, _) = self.find(load_balancer)?;
        Ok(vec![view::listener(&backend, content)])
    }

    async fn target_groups(&self, groups: Groups<'_>, _: Detail) -> Result<Vec<TargetGroup>, Unreadable> {
        let wanted = match groups {
            Groups::Of(id) => {
                let (backend, globs) = self.find(id)?;
                globs.iter().map(|glob| Group { backend: backend.clone(), glob: glob.clone() }).collect()
            }
            Groups::Matching(Selector::Arn(id)) => Group::parse(id).into_iter().collect(),
            Groups::Matching(_) => Vec::new(),
        };
        let mut found = Vec::new();
        for group in wanted {
            let (name, _) = group.servers();
            let (_, servers) = read_servers(&self.api, &group.backend, name, READ_TIMEOUT).await?;
            found.extend(view::target_group(&group, &servers));
        }
        Ok(found)
    }

    async fn quota(&self, _: &str) -> Result<u32, Unreadable> {
        Err(Unreadable::Setup("HAProxy has no quotas".to_owned()))
    }
}

/// HAProxy has no tags.
#[async_trait]
impl TagStore for Haproxy {
    fn has_tags(&self, _: &str) -> bool {
        false
    }

    async fn tags(&self, ids: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable> {
        Ok(ids.iter().map(|id| (id.clone(), Tags::new())).collect())
    }

    async fn put(&self, _: &[String], _: &Tags) -> Result<(), WriteError> {
        Err(WriteError::Refused("HAProxy has no tags".to_owned()))
    }

    async fn remove(&self, _: &[String], _: &[String]) -> Result<(), WriteError> {
        Err(WriteError::Refused("HAProxy has no tags".to_owned()))
    }
}

/// A plan with HAProxy has no `setHeaderRoute`: its lint refuses it.
#[async_trait]
impl RuleStore for Haproxy {
    async fn create(&self, _: &HeaderRule, _: &Tags, _: Duration) -> Result<String, WriteError> {
        Err(WriteError::Refused("HAProxy has no header rules".to_owned()))
    }

    async fn delete(&self, _: &str, _: Duration) -> Result<(), WriteError> {
        Err(WriteError::Refused("HAProxy has no header rules".to_owned()))
    }
}
