//! The comparison of two clusters of a lab, with the adapters of production: equal clusters have no finding, and each
//! difference in AWS has exactly its finding.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::VirtualLab;
use crate::adapter::aws;
use crate::adapter::aws::eks;
use crate::adapter::aws::platform::EksPlatform;
use crate::adapter::clock::LabClock;
use crate::base::finding::Code;
use crate::domain::compare::compare;
use crate::engine::compare_platform::{ACTIONS, read_both};
use crate::lab::model::{Platform, World};
use crate::lab::scenario::Scenario;
use crate::plan::model::Plan;
use crate::port::{ClusterConnections, ClusterPlatform, ComparedCluster};

const EKS_NAMES: [(&str, &str); 2] = [("a", "alpha-kr-a"), ("b", "alpha-kr-b")];

fn plan() -> Plan {
    let text = std::fs::read("plans/alpha-webapp.yaml").expect("the plan should be readable");
    crate::plan::lint("plan.yaml", &text).unwrap_or_else(|e| panic!("{e}"))
}

/// A change of the platforms of the old and the new cluster.
type Change = fn(&mut Platform, &mut Platform);

/// Compares the clusters of a lab whose platforms are changed. Returns the codes, and the calls of AWS.
async fn compared(change: Change) -> (Vec<Code>, BTreeSet<String>) {
    let begin: Timestamp = "2026-11-20T09:00:00Z".parse().expect("the time should be valid");
    let plan = plan();
    let mut world = World::new(&plan, &Scenario::default(), 1, begin).expect("the lab should be built");
    let [old, new] = world.platforms();
    change(old, new);
    let lab = VirtualLab::start(world, LabClock::new(begin, 1.0));
    let config = aws::config(&lab.aws_settings()).await;
    let mut compared = BTreeMap::<_, Arc<dyn ComparedCluster>>::new();
    let mut platforms = Vec::new();
    for (cluster, name) in EKS_NAMES {
        let transport = Some(lab.kube_transport(cluster));
        let objects = eks::connect(&config, name, transport).await.expect("the cluster should be reachable");
        let platform = Arc::new(EksPlatform::new(&config, name, &plan.account_id, lab.aws_connector()));
        platforms.push(Arc::clone(&platform));
        let connections = ClusterConnections { objects: Ok(Arc::new(objects)), platform: Some(platform) };
        compared.insert(cluster.into(), Arc::new(connections));
    }
    let (from, to) = read_both(&plan, &compared, begin).await;
    let findings = compare(&plan, &from, &to);
    let role = platforms[1].trust_policy("arn:aws:iam::123456789012:role/x").await;
    assert!(role.expect("the role should be readable").is_some());
    let calls = lab.model().call(|world, _| {
        let calls = world.calls().iter().filter(|call| ["eks", "iam", "ec2"].contains(&&*call.service));
        calls.map(|call| format!("{}:{}", call.service, call.operation)).collect()
    });
    lab.stop().await;
    (findings.iter().map(|finding| finding.code).collect(), calls)
}

#[tokio::test(start_paused = true)]
async fn equal_clusters_of_a_lab_have_no_finding_and_the_calls_are_those_of_the_policy() {
    let (codes, calls) = Box::pin(compared(|_, _| {})).await;
    assert_eq!(codes, []);
    assert_eq!(calls, ACTIONS.map(str::to_owned).into());
}

#[tokio::test(start_paused = true)]
async fn each_difference_in_aws_has_its_finding() {
    let differences: [(Code, Change); 5] = [
        (Code::CUT101, |_, new| new.support_days = 20),
        (Code::CUT104, |_, new| new.addons[0].status = "DEGRADED"),
        (Code::CUT105, |_, new| new.addons[0].version = "v0.1.0-eksbuild.1".to_owned()),
        (Code::CUT106, |_, new| new.addons.retain(|addon| addon.name != "aws-ebs-csi-driver")),
        (Code::CUT112, |old, _| old.deprecations[0].agent = Some("flux/v2".to_owned())),
    ];
    for (code, change) in differences {
        assert_eq!(Box::pin(compared(change)).await.0, [code]);
    }
}
