//! Transport and clock of the AWS SDK without sockets: the model responds, and the lab's time passes.

use std::time::{Duration, SystemTime};

use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;

use crate::adapter::clock::LabClock;
use crate::lab::body::ConnectionReset;
use crate::lab::model::{AwsAnswer, Delivery};
use crate::lab::shared_model::SharedModel;
use crate::port::Clock;

/// A connector that calls the model. Connect and read time-outs have no effect here; operation time-outs do.
#[derive(Clone)]
pub struct ModelConnector(SharedModel);

impl ModelConnector {
    /// Returns an HTTP client for the configuration of the SDK.
    pub fn client(model: SharedModel) -> SharedHttpClient {
        SharedHttpClient::new(Self(model))
    }

    /// Returns a connector for requests that no SDK client sends.
    pub fn connector(model: SharedModel) -> SharedHttpConnector {
        SharedHttpConnector::new(Self(model))
    }

    async fn exchange(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|e| ConnectorError::user(e.into()))?;
        let (mut head, body) = request.into_parts();
        // The value of this header is random and would make two runs with the same seed differ.
        head.headers.remove("amz-sdk-invocation-id");
        // Read the body to its end, because the SDK's stalled-stream protection fails the call otherwise.
        let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
        let request = http::Request::from_parts(head, body);
        let answer = self.0.change(|world, now| world.aws(&request, now));
        self.0.wait(answer.latency).await;
        deliver(answer)
    }
}

fn deliver(answer: AwsAnswer) -> Result<HttpResponse, ConnectorError> {
    match answer.delivery {
        Delivery::Answered => HttpResponse::try_from(answer.response.map(SdkBody::from))
            .map_err(|e| ConnectorError::other(e.into(), None)),
        Delivery::Lost | Delivery::Dropped | Delivery::AppliedLate(_) => {
            Err(ConnectorError::io(ConnectionReset.into()))
        }
    }
}

impl std::fmt::Debug for ModelConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for ModelConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().exchange(request))
    }
}

impl HttpClient for ModelConnector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// The lab's clock for the SDK, which uses it for dates of signatures and the expiry of credentials.
#[derive(Debug, Clone)]
pub struct LabTimeSource(LabClock);

impl LabTimeSource {
    /// Returns a time source for the configuration of the SDK.
    pub fn source(clock: LabClock) -> SharedTimeSource {
        SharedTimeSource::new(Self(clock))
    }
}

impl TimeSource for LabTimeSource {
    fn now(&self) -> SystemTime {
        let since = self.0.now().as_duration();
        SystemTime::UNIX_EPOCH + Duration::try_from(since).unwrap_or_default()
    }
}
