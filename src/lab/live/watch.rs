//! Delivers responses of a Kubernetes API: complete responses, and watches, which are streamed until the client
//! disconnects.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use http::{Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::time::Instant;

use crate::lab::body::{Body, ConnectionReset, complete_body};
use crate::lab::model::{Delivery, KubeAnswer};
use crate::lab::shared_model::SharedModel;
use crate::lab::wire::kube::{KubeResponse, Watch};

/// Interval at which a watch polls the cluster in the model, in real time.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Delivers the response of a cluster's API after its latency.
///
/// # Errors
/// Returns [`ConnectionReset`] if the model drops the answer.
pub async fn deliver(
    model: &SharedModel,
    cluster: Arc<str>,
    answer: KubeAnswer,
) -> Result<Response<Body>, ConnectionReset> {
    model.wait(answer.latency).await;
    if answer.delivery != Delivery::Answered {
        return Err(ConnectionReset);
    }
    Ok(match answer.answer {
        KubeResponse::Complete(response) => response.map(complete_body),
        KubeResponse::Watch(watch) => {
            let mut response = Response::new(stream_watch(model.clone(), cluster, *watch));
            response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
            response
        }
    })
}

struct WatchStream {
    model: SharedModel,
    cluster: Arc<str>,
    watch: Watch,
    end: Option<Instant>,
}

fn stream_watch(model: SharedModel, cluster: Arc<str>, watch: Watch) -> Body {
    // The client's time-out is an HTTP deadline and therefore in real time.
    let end = watch.timeout.map(|t| Instant::now() + t);
    let looking = WatchStream { model, cluster, watch, end };
    StreamBody::new(stream::unfold(looking, |mut looking| async move {
        let lines = looking.next_lines().await?;
        Some((Ok(Frame::data(lines)), looking))
    }))
    .boxed()
}

impl WatchStream {
    /// Returns the next lines of the watch; `None` if the watch has ended.
    async fn next_lines(&mut self) -> Option<Bytes> {
        loop {
            let lines = self.model.call(|world, _| world.watch(&self.cluster, &mut self.watch))?;
            if !lines.is_empty() {
                return Some(lines);
            }
            if self.end.is_some_and(|end| end <= Instant::now()) {
                return None;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}
