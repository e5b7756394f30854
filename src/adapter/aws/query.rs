//! Sends single calls of the query protocol of IAM and EC2, signed, without an SDK client: each is used for one
//! operation. Do not add retries, which belong to the pace.

use std::marker::PhantomData;
use std::time::Duration;

use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use http::header;
use http_body_util::{BodyExt, Limited};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::elb::{CachedCredentials, response_failure};
use super::{credentials, endpoint};
use crate::adapter::calls::{CallOutcome, CallTimer};
use crate::adapter::network::{ConnectError, find};
use crate::domain::traffic::Unreadable;

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// The longest duration of a call with known credentials.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// The maximum size of a response, in bytes.
const MAX_RESPONSE_BYTES: usize = 4 << 20;

/// A service of the query protocol.
pub trait Service {
    /// The name of the service in the SDK, whose form in capitals ends the variable `AWS_ENDPOINT_URL_`.
    const ID: &'static str;
    /// The name of the service in signatures.
    const SIGNING_NAME: &'static str;
    /// The version of the API.
    const VERSION: &'static str;
    /// Returns the host of the service, and the region for signatures.
    fn host(config: &SdkConfig) -> Result<(String, String), String>;
}

/// Identity and Access Management.
pub struct Iam;

impl Service for Iam {
    const ID: &'static str = "IAM";
    const SIGNING_NAME: &'static str = "iam";
    const VERSION: &'static str = "2010-05-08";

    fn host(config: &SdkConfig) -> Result<(String, String), String> {
        endpoint::iam(config)
    }
}

/// Elastic Compute Cloud.
pub struct Ec2;

impl Service for Ec2 {
    const ID: &'static str = "EC2";
    const SIGNING_NAME: &'static str = "ec2";
    const VERSION: &'static str = "2016-11-15";

    fn host(config: &SdkConfig) -> Result<(String, String), String> {
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        Ok((endpoint::host(config, Self::SIGNING_NAME)?, region))
    }
}

/// A client of one service.
pub struct QueryClient<S> {
    credentials: CachedCredentials,
    time: SharedTimeSource,
    connector: SharedHttpConnector,
    /// The endpoint without a trailing slash and the region for signatures, or the reason why there is no endpoint.
    endpoint: Result<(String, String), String>,
    service: PhantomData<fn() -> S>,
}

impl<S: Service> QueryClient<S> {
    /// Creates a client with the configuration's credentials, region and endpoint.
    pub fn new(config: &SdkConfig, connector: SharedHttpConnector) -> Self {
        let endpoint = S::host(config);
        let endpoint = match (configured_endpoint(config, S::ID), endpoint) {
            (Some(url), host) => {
                let region = config.region().map(ToString::to_string).unwrap_or_default();
                Ok((url.trim_end_matches('/').to_owned(), host.map_or(region, |(_, region)| region)))
            }
            (None, host) => host.map(|(host, region)| (format!("https://{host}"), region)),
        };
        Self {
            credentials: CachedCredentials::new(config.credentials_provider(), config.time_source()),
            time: config.time_source().unwrap_or_default(),
            connector,
            endpoint,
            service: PhantomData,
        }
    }

    /// Sends a call and returns its response.
    pub async fn send(&self, action: &str, parameters: &[(String, String)]) -> Result<Response, Unreadable> {
        let (url, region) =
            self.endpoint.as_ref().map_err(|why| Unreadable::Setup(format!("{} has no endpoint: {why}", S::ID)))?;
        let request = self.signed(url, region, action, parameters).await?;
        let timer = CallTimer::start();
        let exchange = tokio::time::timeout(CALL_TIMEOUT, self.exchange(request));
        let answer = exchange.await.unwrap_or_else(|_| Err(Unreadable::Unavailable("no response in time".to_owned())));
        let outcome = CallOutcome::from_status(answer.as_ref().ok().map(|(status, _)| *status));
        let answer = answer.and_then(|(status, text)| read(status, text));
        let throttled = matches!(answer, Err(Unreadable::Throttled));
        timer.finish(S::ID, action, if throttled { CallOutcome::Throttled } else { outcome });
        if matches!(answer, Err(Unreadable::Credentials(_))) {
            self.credentials.forget().await;
        }
        answer
    }

    async fn exchange(&self, request: HttpRequest) -> Result<(u16, String), Unreadable> {
        let answer = self.connector.call(request).await.map_err(|error| match find::<ConnectError>(&error) {
            Some(why) if !why.is_temporary() => Unreadable::Setup(why.to_string()),
            Some(why) => Unreadable::Unavailable(why.to_string()),
            None if error.is_timeout() => Unreadable::Unavailable("no response in time".to_owned()),
            None => Unreadable::Unavailable("the connection failed".to_owned()),
        })?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), MAX_RESPONSE_BYTES).collect().await;
        let body = body.map_err(|_| Unreadable::Unavailable("the response is incomplete".to_owned()))?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    async fn signed(
        &self,
        url: &str,
        region: &str,
        action: &str,
        parameters: &[(String, String)],
    ) -> Result<HttpRequest, Unreadable> {
        let found = self.credentials.provide_credentials().await;
        let found = found.map_err(|why| Unreadable::Credentials(credentials::explain(&why)))?;
        let wrong = |what: &dyn std::fmt::Display| {
            Unreadable::Setup(format!("a request to {} cannot be signed: {what}", S::ID))
        };
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let more = parameters.iter().map(|(name, value)| format!("&{}={}", encoded(name), encoded(value)));
        let body = format!("Action={action}&Version={}{}", encoded(S::VERSION), more.collect::<String>());
        let url = format!("{url}/");
        let identity = found.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(S::SIGNING_NAME)
            .time(self.time.now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|e| wrong(&e))?
            .into();
        let headers = [("content-type", FORM)];
        let signable = SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()));
        let signature = http_request::sign(signable.map_err(|e| wrong(&e))?, &params);
        let signature = signature.map_err(|e| wrong(&e))?.into_parts().0;
        let request = http::Request::post(&url)
            .header(header::CONTENT_TYPE, FORM)
            .header(header::USER_AGENT, concat!("cutover/", env!("CARGO_PKG_VERSION")))
            .header(header::CONTENT_LENGTH, body.len());
        let mut request = request.body(SdkBody::from(body)).map_err(|e| wrong(&e))?;
        signature.apply_to_request_http1x(&mut request);
        HttpRequest::try_from(request).map_err(|e| wrong(&e))
    }
}

/// Returns the endpoint URL of the environment or the AWS profile for a service, as the clients of the SDK find theirs.
fn configured_endpoint(config: &SdkConfig, id: &str) -> Option<String> {
    let key =
        ServiceConfigKey::builder().service_id(id).env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok()?;
    let own = || config.service_config().and_then(|service| service.load_config(key));
    let common = || config.endpoint_url().map(str::to_owned);
    if config.get_origin("endpoint_url").is_client_config() { common() } else { own().or_else(common) }
}

/// The XML text of a successful response.
#[derive(Debug)]
pub struct Response(String);

impl Response {
    /// Returns the text of the first element with this name.
    pub fn text(&self, name: &str) -> Option<String> {
        let document = roxmltree::Document::parse(&self.0).ok()?;
        let element = document.descendants().find(|node| node.tag_name().name() == name)?;
        element.text().map(str::to_owned)
    }

    /// Returns the texts of these children of each item of a list; an empty text for a child that does not exist.
    pub fn items<const N: usize>(&self, list: &str, children: [&str; N]) -> Vec<[String; N]> {
        let Ok(document) = roxmltree::Document::parse(&self.0) else { return Vec::new() };
        let list = document.descendants().find(|node| node.tag_name().name() == list);
        let items = list.into_iter().flat_map(|list| list.children().filter(|node| node.tag_name().name() == "item"));
        let child = |item: roxmltree::Node<'_, '_>, name: &str| {
            let found = item.children().find(|node| node.tag_name().name() == name);
            found.and_then(|node| node.text()).unwrap_or_default().to_owned()
        };
        items.map(|item| children.map(|name| child(item, name))).collect()
    }
}

fn read(status: u16, text: String) -> Result<Response, Unreadable> {
    let error = Response(text);
    if (200..300).contains(&status) {
        return match roxmltree::Document::parse(&error.0) {
            Ok(_) => Ok(error),
            Err(_) => Err(Unreadable::Unavailable(format!("the response cannot be read (HTTP {status})"))),
        };
    }
    let (code, message) = (error.text("Code"), error.text("Message"));
    if code.as_deref() == Some("NoSuchEntity") {
        return Err(Unreadable::NotFound(message.unwrap_or_default()));
    }
    Err(response_failure(code.as_deref(), message.as_deref(), Some(status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_of_both_services_are_read() {
        let iam = "<ErrorResponse><Error><Code>NoSuchEntity</Code><Message>gone</Message></Error></ErrorResponse>";
        assert!(matches!(read(404, iam.to_owned()), Err(Unreadable::NotFound(_))));
        let denied = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>";
        assert!(matches!(read(403, denied.to_owned()), Err(Unreadable::Denied(_))));
        let busy = "<Response><Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors></Response>";
        assert_eq!(read(503, busy.to_owned()).map(|_| ()), Err(Unreadable::Throttled));
        assert!(matches!(read(200, "<html><br></html>".to_owned()), Err(Unreadable::Unavailable(_))));
        let subnets =
            "<R xmlns=\"urn:x\"><subnetSet><item><subnetId>a</subnetId><free>7</free></item><item/></subnetSet></R>";
        let found = read(200, subnets.to_owned()).map(|answer| answer.items("subnetSet", ["subnetId", "free"]));
        let expected = [["a", "7"], ["", ""]].map(|item| item.map(str::to_owned)).to_vec();
        assert_eq!(found, Ok(expected));
    }
}
