//! A proxy in front of an endpoint, which records requests and can replace responses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinHandle};

/// A request of the AWS query protocol: `Action` and all other parameters, decoded.
pub type QueryRequest = BTreeMap<String, String>;

/// How the proxy handles a request.
pub enum Reply {
    /// Forwards the request.
    Pass,
    /// Forwards the request and changes the body of the response.
    Change(fn(String) -> String),
    /// Responds with this status and body, without forwarding.
    Answer(u16, &'static str),
    /// Reads the request and never responds.
    Hang,
    /// Reads the request and closes the connection.
    Close,
}

type Rule = Arc<dyn Fn(&QueryRequest) -> Reply + Send + Sync>;

/// A proxy, which stops when the value is dropped.
pub struct Proxy {
    /// The URL of the proxy.
    pub url: String,
    requests: Arc<Mutex<Vec<QueryRequest>>>,
    serving: AbortHandle,
}

impl Proxy {
    /// Starts a proxy in front of `upstream`; `rule` decides about each request.
    pub async fn start(upstream: &str, rule: impl Fn(&QueryRequest) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port should exist");
        let url = format!("http://{}", listener.local_addr().expect("the listener should have an address"));
        let requests = Arc::default();
        let serving: JoinHandle<()> =
            tokio::spawn(serve(listener, upstream.to_owned(), Arc::new(rule), Arc::clone(&requests)));
        Self { url, requests, serving: serving.abort_handle() }
    }

    /// Returns the requests since the last call.
    pub fn take_requests(&self) -> Vec<QueryRequest> {
        std::mem::take(&mut self.requests.lock().expect("no thread should have panicked"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, upstream: String, rule: Rule, log: Arc<Mutex<Vec<QueryRequest>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (upstream, rule, log) = (upstream.clone(), Arc::clone(&rule), Arc::clone(&log));
        let answer = service_fn(move |request| answer(request, upstream.clone(), Arc::clone(&rule), Arc::clone(&log)));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

/// Responds to one request; an error closes the connection.
async fn answer(
    request: Request<Incoming>,
    upstream: String,
    rule: Rule,
    log: Arc<Mutex<Vec<QueryRequest>>>,
) -> Result<Response<Full<Bytes>>, &'static str> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| "torn")?.to_bytes();
    let request = decode(&body);
    let reply = rule(&request);
    log.lock().map_err(|_| "poisoned")?.push(request);
    let change: fn(String) -> String = match reply {
        Reply::Pass => |body| body,
        Reply::Change(change) => change,
        Reply::Hang => std::future::pending().await,
        Reply::Close => return Err("closed by the rule"),
        Reply::Answer(status, text) => {
            let mut response = Response::new(Full::from(text));
            *response.status_mut() = StatusCode::from_u16(status).map_err(|_| "no such status")?;
            return Ok(response);
        }
    };
    let mut onward = Request::post(format!("{upstream}/"));
    for (name, value) in &parts.headers {
        onward = onward.header(name, value);
    }
    let onward = onward.body(Full::<Bytes>::from(body)).map_err(|_| "not a request")?;
    let from = Client::builder(TokioExecutor::new()).build_http().request(onward).await.map_err(|_| "no upstream")?;
    let status = from.status();
    let text = from.into_body().collect().await.map_err(|_| "torn")?.to_bytes();
    let mut response = Response::new(Full::from(change(String::from_utf8_lossy(&text).into_owned())));
    *response.status_mut() = status;
    Ok(response)
}

/// Decodes the parameters of a form.
pub fn decode(body: &[u8]) -> QueryRequest {
    let text = String::from_utf8_lossy(body).into_owned();
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (percent(k), percent(v))).collect()
}

fn percent(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}
