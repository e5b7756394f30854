//! The AWS SDK's transport: in process, to the model, through the schedule's faults.

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

use super::fault::{Kind, Moment, Point};
use super::history::By;
use super::wire::{LATE, OVER, PAST, Wire};

type Heard = Result<HttpResponse, ConnectorError>;

/// See the module.
#[derive(Clone)]
pub struct Connector(pub Wire);

impl Connector {
    pub fn client(wire: Wire) -> SharedHttpClient {
        SharedHttpClient::new(Self(wire))
    }

    async fn exchange(self, request: HttpRequest) -> Heard {
        let request = request.try_into_http1x().map_err(|e| ConnectorError::user(e.into()))?;
        let (mut head, body) = request.into_parts();
        head.headers.remove("amz-sdk-invocation-id");
        let request = Request::from_parts(head, Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
        let (service, operation) = (service(&request), operation(&request));
        let mutating = !(operation.starts_with("Describe") || operation.starts_with("Get"));
        let text = String::from_utf8_lossy(request.body()).into_owned();
        let point = self.0.call(service, &operation, &text, mutating);
        if let Some(kind) = self.0.spell() {
            return self.refuse(kind, service).await;
        }
        match point {
            None => self.through(request, mutating).await,
            Some(point) => self.struck(point, request, service, mutating).await,
        }
    }

    /// Carried out now, answered after the usual time.
    async fn through(&self, request: Request<Bytes>, mutating: bool) -> Heard {
        let answer = self.0.shell().change(|world, now| world.aws(&request, now));
        if mutating {
            self.0.observe(By::Us);
        }
        self.0.shell().wait(answer.latency).await;
        heard(answer.response)
    }

    async fn struck(&self, point: Point, request: Request<Bytes>, service: &str, mutating: bool) -> Heard {
        let Point { moment, kind, .. } = point;
        match moment {
            Moment::Before if of_a_call(kind) || lasting(kind) => {
                self.0.hit();
                self.refuse(kind, service).await
            }
            Moment::Before => {
                self.0.strike(kind);
                self.through(request, mutating).await
            }
            Moment::Lost => {
                let answer = self.through(request, mutating).await;
                if kind == Kind::Malformed {
                    self.0.hit();
                    return answer.map(half);
                }
                self.lose(kind, service).await
            }
            Moment::Answered if kind == Kind::Crash => {
                let answer = self.through(request, mutating).await;
                self.0.arm(moment, kind);
                answer
            }
            Moment::Answered => {
                let answer = self.through(request, mutating).await;
                self.0.strike(kind);
                answer
            }
            Moment::Journalled => {
                let answer = self.through(request, mutating).await;
                self.0.arm(moment, kind);
                answer
            }
            Moment::Late => {
                self.later(LATE, request);
                self.lose(kind, service).await
            }
            Moment::Past => {
                self.later(PAST, request);
                self.abandon(kind).await
            }
        }
    }

    /// The answer does not come; what else goes wrong, does.
    async fn lose(&self, kind: Kind, service: &str) -> Heard {
        if of_a_call(kind) {
            self.0.hit();
            return self.refuse(kind, service).await;
        }
        self.0.strike(kind);
        Err(ConnectorError::io(ConnectionReset.into()))
    }

    /// Nobody hears anything until the deadline is over.
    async fn abandon(&self, kind: Kind) -> Heard {
        if kind == Kind::Crash {
            self.0.die_past();
        }
        let wire = self.0.clone();
        tokio::spawn(async move {
            tokio::time::sleep(OVER).await;
            wire.strike(kind);
        });
        std::future::pending().await
    }

    fn later(&self, delay: std::time::Duration, request: Request<Bytes>) {
        let wire = self.0.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            wire.shell().change(|world, now| world.aws(&request, now));
            wire.observe(By::Us);
        });
    }

    /// The answer of a failing API, if it answers.
    async fn refuse(&self, kind: Kind, service: &str) -> Heard {
        self.0.shell().wait(std::time::Duration::from_millis(60)).await;
        let (status, code) = match kind {
            Kind::Throttle => (400, "Throttling"),
            Kind::Denied => (403, "AccessDenied"),
            Kind::Expired => (403, "ExpiredToken"),
            Kind::ServerError => (503, "ServiceUnavailable"),
            Kind::Malformed => {
                return heard(Response::new(Bytes::from_static(
                    b"<html><body>Welcome to the hotel's network</body></html>",
                )));
            }
            Kind::TimeOut => return std::future::pending().await,
            _ => return Err(ConnectorError::io(ConnectionReset.into())),
        };
        let mut response = Response::new(Bytes::from(error(service, code)));
        *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        if service == "eks" {
            response.headers_mut().insert("x-amzn-errortype", code.parse().expect("a header"));
        }
        heard(response)
    }
}

/// Whether this fault replaces the answer of one call.
pub fn of_a_call(kind: Kind) -> bool {
    matches!(kind, Kind::ServerError | Kind::TimeOut | Kind::Reset | Kind::Malformed)
}

/// Whether this fault applies to every call for a while.
pub fn lasting(kind: Kind) -> bool {
    matches!(kind, Kind::Throttle | Kind::Denied | Kind::Expired)
}

fn error(service: &str, code: &str) -> String {
    if service == "eks" {
        return format!("{{\"__type\":\"{code}\",\"message\":\"no\"}}");
    }
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error><RequestId>0</RequestId></ErrorResponse>"
    )
}

fn heard(response: Response<Bytes>) -> Heard {
    HttpResponse::try_from(response.map(SdkBody::from)).map_err(|e| ConnectorError::other(e.into(), None))
}

/// The connection ends in the middle of the answer.
fn half(mut response: HttpResponse) -> HttpResponse {
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
