//! What runs: two clusters, `a` and `b`, and one AWS. There are two of it: one that all tests share, and one that they break.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::authenticator::Authenticator;
use super::boto::Boto;
use super::cluster::{Cluster, Site};
use super::endpoint::Endpoint;
use super::keeper::Keeper;
use super::{kubelet, setup};
use crate::contract::moto::Moto;
use crate::programs::{python, variable};

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
    moto: Moto,
    boto: Boto,
    _runtime: Runtime,
}

impl Stack {
    /// For all tests at a time.
    pub fn shared() -> &'static Self {
        static RUNNING: OnceLock<Stack> = OnceLock::new();
        RUNNING.get_or_init(Self::start)
    }

    /// Another one, for one test at a time, which kills parts of it.
    pub fn fragile() -> &'static Self {
        static RUNNING: OnceLock<Stack> = OnceLock::new();
        RUNNING.get_or_init(Self::start)
    }

    fn start() -> Self {
        let (programs, python) = (variable("CUTOVER_STACK"), python());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let keeper = Arc::new(Keeper::new(&python));
        certificates(&python, &keeper.folder, &["a", "b", "webhooks"]);
        let boto = Boto::start(&python);
        let moto = Moto::start(&python);
        let endpoint = Endpoint::start(&moto.url, runtime.handle());
        let vpcs = boto.call(&moto.url, &json!([["ec2", "describe_vpcs", {}]])).remove(0);
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
        .expect("a kubeconfig");
        Self { endpoint, authenticator, a, b, kubeconfig, moto, boto, _runtime: runtime }
    }

    /// What boto3 answers to `[[service, method, parameters], ...]`, straight from moto.
    pub fn boto(&self, calls: &Value) -> Vec<Value> {
        self.boto.call(&self.moto.url, calls)
    }

    /// The same through the endpoint, which learns what is attached, and refuses what it is told to.
    pub fn aws(&self, calls: &Value) -> Vec<Value> {
        self.boto.call(&self.endpoint.url, calls)
    }

    /// The load balancer and the groups of a test.
    pub fn furnish(&self, prefix: &str) {
        self.boto.create(&self.moto.url, prefix);
    }
}

fn certificates(python: &Path, folder: &Path, names: &[&str]) {
    let made = Command::new(python)
        .arg("tests/wire/stack/certificates.py")
        .arg(folder)
        .args(names)
        .status()
        .expect("python runs");
    assert!(made.success(), "certificates.py");
}
