//! boto3 reads the lab's CloudWatch.

use std::time::Duration;

use cutover::lab::rehearsal::{Options, RehearsalLab};
use cutover::lab::scenario::Scenario;
use cutover::port::{Detail, Groups};

use crate::live::metrics::{CLOUDWATCH_GATES, plan};
use crate::programs::{python, script};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tier contract"]
async fn moto_boto3_reads_the_labs_cloudwatch() {
    let python = python();
    let plan = plan(CLOUDWATCH_GATES, "60m");
    let stage = RehearsalLab::live(plan, &Scenario::default(), 1, Options { speed: Some(60.0), rate: Some(5.0) })
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    stage.clock.sleep(Duration::from_mins(4)).await;
    let now = stage.clock.now();
    let inventory = &stage.balancer.inventory;
    let named = |name: &str| cutover::plan::model::Selector::Name(name.into());
    let group = inventory
        .target_groups(Groups::Matching(&named("shop-a")), Detail::Listed)
        .await
        .expect("the groups should be readable")
        .remove(0);
    let tail = |arn: &str, kind: &str| arn.split_once(kind).expect("the ARN should have a colon").1.to_owned();
    let balancer = inventory
        .load_balancers(&named("shop"), Detail::Listed)
        .await
        .expect("exactly one load balancer should exist")
        .remove(0);
    let dimensions = serde_json::json!([
        {"Name": "LoadBalancer", "Value": tail(&balancer.arn, ":loadbalancer/")},
        {"Name": "TargetGroup", "Value": format!("targetgroup/{}", tail(&group.arn, ":targetgroup/"))},
    ]);
    let metric = |name: &str| {
        serde_json::json!({
            "Metric": {"Namespace": "AWS/ApplicationELB", "MetricName": name, "Dimensions": dimensions}, "Period": 60,
            "Stat": "Sum",
        })
    };
    let queries = serde_json::json!([
        {"Id": "requests", "MetricStat": metric("RequestCount")},
        {"Id": "errors", "MetricStat": metric("HTTPCode_Target_5XX_Count")},
    ]);
    let calls = serde_json::json!([
        ["cloudwatch", "get_metric_data", {"MetricDataQueries": queries, "StartTime": now.as_second() - 600, "EndTime": now.as_second()}],
        ["cloudwatch", "describe_alarms", {"AlarmNames": ["shop-5xx"]}],
    ]);
    let url = stage.live_lab().expect("the lab should run on real time").aws_url();
    let answers =
        tokio::task::spawn_blocking(move || script(&python, "tests/support/boto.py", &[&url], &calls.to_string()))
            .await
            .expect("the process should end");
    let answers: serde_json::Value = serde_json::from_slice(&answers).expect("the text should be JSON");
    let results = &answers[0]["MetricDataResults"];
    let requests: f64 = results[0]["Values"]
        .as_array()
        .expect("the values should be a list")
        .iter()
        .filter_map(serde_json::Value::as_f64)
        .sum();
    assert!(requests > 0.0 && results[0]["StatusCode"] == "Complete", "{answers}");
    assert_eq!(
        results[1]["Values"],
        serde_json::json!([]),
        "without errors, CloudWatch must return no data instead of zero"
    );
    assert_eq!(answers[1]["MetricAlarms"][0]["StateValue"], "OK");
    stage.stop().await;
}
