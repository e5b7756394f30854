//! Opens connections: directly or through a proxy, with TLS. Do not send requests here.

use std::future::ready;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{
    DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, MaybeHttpsStream, ResolveServerName,
};
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::{CONNECT_TIMEOUT, ConnectError, Network, Proxy, Scheme, tunnel};

/// Opens connections for an HTTP client.
#[derive(Clone)]
pub struct Connector {
    network: Arc<Network>,
    /// The TLS configuration of this connector; `None` means the configuration of the environment.
    tls: Option<Arc<ClientConfig>>,
    names: Arc<dyn ResolveServerName + Send + Sync>,
    /// The proxy for all connections, instead of the proxies of the environment.
    fixed_proxy: Option<Arc<Proxy>>,
    /// Where the destination's own certificate authority is configured; `None` if the destination has none.
    own_authority: Option<String>,
    limit: Duration,
}

impl Connector {
    /// Creates a connector with the proxies and the certificates of an environment.
    pub(super) fn new(network: Arc<Network>) -> Self {
        Self {
            network,
            tls: None,
            names: Arc::new(DefaultServerNameResolver::default()),
            fixed_proxy: None,
            own_authority: None,
            limit: CONNECT_TIMEOUT,
        }
    }

    /// Sets another TLS configuration. `place` says where the destination's own certificate authority is configured, if
    /// it has its own authority.
    #[must_use]
    pub fn tls(self, tls: ClientConfig, place: Option<String>) -> Self {
        Self { tls: Some(Arc::new(tls)), own_authority: place, ..self }
    }

    /// Sets another time limit for a connection.
    #[must_use]
    pub(super) fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Uses this proxy for all connections.
    #[must_use]
    pub fn through(self, proxy: Proxy) -> Self {
        Self { fixed_proxy: Some(Arc::new(proxy)), ..self }
    }

    /// Expects this name in certificates, instead of the host of the URL.
    #[must_use]
    pub fn server_name(self, name: ServerName<'static>) -> Self {
        Self { names: Arc::new(FixedServerNameResolver::new(name)), ..self }
    }

    /// Returns the proxy for a URL; `None` if the connection is direct.
    pub fn proxy(&self, url: &Uri) -> Result<Option<Proxy>, ConnectError> {
        match &self.fixed_proxy {
            Some(proxy) => Ok(Some(Proxy::clone(proxy))),
            None => self.network.proxies.of_url(url).map(Option::<&Proxy>::cloned),
        }
    }

    pub(super) fn network(&self) -> &Arc<Network> {
        &self.network
    }

    async fn open(self, url: Uri) -> Result<MaybeHttpsStream<ProxyableStream>, ConnectError> {
        let host = host(&url);
        let opening = async {
            let hop = PlainConnector { connector: self.clone() };
            if url.scheme_str() == Some("http") {
                return hop.oneshot(url.clone()).await.map(MaybeHttpsStream::Http);
            }
            let tls = self.tls.as_ref().map_or_else(|| self.network.tls(), |tls| Ok(Arc::clone(tls)))?;
            let https = HttpsConnector::new(hop, tls, false, Arc::clone(&self.names));
            https.oneshot(url.clone()).await.map_err(|e| ConnectError::of(&*e, &host, self.own_authority.as_deref()))
        };
        if let Ok(result) = tokio::time::timeout(self.limit, opening).await {
            result
        } else {
            let through = self.proxy(&url).ok().flatten().map(|proxy| format!(" through the proxy {proxy}"));
            let (through, limit) = (through.unwrap_or_default(), self.limit.as_secs_f64());
            Err(ConnectError::Failed(format!("no connection to {host}{through} within {limit} s")))
        }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<ProxyableStream>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        Box::pin(self.clone().open(url))
    }
}

/// Returns the host and port of a URL, for messages and proxies.
pub(super) fn host(url: &Uri) -> String {
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
    format!("{}:{port}", url.host().unwrap_or_default())
}

/// Opens the part of a connection before the destination's TLS: TCP, and the proxy.
struct PlainConnector {
    connector: Connector,
}

impl Service<Uri> for PlainConnector {
    type Response = ProxyableStream;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<ProxyableStream, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connector = self.connector.clone();
        Box::pin(async move {
            match connector.proxy(&url)? {
                None => tcp_connector()
                    .oneshot(url.clone())
                    .await
                    .map(ProxyableStream::direct)
                    .map_err(|e| ConnectError::of(&e, &host(&url), None)),
                Some(proxy) if proxy.scheme == Scheme::Socks5 => connect_socks(&proxy, &url).await,
                Some(proxy) => connector.http_proxy(&proxy, &url).await,
            }
        })
    }
}

fn tcp_connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector
}

async fn connect_socks(proxy: &Proxy, url: &Uri) -> Result<ProxyableStream, ConnectError> {
    let stream = tcp_connector().oneshot(proxy.uri()?).await.map_err(|e| proxy_error(&e, proxy))?;
    let mut stream = Some(stream);
    let connected = tower::service_fn(move |_: Uri| ready(stream.take().ok_or(io::ErrorKind::NotConnected)));
    let mut socks = SocksV5::new(proxy.uri()?, connected);
    if let Some((user, password)) = proxy.user() {
        socks = socks.with_auth(user.to_owned(), password.to_owned());
    }
    // The URL always contains the port, which the protocol needs.
    let to: Uri = format!("{}://{}/", url.scheme_str().unwrap_or("https"), host(url))
        .parse()
        .map_err(|_| ConnectError::Setup(format!("{} is not a valid address", host(url))))?;
    let connected = socks.oneshot(to).await.map(ProxyableStream::direct);
    connected.map_err(|e| socks_error(e.to_string().trim_start_matches("SOCKS error: "), proxy, &host(url)))
}

/// Explains a failed handshake with a SOCKS proxy by the text of hyper-util, whose error types are private.
fn socks_error(why: &str, proxy: &Proxy, to: &str) -> ConnectError {
    let setting = &proxy.setting;
    if why.contains("does not support user/pass") && proxy.user().is_none() {
        ConnectError::Setup(format!("the proxy {proxy} needs a user and a password: add them to the URL in {setting}"))
    } else if why.contains("credentials") || why.contains("auth") {
        ConnectError::Setup(format!("the proxy {proxy} refused the login ({setting}): {why}"))
    } else if why.contains("not allowed") {
        ConnectError::Setup(format!(
            "the proxy {proxy} does not allow a connection to {to} ({setting}); if {to} needs no proxy, add it to NO_PROXY"
        ))
    } else if why.starts_with("failed parsing") {
        ConnectError::Failed(format!("the response of the proxy {proxy} is not SOCKS 5 ({setting})"))
    } else if why.starts_with("io error") {
        ConnectError::Failed(format!("the proxy {proxy} closed the connection ({setting})"))
    } else {
        ConnectError::Failed(format!("the proxy {proxy} did not connect to {to} ({setting}): {why}"))
    }
}

/// Converts an error of a connection to a proxy. The text of the new error names the setting that configures the proxy.
fn proxy_error(error: &(dyn std::error::Error + 'static), proxy: &Proxy) -> ConnectError {
    match ConnectError::of(error, &format!("the proxy {proxy}"), None) {
        ConnectError::Failed(why) => ConnectError::Failed(format!("{why} ({})", proxy.setting)),
        ConnectError::Setup(why) => ConnectError::Setup(format!("{why} ({})", proxy.setting)),
        other @ ConnectError::Untrusted(_) => other,
    }
}

impl Connector {
    async fn http_proxy(&self, proxy: &Proxy, url: &Uri) -> Result<ProxyableStream, ConnectError> {
        let stream = if proxy.scheme == Scheme::Https {
            let https = HttpsConnector::from((tcp_connector(), self.network.tls()?));
            https.oneshot(proxy.uri()?).await.map_err(|e| proxy_error(&*e, proxy))?
        } else {
            let stream = tcp_connector().oneshot(proxy.uri()?).await;
            stream.map(MaybeHttpsStream::Http).map_err(|e| proxy_error(&e, proxy))?
        };
        if url.scheme_str() == Some("http") {
            return Ok(ProxyableStream { stream, absolute: true });
        }
        let mut stream = TokioIo::new(stream);
        tunnel::open(&mut stream, proxy, &host(url)).await?;
        Ok(ProxyableStream { stream: stream.into_inner(), absolute: false })
    }
}

/// A connection to a destination, or to a proxy that forwards requests.
pub struct ProxyableStream {
    stream: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// Whether the proxy reads the destination from each request.
    absolute: bool,
}

impl ProxyableStream {
    fn direct(stream: TokioIo<TcpStream>) -> Self {
        Self { stream: MaybeHttpsStream::Http(stream), absolute: false }
    }
}

impl Connection for ProxyableStream {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.absolute)
    }
}

impl Read for ProxyableStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for ProxyableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
