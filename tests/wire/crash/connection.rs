//! The connection of one program: counts requests, records writes, and kills the program at one of the requests.

use std::collections::BTreeSet;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::proxy::decode;

/// When the program is killed, relative to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The request was sent and does not arrive.
    Sent,
    /// The request is executed, and its response does not arrive.
    Applied,
    /// The response is on its way; the program may or may not act on it.
    Answered,
}

/// A write to one route: the weights by group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteWrite {
    pub route: String,
    pub weights: Vec<(String, u16)>,
}

/// The connection of one lane, which is a load balancer with its plan.
#[derive(Default)]
pub struct Connection {
    state: Mutex<ConnectionState>,
    /// Locked for reading by all connections and requests in progress.
    busy: Arc<RwLock<()>>,
}

#[derive(Default)]
struct ConnectionState {
    requests: Vec<String>,
    kill_at: Option<(usize, Moment)>,
    killed_at: Option<String>,
    program: Option<Child>,
    written: Vec<RouteWrite>,
    /// Every credential in the requests: signatures, session tokens and bearer tokens.
    credentials: BTreeSet<String>,
    /// With `Some(n)`, every n-th request is refused with a response that quotes its headers.
    quote: Option<usize>,
    /// A text that is replaced in responses, and its replacement.
    replacement: Option<(String, String)>,
}

impl Connection {
    /// Refuses every n-th request, or with `None` no request, with a response that quotes all its headers.
    pub fn quote_in_refusals(&self, one_in: Option<usize>) {
        self.state().quote = one_in;
    }

    /// Replaces `what` by `instead` in responses.
    pub fn replace_in_answers(&self, what: &str, instead: &str) {
        self.state().replacement = Some((what.to_owned(), instead.to_owned()));
    }

    /// Returns every credential so far.
    pub fn credentials(&self) -> BTreeSet<String> {
        self.state().credentials.clone()
    }

    /// Opens a proxy in front of `upstream` and returns its URL for the program.
    pub async fn start_proxy(self: &Arc<Self>, upstream: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port should exist");
        let url = format!("http://{}", listener.local_addr().expect("the listener should have an address"));
        let (wire, upstream) = (Arc::clone(self), upstream.to_owned());
        let onward = Client::builder(TokioExecutor::new()).build_http();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (wire, upstream, onward) = (Arc::clone(&wire), upstream.clone(), onward.clone());
                let busy = Arc::new(Arc::clone(&wire.busy).read_owned().await);
                let answer = service_fn(move |request| {
                    handle_request(Arc::clone(&wire), upstream.clone(), onward.clone(), request, Arc::clone(&busy))
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        url
    }

    /// Sets the next program, and the request (from 0) at which it is killed.
    pub fn set_program(&self, program: Child, kill_at: Option<(usize, Moment)>) {
        let mut state = self.state();
        (state.program, state.kill_at, state.killed_at) = (Some(program), kill_at, None);
        state.requests.clear();
    }

    /// Waits until the program has closed its output and all its requests are done. Returns the program, and the
    /// request at which it was killed.
    pub async fn take_program(&self) -> (Child, Option<String>) {
        drop(self.busy.write().await);
        let mut state = self.state();
        (state.program.take().expect("the program should have started"), state.killed_at.take())
    }

    /// Returns the requests of the present program, in order.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// Returns every write since the last call, in order.
    pub fn written(&self) -> Vec<RouteWrite> {
        std::mem::take(&mut self.state().written)
    }

    fn state(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request; returns whether and when the program must be killed.
    fn count_request(&self, what: &str) -> Option<Moment> {
        let mut state = self.state();
        state.requests.push(what.to_owned());
        let (number, moment) = state.kill_at?;
        (state.requests.len() == number + 1).then_some(moment)
    }

    /// Records the credentials of a request. Refuses the request if it is an n-th request.
    fn refuse(&self, parts: &Parts) -> Option<Response<Full<Bytes>>> {
        let mut state = self.state();
        let all: Vec<_> =
            parts.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())).collect();
        for (name, value) in &all {
            match *name {
                "authorization" => state.credentials.extend(value.rsplit(['=', ' ']).next().map(str::to_owned)),
                "x-amz-security-token" => drop(state.credentials.insert((*value).to_owned())),
                _ => {}
            }
        }
        let (number, one_in) = (state.requests.len(), state.quote?);
        if !number.is_multiple_of(one_in) {
            return None;
        }
        let quoted = all.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(" ");
        let status = [400, 403, 500, 503][number / one_in % 4];
        let body = if parts.uri.path() == "/" {
            format!(
                "<ErrorResponse><Error><Code>Odd</Code><Message>you sent {quoted}</Message></Error></ErrorResponse>"
            )
        } else {
            let message = format!("you sent {quoted}");
            serde_json::json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "Odd",
                "code": status,
            })
            .to_string()
        };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        Some(response)
    }

    fn kill(&self, what: &str) {
        let mut state = self.state();
        if let Some(program) = &mut state.program {
            let _ = program.kill();
            state.killed_at = Some(what.to_owned());
        }
    }
}

/// Passes a request to the upstream; an error closes the connection.
async fn handle_request(
    wire: Arc<Connection>,
    upstream: String,
    onward: Client<HttpConnector, Full<Bytes>>,
    request: Request<Incoming>,
    busy: Arc<OwnedRwLockReadGuard<()>>,
) -> Result<Response<Full<Bytes>>, &'static str> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| "torn")?.to_bytes();
    // The connection's task ends with its client, but the request is still executed and recorded.
    let carried = async move {
        let _busy = busy;
        forward_request(wire, upstream, onward, parts, body).await
    };
    tokio::spawn(carried).await.map_err(|_| "a panic")?
}

async fn forward_request(
    wire: Arc<Connection>,
    upstream: String,
    onward: Client<HttpConnector, Full<Bytes>>,
    parts: Parts,
    body: Bytes,
) -> Result<Response<Full<Bytes>>, &'static str> {
    let text = String::from_utf8_lossy(&body).into_owned();
    let action = text.split('&').find_map(|pair| pair.strip_prefix("Action="));
    let what = action.map_or_else(|| format!("{} {}", parts.method, parts.uri.path()), str::to_owned);
    let moment = wire.count_request(&what);
    if let Some(refusal) = wire.refuse(&parts) {
        return Ok(refusal);
    }
    if moment == Some(Moment::Sent) {
        wire.kill(&what);
        return Err("killed before it arrived");
    }
    let mut request = Request::builder().method(parts.method).uri(format!("{upstream}{}", parts.uri));
    for (name, value) in &parts.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::from(body)).map_err(|_| "not a request")?;
    let (parts, body) = onward.request(request).await.map_err(|_| "no upstream")?.into_parts();
    let body = body.collect().await.map_err(|_| "torn")?.to_bytes();
    if parts.status.is_success() && matches!(what.as_str(), "ModifyListener" | "ModifyRule") {
        wire.state().written.push(written(&text));
    }
    match moment {
        Some(Moment::Applied) => {
            wire.kill(&what);
            return Err("killed before the answer");
        }
        Some(_) => {
            let wire = Arc::clone(&wire);
            tokio::spawn(async move { wire.kill(&what) });
        }
        None => {}
    }
    let replacement = wire.state().replacement.clone();
    let body = replacement
        .map_or(body.clone(), |(what, instead)| String::from_utf8_lossy(&body).replace(&what, &instead).into());
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = parts.status;
    for (name, value) in
        parts.headers.iter().filter(|(name, _)| *name != "content-length" && *name != "transfer-encoding")
    {
        response.headers_mut().insert(name, value.clone());
    }
    Ok(response)
}

/// Parses the form of a ModifyListener or ModifyRule call.
fn written(form: &str) -> RouteWrite {
    let form = decode(form.as_bytes());
    let value = |wanted: &str| form.get(wanted).cloned();
    let groups = form.iter().filter_map(|(key, arn)| Some((key.strip_suffix(".TargetGroupArn")?, arn)));
    let groups = groups.filter(|(key, _)| key.contains("ForwardConfig"));
    let weight = |key: &str| value(&format!("{key}.Weight")).and_then(|w| w.parse().ok()).unwrap_or(1);
    let mut weights: Vec<_> = groups.map(|(key, arn)| (name(arn), weight(key))).collect();
    weights.sort();
    RouteWrite { route: value("RuleArn").or_else(|| value("ListenerArn")).unwrap_or_default(), weights }
}

/// Returns the last word of a target group's name: `a`, `b` or `default`.
pub fn name(arn: &str) -> String {
    let name = arn.split('/').nth(1).unwrap_or(arn);
    name.rsplit('-').next().unwrap_or(name).to_owned()
}
