//! What AWS knows of a cluster, for `cutover compare`: moto and the adapter, boto3 and the lab.

use std::path::Path;

use cutover::adapter::aws::platform::EksPlatform;
use cutover::adapter::aws::{Settings, config, connector};
use cutover::adapter::network::Network;
use cutover::domain::traffic::Unreadable;
use cutover::port::ClusterPlatform;
use serde_json::{Value, json};

use crate::contract::aws::lab;
use crate::contract::moto::Moto;
use crate::programs::{python, script};

const ACCOUNT: &str = "123456789012";

/// Returns the adapter for a cluster, with worthless credentials.
async fn platform(url: &str, name: &str) -> EksPlatform {
    let keys = aws_credential_types::Credentials::new("test", "test", None, None, "test");
    let settings = Settings {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some(url.to_owned()),
        credentials: Some(keys),
        ..Settings::default()
    };
    EksPlatform::new(&config(&settings).await, name, ACCOUNT, connector(&Network::process()))
}

fn boto(python: &Path, url: &str, calls: &Value) -> Vec<Value> {
    let answers = script(python, "tests/support/boto.py", &[url], &calls.to_string());
    serde_json::from_slice(&answers).expect("the output should be JSON")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} should be a string")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tier contract"]
async fn moto_what_aws_knows_of_a_cluster_is_read() {
    let python = python();
    let moto = Moto::shared(&python);
    let found = boto(&python, &moto.url, &json!([["ec2", "describe_subnets", {}]]));
    let subnets = found[0]["Subnets"].as_array().expect("moto should have subnets").clone();
    let ids: Vec<_> = subnets.iter().map(|subnet| text(&subnet["SubnetId"])).collect();
    let name = "what-aws-knows";
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/shop/{name}");
    let cluster = json!({"name": name, "roleArn": arn, "resourcesVpcConfig": {"subnetIds": ids}});
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": {"Federated": "a+b c&d"},
    }]});
    let role = json!({"Path": "/shop/", "RoleName": name, "AssumeRolePolicyDocument": policy.to_string()});
    let made = boto(&python, &moto.url, &json!([["eks", "create_cluster", cluster], ["iam", "create_role", role]]));

    let platform = platform(&moto.url, name).await;
    let description = platform.describe().await.expect("the cluster should be readable");
    assert_eq!(description.subnets, ids);
    assert_eq!(description.issuer, made[0]["cluster"]["identity"]["oidc"]["issuer"].as_str().map(str::to_owned));
    assert_eq!(platform.trust_policy(&arn).await, Ok(Some(policy)));
    assert_eq!(platform.trust_policy(&format!("arn:aws:iam::{ACCOUNT}:role/nobody")).await, Ok(None));
    let other = platform.trust_policy("arn:aws:iam::999999999999:role/x").await;
    assert!(matches!(other, Err(Unreadable::Unrepresentable(_))), "{other:?}");
    let read = platform.subnets(&ids).await.expect("the subnets should be readable");
    let mut read: Vec<_> = read.into_iter().map(|subnet| (subnet.id, subnet.zone, subnet.free)).collect();
    let free = |subnet: &Value| subnet["AvailableIpAddressCount"].as_u64().expect("the number should be there");
    let zone = |subnet: &Value| text(&subnet["AvailabilityZone"]);
    let mut expected: Vec<_> = subnets.iter().map(|s| (text(&s["SubnetId"]), zone(s), free(s))).collect();
    read.sort();
    expected.sort();
    assert_eq!(read, expected);
    let missing = platform.subnets(&["subnet-0123456789abcdef0".to_owned()]).await;
    assert!(matches!(missing, Err(Unreadable::NotFound(_))), "{missing:?}");
    // moto has no add-ons: its page is not mistaken for an empty list.
    assert!(platform.addon_names().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tier contract"]
async fn lab_what_aws_knows_of_a_cluster_is_read_like_boto3_reads_it() {
    let python = python();
    let lab = lab::start("knows").await;
    let url = lab.aws_url();
    let platform = platform(&url, "a").await;
    let description = platform.describe().await.expect("the cluster should be readable");
    let names = platform.addon_names().await.expect("the add-ons should be readable");
    let addon = platform.addon("vpc-cni").await.expect("the add-on should be readable");
    let versions = platform.addon_versions("vpc-cni", "1.33").await.expect("the versions should be readable");
    let support = platform.support("1.33").await.expect("the support should be readable").expect("it should exist");
    let subnets = platform.subnets(&description.subnets).await.expect("the subnets should be readable");
    let role = format!("arn:aws:iam::{ACCOUNT}:role/x");
    let policy = platform.trust_policy(&role).await.expect("the role should be readable").expect("it should exist");
    let insights = platform.insights().await.expect("the insights should be readable");
    let deprecations = platform.deprecations(&insights[0]).await.expect("the insight should be readable");
    assert_eq!(platform.pod_identities().await, Ok([].into()));
    assert!(matches!(platform.addon("none").await, Err(Unreadable::NotFound(_))));
    assert!(matches!(platform.subnets(&["subnet-0".to_owned()]).await, Err(Unreadable::NotFound(_))));

    let calls = json!([
        ["eks", "list_addons", {"clusterName": "a"}],
        ["eks", "describe_addon", {"clusterName": "a", "addonName": "vpc-cni"}],
        ["eks", "describe_addon_versions", {"addonName": "vpc-cni", "kubernetesVersion": "1.33"}],
        ["eks", "describe_cluster_versions", {"clusterVersions": ["1.33"]}],
        ["eks", "list_insights", {"clusterName": "a"}],
        ["eks", "list_pod_identity_associations", {"clusterName": "a"}],
        ["ec2", "describe_subnets", {"SubnetIds": description.subnets}],
        ["iam", "get_role", {"RoleName": "x"}],
        ["eks", "describe_cluster", {"name": "a"}],
        ["eks", "describe_insight", {"clusterName": "a", "id": insights[0]}],
    ]);
    let found = tokio::task::spawn_blocking(move || boto(&python, &url, &calls)).await.expect("boto3 should end");
    assert_eq!(found[0]["addons"], json!(names));
    assert_eq!(found[1]["addon"]["addonVersion"], json!(addon.version));
    assert_eq!(found[2]["addons"][0]["addonVersions"][0]["addonVersion"], json!(versions.first()));
    let end = text(&found[3]["clusterVersions"][0]["endOfStandardSupportDate"]);
    assert_eq!(end.get(..10), support.standard_end.map(|end| end.strftime("%Y-%m-%d").to_string()).as_deref());
    assert_eq!((&found[4]["insights"][0]["id"], &found[5]["associations"]), (&json!(insights[0]), &json!([])));
    let detail = &found[9]["insight"]["categorySpecificSummary"]["deprecationDetails"][0];
    assert_eq!((&detail["usage"], &detail["clientStats"]), (&json!(deprecations[0].usage), &json!([])));
    let free: Vec<_> = subnets.iter().map(|subnet| json!(subnet.free)).collect();
    let of_boto = found[6]["Subnets"].as_array().expect("the subnets should be a list").iter();
    assert_eq!(of_boto.map(|subnet| subnet["AvailableIpAddressCount"].clone()).collect::<Vec<_>>(), free);
    assert_eq!(found[7]["Role"]["AssumeRolePolicyDocument"], policy);
    assert_eq!(found[8]["cluster"]["identity"]["oidc"]["issuer"], json!(description.issuer));
}
