//! The lines of a process to the load balancers, the clusters and the store: each call is counted, and may get a fault.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use cutover::adapter::haproxy::{Connect, Stream};
use cutover::lab::body::ConnectionReset;
use cutover::lab::shared_model::SharedModel;
use cutover::lab::virtual_time::KubeTransport;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use hyper::body::Bytes;
use kube::client::Body;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;
use tower::{BoxError, Service, ServiceExt};

use super::bugs::Bug;
use super::checker::Checker;
use super::plan::MORTAL;

/// How long all calls are throttled.
const THROTTLED_FOR: Duration = Duration::from_secs(7);
/// The delay of a slow answer, and of a call that is carried out after its caller has given up.
const LATE: Duration = Duration::from_secs(5);

/// The checker looks at the items of the hand-over at every call of this number that only reads.
const ITEMS_EVERY: u64 = 16;

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The process dies before the call is sent.
    DiesBefore,
    /// The process dies after the call was carried out.
    DiesAfter,
    /// The process dies, and the call is carried out five seconds later.
    DiesLate,
    /// The call is carried out, and its answer is lost.
    Lost,
    /// The call fails.
    Failed,
    /// All calls are throttled for some time.
    Throttled,
    /// The answer comes late.
    Slow,
    /// The connection is reset, and the call is carried out five seconds later.
    Late,
    /// The call is not carried out, and has no answer.
    Silent,
    /// The disk of the store is full for some time.
    DiskFull,
    /// The new cluster's targets of this workload die.
    Kills(&'static str),
}

pub const KINDS: [(Kind, &str); 10] = [
    (Kind::DiesBefore, "dies-before"),
    (Kind::DiesAfter, "dies-after"),
    (Kind::DiesLate, "dies-late"),
    (Kind::Lost, "lost"),
    (Kind::Failed, "failed"),
    (Kind::Throttled, "throttled"),
    (Kind::Slow, "slow"),
    (Kind::Late, "late"),
    (Kind::Silent, "silent"),
    (Kind::DiskFull, "disk-full"),
];

/// A fault at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The number of the call in the whole migration, from 1.
    pub call: u64,
    pub kind: Kind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Kind::Kills(workload) = self.kind {
            return write!(f, "{}:kills-{workload}", self.call);
        }
        let name = KINDS.iter().find(|(kind, _)| *kind == self.kind).map_or("?", |(_, name)| name);
        write!(f, "{}:{name}", self.call)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (call, name) = text.split_once(':').ok_or("a fault is CALL:KIND")?;
        let killed = name.strip_prefix("kills-").and_then(|name| MORTAL.into_iter().find(|known| *known == name));
        let known = KINDS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind);
        let kind = killed.map(Kind::Kills).or(known).ok_or_else(|| format!("no fault `{name}`"))?;
        Ok(Self { call: call.parse().map_err(|_| format!("no number: {call}"))?, kind })
    }
}

/// What a failed call answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Reset,
    Throttled,
    Unavailable,
    /// The rule does not exist.
    NotFound,
}

/// The state of all lines of a migration.
pub struct Lines {
    pub model: SharedModel,
    pub checker: Arc<Checker>,
    /// A seeded bug.
    pub bug: Option<Bug>,
    faults: Vec<Fault>,
    state: Mutex<LinesState>,
}

#[derive(Default)]
struct LinesState {
    calls: u64,
    /// The names of the calls.
    names: Vec<String>,
    throttled_until: Option<Instant>,
    full_until: Option<Instant>,
}

impl Lines {
    pub fn new(model: SharedModel, checker: Arc<Checker>, faults: Vec<Fault>, bug: Option<Bug>) -> Arc<Self> {
        Arc::new(Self { model, checker, bug, faults, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, LinesState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the names of the calls so far.
    pub fn names(&self) -> Vec<String> {
        self.state().names.clone()
    }

    /// Returns the number of calls so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    pub fn is_full(&self) -> bool {
        self.state().full_until.is_some_and(|until| Instant::now() < until)
    }

    fn is_throttled(&self) -> bool {
        self.state().throttled_until.is_some_and(|until| Instant::now() < until)
    }

    /// Counts a call; returns its fault.
    fn count(&self, name: String) -> Option<Kind> {
        let mut state = self.state();
        state.calls += 1;
        state.names.push(name);
        let kind = self.faults.iter().find(|fault| fault.call == state.calls).map(|fault| fault.kind);
        match kind {
            Some(Kind::Throttled) => state.throttled_until = Some(Instant::now() + THROTTLED_FOR),
            Some(Kind::DiskFull) => state.full_until = Some(Instant::now() + 3 * LATE),
            _ => {}
        }
        drop(state);
        if let Some(Kind::Kills(workload)) = kind {
            let name = format!("kill-{workload}");
            let now = self.model.change(|world, now| {
                world.step_started(usize::MAX, Some(&name), now);
                world.advance(now);
                now
            });
            self.checker.targets_died(workload, now);
        }
        kind
    }
}

/// One process.
pub struct Process {
    pub lines: Arc<Lines>,
    dead: AtomicBool,
    pub died: Notify,
}

impl Process {
    pub fn new(lines: &Arc<Lines>) -> Arc<Self> {
        Arc::new(Self { lines: Arc::clone(lines), dead: AtomicBool::new(false), died: Notify::new() })
    }

    async fn die<T>(&self) -> T {
        self.dead.store(true, Ordering::Relaxed);
        self.died.notify_one();
        std::future::pending().await
    }

    /// Counts a call of the store; the process may die before or after it.
    pub async fn store_call<T>(&self, name: &str, call: impl Future<Output = T>) -> T {
        if self.dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        match self.lines.count(format!("store {name}")) {
            Some(Kind::DiesBefore | Kind::DiesLate) => self.die().await,
            Some(Kind::DiesAfter | Kind::Lost | Kind::Late) => {
                call.await;
                self.die().await
            }
            Some(Kind::Slow | Kind::Silent) => {
                tokio::time::sleep(LATE).await;
                call.await
            }
            _ => call.await,
        }
    }

    /// Sends a call. A dead process never returns.
    async fn send<T: Send + 'static>(
        &self,
        name: String,
        call: impl Future<Output = T> + Send + 'static,
        fail: impl Fn(Failure) -> T,
    ) -> T {
        if self.dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let kind = self.lines.count(name.clone());
        if self.lines.is_throttled() {
            tokio::time::sleep(Duration::from_millis(60)).await;
            return fail(Failure::Throttled);
        }
        let call = self.looked_at(call, is_write(&name));
        match kind {
            Some(Kind::DiesBefore) => self.die().await,
            Some(Kind::DiesAfter) => {
                call.await;
                self.die().await
            }
            Some(Kind::DiesLate) => {
                tokio::spawn(later(call));
                self.die().await
            }
            Some(Kind::Lost) => {
                call.await;
                fail(Failure::Reset)
            }
            Some(Kind::Failed) => {
                tokio::time::sleep(Duration::from_millis(60)).await;
                fail(Failure::Unavailable)
            }
            Some(Kind::Slow) => {
                let answer = call.await;
                tokio::time::sleep(LATE).await;
                answer
            }
            Some(Kind::Late) => {
                tokio::spawn(later(call));
                fail(Failure::Reset)
            }
            Some(Kind::Silent) => std::future::pending().await,
            Some(Kind::Throttled | Kind::DiskFull | Kind::Kills(_)) | None => call.await,
        }
    }

    /// Carries out a call. The checker looks at the world after each write, and at the items now and then.
    fn looked_at<T>(
        &self,
        call: impl Future<Output = T> + Send + 'static,
        is_write: bool,
    ) -> impl Future<Output = T> + Send + 'static {
        let lines = Arc::clone(&self.lines);
        async move {
            let answer = call.await;
            if is_write {
                lines.checker.look(&lines.model);
            } else if lines.calls().is_multiple_of(ITEMS_EVERY) {
                lines.checker.look_at_items(&lines.model);
            }
            answer
        }
    }
}

/// Returns whether a call changes something, by its name.
fn is_write(name: &str) -> bool {
    let operation = name.split(' ').nth(1).unwrap_or_default();
    !["Describe", "Get", "GET", "show", "get"].iter().any(|read| operation.starts_with(read))
}

async fn later<T>(call: impl Future<Output = T>) {
    tokio::time::sleep(LATE).await;
    call.await;
}

type AwsResult = Result<HttpResponse, ConnectorError>;

/// The HTTP client of the AWS SDK.
#[derive(Clone)]
pub struct AwsLine(pub Arc<Process>);

impl AwsLine {
    pub fn client(process: &Arc<Process>) -> SharedHttpClient {
        SharedHttpClient::new(Self(Arc::clone(process)))
    }

    async fn exchange(self, request: HttpRequest) -> AwsResult {
        let request = request.try_into_http1x().map_err(|e| ConnectorError::user(e.into()))?;
        let (mut head, body) = request.into_parts();
        head.headers.remove("amz-sdk-invocation-id");
        let mut text = String::from_utf8_lossy(body.bytes().unwrap_or_default()).into_owned();
        let operation = text.split('&').find_map(|part| part.strip_prefix("Action=")).unwrap_or("call").to_owned();
        if operation == "DeleteRule" && self.0.lines.bug == Some(Bug::KeepsHeaderRules) {
            return aws_failure(Failure::NotFound);
        }
        if operation == "CreateRule" && self.0.lines.bug == Some(Bug::HeaderRuleWithoutLogin) {
            text = without_login(&text);
        }
        let request = Request::from_parts(head, Bytes::from(text));
        let model = self.0.lines.model.clone();
        let call = async move {
            let answer = model.change(|world, now| world.aws(&request, now));
            model.wait(answer.latency).await;
            to_sdk(answer.response)
        };
        self.0.send(format!("aws {operation}"), call, aws_failure).await
    }
}

/// Removes every action but the forward action from the form of a `CreateRule`.
fn without_login(form: &str) -> String {
    let parts: Vec<&str> = form.split('&').collect();
    let forward = parts.iter().find_map(|part| part.strip_prefix("Actions.member.")?.strip_suffix(".Type=forward"));
    let Some(forward) = forward else { return form.to_owned() };
    let own = format!("Actions.member.{forward}.");
    let kept = parts.iter().filter(|part| !part.starts_with("Actions.member.") || part.starts_with(&own));
    kept.map(|part| part.replace(&own, "Actions.member.1.")).collect::<Vec<_>>().join("&")
}

fn to_sdk(response: Response<Bytes>) -> AwsResult {
    HttpResponse::try_from(response.map(SdkBody::from)).map_err(|e| ConnectorError::other(e.into(), None))
}

fn aws_failure(failure: Failure) -> AwsResult {
    let (status, code) = match failure {
        Failure::Reset => return Err(ConnectorError::io(ConnectionReset.into())),
        Failure::Throttled => (400, "Throttling"),
        Failure::Unavailable => (503, "ServiceUnavailable"),
        Failure::NotFound => (400, "RuleNotFound"),
    };
    let text = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error><RequestId>0</RequestId></ErrorResponse>"
    );
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = http::StatusCode::from_u16(status).expect("an HTTP status code should be valid");
    to_sdk(response)
}

impl fmt::Debug for AwsLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsLine")
    }
}

impl HttpConnector for AwsLine {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().exchange(request))
    }
}

impl HttpClient for AwsLine {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// The transport to one cluster.
#[derive(Clone)]
pub struct KubeLine {
    pub process: Arc<Process>,
    pub inner: KubeTransport,
}

type KubeResult = Result<Response<Body>, BoxError>;

fn kube_failure(failure: Failure) -> KubeResult {
    let (status, reason) = match failure {
        Failure::Reset => return Err(ConnectionReset.into()),
        Failure::Throttled => (429, "TooManyRequests"),
        Failure::Unavailable | Failure::NotFound => (503, "ServiceUnavailable"),
    };
    let body = format!(
        r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"{reason}","code":{status}}}"#
    );
    let mut response = Response::new(Body::from(body.into_bytes()));
    *response.status_mut() = http::StatusCode::from_u16(status)?;
    Ok(response)
}

impl Service<Request<Body>> for KubeLine {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = KubeResult> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { process, inner } = self.clone();
        let name = format!("kubernetes {}", if *request.method() == Method::GET { "GET" } else { "write" });
        Box::pin(async move { process.send(name, inner.oneshot(request), kube_failure).await })
    }
}

/// The connections to the instances of HAProxy.
pub struct HaproxyLine(pub Arc<Process>);

type LineResult = io::Result<Vec<u8>>;

#[async_trait]
impl Connect for HaproxyLine {
    async fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(Connection {
            process: Arc::clone(&self.0),
            address: address.to_owned(),
            text: String::new(),
            exchange: None,
            rest: None,
        }))
    }
}

/// A connection for one line of commands.
struct Connection {
    process: Arc<Process>,
    address: String,
    text: String,
    exchange: Option<BoxFuture<'static, LineResult>>,
    /// The part of the answer that the client has not read yet.
    rest: Option<Vec<u8>>,
}

impl Connection {
    fn exchange(&self) -> BoxFuture<'static, LineResult> {
        let (process, address, text) = (Arc::clone(&self.process), self.address.clone(), self.text.clone());
        let last = text.trim_end().rsplit(';').next().unwrap_or_default();
        let name = format!("haproxy {}", last.split_whitespace().take(2).collect::<Vec<_>>().join("-"));
        let model = process.lines.model.clone();
        let call = async move {
            let answer = model.change(|world, now| {
                world.advance(now);
                world.runtime_api(&address, &text, now)
            });
            model.wait(answer.latency).await;
            Ok(answer.text.unwrap_or_default().into_bytes())
        };
        async move { process.send(name, call, |_| Err(io::ErrorKind::ConnectionReset.into())).await }.boxed()
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.text.push_str(&String::from_utf8_lossy(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.rest.is_none() {
            let exchange = self.exchange.take().unwrap_or_else(|| self.exchange());
            let exchange = self.exchange.insert(exchange);
            let answer = ready!(exchange.poll_unpin(cx));
            self.rest = Some(answer?);
        }
        let rest = self.rest.get_or_insert_default();
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        rest.drain(..count);
        Poll::Ready(Ok(()))
    }
}
