//! The APIs on sockets: one endpoint for AWS, and one endpoint per cluster for Kubernetes. The model produces every
//! response.

use std::io;
use std::sync::Arc;

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use jiff::{SignedDuration, Timestamp};

use super::server::{Server, read_body};
use crate::lab::body::{Body, ConnectionReset, complete_body};
use crate::lab::model::Delivery;
use crate::lab::promql::{self, InstantQuery};
use crate::lab::shared_model::SharedModel;

/// Serves the AWS APIs on a loopback port; 0 selects a free port.
pub async fn serve_aws(model: SharedModel, port: u16) -> io::Result<Server> {
    Server::start(port, move |request| aws_call(model.clone(), request)).await
}

async fn aws_call(model: SharedModel, request: Request<Incoming>) -> Result<Response<Body>, ConnectionReset> {
    let request = read_body(request).await?;
    let answer = model.change(|world, now| world.aws(&request, now));
    model.wait(answer.latency).await;
    match answer.delivery {
        Delivery::Answered => Ok(answer.response.map(complete_body)),
        Delivery::Lost | Delivery::Dropped | Delivery::AppliedLate(_) => Err(ConnectionReset),
    }
}

/// Serves the request counters of the load balancers: in the format that Prometheus scrapes, and by instant queries.
pub async fn serve_metrics(model: SharedModel) -> io::Result<Server> {
    Server::start(0, move |request| metrics_call(model.clone(), request)).await
}

async fn metrics_call(model: SharedModel, request: Request<Incoming>) -> Result<Response<Body>, ConnectionReset> {
    if request.uri().path() == promql::PATH {
        let request = read_body(request).await?;
        let form = String::from_utf8_lossy(request.body());
        let parameters = request.uri().query().map_or_else(|| form.clone(), |query| format!("{query}&{form}").into());
        let asked = InstantQuery::from_form(&parameters);
        let (real, speed) = (Timestamp::now(), model.clock().speed());
        // The time of a query is in real time. Its age is converted to the lab's time.
        let answer = model.call(|world, now| {
            let age = asked.time.map_or(SignedDuration::ZERO, |time| real.duration_since(time));
            let at = now.checked_sub(age.mul_f64(speed)).unwrap_or(now);
            promql::respond(world, &asked.query, at)
        });
        return Ok(answer.map(complete_body));
    }
    let mut response = Response::new(complete_body(model.call(|world, _| world.openmetrics())));
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    Ok(response)
}

/// Serves the Kubernetes API of one cluster on a loopback port; 0 selects a free port.
pub async fn serve_kubernetes(model: SharedModel, cluster: Arc<str>, port: u16) -> io::Result<Server> {
    Server::start(port, move |request| kube_call(model.clone(), Arc::clone(&cluster), request)).await
}

async fn kube_call(
    model: SharedModel,
    cluster: Arc<str>,
    request: Request<Incoming>,
) -> Result<Response<Body>, ConnectionReset> {
    let request = read_body(request).await?;
    let answer = model.change(|world, now| world.kube(&cluster, &request, now));
    super::watch::deliver(&model, cluster, answer).await
}
