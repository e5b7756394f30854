//! Publishes metrics in a file (replaced atomically) and at an HTTP port. Do not compute metrics here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::{self, Receiver, Sender};
use tokio::task::{JoinHandle, JoinSet};

/// A text format for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// The format OpenMetrics 1.0.
    OpenMetrics,
    /// The Prometheus text format 0.0.4.
    Prometheus,
}

impl MetricsFormat {
    /// Returns the content type of the format.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A source that renders the current metrics as text.
pub trait MetricsPage: Send + Sync {
    /// Renders the metrics in this format.
    fn text(&self, dialect: MetricsFormat) -> String;
}

/// The destinations of metrics; none by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outlets {
    /// The file with the latest metrics.
    pub file: Option<PathBuf>,
    /// The address that serves the metrics.
    pub listen: Option<SocketAddr>,
}

/// The minimum time between two writes of the file.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// The longest wait for the last write of the file.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum number of connections to the port.
const MAX_CONNECTIONS: usize = 16;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

type CurrentPage = Option<Arc<dyn MetricsPage>>;

/// The tasks that publish metrics.
pub struct Publisher {
    sender: Sender<CurrentPage>,
    file: Option<JoinHandle<()>>,
    server: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts the tasks. A destination that fails is logged.
    pub async fn start(outlets: &Outlets) -> Self {
        let (sender, receiver) = watch::channel(None);
        let file = outlets.file.clone().map(|path| tokio::spawn(write_file_on_change(path, receiver.clone())));
        let server = match outlets.listen {
            None => None,
            Some(address) => listen(address, receiver).await,
        };
        Self { sender, file, server }
    }

    /// Publishes the latest metrics.
    pub fn publish(&self, page: Arc<dyn MetricsPage>) {
        self.sender.send_replace(Some(page));
    }

    /// Writes the file for the last time and closes the port.
    pub async fn finish(self) {
        let Self { sender, file, server } = self;
        drop(sender);
        if let Some(server) = server {
            server.abort();
        }
        if let Some(file) = file
            && tokio::time::timeout(LAST_WRITE_TIMEOUT, file).await.is_err()
        {
            tracing::warn!("the last metrics were not written to the file within 2 s");
        }
    }
}

async fn write_file_on_change(path: PathBuf, mut receiver: Receiver<CurrentPage>) {
    let mut writable = true;
    loop {
        let is_closed = receiver.changed().await.is_err();
        let page = receiver.borrow_and_update().clone();
        if let Some(page) = page {
            let to = path.clone();
            let written =
                tokio::task::spawn_blocking(move || replace(&to, &page.text(MetricsFormat::Prometheus))).await;
            let error = written.map_err(std::io::Error::other).and_then(|written| written).err();
            if let Some(error) = error.as_ref().filter(|_| writable) {
                tracing::warn!("metrics cannot be written to {}: {error}; the run is not affected", path.display());
            }
            writable = error.is_none();
        }
        if is_closed {
            return;
        }
        // The last metrics are written at once, without a wait.
        let _ = tokio::time::timeout(WRITE_INTERVAL, wait_until_closed(receiver.clone())).await;
    }
}

async fn wait_until_closed(mut receiver: Receiver<CurrentPage>) {
    while receiver.changed().await.is_ok() {}
}

/// Replaces the file atomically. The temporary file has a name that node_exporter ignores.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let moved = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, path));
    if moved.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    moved
}

async fn listen(address: SocketAddr, receiver: Receiver<CurrentPage>) -> Option<JoinHandle<()>> {
    match TcpListener::bind(address).await {
        Ok(listener) => Some(tokio::spawn(serve(listener, receiver))),
        Err(error) => {
            tracing::warn!("metrics cannot be served at {address}: {error}; the run is not affected");
            None
        }
    }
}

async fn serve(listener: TcpListener, receiver: Receiver<CurrentPage>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => { connections.spawn(serve_connection(stream, receiver.clone())); }
                Err(_) => tokio::time::sleep(WRITE_INTERVAL).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, receiver: Receiver<CurrentPage>) {
    let service = service_fn(move |request| {
        let response = respond(&request, receiver.borrow().as_deref());
        async move { Ok::<_, Infallible>(response) }
    });
    // A client that disconnects is not an error.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn respond(request: &Request<Incoming>, page: Option<&dyn MetricsPage>) -> Response<Full<Bytes>> {
    let plain = |status: StatusCode, text: &str| {
        let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "metrics are under /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "GET\n");
    }
    let Some(page) = page else { return plain(StatusCode::SERVICE_UNAVAILABLE, "no metrics yet\n") };
    let accept = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let dialect = if accept.contains("application/openmetrics-text") {
        MetricsFormat::OpenMetrics
    } else {
        MetricsFormat::Prometheus
    };
    let mut response = plain(StatusCode::OK, &page.text(dialect));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(dialect.content_type()));
    response
}
