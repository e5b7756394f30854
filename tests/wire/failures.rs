//! Failed calls of the AWS adapter: each kind of failure gets its own error, which quotes nothing of the response.

use std::time::Duration;

use cutover::adapter::aws::elb::Alb;
use cutover::domain::elb;
use cutover::domain::elb::action::Action;
use cutover::domain::traffic::{RouteContent, RouteId, Unreadable};
use cutover::port::{Inventory, Traffic, WriteError};
use serde_json::{Value, json};

use crate::contract::aws::endpoint::hurried_alb;
use crate::proxy::{Proxy, Reply};

const RULE: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/web/1/2/3";
const GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/a/1";

macro_rules! error {
    ($code:literal, $message:literal) => {
        concat!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>",
            $code,
            "</Code><Message>",
            $message,
            "</Message></Error><RequestId>1</RequestId></ErrorResponse>"
        )
    };
}

/// Returns the adapter, with almost no pause before it retries a read.
async fn alb(url: &str) -> Alb {
    hurried_alb(url, 300.0).await
}

fn content(actions: Value) -> RouteContent {
    elb::content(&serde_json::from_value::<Vec<Action>>(actions).expect("the actions should be valid"))
}

fn forward() -> RouteContent {
    content(json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUP}]}}]))
}

/// Returns the errors of a read and of a write for the same response.
async fn errors_of_read_and_write(reply: fn() -> Reply) -> (Unreadable, WriteError) {
    let proxy = Proxy::start("http://127.0.0.1:1", move |_| reply()).await;
    let alb = alb(&proxy.url).await;
    let write =
        alb.set(&RouteId::rule(RULE), &forward(), Duration::from_mins(10)).await.expect_err("the call should fail");
    assert_eq!(proxy.take_requests().len(), 1, "a write must be sent exactly once");
    let read = alb
        .health(&[GROUP.to_owned()])
        .await
        .remove(GROUP)
        .expect("a result should exist")
        .expect_err("the call should fail");
    let tries = if matches!(read, Unreadable::Throttled | Unreadable::Unavailable(_)) { 1..=5 } else { 1..=1 };
    assert!(
        tries.contains(&proxy.take_requests().len()),
        "only transient errors may be retried: {} tries, {read:?}",
        proxy.take_requests().len()
    );
    (read, write)
}

#[tokio::test]
async fn each_answer_maps_to_its_error() {
    let text = |t: &str| t.to_owned();
    assert_eq!(
        errors_of_read_and_write(|| Reply::Answer(400, error!("Throttling", "Rate exceeded"))).await,
        (Unreadable::Throttled, WriteError::Throttled)
    );
    assert_eq!(
        errors_of_read_and_write(|| Reply::Answer(
            403,
            error!("ExpiredToken", "The security token included in the request is expired")
        ))
        .await,
        (
            Unreadable::Credentials(text("the credentials have expired; log in again (ExpiredToken)")),
            WriteError::Credentials(text("the credentials have expired; log in again (ExpiredToken)"))
        )
    );
    assert_eq!(
        errors_of_read_and_write(|| Reply::Answer(403, error!("AccessDenied", "User x is not authorized"))).await,
        (
            Unreadable::Denied(text("AccessDenied: User x is not authorized")),
            WriteError::Refused(text("access denied: AccessDenied: User x is not authorized"))
        )
    );
    assert_eq!(
        errors_of_read_and_write(|| Reply::Answer(400, error!("RuleNotFound", "gone"))).await,
        (Unreadable::NotFound(text("RuleNotFound: gone")), WriteError::NotFound(text("RuleNotFound: gone")))
    );
    assert_eq!(
        errors_of_read_and_write(|| Reply::Answer(400, error!("InvalidConfigurationRequest", "no"))).await,
        (
            Unreadable::Unavailable(text("InvalidConfigurationRequest: no")),
            WriteError::Refused(text("InvalidConfigurationRequest: no"))
        )
    );
    assert_eq!(
        errors_of_read_and_write(|| Reply::Answer(500, error!("InternalFailure", "oops"))).await,
        (Unreadable::Unavailable(text("InternalFailure: oops")), WriteError::Unanswered(text("InternalFailure: oops")))
    );
}

#[tokio::test]
async fn a_write_that_may_have_been_applied_is_unknown() {
    for reply in [
        || Reply::Answer(503, "<html><body>S3CRET</body></html>"),
        || Reply::Answer(403, "<html><body>S3CRET</body></html>"),
        || Reply::Answer(200, "S3CRET, but not XML"),
        || Reply::Close,
    ] {
        let (read, write) = errors_of_read_and_write(reply).await;
        assert!(matches!(write, WriteError::Unanswered(_)), "{write:?}");
        assert!(!format!("{read:?} {write:?}").contains("S3CRET"), "{read:?} {write:?}");
    }
}

/// A write has its own deadline; the deadline of a read is too long for a test.
#[tokio::test]
async fn a_write_without_an_answer_is_unknown_after_its_deadline() {
    let proxy = Proxy::start("http://127.0.0.1:1", |_| Reply::Hang).await;
    let write = alb(&proxy.url).await.set(&RouteId::rule(RULE), &forward(), Duration::from_millis(200)).await;
    assert!(matches!(write, Err(WriteError::Unanswered(_))), "{write:?}");
    assert_eq!(proxy.take_requests().len(), 1, "a write must be sent exactly once");
}

#[tokio::test]
async fn a_write_that_was_certainly_not_sent_is_refused() {
    let free =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port should exist");
    let alb = alb(&format!("http://{free}")).await;
    let redirect = content(json!([{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}]));
    let write = alb.set(&RouteId::rule(RULE), &redirect, Duration::from_secs(10)).await;
    let why = format!("{free} refused the connection");
    assert_eq!(write, Err(WriteError::NotSent(why.clone())));
    assert_eq!(alb.caller().await, Err(Unreadable::Unavailable(why)));
    assert!(matches!(
        alb.set(&RouteId::rule(RULE), &elb::content(&[]), Duration::from_secs(10)).await,
        Err(WriteError::Refused(_))
    ));
}
