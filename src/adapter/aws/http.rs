//! Connects the AWS clients to the HTTP client of this process. Do not configure proxies or certificates here.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;

use super::READ_TIMEOUT;
use crate::adapter::network::{CONNECT_TIMEOUT, Client, ConnectError, Network, find};

/// The longest wait for the first response of a host. Two tries then take about 15 s.
const FIRST_RESPONSE_TIMEOUT: Duration = Duration::from_secs(7);

/// Creates the HTTP client for all AWS services, with one pool of connections.
pub fn client(network: &Arc<Network>) -> SharedHttpClient {
    SharedHttpClient::new(Http { client: network.client(), read: None })
}

/// Creates a connector for requests that no SDK client sends.
pub fn connector(network: &Arc<Network>) -> SharedHttpConnector {
    SharedHttpConnector::new(Http { client: network.client(), read: Some(READ_TIMEOUT) })
}

#[derive(Clone)]
struct Http {
    client: Client<SdkBody>,
    /// The longest wait for the first byte of a response.
    read: Option<Duration>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("read", &self.read).finish_non_exhaustive()
    }
}

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        // Only the metadata services of EC2 and ECS, and logins, set their own limit.
        let client = match settings.connect_timeout().filter(|limit| *limit < CONNECT_TIMEOUT) {
            Some(limit) => self.client.within(limit),
            None => self.client.clone(),
        };
        SharedHttpConnector::new(Self { client, read: settings.read_timeout() })
    }
}

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { client, read } = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|e| ConnectorError::user(e.into()))?;
            let is_first = !client.has_responded(request.uri());
            let read = read.map(|limit| if is_first { limit.min(FIRST_RESPONSE_TIMEOUT) } else { limit });
            let answer = client.request(request);
            let answer = match read {
                Some(limit) => {
                    tokio::time::timeout(limit, answer).await.map_err(|e| ConnectorError::timeout(e.into()))?
                }
                None => answer.await,
            };
            let answer = answer.map_err(|error| to_connector_error(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|e| ConnectorError::other(e.into(), None))
        })
    }
}

/// Converts an error so that the SDK does not retry. The SDK retries reads after every error except `other` without a
/// kind, but callers retry connections themselves, and 25 tries would take a minute.
fn to_connector_error(error: Box<dyn std::error::Error + Send + Sync>) -> ConnectorError {
    if find::<ConnectError>(&*error).is_some() {
        return ConnectorError::other(error, None);
    }
    match find::<hyper::Error>(&*error) {
        Some(http) if http.is_user() => ConnectorError::user(error),
        Some(http) if http.is_incomplete_message() => ConnectorError::other(error, Some(ErrorKind::TransientError)),
        _ => ConnectorError::io(error),
    }
}
