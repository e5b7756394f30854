//! In-process HTTP transport of the AWS SDK: sends requests to the simulated AWS and injects the faults of the
//! schedule.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use cutover::lab::body::ConnectionReset;
use http::{Request, Response};
use hyper::body::Bytes;

use super::fault::{FaultKind, FaultPoint, Moment};
use super::history::By;
use super::wire::{AFTER_DEADLINE, LATE, NEAR_DEADLINE, Wire};

type CallResult = Result<HttpResponse, ConnectorError>;

/// HTTP client of the AWS SDK that records each call and injects the faults of the schedule.
#[derive(Clone)]
pub struct Connector(pub Wire);

impl Connector {
    pub fn client(wire: Wire) -> SharedHttpClient {
        SharedHttpClient::new(Self(wire))
    }

    async fn exchange(self, request: HttpRequest) -> CallResult {
        let request = request.try_into_http1x().map_err(|e| ConnectorError::user(e.into()))?;
        let (mut head, body) = request.into_parts();
        head.headers.remove("amz-sdk-invocation-id");
        let request = Request::from_parts(head, Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
        let (service, operation) = (service(&request), operation(&request));
        let mutating = !(operation.starts_with("Describe") || operation.starts_with("Get"));
        let text = String::from_utf8_lossy(request.body()).into_owned();
        let point = self.0.call(service, &operation, &text, mutating);
        if let Some(kind) = self.0.lasting_fault() {
            return self.respond_with_fault(kind, service).await;
        }
        match point {
            None => self.execute(request, mutating).await,
            Some(point) => self.exchange_with_fault(point, request, service, mutating).await,
        }
    }

    /// Executes the request now and responds after the simulated latency.
    async fn execute(&self, request: Request<Bytes>, mutating: bool) -> CallResult {
        let answer = self.0.model().change(|world, now| world.aws(&request, now));
        if mutating {
            self.0.record_changes(By::Us);
        }
        self.0.model().wait(answer.latency).await;
        to_sdk_response(answer.response)
    }

    async fn exchange_with_fault(
        &self,
        point: FaultPoint,
        request: Request<Bytes>,
        service: &str,
        mutating: bool,
    ) -> CallResult {
        let FaultPoint { moment, kind, .. } = point;
        match moment {
            Moment::Before if affects_one_call(kind) || affects_all_calls(kind) => {
                self.0.count_fault();
                self.respond_with_fault(kind, service).await
            }
            Moment::Before => {
                self.0.inject(kind);
                self.execute(request, mutating).await
            }
            Moment::Lost => {
                let answer = self.execute(request, mutating).await;
                if kind == FaultKind::Malformed {
                    self.0.count_fault();
                    return answer.map(truncate_body);
                }
                self.lose_response(kind, service).await
            }
            Moment::Answered if kind == FaultKind::Crash => {
                let answer = self.execute(request, mutating).await;
                self.0.arm(moment, kind);
                answer
            }
            Moment::Answered => {
                let answer = self.execute(request, mutating).await;
                self.0.inject(kind);
                answer
            }
            Moment::Journalled => {
                let answer = self.execute(request, mutating).await;
                self.0.arm(moment, kind);
                answer
            }
            Moment::Late => {
                self.execute_later(LATE, request);
                self.lose_response(kind, service).await
            }
            Moment::Past => {
                self.execute_later(NEAR_DEADLINE, request);
                self.never_respond(kind).await
            }
        }
    }

    /// Loses the response of a call. A fault of one call replaces the response; any other fault is injected.
    async fn lose_response(&self, kind: FaultKind, service: &str) -> CallResult {
        if affects_one_call(kind) {
            self.0.count_fault();
            return self.respond_with_fault(kind, service).await;
        }
        self.0.inject(kind);
        Err(ConnectorError::io(ConnectionReset.into()))
    }

    /// Never responds. Injects the fault after the deadline for writes is over.
    async fn never_respond(&self, kind: FaultKind) -> CallResult {
        if kind == FaultKind::Crash {
            self.0.crash_past_deadline();
        }
        let wire = self.0.clone();
        tokio::spawn(async move {
            tokio::time::sleep(AFTER_DEADLINE).await;
            wire.inject(kind);
        });
        std::future::pending().await
    }

    fn execute_later(&self, delay: std::time::Duration, request: Request<Bytes>) {
        let wire = self.0.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            wire.model().change(|world, now| world.aws(&request, now));
            wire.record_changes(By::Us);
        });
    }

    /// Responds as a failing API does, or never responds (`TimeOut`).
    async fn respond_with_fault(&self, kind: FaultKind, service: &str) -> CallResult {
        self.0.model().wait(std::time::Duration::from_millis(60)).await;
        let (status, code) = match kind {
            FaultKind::Throttle => (400, "Throttling"),
            FaultKind::Denied => (403, "AccessDenied"),
            FaultKind::Expired => (403, "ExpiredToken"),
            FaultKind::ServerError => (503, "ServiceUnavailable"),
            FaultKind::Malformed => {
                return to_sdk_response(Response::new(Bytes::from_static(
                    b"<html><body>Welcome to the hotel's network</body></html>",
                )));
            }
            FaultKind::TimeOut => return std::future::pending().await,
            _ => return Err(ConnectorError::io(ConnectionReset.into())),
        };
        let mut response = Response::new(Bytes::from(error(service, code)));
        *response.status_mut() = http::StatusCode::from_u16(status).expect("an HTTP status code should be valid");
        if service == "eks" {
            response
                .headers_mut()
                .insert("x-amzn-errortype", code.parse().expect("an error code should be a valid header value"));
        }
        to_sdk_response(response)
    }
}

/// Whether this fault replaces the response of exactly one call.
pub fn affects_one_call(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::ServerError | FaultKind::TimeOut | FaultKind::Reset | FaultKind::Malformed | FaultKind::Half
    )
}

/// Whether this fault applies to every call for a while.
pub fn affects_all_calls(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Throttle | FaultKind::Denied | FaultKind::Expired)
}

fn error(service: &str, code: &str) -> String {
    if service == "eks" {
        return format!("{{\"__type\":\"{code}\",\"message\":\"no\"}}");
    }
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error><RequestId>0</RequestId></ErrorResponse>"
    )
}

fn to_sdk_response(response: Response<Bytes>) -> CallResult {
    HttpResponse::try_from(response.map(SdkBody::from)).map_err(|e| ConnectorError::other(e.into(), None))
}

/// Truncates the body of a response in the middle.
fn truncate_body(mut response: HttpResponse) -> HttpResponse {
    let bytes = response.body().bytes().unwrap_or_default();
    let cut = Bytes::copy_from_slice(&bytes[..bytes.len() / 2]);
    *response.body_mut() = SdkBody::from(cut);
    response
}

fn service(request: &Request<Bytes>) -> &'static str {
    let authorization =
        request.headers().get(http::header::AUTHORIZATION).and_then(|a| a.to_str().ok()).unwrap_or_default();
    if authorization.contains("/sts/aws4_request") {
        "sts"
    } else if authorization.contains("/eks/aws4_request") {
        "eks"
    } else {
        "elasticloadbalancing"
    }
}

fn operation(request: &Request<Bytes>) -> String {
    let form = std::str::from_utf8(request.body()).unwrap_or_default();
    let action = form.split('&').find_map(|p| p.strip_prefix("Action="));
    action.map_or_else(|| "DescribeCluster".to_owned(), str::to_owned)
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().exchange(request))
    }
}

impl HttpClient for Connector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
