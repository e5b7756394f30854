//! A small HTTP client: one request, a response of limited size, and no header value in any message.
//!
//! Proxies and certificates come from the network environment. Do not configure them here.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;

use crate::adapter::calls::{CallOutcome, CallTimer};
use crate::adapter::network::{Client, Network};
use crate::base::redact;
use crate::plan::model::metric::{Header, HeaderValue as Value};

/// The maximum size of a response, in bytes.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// A small HTTP client that opens connections on first use.
pub struct HttpClient {
    network: Arc<Network>,
    client: OnceLock<Client<Full<Bytes>>>,
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::over(Network::process())
    }
}

/// One HTTP request.
pub struct HttpRequest<'a> {
    /// The service and the operation for the counters; `None` if the request is not counted.
    pub counted_as: Option<(&'static str, &'a str)>,
    /// The URL of the request.
    pub url: &'a str,
    /// The content type and the body of a POST; `None` means a GET.
    pub post: Option<(&'static str, String)>,
    /// The headers from the plan.
    pub headers: &'a [Header],
    /// Additional headers.
    pub more_headers: HeaderMap,
    /// The time-out of the complete exchange.
    pub timeout: Duration,
}

impl HttpClient {
    /// Creates a client that uses this network environment.
    pub fn over(network: Arc<Network>) -> Self {
        Self { network, client: OnceLock::new() }
    }

    /// Sends a request. Returns the status and the body, or why there is no response.
    pub async fn send(&self, settings: HttpRequest<'_>) -> Result<(StatusCode, Bytes), String> {
        let client = self.client.get_or_init(|| self.network.client());
        let request = build_request(&settings)?;
        let exchange = async {
            let response = client.request(request).await.map_err(|e| innermost_cause(&e))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES)
                .collect()
                .await
                .map_err(|_| "the response is incomplete or longer than 1 MiB")?;
            Ok((status, body.to_bytes()))
        };
        let timer = CallTimer::start();
        let answer = tokio::time::timeout(settings.timeout, exchange).await;
        if let Some((service, operation)) = settings.counted_as {
            timer.finish(
                service,
                operation,
                CallOutcome::from_status(
                    answer.as_ref().ok().and_then(|a| a.as_ref().ok()).map(|(status, _)| status.as_u16()),
                ),
            );
        }
        answer.unwrap_or_else(|_| Err(format!("no response within {} s", settings.timeout.as_secs_f64())))
    }
}

fn build_request(settings: &HttpRequest<'_>) -> Result<Request<Full<Bytes>>, String> {
    let uri: Uri = settings.url.parse().map_err(|_| format!("`{}` is not a valid URL", redact::clean(settings.url)))?;
    let body = settings.post.as_ref().map(|(_, text)| text.clone()).unwrap_or_default();
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = if settings.post.is_some() { Method::POST } else { Method::GET };
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("cutover/", env!("CARGO_PKG_VERSION"))));
    if let Some((kind, _)) = settings.post {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    headers.extend(settings.more_headers.clone());
    settings.headers.iter().try_for_each(|header| add_header(headers, header))?;
    Ok(request)
}

/// Reads the value of a header, which is removed from every text from then on.
pub fn header_value(Header { name, value }: &Header) -> Result<String, String> {
    let text = match value {
        Value::Plain(text) => text.clone(),
        Value::Env(variable) => std::env::var(variable)
            .map_err(|_| format!("the environment variable {variable} for the header {name} is not set"))?,
        Value::File(path) => {
            std::fs::read_to_string(path).map_err(|e| format!("{path}, for the header {name}: {e}"))?
        }
    };
    redact::remember_header(&text);
    Ok(text)
}

/// Adds a header. No message contains the value, because it may be a secret from any source.
fn add_header(headers: &mut HeaderMap, header: &Header) -> Result<(), String> {
    let name = &header.name;
    let text = header_value(header)?;
    let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is not a valid header name"))?;
    let mut value =
        HeaderValue::from_str(text.trim()).map_err(|_| format!("the value of the header {name} is not valid"))?;
    value.set_sensitive(true);
    headers.insert(key, value);
    Ok(())
}

/// Returns the innermost cause, which is the most specific one, without credentials.
fn innermost_cause(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    redact::clean(&inner.to_string()).into_owned()
}
