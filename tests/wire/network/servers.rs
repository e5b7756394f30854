//! Test servers for AWS, Kubernetes and other hosts, and the proxies in front of them. Only the proxies resolve the
//! names.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::origin::{AUTHORITY, Asked, Site, serve, site, tls};

/// The servers and the proxies, and the requests to the proxies.
pub struct TestServers {
    /// `127.0.0.1:PORT` of the HTTP proxy.
    pub http: String,
    /// `localhost:PORT` of the same proxy over TLS.
    pub https: String,
    /// `127.0.0.1:PORT` of the SOCKS proxy.
    pub socks: String,
    log: Arc<Mutex<Vec<String>>>,
}

/// How a proxy handles a client.
#[derive(Clone)]
struct Rules {
    /// The servers with TLS and without.
    to: (String, String),
    /// Part of the request that the proxy requires, in lower case.
    wanted: Option<String>,
    /// First line of the answer to every request.
    refusal: Option<String>,
    log: Arc<Mutex<Vec<String>>>,
}

impl TestServers {
    /// Starts all servers and proxies. With `user`, the HTTP proxies require this `user:password`.
    pub async fn start(user: Option<&str>) -> Self {
        Self::serving(site(answer), user, None).await
    }

    /// Starts all servers and proxies with this site. With `refusal`, the HTTP proxies answer every request with this
    /// line.
    pub async fn serving(site: Site, user: Option<&str>, refusal: Option<&str>) -> Self {
        let to = (serve(Arc::clone(&site), true).await, serve(site, false).await);
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let wanted =
            user.map(|user| format!("proxy-authorization: basic {}", BASE64_STANDARD.encode(user)).to_lowercase());
        let rules = Rules { to, wanted, refusal: refusal.map(str::to_owned), log: Arc::clone(&log) };
        let (http, https, socks) = (listener().await, listener().await, listener().await);
        let servers = Self { http: address(&http), https: localhost(&https), socks: address(&socks), log };
        let of = rules.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = http.accept().await {
                tokio::spawn(http_proxy(stream, "", of.clone()));
            }
        });
        let (of, tls) = (rules.clone(), tls());
        tokio::spawn(async move {
            while let Ok((stream, _)) = https.accept().await {
                let (tls, of) = (tls.clone(), of.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = tls.accept(stream).await {
                        http_proxy(stream, "TLS ", of).await;
                    }
                });
            }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = socks.accept().await {
                tokio::spawn(socks_proxy(stream, rules.clone()));
            }
        });
        servers
    }

    /// Returns the requests to the proxies since the last call.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().expect("no thread should have panicked"))
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port should exist")
}

fn address(listener: &TcpListener) -> String {
    listener.local_addr().expect("the listener should have an address").to_string()
}

fn localhost(listener: &TcpListener) -> String {
    format!("localhost:{}", listener.local_addr().expect("the listener should have an address").port())
}

fn answer(asked: &Asked) -> (u16, String) {
    let ca = || BASE64_STANDARD.encode(std::fs::read(AUTHORITY).expect("the authority should be readable"));
    match asked.path.split('?').next().unwrap_or_default() {
        _ if asked.host.starts_with("sts.") => (200, STS.to_owned()),
        "/clusters/shop" => {
            let cluster = json!({"name": "shop", "arn": "arn:x", "status": "ACTIVE", "version": "1.33",
                "endpoint": "https://api.example.test", "certificateAuthority": {"data": ca()}});
            (200, json!({"cluster": cluster}).to_string())
        }
        path => kubernetes(path).unwrap_or((200, "{}".to_owned())),
    }
}

/// Returns the answer of an API server without TargetGroupBindings.
pub fn kubernetes(path: &str) -> Option<(u16, String)> {
    match path {
        "/api/v1/namespaces/kube-system" => {
            Some((200, json!({"metadata": {"name": "kube-system", "uid": "u-1"}}).to_string()))
        }
        "/version" => {
            let empty = ["gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"];
            let mut version = json!({"major": "1", "minor": "33", "gitVersion": "v1.33.0"});
            for name in empty {
                version[name] = "".into();
            }
            Some((200, version.to_string()))
        }
        path if path.starts_with("/apis/") => {
            let status =
                json!({"kind": "Status", "status": "Failure", "message": "none", "reason": "NotFound", "code": 404});
            Some((404, status.to_string()))
        }
        _ => None,
    }
}

const STS: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
    <Arn>arn:aws:iam::123456789012:user/x</Arn><UserId>U</UserId><Account>123456789012</Account>\
    </GetCallerIdentityResult></GetCallerIdentityResponse>";

async fn http_proxy(mut stream: impl AsyncRead + AsyncWrite + Unpin, prefix: &str, rules: Rules) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let first = text.lines().next().unwrap_or_default();
    let asked = format!("{prefix}{}", first.trim_end_matches(" HTTP/1.1"));
    rules.log.lock().expect("no thread should have panicked").push(asked);
    let unauthorized = rules.wanted.is_some_and(|wanted| !text.to_lowercase().contains(&wanted));
    let unauthorized = unauthorized.then(|| "HTTP/1.1 407 Proxy Authentication Required".to_owned());
    if let Some(line) = rules.refusal.or(unauthorized) {
        let _ = stream.write_all(format!("{line}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
        return;
    }
    let tunnel = first.starts_with("CONNECT ");
    let mut origin = TcpStream::connect(if tunnel { rules.to.0 } else { rules.to.1 })
        .await
        .expect("the origin should accept the connection");
    if tunnel {
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.expect("the response should be sent");
    } else {
        origin.write_all(&head).await.expect("the request should be sent");
    }
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut origin).await;
}

async fn socks_proxy(mut stream: TcpStream, rules: Rules) {
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
    let port = stream.read_u16().await.expect("a port should be free");
    rules
        .log
        .lock()
        .expect("no thread should have panicked")
        .push(format!("SOCKS {}:{port}", String::from_utf8_lossy(&name)));
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.expect("the response should be received");
    let mut origin = TcpStream::connect(if port == 80 { rules.to.1 } else { rules.to.0 })
        .await
        .expect("the origin should accept the connection");
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut origin).await;
}
