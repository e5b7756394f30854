//! Publishes metrics: in a file that is replaced atomically, and at a port. Computing metrics must not be added here.

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

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format 0.0.4.
    Prometheus,
}

impl Dialect {
    /// Content type of the format.
    pub fn media(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The metrics at one time.
pub trait Page: Send + Sync {
    /// The text of the metrics.
    fn text(&self, dialect: Dialect) -> String;
}

/// Destinations of metrics; none by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outlets {
    /// The file with the latest metrics.
    pub file: Option<PathBuf>,
    /// The address that serves the metrics.
    pub listen: Option<SocketAddr>,
}

/// Minimum time between two writes of the file.
const EVERY: Duration = Duration::from_secs(1);

/// Time for the last write of the file.
const LAST: Duration = Duration::from_secs(2);

/// Maximum number of connections, and time for a request's headers.
const CONNECTIONS: usize = 16;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

type CurrentPage = Option<Arc<dyn Page>>;

/// The tasks that publish.
pub struct Publisher {
    told: Sender<CurrentPage>,
    file: Option<JoinHandle<()>>,
    server: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts. A destination that fails is logged.
    pub async fn begin(outlets: &Outlets) -> Self {
        let (told, follow) = watch::channel(None);
        let file = outlets.file.clone().map(|path| tokio::spawn(protect_credentials(path, follow.clone())));
        let server = match outlets.listen {
            None => None,
            Some(address) => listen(address, follow).await,
        };
        Self { told, file, server }
    }

    /// Publishes the latest metrics.
    pub fn tell(&self, page: Arc<dyn Page>) {
        self.told.send_replace(Some(page));
    }

    /// Writes the file for the last time and closes the port.
    pub async fn finish(self) {
        let Self { told, file, server } = self;
        drop(told);
        if let Some(server) = server {
            server.abort();
        }
        if let Some(file) = file
            && tokio::time::timeout(LAST, file).await.is_err()
        {
            tracing::warn!("the last metrics are not in their file: writing it takes too long");
        }
    }
}

async fn protect_credentials(path: PathBuf, mut follow: Receiver<CurrentPage>) {
    let mut well = true;
    loop {
        let over = follow.changed().await.is_err();
        let page = follow.borrow_and_update().clone();
        if let Some(page) = page {
            let to = path.clone();
            let written = tokio::task::spawn_blocking(move || replace(&to, &page.text(Dialect::Prometheus))).await;
            let error = written.map_err(std::io::Error::other).and_then(|written| written).err();
            if let Some(error) = error.as_ref().filter(|_| well) {
                tracing::warn!("metrics cannot be written to {}: {error}", path.display());
            }
            well = error.is_none();
        }
        if over {
            return;
        }
        // The last metrics are written at once.
        let _ = tokio::time::timeout(EVERY, closed(follow.clone())).await;
    }
}

async fn closed(mut follow: Receiver<CurrentPage>) {
    while follow.changed().await.is_ok() {}
}

/// Replaces the file atomically. The temporary file has a name that node_exporter ignores.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let moved = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    if moved.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    moved
}

async fn listen(address: SocketAddr, follow: Receiver<CurrentPage>) -> Option<JoinHandle<()>> {
    match TcpListener::bind(address).await {
        Ok(listener) => Some(tokio::spawn(serve(listener, follow))),
        Err(error) => {
            tracing::warn!("metrics cannot be served at {address}: {error}");
            None
        }
    }
}

async fn serve(listener: TcpListener, follow: Receiver<CurrentPage>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => { connections.spawn(connection(stream, follow.clone())); }
                Err(_) => tokio::time::sleep(EVERY).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(stream: TcpStream, follow: Receiver<CurrentPage>) {
    let answer = service_fn(move |request| {
        let answer = answer(&request, follow.borrow().as_deref());
        async move { Ok::<_, Infallible>(answer) }
    });
    // A client that disconnects is not an error.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

fn answer(request: &Request<Incoming>, page: Option<&dyn Page>) -> Response<Full<Bytes>> {
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
    let dialect =
        if accept.contains("application/openmetrics-text") { Dialect::OpenMetrics } else { Dialect::Prometheus };
    let mut response = plain(StatusCode::OK, &page.text(dialect));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(dialect.media()));
    response
}
