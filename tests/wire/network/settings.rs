//! Settings of AWS that exclude each other, or that are missing.

use aws_credential_types::Credentials;
use cutover::adapter::aws::{self, SdkConfig, eks, elb::Alb};
use cutover::domain::traffic::Unreadable;
use cutover::plan::model::Selector;
use cutover::port::{Detail, Inventory};

/// Returns a configuration with an endpoint that nobody serves.
async fn config() -> SdkConfig {
    let settings = aws::Settings {
        region: Some("eu-central-1".into()),
        endpoint_url: Some("http://127.0.0.1:1".into()),
        credentials: Some(Credentials::new("AKIDEXAMPLE", "secret-of-a-test", None, None, "test")),
        ..aws::Settings::default()
    };
    aws::config(&settings).await
}

/// Returns the reasons why STS, ELB and EKS cannot be read. Each reason must be [`Unreadable::Setup`].
async fn setup_failures(config: &SdkConfig) -> [String; 3] {
    let alb = Alb::new(config);
    let failures = [
        alb.caller().await.err(),
        alb.load_balancers(&Selector::Name("web".into()), Detail::Listed).await.err(),
        eks::describe(config, "shop").await.err(),
    ];
    failures.map(|failure| match failure {
        Some(Unreadable::Setup(why)) => why,
        other => panic!("not a setting: {other:?}"),
    })
}

#[tokio::test]
async fn endpoint_of_the_lab_ignores_fips_and_dual_stack() {
    let config = config().await;
    assert_eq!((config.use_fips(), config.use_dual_stack()), (Some(false), Some(false)));
}

#[tokio::test]
async fn settings_that_exclude_an_endpoint_are_named() {
    let config = config().await;
    let fips = config.clone().into_builder().use_fips(true).build();
    for why in setup_failures(&fips).await {
        assert!(why.contains("AWS_ENDPOINT_URL") && why.contains("AWS_USE_FIPS_ENDPOINT"), "{why}");
    }
    let dual = config.into_builder().use_dual_stack(true).build();
    for why in setup_failures(&dual).await {
        assert!(why.contains("AWS_ENDPOINT_URL") && why.contains("AWS_USE_DUALSTACK_ENDPOINT"), "{why}");
    }
}

#[tokio::test]
async fn missing_region_is_named_also_with_an_endpoint() {
    let config = config().await.into_builder().region(None).build();
    for why in setup_failures(&config).await {
        assert!(why.starts_with("no AWS region is set"), "{why}");
    }
}
