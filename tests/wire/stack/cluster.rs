//! A Kubernetes cluster: etcd, an API server, a controller manager and the AWS Load Balancer Controller. Its nodes and
//! pods are only objects; `kubelet.rs` writes their status as a kubelet would.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::api::Api;
use super::processes::Processes;
use super::setup;

/// A process of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterProcess {
    /// The database of the API server.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controller manager: Deployments, ReplicaSets, CronJobs, Jobs, EndpointSlices, garbage collection.
    Manager,
    /// The AWS Load Balancer Controller: reconciler and webhooks.
    Controller,
}

/// All processes of a cluster, with the names of their programs.
pub const PROCESSES: [(ClusterProcess, &str); 4] = [
    (ClusterProcess::Etcd, "etcd"),
    (ClusterProcess::ApiServer, "kube-apiserver"),
    (ClusterProcess::Manager, "kube-controller-manager"),
    (ClusterProcess::Controller, "aws-load-balancer-controller"),
];

/// A running cluster.
pub struct Cluster {
    /// The name of the cluster and of its context in the kubeconfig.
    pub name: &'static str,
    /// The administrator's client.
    pub api: Api,
    /// The URL of the API server, `https://127.0.0.1:PORT`.
    pub url: String,
    programs: Vec<(ClusterProcess, Vec<String>)>,
    webhooks: u16,
    aws_key: String,
    keeper: Arc<Processes>,
    /// Whether the API server was down, so that its clients retry with growing delays.
    api_was_down: AtomicBool,
}

/// The settings that a cluster needs to start.
pub struct ClusterSite<'a> {
    /// The folder of the programs and the controller's files.
    pub stack: &'a Path,
    /// The URL of the AWS endpoint.
    pub aws: &'a str,
    /// The VPC of the pods.
    pub vpc: &'a str,
    /// The URL of the token webhook.
    pub authenticator: &'a str,
    /// The runtime of the API clients.
    pub runtime: &'a Handle,
    /// The keeper, which starts and kills the processes.
    pub keeper: &'a Arc<Processes>,
}

impl Cluster {
    /// Starts all processes and waits until the controller's webhooks respond.
    pub fn start(name: &'static str, site: &ClusterSite<'_>) -> Self {
        let [etcd, peer, secure, manager, webhooks, health] = ports();
        let folder = site.keeper.folder.join(name);
        let url = format!("https://127.0.0.1:{secure}");
        let kubeconfig =
            |user: &str| setup::kubeconfig(&[(name, &url)], user, Some(&site.keeper.folder.join("ca.crt")));
        for user in ["admin", "manager", "controller"] {
            std::fs::write(folder.join(format!("{user}.kubeconfig")), kubeconfig(user))
                .expect("the kubeconfig should be written");
        }
        setup::server_files(&folder, site.authenticator);
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        let bin = site.stack.join("bin");
        let programs = vec![
            (ClusterProcess::Etcd, etcd_arguments(&bin, &folder, &at(etcd), &at(peer))),
            (ClusterProcess::ApiServer, server_arguments(&bin, &folder, &at(etcd), secure)),
            (ClusterProcess::Manager, manager_arguments(&bin, &folder, manager)),
            (ClusterProcess::Controller, controller_arguments(&bin, &folder, name, site, [webhooks, health])),
        ];
        let api = Api::new(&kubeconfig("admin"), name, site.runtime.clone());
        let cluster = Self {
            name,
            api,
            url,
            programs,
            webhooks,
            aws_key: format!("controller-{name}"),
            keeper: Arc::clone(site.keeper),
            api_was_down: AtomicBool::new(false),
        };
        cluster.revive(ClusterProcess::Etcd);
        cluster.revive(ClusterProcess::ApiServer);
        setup::install(&cluster.api, site.stack, &site.keeper.folder, webhooks);
        cluster.revive(ClusterProcess::Manager);
        cluster.revive(ClusterProcess::Controller);
        cluster
    }

    /// Kills a process (`kill -9`).
    pub fn kill(&self, part: ClusterProcess) {
        self.api_was_down.fetch_or(matches!(part, ClusterProcess::Etcd | ClusterProcess::ApiServer), Ordering::Relaxed);
        self.keeper.kill(&self.process(part));
    }

    /// Restores the cluster after processes were killed: starts the processes that a failed test left dead, and
    /// restarts the clients of an API server that was down. Each client would retry only after 30 to 60 seconds,
    /// separately for each kind of object, and the manager's EndpointSlices even later. In a real cluster both lose
    /// their leader election in such an outage and are restarted too; here there is no other instance that could become
    /// the leader.
    pub fn restore(&self) {
        if self.api_was_down.swap(false, Ordering::Relaxed) {
            self.kill(ClusterProcess::Manager);
            self.kill(ClusterProcess::Controller);
        }
        for (part, _) in PROCESSES {
            self.thaw(part);
            if self.ended(part).is_some() {
                self.revive(part);
            }
            if part == ClusterProcess::ApiServer {
                self.wait(part, || self.api.ready());
            }
        }
    }

    /// Stops a process with SIGSTOP: the process exists and does not respond.
    pub fn freeze(&self, part: ClusterProcess) {
        self.api_was_down.fetch_or(matches!(part, ClusterProcess::Etcd | ClusterProcess::ApiServer), Ordering::Relaxed);
        self.keeper.freeze(&self.process(part));
    }

    /// Continues a process with SIGCONT.
    pub fn thaw(&self, part: ClusterProcess) {
        self.keeper.thaw(&self.process(part));
    }

    /// Starts a killed process with the same arguments, and waits until it responds.
    pub fn revive(&self, part: ClusterProcess) {
        let (_, argv) = self.programs.iter().find(|(p, _)| *p == part).expect("the process should be listed");
        let mut env = vec![("PATH", "/usr/bin:/bin".to_owned()), ("HOME", "/nonexistent".to_owned())];
        if part == ClusterProcess::Controller {
            env.extend([("AWS_ACCESS_KEY_ID", self.aws_key.clone()), ("AWS_SECRET_ACCESS_KEY", "test".to_owned())]);
            env.push(("AWS_EC2_METADATA_DISABLED", "true".to_owned()));
        }
        self.keeper.start(&self.process(part), argv, &env);
        self.wait(part, || match part {
            ClusterProcess::ApiServer => self.api.ready(),
            ClusterProcess::Controller => self.webhooks_answer(),
            ClusterProcess::Etcd | ClusterProcess::Manager => true,
        });
    }

    fn wait(&self, part: ClusterProcess, answers: impl Fn() -> bool) {
        let began = Instant::now();
        while !answers() {
            self.keeper.assert_running(&self.process(part));
            assert!(
                began.elapsed() < Duration::from_mins(3),
                "{} does not respond after three minutes:\n{}",
                self.process(part),
                self.log(part)
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Returns the last lines of a process's log.
    pub fn log(&self, part: ClusterProcess) -> String {
        self.keeper.tail(&self.process(part))
    }

    /// Returns the exit code of a process that ended; negative if it was killed.
    pub fn ended(&self, part: ClusterProcess) -> Option<i64> {
        self.keeper.ended(&self.process(part))
    }

    /// Returns the API server's audit events of this user, in order, without bodies.
    pub fn audit(&self, user: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.keeper.folder.join(self.name).join("audit.log")).unwrap_or_default();
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|e| e["user"]["username"] == user || e["impersonatedUser"]["username"] == user).collect()
    }

    fn process(&self, part: ClusterProcess) -> String {
        let name = PROCESSES.iter().find(|(p, _)| *p == part).expect("the process should be listed").1;
        format!("{name}-{}", self.name)
    }

    /// Whether the webhooks respond: a dry run of a Service calls one of them.
    fn webhooks_answer(&self) -> bool {
        if std::net::TcpStream::connect(("127.0.0.1", self.webhooks)).is_err() {
            return false;
        }
        let probe = json!({"metadata": {"name": "probe"}, "spec": {"ports": [{"port": 80}]}});
        self.api.call("POST", "/api/v1/namespaces/default/services?dryRun=All", Some(&probe)).is_ok()
    }
}

/// Returns free ports below the range of outgoing connections, so that a restarted process finds its port free again.
fn ports<const N: usize>() -> [u16; N] {
    let mut held = Vec::new();
    while held.len() < N {
        held.extend(TcpListener::bind(("127.0.0.1", fastrand::u16(20_000..32_000))));
    }
    std::array::from_fn(|i| held[i].local_addr().expect("the listener should have an address").port())
}

fn arguments(program: PathBuf, flags: &[(&str, String)]) -> Vec<String> {
    let flags = flags.iter().map(|(name, value)| format!("--{name}={value}"));
    std::iter::once(program.display().to_string()).chain(flags).collect()
}

fn etcd_arguments(bin: &Path, folder: &Path, client: &str, peer: &str) -> Vec<String> {
    let flags = [
        ("data-dir", folder.join("etcd").display().to_string()),
        ("listen-client-urls", client.to_owned()),
        ("advertise-client-urls", client.to_owned()),
        ("listen-peer-urls", peer.to_owned()),
        ("initial-advertise-peer-urls", peer.to_owned()),
        ("initial-cluster", format!("default={peer}")),
        // The operating system keeps the writes of a killed process.
        ("unsafe-no-fsync", "true".to_owned()),
    ];
    arguments(bin.join("etcd"), &flags)
}

fn server_arguments(bin: &Path, folder: &Path, etcd: &str, port: u16) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    let flags = [
        ("etcd-servers", etcd.to_owned()),
        ("bind-address", "127.0.0.1".to_owned()),
        ("advertise-address", "127.0.0.1".to_owned()),
        ("secure-port", port.to_string()),
        ("endpoint-reconciler-type", "none".to_owned()),
        ("service-cluster-ip-range", "10.96.0.0/16".to_owned()),
        ("authorization-mode", "RBAC".to_owned()),
        ("token-auth-file", file("tokens.csv")),
        ("authentication-token-webhook-config-file", file("authenticator.yaml")),
        ("authentication-token-webhook-version", "v1".to_owned()),
        ("authentication-token-webhook-cache-ttl", "1s".to_owned()),
        ("tls-cert-file", file("tls.crt")),
        ("tls-private-key-file", file("tls.key")),
        ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
        ("service-account-key-file", file("../tokens.key")),
        ("service-account-signing-key-file", file("../tokens.key")),
        // Pods are only objects, so that they need no service accounts.
        ("disable-admission-plugins", "ServiceAccount".to_owned()),
        ("audit-policy-file", file("audit.yaml")),
        ("audit-log-path", file("audit.log")),
    ];
    arguments(bin.join("kube-apiserver"), &flags)
}

/// Returns the arguments of the controller manager. It runs only controllers that need no kubelet; others would evict
/// the pods of silent nodes.
fn manager_arguments(bin: &Path, folder: &Path, port: u16) -> Vec<String> {
    let controllers = "deployment-controller,replicaset-controller,statefulset-controller,endpointslice-controller,endpoints-controller,\
                       cronjob-controller,job-controller,\
                       namespace-controller,serviceaccount-controller,garbage-collector-controller,disruption-controller";
    let flags = [
        ("kubeconfig", folder.join("manager.kubeconfig").display().to_string()),
        ("controllers", controllers.to_owned()),
        ("leader-elect", "false".to_owned()),
        ("bind-address", "127.0.0.1".to_owned()),
        ("secure-port", port.to_string()),
        ("cert-dir", folder.join("manager").display().to_string()),
        ("service-account-private-key-file", folder.join("../tokens.key").display().to_string()),
    ];
    arguments(bin.join("kube-controller-manager"), &flags)
}

fn controller_arguments(
    bin: &Path,
    folder: &Path,
    name: &str,
    site: &ClusterSite<'_>,
    [webhooks, health]: [u16; 2],
) -> Vec<String> {
    let services = [
        "EC2",
        "Elastic Load Balancing v2",
        "STS",
        "ACM",
        "WAFV2",
        "WAF Regional",
        "Shield",
        "Resource Groups Tagging API",
    ];
    let flags = [
        ("kubeconfig", folder.join("controller.kubeconfig").display().to_string()),
        ("cluster-name", format!("cluster-{name}")),
        ("aws-region", "us-east-1".to_owned()),
        ("aws-vpc-id", site.vpc.to_owned()),
        ("aws-api-endpoints", services.map(|s| format!("{s}={}", site.aws)).join(",")),
        ("aws-max-retries", "2".to_owned()),
        ("enable-leader-election", "false".to_owned()),
        ("metrics-bind-addr", "0".to_owned()),
        ("health-probe-bind-addr", format!("127.0.0.1:{health}")),
        ("webhook-bind-port", webhooks.to_string()),
        ("webhook-cert-dir", folder.join("../webhooks").display().to_string()),
        ("webhook-cert-file", "tls.crt".to_owned()),
        ("webhook-key-file", "tls.key".to_owned()),
        ("enable-shield", "false".to_owned()),
        ("enable-waf", "false".to_owned()),
        ("enable-wafv2", "false".to_owned()),
        // The interval at which the controller checks gated pods, and its maximum delay after a failure.
        ("targetgroupbinding-requeue-duration", "2s".to_owned()),
        ("targetgroupbinding-max-exponential-backoff-delay", "5s".to_owned()),
    ];
    arguments(bin.join("aws-load-balancer-controller"), &flags)
}
