//! The HTTP server of the proxy: it parses requests of the query protocol and passes all others on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::{Inside, Refusal};
use crate::proxy::decode;

/// One request to AWS.
#[derive(Clone, Debug)]
pub struct AwsRequest {
    /// The access key that signed the request.
    pub key: String,
    /// The service name in the signature: `elasticloadbalancing`, `eks`, `sts`, …
    pub service: String,
    /// The operation of the query protocol, such as `DescribeRules`; for other protocols, method and path.
    pub action: String,
    /// Parameters of the query protocol, decoded.
    pub parameters: BTreeMap<String, String>,
}

struct Proxy {
    upstream: String,
    onward: Client<HttpConnector, Full<Bytes>>,
    inside: Arc<Mutex<Inside>>,
}

/// Serves on a free port; returns the URL.
pub fn serve(upstream: &str, inside: Arc<Mutex<Inside>>, runtime: &Handle) -> String {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port should exist");
    let url = format!("http://{}", listener.local_addr().expect("the listener should have an address"));
    let onward = Client::builder(TokioExecutor::new()).build_http();
    let proxy = Arc::new(Proxy { upstream: upstream.to_owned(), onward, inside });
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let proxy = Arc::clone(&proxy);
            let service = service_fn(move |request| answer(Arc::clone(&proxy), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

/// Responds to one request; an error closes the connection.
async fn answer(proxy: Arc<Proxy>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, &'static str> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| "torn")?.to_bytes();
    let request = parse_request(&parts, &body);
    let json = request.service == "eks";
    let refused = proxy.inside.lock().unwrap_or_else(PoisonError::into_inner).record(request.clone());
    if let Some(refusal) = refused {
        return refuse(refusal, json);
    }
    let own = proxy.inside.lock().unwrap_or_else(PoisonError::into_inner).own_response(&request);
    if let Some(response) = own {
        return Ok(Response::new(Full::from(response)));
    }
    let mut onward = Request::builder().method(parts.method).uri(format!("{}{}", proxy.upstream, parts.uri));
    for (name, value) in &parts.headers {
        onward = onward.header(name, value);
    }
    let onward = onward.body(Full::from(body)).map_err(|_| "not a request")?;
    let (parts, body) = proxy.onward.request(onward).await.map_err(|_| "no upstream")?.into_parts();
    let body = body.collect().await.map_err(|_| "torn")?.to_bytes();
    let text = String::from_utf8(body.to_vec()).map_err(|_| "not text")?;
    let text = if parts.status.is_success() {
        proxy.inside.lock().unwrap_or_else(PoisonError::into_inner).correct(&request, text)
    } else {
        text
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = parts.status;
    for (name, value) in
        parts.headers.iter().filter(|(name, _)| *name != "content-length" && *name != "transfer-encoding")
    {
        response.headers_mut().insert(name, value.clone());
    }
    Ok(response)
}

fn refuse(Refusal(status, code, message): Refusal, json: bool) -> Result<Response<Full<Bytes>>, &'static str> {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>injected</RequestId></ErrorResponse>"
    );
    let body = if json { serde_json::json!({"message": message}).to_string() } else { body };
    let mut response = Response::new(Full::from(body));
    if json {
        response.headers_mut().insert("x-amzn-errortype", http::HeaderValue::from_static(code));
    }
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_| "no such status")?;
    Ok(response)
}

fn parse_request(parts: &http::request::Parts, body: &[u8]) -> AwsRequest {
    let header = parts.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let scope = header.split("Credential=").nth(1).unwrap_or_default().split(',').next().unwrap_or_default();
    let mut scope = scope.split('/');
    let key = scope.next().unwrap_or_default().to_owned();
    let service = scope.nth(2).unwrap_or_default().to_owned();
    let parameters = decode(body);
    let action = parameters.get("Action").cloned().unwrap_or_else(|| format!("{} {}", parts.method, parts.uri.path()));
    AwsRequest { key, service, action, parameters }
}
