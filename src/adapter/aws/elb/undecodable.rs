//! Repeats reads whose successful response cannot be decoded, such as a page of a proxy or a damaged body. The SDK does
//! not repeat them. Without this, an operation of many pages would start again whenever one page is damaged.

use std::error::Error;

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

use super::failure::unknown_element;

/// The retry rule for these responses. Only for reads: a write whose response cannot be decoded may have taken effect.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryUndecodable;

impl ClassifyRetry for RetryUndecodable {
    fn classify_retry(&self, call: &InterceptorContext) -> RetryAction {
        let succeeded = call.response().is_some_and(|response| response.status().is_success());
        match call.output_or_error() {
            Some(Err(error)) if succeeded && unknown_element(error as &(dyn Error + 'static)).is_none() => {
                RetryAction::transient_error()
            }
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "responses that cannot be decoded"
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
    use aws_smithy_runtime_api::client::http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
    use aws_smithy_types::body::SdkBody;
    use aws_types::SdkConfig;
    use aws_types::region::Region;

    use crate::adapter::aws::elb::Alb;
    use crate::domain::traffic::{RouteId, Unreadable};
    use crate::port::{Traffic, WriteError};

    /// A fake API that returns these responses in turn.
    #[derive(Debug, Clone)]
    struct Api(Arc<[&'static str]>, Arc<AtomicUsize>);

    impl HttpConnector for Api {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let body = self.0[self.1.fetch_add(1, Ordering::Relaxed) % self.0.len()];
            HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::from(body))))
        }
    }

    impl HttpClient for Api {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(self.clone())
        }
    }

    fn alb(responses: &[&'static str]) -> (Alb, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let config = SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .http_client(Api(responses.into(), Arc::clone(&calls)))
            .build();
        (Alb::new(&config), calls)
    }

    const PAGE: &str = "<html><body>Sign in<p></body></html>";
    const HEALTH: &str = "<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions>\
         </TargetHealthDescriptions></DescribeTargetHealthResult></DescribeTargetHealthResponse>";
    const RULE: &str = "<DescribeRulesResponse><DescribeRulesResult><Rules><member><RuleArn>arn:1</RuleArn>\
         <Priority>1</Priority><IsDefault>false</IsDefault><Actions><member><Type>forward</Type><Order>1</Order>\
         <TargetGroupArn>arn:g</TargetGroupArn></member></Actions></member></Rules></DescribeRulesResult>\
         </DescribeRulesResponse>";

    #[tokio::test(start_paused = true)]
    async fn reads_are_repeated_after_responses_that_cannot_be_decoded() {
        for damaged in [PAGE, "", "{\"x\": <DescribeRulesResult>", &RULE[..200]] {
            let (alb, _) = alb(&[damaged, damaged, RULE]);
            let id = RouteId::rule("arn:1");
            assert_eq!(alb.routes(std::slice::from_ref(&id)).await[&id].as_ref().err(), None, "{damaged}");
        }
        let (alb, calls) = alb(&[PAGE, HEALTH]);
        assert_eq!(alb.health(&["arn:g".to_owned()]).await["arn:g"], Ok(Vec::new()));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn responses_that_can_never_be_decoded_are_temporary_failures() {
        let (alb, calls) = alb(&[PAGE]);
        let id = RouteId::rule("arn:1");
        let unread = Unreadable::Unavailable("the response cannot be read (HTTP 200)".into());
        assert_eq!(alb.routes(std::slice::from_ref(&id)).await[&id], Err(unread.clone()));
        assert_eq!(alb.health(&["arn:g".to_owned()]).await["arn:g"], Err(unread));
        assert_eq!(calls.load(Ordering::Relaxed), 10, "each call has five tries");
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_elements_and_writes_are_not_repeated() {
        let newer: &'static str = RULE.replace("<Order>1</Order>", "<Quantum/>").leak();
        let (alb, calls) = alb(&[newer]);
        let id = RouteId::rule("arn:1");
        assert!(matches!(alb.routes(std::slice::from_ref(&id)).await[&id], Err(Unreadable::Unrepresentable(_))));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        let (reads, _) = self::alb(&[RULE]);
        let content = reads.routes(std::slice::from_ref(&id)).await[&id].clone().expect("the route is readable");
        let (writes, calls) = self::alb(&[PAGE]);
        let written = writes.set(&id, &content, std::time::Duration::from_secs(5)).await;
        assert!(matches!(written, Err(WriteError::Unanswered(_))), "{written:?}");
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
}
