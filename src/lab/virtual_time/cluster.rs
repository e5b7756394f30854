//! The Kubernetes API of a cluster without sockets: a tower service that replaces the network below the real client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use tower::{BoxError, Service};

use crate::lab::body::ConnectionReset;
use crate::lab::model::Delivery;
use crate::lab::shared_model::SharedModel;
use crate::lab::wire::kube::KubeResponse;

/// The transport to the Kubernetes API of one cluster.
#[derive(Clone)]
pub struct Transport {
    model: SharedModel,
    cluster: Arc<str>,
}

impl Transport {
    /// Creates a transport to the cluster with this name in the plan.
    pub fn new(model: SharedModel, cluster: Arc<str>) -> Self {
        Self { model, cluster }
    }

    async fn exchange(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let request = Request::from_parts(head, body);
        let answer = self.model.change(|world, now| world.kube(&self.cluster, &request, now));
        self.model.wait(answer.latency).await;
        if answer.delivery != Delivery::Answered {
            return Err(ConnectionReset.into());
        }
        Ok(match answer.answer {
            KubeResponse::Complete(response) => response.map(Body::from),
            // A watch returns the current changes and ends. A client in virtual time watches again if it needs more
            // changes.
            KubeResponse::Watch(mut watch) => {
                let lines = self.model.call(|world, _| world.watch(&self.cluster, &mut watch)).unwrap_or_default();
                Response::new(Body::from(lines))
            }
        })
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().exchange(request))
    }
}
