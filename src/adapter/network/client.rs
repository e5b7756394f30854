//! An HTTP client that uses the network environment. Do not add code that builds requests or reads responses.

use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response, Uri, header};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::{BoxError, Service};

use super::Connector;
use super::connect::host;

/// The name of this program in requests.
pub const USER_AGENT: &str = concat!("cutover/", env!("CARGO_PKG_VERSION"));

/// Sends requests. Does not retry a request or limit its duration. Idle connections are kept for 30 s.
pub struct Client<B> {
    http: legacy::Client<Connector, B>,
    connector: Connector,
}

impl<B> Clone for Client<B> {
    fn clone(&self) -> Self {
        Self { http: self.http.clone(), connector: self.connector.clone() }
    }
}

impl<B> Client<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// Creates a client that opens connections with this connector.
    pub fn new(connector: Connector) -> Self {
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(30));
        Self { http: builder.build(connector.clone()), connector }
    }

    /// Returns a client with another time limit for connections. The returned client has its own connections.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        Self::new(self.connector.clone().within(limit))
    }

    /// Returns whether the host of this URL has responded to this process.
    pub fn has_responded(&self, url: &Uri) -> bool {
        self.connector.network().contacts.has_responded(&host(url))
    }

    /// Sends a request. If nothing was sent, the error has a [`super::ConnectError`] among its causes.
    pub async fn request(&self, mut request: Request<B>) -> Result<Response<Incoming>, legacy::Error> {
        let url = request.uri().clone();
        let proxy = self.connector.proxy(&url).ok().flatten();
        // In a tunnel, the proxy does not see the request.
        if url.scheme_str() == Some("http")
            && let Some(value) = proxy
                .as_ref()
                .filter(|p| p.scheme != super::Scheme::Socks5)
                .and_then(super::proxy::Proxy::authorization)
        {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, value);
        }
        let through = || proxy.map(|proxy| format!(" through the proxy {proxy}")).unwrap_or_default();
        self.connector.network().contacts.wait(&host(&url), through, self.http.request(request)).await
    }
}

impl<B> Service<Request<B>> for Client<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Incoming>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let client = self.clone();
        Box::pin(async move { client.request(request).await.map_err(BoxError::from) })
    }
}
