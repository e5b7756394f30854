//! The stacks: two clusters, `a` and `b`, and one AWS each. One stack serves most tests; another stack serves the tests
//! that kill parts of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::authenticator::Authenticator;
use super::boto::Boto;
use super::cluster::{Cluster, ClusterSite};
use super::endpoint::Endpoint;
use super::processes::Processes;
use super::{kubelet, setup};
use crate::contract::moto::Moto;
use crate::programs::{python, variable};

/// A stack, which is never dropped: its processes end with this process.
pub struct Stack {
    /// The AWS endpoint of all programs.
    pub endpoint: Endpoint,
    /// The token webhook.
    pub authenticator: Authenticator,
    /// The old cluster.
    pub a: Cluster,
    /// The new cluster.
    pub b: Cluster,
    /// The kubeconfig for plans that do not use EKS names (`stack-a` and `stack-b`): contexts `a` and `b`, with the
    /// user `cutover`, whose permissions are in `setup.rs`.
    pub kubeconfig: PathBuf,
    moto: Moto,
    boto: Boto,
    _runtime: Runtime,
}

impl Stack {
    /// Returns the stack that concurrent tests share.
    pub fn shared() -> &'static Self {
        static RUNNING: OnceLock<Stack> = OnceLock::new();
        RUNNING.get_or_init(Self::start)
    }

    /// Returns the stack that only one test uses at a time, so that the test may kill parts of it.
    pub fn fragile() -> &'static Self {
        static RUNNING: OnceLock<Stack> = OnceLock::new();
        RUNNING.get_or_init(Self::start)
    }

    fn start() -> Self {
        let (programs, python) = (variable("CUTOVER_STACK"), python());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("the runtime should be created");
        let keeper = Arc::new(Processes::new(&python));
        certificates(&python, &keeper.folder, &["a", "b", "webhooks"]);
        let boto = Boto::start(&python);
        let moto = Moto::start(&python);
        let endpoint = Endpoint::start(&moto.url, runtime.handle());
        let vpcs = boto.call(&moto.url, &json!([["ec2", "describe_vpcs", {}]])).remove(0);
        let vpc = vpcs["Vpcs"][0]["VpcId"].as_str().expect("the VPC should be a string").to_owned();
        let authenticator = Authenticator::start(runtime.handle());
        let site = ClusterSite {
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
                .map(|t| t.join().expect("the cluster should start"))
        });
        for (cluster, net) in [(&a, 101), (&b, 102)] {
            runtime.spawn(kubelet::run(cluster.api.clone(), net));
        }
        let authority =
            std::fs::read(keeper.folder.join("ca.crt")).expect("the certificate of the authority should be readable");
        let vpc = json!({"subnetIds": []});
        for cluster in [&a, &b] {
            let name = format!("stack-{}", cluster.name);
            let role = "arn:aws:iam::123456789012:role/stack";
            boto.call(
                &moto.url,
                &json!([["eks", "create_cluster", {"name": name, "roleArn": role, "resourcesVpcConfig": vpc}]]),
            );
            endpoint.eks(&name, &cluster.url, &authority);
        }
        let kubeconfig = keeper.folder.join("kubeconfig");
        std::fs::write(
            &kubeconfig,
            setup::kubeconfig(&[("a", &a.url), ("b", &b.url)], "cutover", Some(&keeper.folder.join("ca.crt"))),
        )
        .expect("the kubeconfig should be written");
        Self { endpoint, authenticator, a, b, kubeconfig, moto, boto, _runtime: runtime }
    }

    /// Makes the calls `[[service, method, parameters], ...]` with boto3 directly to moto, and returns the responses.
    pub fn boto(&self, calls: &Value) -> Vec<Value> {
        self.boto.call(&self.moto.url, calls)
    }

    /// Makes the calls with boto3 through the endpoint, which records attached groups and may refuse calls.
    pub fn aws(&self, calls: &Value) -> Vec<Value> {
        self.boto.call(&self.endpoint.url, calls)
    }

    /// Creates the load balancer and the groups of a test.
    pub fn create_resources(&self, prefix: &str) {
        self.boto.create(&self.moto.url, prefix);
    }
}

fn certificates(python: &Path, folder: &Path, names: &[&str]) {
    let made = Command::new(python)
        .arg("tests/wire/stack/certificates.py")
        .arg(folder)
        .args(names)
        .status()
        .expect("Python should start");
    assert!(made.success(), "certificates.py");
}
