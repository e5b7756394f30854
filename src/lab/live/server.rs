//! A small HTTP/1.1 server on a loopback socket, with one task that accepts connections and one task per connection.
//! Stopping the server ends all these tasks.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::lab::body::{Body, ConnectionReset};

/// Reads a request's body to its end.
pub async fn read_body(request: Request<Incoming>) -> Result<Request<Bytes>, ConnectionReset> {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.map_err(|_| ConnectionReset)?.to_bytes();
    Ok(Request::from_parts(head, bytes))
}

/// A running server. Dropping this value aborts the server; [`Server::stop`] also waits until it has ended.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Binds 127.0.0.1 at a port (0 selects a free port) and serves every request with `handler`. Connections are kept
    /// alive.
    pub async fn start<H, F>(port: u16, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response<Body>, ConnectionReset>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(listener, handler, stopped));
        Ok(Self { address, stop: Some(stop), task })
    }

    /// Returns the address on which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of the server, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Closes the socket and every connection, and waits until all are closed.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<H, F>(listener: TcpListener, handler: H, mut stopped: oneshot::Receiver<()>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, ConnectionReset>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(serve(stream, handler.clone())); }
                // The process has no more file descriptors: wait until other connections close.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve<H, F>(stream: TcpStream, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Result<Response<Body>, ConnectionReset>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    // An error here means that a client disconnected, or that the model requested a reset.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(handler)).await;
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use hyper::body::Bytes;

    use super::*;
    use crate::lab::body::complete_body;
    use crate::lab::live::{Pool, connection_pool};

    async fn get(pool: &Pool<Empty<Bytes>>, url: &str) -> Option<Bytes> {
        let response = pool.get(url.parse().expect("the test's URL should parse")).await.ok()?;
        Some(response.into_body().collect().await.ok()?.to_bytes())
    }

    #[tokio::test]
    async fn server_responds_resets_and_stops_completely() {
        let server = Server::start(0, |request: Request<Incoming>| async move {
            match request.uri().path() {
                "/break" => Err(ConnectionReset),
                "/silent" => std::future::pending().await,
                path => Ok(Response::new(complete_body(path.to_owned()))),
            }
        });
        let server = server.await.expect("the server should start on a free port");
        let (url, address, pool) = (server.url(), server.address(), connection_pool());
        assert_eq!(get(&pool, &format!("{url}/one")).await.as_deref(), Some(b"/one".as_slice()));
        assert_eq!(get(&pool, &format!("{url}/break")).await, None);
        assert_eq!(get(&pool, &format!("{url}/two")).await.as_deref(), Some(b"/two".as_slice()));

        // Stopping the server ends a request that has no response yet, and frees the port.
        let silent = tokio::spawn({
            let (pool, url) = (pool.clone(), format!("{url}/silent"));
            async move { get(&pool, &url).await }
        });
        tokio::task::yield_now().await;
        server.stop().await;
        assert_eq!(silent.await.expect("the request task should not panic"), None);
        TcpListener::bind(address).await.expect("the port should be free after the server stopped");
    }
}
