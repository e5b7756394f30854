//! Delivers answers of a Kubernetes API: complete responses, and watches, streamed until the client disconnects.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use http::{Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::time::Instant;

use crate::lab::body::{Body, Broken, full};
use crate::lab::model::{Fate, KubeAnswer};
use crate::lab::shell::Shell;
use crate::lab::wire::kube::{Answer, Watch};

/// Interval at which a watch polls its cluster, in real time.
const LOOK: Duration = Duration::from_millis(50);

/// Delivers the answer of a cluster's API after its latency.
///
/// # Errors
/// Returns [`Broken`] if the model drops the answer.
pub async fn deliver(shell: &Shell, cluster: Arc<str>, answer: KubeAnswer) -> Result<Response<Body>, Broken> {
    shell.wait(answer.latency).await;
    if answer.fate != Fate::Answered {
        return Err(Broken);
    }
    Ok(match answer.answer {
        Answer::Whole(response) => response.map(full),
        Answer::Watch(watch) => {
            let mut response = Response::new(follow(shell.clone(), cluster, *watch));
            response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
            response
        }
    })
}

struct Looking {
    shell: Shell,
    cluster: Arc<str>,
    watch: Watch,
    end: Option<Instant>,
}

fn follow(shell: Shell, cluster: Arc<str>, watch: Watch) -> Body {
    // The client's time-out is an HTTP deadline, so it is real time.
    let end = watch.timeout.map(|t| Instant::now() + t);
    let looking = Looking { shell, cluster, watch, end };
    StreamBody::new(stream::unfold(looking, |mut looking| async move {
        let lines = looking.lines().await?;
        Some((Ok(Frame::data(lines)), looking))
    }))
    .boxed()
}

impl Looking {
    /// Returns the next lines; `None`: the watch has ended.
    async fn lines(&mut self) -> Option<Bytes> {
        loop {
            let lines = self.shell.call(|world, _| world.watch(&self.cluster, &mut self.watch))?;
            if !lines.is_empty() {
                return Some(lines);
            }
            if self.end.is_some_and(|end| end <= Instant::now()) {
                return None;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
