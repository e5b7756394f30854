//! Serves the model on loopback sockets, with a clock that may run faster than real time.
//!
//! This module makes no decisions. HTTP deadlines use real time; everything else uses the lab's time.

mod endpoints;
mod forwarder;
mod kubeconfig;
mod pods;
mod probes;
mod server;
mod watch;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use forwarder::{GROUP_COOKIE, Pool, connection_pool, group_cookie};

use self::forwarder::Forwarder;
use self::kubeconfig::{Context, TemporaryFolder};
use self::pods::Pods;
use self::probes::Prober;
use self::server::Server;
use super::model::World;
use super::runtime_api::Socket;
use super::shared_model::SharedModel;
use crate::adapter::aws::Settings;
use crate::adapter::clock::LabClock;
use crate::adapter::metric::substitute;

/// Access key and secret key for the AWS clients of the lab. The lab accepts any credentials.
const CREDENTIAL: &str = "lab";

/// Loopback address of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerAddress {
    /// Name of the load balancer.
    pub load_balancer: Arc<str>,
    /// Port of the listener in the plan.
    pub port: u16,
    /// URL of the listener, `http://127.0.0.1:PORT`; plain HTTP also for port 443.
    pub url: String,
}

/// A running lab. Dropping this value aborts its tasks; [`LiveLab::stop`] also waits until they have ended.
pub struct LiveLab {
    model: SharedModel,
    aws: Server,
    metrics: Server,
    clusters: BTreeMap<String, Server>,
    forwarders: Vec<Server>,
    /// The runtime APIs of HAProxy.
    _instances: Vec<Socket>,
    listeners: Vec<ListenerAddress>,
    environment: Vec<(String, String)>,
    ticker: Ticker,
    _folder: TemporaryFolder,
}

impl LiveLab {
    /// Starts every server on a free port, and starts the lab's time.
    ///
    /// # Errors
    /// Returns the I/O error if a socket or the temporary folder cannot be created.
    pub async fn start(mut world: World, clock: LabClock) -> io::Result<Self> {
        world.set_self_probing(false);
        let clock = if clock.speed() > 1.0 { clock.with_beats() } else { clock };
        let clock_task = ClockTask(tokio::spawn(advance_clock(clock.clone())));
        let model = SharedModel::new(world, clock);
        let mut pods = Pods::default();
        pods.sync(&model, model.call(|world, _| world.pods())).await?;
        let aws = endpoints::serve_aws(model.clone(), 0).await?;
        let metrics = endpoints::serve_metrics(model.clone()).await?;
        let (clusters, contexts) = start_clusters(&model).await?;
        let (forwarders, listeners) = start_forwarders(&model, &pods).await?;
        let mut instances = Vec::new();
        for address in model.call(|world, _| world.runtime_addresses()) {
            instances.push(Socket::open(model.clone(), address).await?);
        }
        let folder = TemporaryFolder::create()?;
        let kubeconfig = folder.write("kubeconfig", &kubeconfig::text(&contexts))?;
        let mut environment = model.call(|world, _| aws_environment(world, &aws.url()));
        environment.push(("KUBECONFIG".into(), kubeconfig.display().to_string()));
        environment.push(("LAB_METRICS".into(), format!("{}/metrics", metrics.url())));
        environment.push((substitute::PROMETHEUS.into(), metrics.url()));
        // Nothing resolves the hosts of a plan to listeners, so every probe goes to the first listener.
        environment.extend(listeners.first().map(|d| (substitute::PROBE.into(), d.url.clone())));
        environment.extend(listeners.iter().map(|d| (variable_name(d), d.url.clone())));
        let numbered = (1..).zip(&instances);
        environment.extend(numbered.map(|(n, socket)| (format!("LAB_HAPROXY_{n}"), socket.address.clone())));
        let ticker = Ticker::start(model.clone(), pods, clock_task);
        Ok(Self {
            model,
            aws,
            metrics,
            clusters,
            forwarders,
            _instances: instances,
            listeners,
            environment,
            ticker,
            _folder: folder,
        })
    }

    /// Returns the model with the lab's clock.
    pub fn model(&self) -> &SharedModel {
        &self.model
    }

    /// Returns the URL of the AWS endpoint, `http://127.0.0.1:PORT`.
    pub fn aws_url(&self) -> String {
        self.aws.url()
    }

    /// Returns the URL of the load balancers' request counters, without the path `/metrics`, which serves them in
    /// OpenMetrics.
    pub fn metrics_url(&self) -> String {
        self.metrics.url()
    }

    /// Returns the URL of a cluster's API, by the cluster's name in the plan; `None` if there is no such cluster.
    pub fn cluster_url(&self, cluster: &str) -> Option<String> {
        self.clusters.get(cluster).map(Server::url)
    }

    /// Returns the settings with which the AWS adapters connect to this lab.
    pub fn aws_settings(&self) -> Settings {
        Settings {
            region: Some(self.model.call(|world, _| world.region().to_owned())),
            endpoint_url: Some(self.aws.url()),
            credentials: Some(Credentials::new(CREDENTIAL, CREDENTIAL, None, None, "lab")),
            ..Settings::default()
        }
    }

    /// Returns the loopback addresses of the listeners.
    pub fn listeners(&self) -> &[ListenerAddress] {
        &self.listeners
    }

    /// Returns the environment variables that point AWS and Kubernetes tools at this lab, and variables with the URL of
    /// each listener (`LAB_NAME_PORT`).
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Stops every server and task, waits until they have ended, and removes the temporary files.
    pub async fn stop(self) {
        self.ticker.stop().await;
        for server in self.forwarders.into_iter().chain(self.clusters.into_values()).chain([self.aws, self.metrics]) {
            server.stop().await;
        }
    }
}

async fn start_clusters(model: &SharedModel) -> io::Result<(BTreeMap<String, Server>, Vec<Context>)> {
    let (mut servers, mut contexts) = (BTreeMap::new(), Vec::new());
    for name in model.call(|world, _| world.clusters()) {
        let server = endpoints::serve_kubernetes(model.clone(), name.as_str().into(), 0).await?;
        let names = model.call(|world, _| {
            world.set_endpoint(&name, &server.url(), "");
            world.contexts(&name)
        });
        contexts.extend(names.into_iter().map(|name| Context { name, server: server.url() }));
        servers.insert(name, server);
    }
    Ok((servers, contexts))
}

async fn start_forwarders(model: &SharedModel, pods: &Pods) -> io::Result<(Vec<Server>, Vec<ListenerAddress>)> {
    let (mut servers, mut listeners) = (Vec::new(), Vec::new());
    let pool = connection_pool();
    for (name, port, _) in model.call(|world, _| world.listeners_by_balancer()) {
        let load_balancer: Arc<str> = name.into();
        let forwarder = Forwarder {
            model: model.clone(),
            directory: pods.directory(),
            pool: pool.clone(),
            load_balancer: Arc::clone(&load_balancer),
            port,
        };
        let server = forwarder.open().await?;
        listeners.push(ListenerAddress { load_balancer, port, url: server.url() });
        servers.push(server);
    }
    Ok((servers, listeners))
}

fn aws_environment(world: &World, url: &str) -> Vec<(String, String)> {
    let pairs = [
        ("AWS_ENDPOINT_URL", url),
        // AWS tools refuse an endpoint together with these settings of an AWS profile.
        ("AWS_USE_FIPS_ENDPOINT", "false"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "false"),
        ("AWS_ACCESS_KEY_ID", CREDENTIAL),
        ("AWS_SECRET_ACCESS_KEY", CREDENTIAL),
        ("AWS_REGION", world.region()),
        // The variable that boto3 and the Python AWS CLI read; they ignore `AWS_REGION`.
        ("AWS_DEFAULT_REGION", world.region()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// Returns the name of the environment variable of a listener, such as `LAB_ALPHA_WEBAPP_443`.
fn variable_name(listener: &ListenerAddress) -> String {
    let name = listener.load_balancer.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    format!("LAB_{name}_{}", listener.port)
}

/// Interval at which the lab's clock advances, in real time.
const CLOCK_INTERVAL: Duration = Duration::from_millis(2);

/// The task that advances the clock. It shares the runtime's queue with the other work of the lab, so that a busy
/// machine slows both equally.
struct ClockTask(JoinHandle<()>);

impl Drop for ClockTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn advance_clock(clock: LabClock) {
    loop {
        tokio::time::sleep(CLOCK_INTERVAL).await;
        clock.beat();
    }
}

/// The task that advances the lab's time, starts and stops the servers of pods, and sends the health checks that are
/// due.
struct Ticker {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Ticker {
    fn start(model: SharedModel, pods: Pods, clock_task: ClockTask) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop: Some(stop), task: tokio::spawn(tick(model, pods, stopped, clock_task)) }
    }

    async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.task).await;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn tick(model: SharedModel, mut pods: Pods, mut stopped: oneshot::Receiver<()>, _clock_task: ClockTask) {
    let mut prober = Prober::new(model.clone(), pods.directory());
    loop {
        let (pod_endpoints, due, next) = model.call(|world, now| {
            world.advance(now);
            let due = world.probes_due(now);
            (world.pods(), due, world.next_event())
        });
        if let Err(error) = pods.sync(&model, pod_endpoints).await {
            tracing::error!(%error, "the server of a pod of the lab cannot be started");
        }
        prober.send(due);
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            () = model.until(next) => {}
        }
    }
    prober.stop().await;
    pods.stop().await;
}
