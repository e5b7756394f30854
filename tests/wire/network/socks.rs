//! The messages about a SOCKS proxy that does not connect.

use cutover::adapter::metric::{HttpClient, HttpRequest};
use cutover::adapter::network::Network;
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Starts a proxy that sends these answers, one after each message of the client, and then closes the connection.
async fn proxy(answers: &'static [&'static [u8]]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port should exist");
    let address = listener.local_addr().expect("the listener should have an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            for answer in answers {
                let _ = stream.read(&mut [0; 512]).await;
                let _ = stream.write_all(answer).await;
            }
            let _ = stream.read(&mut [0; 512]).await;
        }
    });
    address.to_string()
}

/// Returns why a request through this proxy fails.
async fn failure(url: String) -> String {
    let network = Network::of(|name| (name == "ALL_PROXY").then(|| url.clone()));
    let request = HttpRequest {
        counted_as: None,
        url: "http://hooks.example.test/x",
        post: None,
        headers: &[],
        more_headers: HeaderMap::new(),
        timeout: std::time::Duration::from_mins(1),
    };
    HttpClient::over(network).send(request).await.expect_err("the proxy does not connect")
}

/// The answer to the greeting: no authentication.
const WELCOME: &[u8] = &[5, 0];
/// The answer to the greeting: a user and a password.
const LOGIN: &[u8] = &[5, 2];

/// The answer to the request for a connection, with this status.
const fn connected(status: u8) -> [u8; 10] {
    [5, status, 0, 1, 0, 0, 0, 0, 0, 0]
}

#[tokio::test]
async fn socks_proxy_that_does_not_connect_is_named_with_its_setting() {
    const NOT_ALLOWED: [u8; 10] = connected(2);
    const UNREACHABLE: [u8; 10] = connected(4);
    let to = "hooks.example.test:80";
    for (answers, expected) in [
        (
            &[WELCOME, &NOT_ALLOWED] as &[&[u8]],
            format!("does not allow a connection to {to} (ALL_PROXY); if {to} needs no proxy, add it to NO_PROXY"),
        ),
        (&[WELCOME, &UNREACHABLE], format!("did not connect to {to} (ALL_PROXY): host unreachable")),
        (&[b"HTTP/1.1 400 Bad Request\r\n\r\n"], "is not SOCKS 5 (ALL_PROXY)".to_owned()),
        (&[], "closed the connection (ALL_PROXY)".to_owned()),
        (&[WELCOME], "closed the connection (ALL_PROXY)".to_owned()),
        (&[&[5, 255]], "needs a user and a password: add them to the URL in ALL_PROXY".to_owned()),
    ] {
        let address = proxy(answers).await;
        let why = failure(format!("socks5://{address}")).await;
        assert!(why.contains(&format!("proxy socks5://{address}")) && why.contains(&expected), "{expected}: {why}");
    }
    let why = failure("socks5h://127.0.0.1:1".to_owned()).await;
    assert!(why.contains("proxy socks5://127.0.0.1:1 refused the connection (ALL_PROXY)"), "{why}");
}

#[tokio::test]
async fn refused_login_of_a_socks_proxy_is_named_without_the_password() {
    let address = proxy(&[LOGIN, &[1, 1]]).await;
    let why = failure(format!("socks5://robot:S3CRETpw@{address}")).await;
    assert!(why.contains(&format!("the proxy socks5://{address} refused the login (ALL_PROXY)")), "{why}");
    assert!(!why.contains("S3CRET"), "{why}");
}
