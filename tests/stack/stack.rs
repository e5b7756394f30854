//! What runs: two clusters, `a` and `b`, and one AWS.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::authenticator::Authenticator;
use super::cluster::{Cluster, Site};
use super::endpoint::Endpoint;
use super::keeper::Keeper;
use super::{kubelet, setup};

/// Never dropped: its processes end when this process does.
pub struct Stack {
    /// AWS, for every program.
    pub endpoint: Endpoint,
    /// EKS's tokens.
    pub authenticator: Authenticator,
    /// Traffic comes from here.
    pub a: Cluster,
    /// And goes there.
    pub b: Cluster,
    /// For `KUBECONFIG`, where a plan does not name the clusters by EKS (they are `stack-a` and `stack-b` there): contexts `a` and `b`, as the user `cutover` (see `setup.rs` for what it may).
    pub kubeconfig: PathBuf,
    moto: String,
    python: PathBuf,
    _moto: Child,
    _runtime: Runtime,
}

impl Stack {
    /// `None`, and said so, where there are no programs for it.
    pub fn shared() -> Option<&'static Self> {
        static RUNNING: OnceLock<Option<Stack>> = OnceLock::new();
        RUNNING.get_or_init(Self::start).as_ref()
    }

    fn start() -> Option<Self> {
        let Some((programs, python)) = variables() else {
            println!("SKIPPED: CUTOVER_STACK or CUTOVER_VENV is not set; tests/run stack sets them");
            return None;
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let keeper = Arc::new(Keeper::new(&python));
        script(&python, "tests/stack/certificates.py", &[&path(&keeper.folder), "a", "b", "webhooks"], "");
        let (moto, child) = start_moto(&python);
        let endpoint = Endpoint::start(&moto, runtime.handle());
        let vpcs = boto(&python, &moto, &json!([["ec2", "describe_vpcs", {}]])).remove(0);
        let vpc = vpcs["Vpcs"][0]["VpcId"].as_str().expect("a VPC").to_owned();
        let authenticator = Authenticator::start(runtime.handle());
        let site = Site {
            authenticator: &authenticator.url,
            stack: &programs,
            aws: &endpoint.url,
            vpc: &vpc,
            runtime: runtime.handle(),
            keeper: &keeper,
        };
        let [a, b] = std::thread::scope(|scope| {
            ["a", "b"]
                .map(|name| {
                    scope.spawn({
                        let site = &site;
                        move || Cluster::start(name, site)
                    })
                })
                .map(|t| t.join().expect("a cluster"))
        });
        for (cluster, net) in [(&a, 101), (&b, 102)] {
            runtime.spawn(kubelet::run(cluster.api.clone(), net));
        }
        let authority = std::fs::read(keeper.folder.join("ca.crt")).expect("an authority");
        let vpc = json!({"subnetIds": []});
        for cluster in [&a, &b] {
            let name = format!("stack-{}", cluster.name);
            let role = "arn:aws:iam::123456789012:role/stack";
            boto(&python, &moto, &json!([["eks", "create_cluster", {"name": name, "roleArn": role, "resourcesVpcConfig": vpc}]]));
            endpoint.eks(&name, &cluster.url, &authority);
        }
        let kubeconfig = keeper.folder.join("kubeconfig");
        std::fs::write(&kubeconfig, setup::kubeconfig(&[("a", &a.url), ("b", &b.url)], "cutover", Some(&keeper.folder.join("ca.crt"))))
            .expect("a kubeconfig");
        Some(Self { endpoint, authenticator, a, b, kubeconfig, moto, python, _moto: child, _runtime: runtime })
    }

    /// What boto3 answers to `[[service, method, parameters], ...]`, straight from moto.
    pub fn boto(&self, calls: &Value) -> Vec<Value> {
        boto(&self.python, &self.moto, calls)
    }

    /// The same through the endpoint, which learns what is attached, and refuses what it is told to.
    pub fn aws(&self, calls: &Value) -> Vec<Value> {
        boto(&self.python, &self.endpoint.url, calls)
    }

    /// Runs a Python file of the tests against moto: `NAME VERB URL ARGUMENTS...`.
    pub fn elbv2(&self, verb: &str, arguments: &[&str]) -> Vec<u8> {
        let arguments: Vec<_> = [verb, self.moto.as_str()].iter().chain(arguments).copied().collect();
        script(&self.python, "tests/support/elbv2.py", &arguments, "")
    }
}

/// Where the programs are, and the Python with moto.
fn variables() -> Option<(PathBuf, PathBuf)> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    Some((variable("CUTOVER_STACK")?, variable("CUTOVER_VENV")?.join("bin/python3")))
}

fn start_moto(python: &Path) -> (String, Child) {
    let mut command = Command::new(python);
    command.arg("tests/support/serve_moto.py").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("moto starts");
    let mut url = String::new();
    BufReader::new(child.stdout.take().expect("its stdout")).read_line(&mut url).expect("moto says its URL");
    assert!(url.starts_with("http://127.0.0.1:"), "moto did not start");
    (url.trim().to_owned(), child)
}

fn boto(python: &Path, url: &str, calls: &Value) -> Vec<Value> {
    serde_json::from_slice(&script(python, "tests/moto_run/boto.py", &[url], &calls.to_string())).expect("a list of answers")
}

fn script(python: &Path, name: &str, args: &[&str], input: &str) -> Vec<u8> {
    let mut command = Command::new(python);
    command.arg(name).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().expect("python runs");
    child.stdin.take().expect("its stdin").write_all(input.as_bytes()).expect("it listens");
    let out = child.wait_with_output().expect("it ends");
    assert!(out.status.success(), "{name} {args:?} {input}");
    out.stdout
}

fn path(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}
