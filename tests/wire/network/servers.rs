//! Test servers for AWS, Kubernetes and other hosts, and the proxies in front of them. Only the proxies resolve the
//! names.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The certificate of the private authority.
pub const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/network/ca.pem");

/// The servers and the proxies, and the requests to the proxies.
pub struct TestServers {
    /// `127.0.0.1:PORT` of the HTTP proxy.
    pub http: String,
    /// `127.0.0.1:PORT` of the SOCKS proxy.
    pub socks: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl TestServers {
    /// Starts all servers and proxies. With `user` (`user:password`), the HTTP proxy requires this user and password.
    pub async fn start(user: Option<&str>) -> Self {
        let (secure, plain) = (origin(true).await, origin(false).await);
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let wanted =
            user.map(|user| format!("proxy-authorization: basic {}", BASE64_STANDARD.encode(user)).to_lowercase());
        let http = listener().await;
        let socks = listener().await;
        let (http_at, socks_at) = (address(&http), address(&socks));
        let log = Arc::clone(&requests);
        let to = (secure.clone(), plain.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = http.accept().await {
                tokio::spawn(http_proxy(stream, to.clone(), wanted.clone(), Arc::clone(&log)));
            }
        });
        let log = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = socks.accept().await {
                tokio::spawn(socks_proxy(stream, (secure.clone(), plain.clone()), Arc::clone(&log)));
            }
        });
        Self { http: http_at, socks: socks_at, requests }
    }

    /// Returns the requests to the proxies since the last call.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().expect("no thread should have panicked"))
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port should exist")
}

fn address(listener: &TcpListener) -> String {
    listener.local_addr().expect("the listener should have an address").to_string()
}

/// Serves every name, with or without TLS; returns the address.
async fn origin(secure: bool) -> String {
    let listener = listener().await;
    let at = address(&listener);
    let folder = PathBuf::from(AUTHORITY).parent().expect("the path should have a folder").to_owned();
    let chain =
        vec![CertificateDer::from_pem_file(folder.join("leaf.pem")).expect("the certificate should be readable")];
    let key = PrivateKeyDer::try_from(std::fs::read(folder.join("leaf.key.der")).expect("the key should be readable"))
        .expect("the key should be valid");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the TLS versions should be supported");
    let config =
        config.with_no_client_auth().with_single_cert(chain, key).expect("the certificate should match its key");
    let tls = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let service = service_fn(answer);
                if secure {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                } else {
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                }
            });
        }
    });
    at
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let ca = || BASE64_STANDARD.encode(std::fs::read(AUTHORITY).expect("the authority should be readable"));
    let (status, text) = match request.uri().path() {
        _ if host.starts_with("sts.") => (200, STS.to_owned()),
        "/clusters/shop" => {
            let cluster = json!({"name": "shop", "arn": "arn:x", "status": "ACTIVE", "version": "1.33",
                "endpoint": "https://api.example.test", "certificateAuthority": {"data": ca()}});
            (200, json!({"cluster": cluster}).to_string())
        }
        "/api/v1/namespaces/kube-system" => {
            (200, json!({"metadata": {"name": "kube-system", "uid": "u-1"}}).to_string())
        }
        "/version" => {
            let empty = ["gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"];
            let mut version = json!({"major": "1", "minor": "33", "gitVersion": "v1.33.0"});
            for name in empty {
                version[name] = "".into();
            }
            (200, version.to_string())
        }
        path if path.starts_with("/apis/") => (
            404,
            json!({"kind": "Status", "status": "Failure", "message": "none",
            "reason": "NotFound", "code": 404})
            .to_string(),
        ),
        _ => (200, "{}".to_owned()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status.try_into().expect("the status code should be valid");
    Ok(response)
}

const STS: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
    <Arn>arn:aws:iam::123456789012:user/x</Arn><UserId>U</UserId><Account>123456789012</Account>\
    </GetCallerIdentityResult></GetCallerIdentityResponse>";

async fn http_proxy(mut stream: TcpStream, to: (String, String), wanted: Option<String>, log: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let first = text.lines().next().unwrap_or_default();
    log.lock().expect("no thread should have panicked").push(first.trim_end_matches(" HTTP/1.1").to_owned());
    if wanted.is_some_and(|wanted| !text.to_lowercase().contains(&wanted)) {
        let _ = stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
        return;
    }
    let tunnel = first.starts_with("CONNECT ");
    let mut origin =
        TcpStream::connect(if tunnel { to.0 } else { to.1 }).await.expect("the origin should accept the connection");
    if tunnel {
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.expect("the response should be sent");
    } else {
        origin.write_all(&head).await.expect("the request should be sent");
    }
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut origin).await;
}

async fn socks_proxy(mut stream: TcpStream, to: (String, String), log: Arc<Mutex<Vec<String>>>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.expect("the client should send a SOCKS greeting");
    stream
        .read_exact(&mut vec![0; usize::from(head[1])])
        .await
        .expect("the client should send its authentication methods");
    stream.write_all(&[5, 0]).await.expect("the response should be sent");
    let mut request = [0; 5];
    stream.read_exact(&mut request).await.expect("the request should be readable");
    assert_eq!(request[3], 3, "the client must send a name to the SOCKS proxy");
    let mut name = vec![0; usize::from(request[4])];
    stream.read_exact(&mut name).await.expect("the name should be readable");
    let port = stream.read_u16().await.expect("the port should be readable");
    log.lock()
        .expect("no thread should have panicked")
        .push(format!("SOCKS {}:{port}", String::from_utf8_lossy(&name)));
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.expect("the response should be sent");
    let mut origin = TcpStream::connect(if port == 80 { to.1 } else { to.0 })
        .await
        .expect("the origin should accept the connection");
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut origin).await;
}
