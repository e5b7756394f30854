//! Opens a tunnel through an HTTP proxy with `CONNECT`. hyper-util's tunnel does not return the status of the proxy,
//! which explains a refusal.

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{ConnectError, Proxy};
use crate::base::text::line;

/// The maximum size of a proxy's response, in bytes.
const MAX_RESPONSE_BYTES: usize = 8192;

/// Opens a tunnel to `host:port` over a connection to the proxy.
pub async fn open(io: &mut (impl AsyncRead + AsyncWrite + Unpin), proxy: &Proxy, to: &str) -> Result<(), ConnectError> {
    let connection_failed =
        |e: std::io::Error| ConnectError::Failed(format!("the connection to the proxy {proxy} failed: {}", e.kind()));
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: {}\r\n", super::client::USER_AGENT);
    if let Some(value) = proxy.authorization() {
        let value = value.to_str().unwrap_or_default();
        request.extend(["Proxy-Authorization: ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    io.write_all(request.as_bytes()).await.map_err(connection_failed)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        // The response is read one byte at a time, because the bytes after it belong to the destination.
        match io.read_u8().await {
            Ok(byte) if answer.len() < MAX_RESPONSE_BYTES => answer.push(byte),
            Ok(_) => return Err(ConnectError::Failed(format!("the response of the proxy {proxy} is not HTTP"))),
            Err(_) if answer.is_empty() => {
                return Err(ConnectError::Failed(format!("the proxy {proxy} closed the connection")));
            }
            Err(_) => break,
        }
    }
    check_response(&String::from_utf8_lossy(&answer), proxy, to)
}

fn check_response(answer: &str, proxy: &Proxy, to: &str) -> Result<(), ConnectError> {
    let first = answer.lines().next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    let Some(status) = status.and_then(|code| StatusCode::from_bytes(code.as_bytes()).ok()) else {
        return Err(ConnectError::Failed(format!("the response of the proxy {proxy} is not HTTP")));
    };
    let setting = &proxy.setting;
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED if proxy.user().is_some() => Err(ConnectError::Setup(format!(
            "the proxy {proxy} does not accept the user and password in {setting} (407)"
        ))),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(ConnectError::Setup(format!(
            "the proxy {proxy} needs a user and a password (407): add them to the URL in {setting}"
        ))),
        StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => Err(ConnectError::Setup(format!(
            "the proxy {proxy} does not allow a connection to {to} ({}); if {to} needs no proxy, add it to NO_PROXY",
            status.as_u16()
        ))),
        _ => Err(ConnectError::Failed(format!(
            "the proxy {proxy} did not connect to {to} ({})",
            line(first.get(9..).unwrap_or_default(), 80)
        ))),
    }
}
