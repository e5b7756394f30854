//! The real AWS SDK with the simulated AWS, in process: the SDK must read what the lab contains.

use std::sync::{Arc, Mutex};

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_elasticloadbalancingv2::error::ProvideErrorMetadata;
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, ForwardActionConfig, Listener, LoadBalancerTypeEnum, TargetGroupStickinessConfig,
    TargetGroupTuple, TargetHealthStateEnum,
};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use cutover::lab::model::World;
use http_body_util::BodyExt;

use super::common::{at, world};

/// An in-process HTTP transport of the SDK to a lab at a fixed time.
#[derive(Clone)]
struct Wire(Arc<Mutex<World>>);

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let world = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            let (head, body) = request.try_into_http1x().map_err(|e| ConnectorError::user(e.into()))?.into_parts();
            let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
            let answer = world
                .lock()
                .expect("no thread should have panicked")
                .aws(&http::Request::from_parts(head, body), at(60));
            HttpResponse::try_from(answer.response.map(SdkBody::from)).map_err(|e| ConnectorError::user(e.into()))
        })
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

fn client(world: &Arc<Mutex<World>>) -> Client {
    let config = aws_sdk_elasticloadbalancingv2::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("ap-northeast-2"))
        .credentials_provider(Credentials::new("lab", "lab", None, None, "test"))
        .http_client(Wire(Arc::clone(world)))
        .build();
    Client::from_conf(config)
}

#[tokio::test]
async fn the_sdk_reads_pages_and_writes_the_reference_case() {
    let world = Arc::new(Mutex::new(world("{}")));
    let client = client(&world);
    let balancers =
        client.describe_load_balancers().names("alpha-webapp").send().await.expect("the response should arrive");
    let balancer = &balancers.load_balancers()[0];
    assert_eq!(
        (balancer.r#type().map(LoadBalancerTypeEnum::as_str), balancer.availability_zones().len()),
        (Some("application"), 2)
    );
    let arn = balancer.load_balancer_arn().expect("a load balancer should have an ARN");
    let listeners =
        client.describe_listeners().load_balancer_arn(arn).send().await.expect("the response should arrive");
    assert_eq!(listeners.listeners().iter().filter_map(Listener::port).collect::<Vec<_>>(), [80, 443]);
    let https = listeners.listeners()[1].listener_arn().expect("a listener should have an ARN");
    let pages = client.describe_rules().listener_arn(https).page_size(5).into_paginator().items().send();
    let rules = pages.collect::<Result<Vec<_>, _>>().await.expect("all pages should be readable");
    assert_eq!((rules.len(), rules[17].priority(), rules[17].is_default()), (18, Some("default"), Some(true)));
    assert_eq!(rules[0].conditions()[0].path_pattern_config().map(|c| c.values().len()), Some(5));

    let config =
        rules[0].actions()[0].forward_config().expect("the action should have a forward configuration").clone();
    let tuples = config.target_groups().iter().zip([50, 50, 0]);
    let groups = tuples
        .map(|(t, w)| TargetGroupTuple::builder().set_target_group_arn(t.target_group_arn.clone()).weight(w).build());
    let forward = ForwardActionConfig::builder().set_target_groups(Some(groups.collect())).build();
    let action = Action::builder().r#type(ActionTypeEnum::Forward).forward_config(forward).build();
    let rule = rules[0].rule_arn().expect("a rule should have an ARN");
    let written = client.modify_rule().rule_arn(rule).actions(action).send().await.expect("the rule should be written");
    let read =
        written.rules()[0].actions()[0].forward_config().expect("the action should have a forward configuration");
    assert_eq!(
        read.target_groups().iter().map(TargetGroupTuple::weight).collect::<Vec<_>>(),
        [Some(50), Some(50), Some(0)]
    );
    assert_eq!(read.target_group_stickiness_config().and_then(TargetGroupStickinessConfig::enabled), Some(false));
}

#[tokio::test]
async fn the_sdk_reads_health_tags_attributes_and_refusals() {
    let world = Arc::new(Mutex::new(world("{loadBalancers: [{tags: {team: web}}]}")));
    let client = client(&world);
    let groups =
        client.describe_target_groups().names("alpha-webapp-a").send().await.expect("the response should arrive");
    let group = &groups.target_groups()[0];
    let arn = group.target_group_arn().expect("a target group should have an ARN");
    assert_eq!((group.health_check_interval_seconds(), group.load_balancer_arns().len()), (Some(10), 1));
    let health =
        client.describe_target_health().target_group_arn(arn).send().await.expect("the response should arrive");
    let states = health
        .target_health_descriptions()
        .iter()
        .filter_map(|d| d.target_health()?.state().map(TargetHealthStateEnum::as_str));
    assert_eq!(states.collect::<Vec<_>>(), ["healthy"; 4]);
    let attributes = client
        .describe_target_group_attributes()
        .target_group_arn(arn)
        .send()
        .await
        .expect("the response should arrive");
    assert!(attributes.attributes().iter().any(|a| a.key() == Some("deregistration_delay.timeout_seconds")));
    let balancer = group.load_balancer_arns()[0].clone();
    let tags = client.describe_tags().resource_arns(balancer).send().await.expect("the response should arrive");
    assert_eq!(tags.tag_descriptions()[0].tags()[0].key(), Some("team"));
    let error = client
        .describe_rules()
        .rule_arns("arn:aws:nothing")
        .send()
        .await
        .expect_err("a missing rule should be an error")
        .into_service_error();
    assert!(error.is_rule_not_found_exception() && error.code() == Some("RuleNotFound"), "{error:?}");
}
