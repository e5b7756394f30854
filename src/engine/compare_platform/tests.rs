//! Tests that each missing permission makes exactly its fact unknown.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::base::finding::Finding;
use crate::domain::compare::facts::{Candidate, DryRun, Kind, KindApi};
use crate::domain::compare::platform::{Addon, Deprecation, EksDescription, Subnet};
use crate::domain::compare::{Object, compare};
use crate::domain::fixture;

const ROLE: &str = "arn:aws:iam::123456789012:role/webapp";
const NAMES: (&str, &str) = ("web", "webapp");

/// An EKS cluster that refuses the calls of some actions.
struct Fake {
    name: &'static str,
    denied: Option<&'static str>,
    /// The actions that were called.
    called: Mutex<Vec<&'static str>>,
}

impl Fake {
    fn new(name: &'static str, denied: Option<&'static str>) -> Self {
        Self { name, denied, called: Mutex::default() }
    }

    fn answer<T>(&self, action: &'static str, value: T) -> Result<T, Unreadable> {
        self.called.lock().unwrap().push(action);
        if self.denied == Some(action) { Err(Unreadable::Denied(action.to_owned())) } else { Ok(value) }
    }

    fn issuer(&self) -> String {
        format!("oidc.example/id/{}", self.name)
    }
}

#[async_trait]
impl ClusterPlatform for Fake {
    async fn describe(&self) -> Result<EksDescription, Unreadable> {
        let issuer = Some(format!("https://{}", self.issuer()));
        let subnets = vec!["subnet-1".to_owned()];
        self.answer("eks:DescribeCluster", EksDescription { issuer, subnets, ..EksDescription::default() })
    }
    async fn addon_names(&self) -> Result<BTreeSet<String>, Unreadable> {
        self.answer("eks:ListAddons", ["vpc-cni".to_owned()].into())
    }
    async fn addon(&self, name: &str) -> Result<Addon, Unreadable> {
        let (name, version, status) = (name.to_owned(), "v1".to_owned(), "ACTIVE".to_owned());
        self.answer("eks:DescribeAddon", Addon { name, version, status, issues: Vec::new() })
    }
    async fn addon_versions(&self, _: &str, kubernetes: &str) -> Result<BTreeSet<String>, Unreadable> {
        assert_eq!(kubernetes, "1.33");
        self.answer("eks:DescribeAddonVersions", ["v1".to_owned()].into())
    }
    async fn insights(&self) -> Result<Vec<String>, Unreadable> {
        self.answer("eks:ListInsights", vec!["insight".to_owned()])
    }
    async fn deprecations(&self, _: &str) -> Result<Vec<Deprecation>, Unreadable> {
        self.answer("eks:DescribeInsight", Vec::new())
    }
    async fn support(&self, kubernetes: &str) -> Result<Option<Support>, Unreadable> {
        assert_eq!(kubernetes, "1.33");
        self.answer("eks:DescribeClusterVersions", None)
    }
    async fn pod_identities(&self) -> Result<BTreeSet<(String, String)>, Unreadable> {
        self.answer("eks:ListPodIdentityAssociations", BTreeSet::new())
    }
    async fn trust_policy(&self, role: &str) -> Result<Option<Value>, Unreadable> {
        assert_eq!(role, ROLE);
        let principal = json!({"Federated": format!("arn:aws:iam::123456789012:oidc-provider/{}", self.issuer())});
        let action = "sts:AssumeRoleWithWebIdentity";
        let policy = json!({"Statement": {"Effect": "Allow", "Action": action, "Principal": principal}});
        self.answer("iam:GetRole", Some(policy))
    }
    async fn subnets(&self, ids: &[String]) -> Result<Vec<Subnet>, Unreadable> {
        let subnet = |id: &String| Subnet { id: id.clone(), zone: "a".to_owned(), free: 100 };
        self.answer("ec2:DescribeSubnets", ids.iter().map(subnet).collect())
    }
}

#[async_trait]
impl ClusterObjects for Fake {
    async fn version(&self) -> Result<String, Unreadable> {
        Ok("v1.33.4-eks-1".to_owned())
    }
    async fn served(&self) -> Result<BTreeSet<String>, Unreadable> {
        Ok(BTreeSet::new())
    }
    async fn objects(&self, api: &KindApi, _: Option<&str>) -> Result<Vec<Object>, Unreadable> {
        let (namespace, name) = NAMES;
        let labels = json!({"app": name});
        let mut body = json!({"metadata": {"namespace": namespace, "name": name}});
        match api.kind {
            Kind::Service => body["spec"] = json!({"selector": labels}),
            Kind::Deployment => {
                let template = json!({"metadata": {"labels": labels}, "spec": {"serviceAccountName": name}});
                body["spec"] = json!({"selector": {"matchLabels": labels}, "template": template});
            }
            Kind::ServiceAccount => body["metadata"]["annotations"] = json!({"eks.amazonaws.com/role-arn": ROLE}),
            _ => return Ok(Vec::new()),
        }
        Ok(Object::new(body).into_iter().collect())
    }
    async fn secret_keys(&self, _: &str, _: &str) -> Result<Option<u64>, Unreadable> {
        Ok(None)
    }
    fn own_names(&self) -> Vec<String> {
        Vec::new()
    }
    fn eks_name(&self) -> Option<(String, Option<String>)> {
        None
    }
    async fn dry_run(&self, object: &Candidate) -> Result<DryRun, Unreadable> {
        assert_eq!((self.name, object.namespace.as_str(), object.name.as_str()), ("b", NAMES.0, NAMES.1));
        self.answer("create deployments.apps (a dry-run)", DryRun::Accepted)
    }
}

fn connections(fake: &Arc<Fake>) -> ClusterConnections {
    ClusterConnections { objects: Ok(Arc::clone(fake) as _), platform: Some(Arc::clone(fake) as _) }
}

/// Compares two equal clusters, of which each refuses the calls of an action.
async fn compared(denied: Option<&'static str>) -> (Vec<Finding>, BTreeMap<&'static str, BTreeSet<&'static str>>) {
    let mut plan = fixture::plan();
    for service in plan.workloads[0].services.values_mut() {
        NAMES.0.clone_into(&mut service.namespace);
        NAMES.1.clone_into(&mut service.name);
    }
    let fakes = ["a", "b"].map(|name| (name, Arc::new(Fake::new(name, denied))));
    let compared = fakes.iter().map(|(name, fake)| ((*name).into(), Arc::new(connections(fake)) as _)).collect();
    let (from, to) = read_both(&plan, &compared, Timestamp::UNIX_EPOCH).await;
    let called =
        |(name, fake): &(&'static str, Arc<Fake>)| (*name, fake.called.lock().unwrap().iter().copied().collect());
    (compare(&plan, &from, &to), fakes.iter().map(called).collect())
}

#[tokio::test]
async fn each_missing_permission_makes_exactly_its_fact_unknown() {
    let (findings, called) = compared(None).await;
    assert_eq!(findings, [], "two equal clusters must have no finding");
    for denied in ACTIONS.into_iter().chain(["create deployments.apps (a dry-run)"]) {
        let (findings, _) = compared(Some(denied)).await;
        let clusters = called.iter().filter(|(_, actions)| actions.contains(denied)).map(|(cluster, _)| *cluster);
        let expected: Vec<_> = clusters.map(|name| format!("{name}: {denied}: the permission is missing")).collect();
        let messages: Vec<_> = findings.iter().map(|finding| finding.message.clone()).collect();
        assert!(!expected.is_empty(), "nothing calls {denied}");
        assert_eq!(messages, expected, "{denied}");
    }
}

/// The texts that name a cluster in AWS are replaced in values, the longest first.
#[tokio::test]
async fn names_of_a_cluster_in_aws_are_no_difference() {
    let connections = connections(&Arc::new(Fake::new("b", None)));
    let facts = read(&fixture::plan(), Side::New, &connections, Timestamp::UNIX_EPOCH).await;
    assert_eq!(facts.own_names, ["oidc.example/id/b"]);
}
