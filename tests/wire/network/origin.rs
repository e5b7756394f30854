//! Servers that answer for every host name, with TLS and without.

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The private authority.
pub const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/network/ca.pem");

/// A request that a server received.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The host, without its port.
    pub host: String,
    pub method: http::Method,
    /// The path, with the query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The client's certificate in DER form.
    pub certificate: Option<Vec<u8>>,
}

/// What a server does with a request.
pub enum Reply {
    /// Answers with this status and body.
    Answer(u16, String),
    /// Closes the connection.
    Close,
    /// Never answers.
    Hang,
}

/// Decides about each request.
pub type Site = Arc<dyn Fn(Asked) -> BoxFuture<'static, Reply> + Send + Sync>;

/// A site whose answers are known at once.
pub fn site(answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> Site {
    Arc::new(move |asked| {
        let (status, text) = answer(&asked);
        Box::pin(async move { Reply::Answer(status, text) })
    })
}

/// Returns the path of a file in this folder.
pub fn file(name: &str) -> PathBuf {
    PathBuf::from(AUTHORITY).with_file_name(name)
}

/// Returns the TLS settings with the certificate of the private authority. A client's certificate of that authority is
/// accepted.
pub fn tls() -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_file(file("leaf.pem")).expect("the certificate should be readable")];
    let key = PrivateKeyDer::try_from(std::fs::read(file("leaf.key.der")).expect("the key should be readable"))
        .expect("the key should be readable");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(AUTHORITY).expect("the certificate should be readable"))
        .expect("the authority should be valid");
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let clients = clients.allow_unauthenticated().build().expect("the verifier should be created");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the TLS versions should be supported");
    let config = config.with_client_cert_verifier(clients).with_single_cert(chain, key);
    TlsAcceptor::from(Arc::new(config.expect("the certificate should match its key")))
}

/// Serves a site, with TLS or without. Returns the address.
pub async fn serve(site: Site, secure: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port should be free");
    let at = listener.local_addr().expect("the listener should have an address").to_string();
    let tls = tls();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, site) = (tls.clone(), Arc::clone(&site));
            tokio::spawn(async move {
                if !secure {
                    return connection(stream, site, None).await;
                }
                let Ok(stream) = tls.accept(stream).await else { return };
                let certificate =
                    stream.get_ref().1.peer_certificates().and_then(|all| all.first()).map(|c| c.to_vec());
                connection(stream, site, certificate).await;
            });
        }
    });
    at
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    site: Site,
    certificate: Option<Vec<u8>>,
) {
    let service = service_fn(move |request| answer(Arc::clone(&site), request, certificate.clone()));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Answers one request; an error closes the connection.
async fn answer(
    site: Site,
    request: Request<Incoming>,
    certificate: Option<Vec<u8>>,
) -> Result<Response<Full<Bytes>>, &'static str> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| "torn")?.to_bytes();
    let host = parts.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_owned();
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    match site(Asked { host, method: parts.method, path, headers: parts.headers, body, certificate }).await {
        Reply::Answer(status, text) => {
            let mut response = Response::new(Full::from(text));
            *response.status_mut() = status.try_into().map_err(|_| "no such status")?;
            Ok(response)
        }
        Reply::Close => Err("closed"),
        Reply::Hang => std::future::pending().await,
    }
}
