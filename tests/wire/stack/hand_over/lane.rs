//! A lane: a namespace with items in both clusters, and a plan that hands them over. The program has exactly the roles
//! of `cutover permissions`, and reaches the API servers through proxies that count its calls and kill it at one.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use cutover::adapter::store::fs::LocalStore;
use cutover::port::store::Store;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::crash::connection::{Connection, Moment};
use crate::stack::cluster::Cluster;
use crate::stack::environment::Stack;
use crate::stack::fixture::{StackFixture, until};
use crate::stack::kubelet::RUNS_FOR;
use crate::stack::permissions::role;
use crate::stack::setup;

/// The request at which a program is killed, and when.
pub type KillPoint = (usize, Moment);

/// A namespace with its plan.
pub struct Lane<'a> {
    pub fixture: StackFixture,
    runtime: &'a Runtime,
    wire: Arc<Connection>,
    kubeconfig: PathBuf,
    plan: String,
}

/// The result of a process.
pub struct LaneProcess {
    code: Option<i32>,
    text: String,
    killed_at: Option<String>,
}

/// Returns an administrator's client for a cluster, without a limit of time for its watches.
pub async fn admin(stack: &Stack, cluster: &str) -> kube::Client {
    let file = stack.kubeconfig.with_file_name(cluster).join("admin.kubeconfig");
    let kubeconfig = Kubeconfig::read_from(file).expect("the kubeconfig should be readable");
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("the kubeconfig should be valid");
    (config.default_retry, config.read_timeout) = (false, None);
    kube::Client::try_from(config).expect("the client should be created")
}

impl<'a> Lane<'a> {
    /// Opens a lane whose plan has this step before the traffic moves.
    pub fn open(runtime: &'a Runtime, name: &str, step: &str) -> Self {
        let fixture = StackFixture::new(name);
        let plan = fixture.plan(&format!("{{bind: {{}}}}, {step}, {{setWeight: 100}}"));
        let wire = Arc::<Connection>::default();
        let urls = [&fixture.stack.a, &fixture.stack.b].map(|cluster| {
            grant(&fixture, cluster, &plan);
            runtime.block_on(async {
                let gate = start_gate(admin(fixture.stack, cluster.name).await, name).await;
                wire.start_proxy(&gate).await
            })
        });
        let kubeconfig = fixture.folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, setup::kubeconfig(&[("a", &urls[0]), ("b", &urls[1])], name, None))
            .expect("the kubeconfig should be written");
        Self { fixture, runtime, wire, kubeconfig, plan }
    }

    /// Returns both clusters.
    pub fn clusters(&self) -> [&'static Cluster; 2] {
        [&self.fixture.stack.a, &self.fixture.stack.b]
    }

    /// Waits until the plan has no error: the API servers know the roles.
    pub fn until_checked(&self) {
        let mut last = String::new();
        let began = std::time::Instant::now();
        while began.elapsed() < std::time::Duration::from_secs(30) {
            let ended = self.cutover(&["check", &self.plan], None);
            if ended.code == Some(0) {
                return;
            }
            last = ended.text;
        }
        panic!("the plan has errors:\n{last}");
    }

    /// Runs a command on the plan, which may be killed at a request; and further commands until `reached` returns true.
    /// Returns the request at which the program was killed.
    pub fn complete(&self, verb: &str, kill_at: Option<KillPoint>, reached: impl Fn() -> bool) -> Option<String> {
        let first = self.cutover(&[verb, &self.plan, "--yes"], kill_at);
        let label = format!("{}: {verb} {kill_at:?} {:?}\n{}", self.fixture.name, first.killed_at, first.text);
        if first.killed_at.is_none() {
            assert_eq!((first.code, reached()), (Some(0), true), "{label}");
            return None;
        }
        let unfinished = self.has_unfinished_run();
        if unfinished || !reached() {
            let next = if unfinished { "resume" } else { verb };
            let ended = self.cutover(&[next, &self.plan, "--yes"], None);
            let label = format!("{label}\nthen {next}:\n{}", ended.text);
            // A continued run whose traffic went back ends with 4.
            let code = if unfinished && verb == "rollback" { 4 } else { 0 };
            assert_eq!((ended.code, reached()), (Some(code), true), "{label}");
        }
        assert!(!self.has_unfinished_run(), "{label}");
        first.killed_at
    }

    /// Returns the requests of the last program to the API servers.
    pub fn requests(&self) -> Vec<String> {
        self.wire.requests()
    }

    fn has_unfinished_run(&self) -> bool {
        let store = LocalStore::open(Some(self.fixture.state())).expect("the store should be created");
        let runs = self.runtime.block_on(store.runs()).expect("the runs should be readable");
        runs.iter().any(|run| run.finished.is_none())
    }

    fn cutover(&self, words: &[&str], kill_at: Option<KillPoint>) -> LaneProcess {
        let mut command = self.fixture.cutover(words);
        command.env("KUBECONFIG", &self.kubeconfig);
        let mut child = command.spawn().expect("cutover should start");
        let out = child.stdout.take().expect("the process should have a standard output");
        let err = child.stderr.take().expect("the process should have a standard error");
        self.wire.set_program(child, kill_at);
        let [out, err] = [read_all(out), read_all(err)].map(|thread| thread.join().expect("the output should be read"));
        let (mut child, killed_at) = self.runtime.block_on(self.wire.take_program());
        let code = child.wait().expect("the process should end").code();
        LaneProcess { code, text: format!("{out}\n{err}"), killed_at }
    }
}

fn read_all(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("the output should be UTF-8");
        text
    })
}

/// Grants the user of a lane what `cutover permissions` prints for its plan.
fn grant(fixture: &StackFixture, cluster: &Cluster, plan: &str) {
    let printed = crate::child::run(fixture.cutover(&["permissions", plan, "--part", cluster.name])).assert_exit(0);
    let file = fixture.folder.path().join(format!("roles-{}.yaml", cluster.name));
    std::fs::write(&file, printed.out).expect("the roles should be written");
    let grants = role::of_file(file.to_str().expect("the path should be UTF-8"), &fixture.name);
    role::grant(cluster, &fixture.name, &grants);
}

/// Starts an endpoint without TLS that passes requests to a cluster as this user. Returns its URL.
async fn start_gate(client: kube::Client, user: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port should exist");
    let url = format!("http://{}", listener.local_addr().expect("the listener should have an address"));
    let user = HeaderValue::from_str(user).expect("the name should be a header value");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (client, user) = (client.clone(), user.clone());
            let answer = service_fn(move |request| pass(client.clone(), user.clone(), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    url
}

async fn pass(
    client: kube::Client,
    user: HeaderValue,
    request: Request<Incoming>,
) -> Result<Response<Body>, kube::Error> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.map_err(kube::Error::HyperError)?.to_bytes();
    for name in [HOST, AUTHORIZATION] {
        parts.headers.remove(name);
    }
    parts.headers.insert(HeaderName::from_static("impersonate-user"), user);
    client.send(Request::from_parts(parts, Body::from(body))).await
}

const BATCH: &str = "/apis/batch/v1/namespaces";

/// Creates a CronJob whose Jobs run for some seconds.
pub fn create_cron_job(cluster: &Cluster, namespace: &str, name: &str, schedule: &str, settings: (bool, u32)) {
    let (suspend, seconds) = settings;
    let metadata = json!({"labels": {"item": name}, "annotations": {RUNS_FOR: seconds.to_string()}});
    let pod =
        json!({"nodeName": "node-1", "restartPolicy": "Never", "containers": [{"name": "job", "image": "job:1"}]});
    let template = json!({"metadata": metadata, "spec": {"template": {"metadata": metadata, "spec": pod}}});
    let spec = json!({
        "schedule": schedule, "timeZone": "Etc/UTC", "suspend": suspend, "concurrencyPolicy": "Forbid",
        "jobTemplate": template,
    });
    let object = json!({"metadata": {"name": name, "labels": {"item": name, "app": "items"}}, "spec": spec});
    cluster.api.create(&format!("{BATCH}/{namespace}/cronjobs"), &object);
}

/// Sets when a CronJob last started a Job.
pub fn set_last_schedule(cluster: &Cluster, namespace: &str, name: &str, at: jiff::Timestamp) {
    let last = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    cluster
        .api
        .merge(&format!("{BATCH}/{namespace}/cronjobs/{name}/status"), &json!({"status": {"lastScheduleTime": last}}));
}

/// Suspends or resumes a CronJob as a person would.
pub fn suspend(cluster: &Cluster, namespace: &str, name: &str, suspend: bool) {
    cluster.api.merge(&format!("{BATCH}/{namespace}/cronjobs/{name}"), &json!({"spec": {"suspend": suspend}}));
}

/// Creates a worker without ports.
pub fn create_worker(cluster: &Cluster, namespace: &str, name: &str, replicas: u32) {
    let container = json!({"name": "worker", "image": "worker:1"});
    let template =
        json!({"metadata": {"labels": {"item": name}}, "spec": {"nodeName": "node-1", "containers": [container]}});
    let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"item": name}}, "template": template});
    let object = json!({"metadata": {"name": name}, "spec": spec});
    cluster.api.create(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"), &object);
    let pods = format!("/api/v1/namespaces/{namespace}/pods?labelSelector=item%3D{name}");
    let count = || cluster.api.get(&pods)["items"].as_array().map_or(0, Vec::len);
    until("the pods of the worker exist", || count() == replicas as usize);
}

/// Returns whether a CronJob is active, and the replicas of a worker.
pub fn state(cluster: &Cluster, namespace: &str, cron_job: &str, worker: &str) -> (bool, u64) {
    let suspended = cluster.api.get(&format!("{BATCH}/{namespace}/cronjobs/{cron_job}"))["spec"]["suspend"] == true;
    let object = cluster.api.get(&format!("/apis/apps/v1/namespaces/{namespace}/deployments/{worker}"));
    (!suspended, object["spec"]["replicas"].as_u64().unwrap_or_default())
}

/// Returns the names of the CronJobs of all Jobs of a namespace, sorted.
pub fn owners_of_jobs(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let list = cluster.api.get(&format!("{BATCH}/{namespace}/jobs"));
    let owner = |job: &Value| job["metadata"]["ownerReferences"][0]["name"].as_str().unwrap_or_default().to_owned();
    let mut owners: Vec<_> = list["items"].as_array().into_iter().flatten().map(owner).collect();
    owners.sort();
    owners
}
