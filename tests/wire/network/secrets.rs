//! Canaries: secrets of this process in every response and every failure, which no adapter may repeat.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use cutover::adapter::aws::{self, eks, elb::Alb};
use cutover::adapter::kubernetes;
use cutover::adapter::metric::{HttpClient, HttpRequest};
use cutover::adapter::network::Network;
use cutover::base::redact;
use cutover::domain::traffic::RouteId;
use cutover::port::{Cluster, Inventory, Traffic};
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

const KEY: &str = "CanaryKey/wJalrXUtnFEMI+K7MDENG";
const TOKEN: &str = "CanaryToken7eyJhbGciOiJSUzI1NiJ9";
const PASSWORD: &str = "CanaryPassword8";
/// A secret that the process does not know, so that only the form of the text shows that it is secret.
const FOREIGN: &str = "CanaryForeign9";

fn text_with_canaries() -> String {
    let encoded = percent_encoding::utf8_percent_encode(KEY, percent_encoding::NON_ALPHANUMERIC).to_string();
    format!(
        "refused {KEY} {encoded} {TOKEN} via http://al:{PASSWORD}@proxy:3128 and http://x:{FOREIGN}@proxy, \
         Authorization: Basic {FOREIGN}, https://a/?X-Amz-Signature={FOREIGN}&X-Amz-Security-Token={FOREIGN}"
    )
}

/// Responds to every request with this status and a body in the format of the service that quotes the canaries.
async fn server(status: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port should exist");
    let url = format!("http://{}", listener.local_addr().expect("the listener should have an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request: Request<Incoming>| async move {
                let path = request.uri().path().to_owned();
                let text = if path.starts_with("/api/v1/query") {
                    json!({"status": "error", "error": text_with_canaries()}).to_string()
                } else if path.starts_with("/api") || path.starts_with("/version") {
                    json!({"kind": "Status", "status": "Failure", "message": text_with_canaries(), "reason": "X", "code": status})
                        .to_string()
                } else if path.starts_with("/clusters") {
                    json!({"__type": "InvalidRequestException", "message": text_with_canaries()}).to_string()
                } else {
                    format!(
                        "<ErrorResponse><Error><Type>Sender</Type><Code>Weird</Code><Message>{}</Message></Error></ErrorResponse>",
                        text_with_canaries().replace('&', "&amp;")
                    )
                };
                let mut response = Response::new(Full::<Bytes>::from(text));
                *response.status_mut() = status.try_into().expect("the status code should be valid");
                Ok::<_, Infallible>(response)
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

/// Returns the errors of the adapters for these responses.
async fn failures(url: &str) -> Vec<String> {
    let network = Network::alone();
    let settings = aws::Settings {
        region: Some("eu-central-1".into()),
        endpoint_url: Some(url.to_owned()),
        credentials: Some(Credentials::new("AKIDEXAMPLE", KEY, Some(TOKEN.into()), None, "test")),
        network: Some(Arc::clone(&network)),
        ..aws::Settings::default()
    };
    let config = aws::config(&settings).await;
    let alb = Alb::new(&config);
    let rule = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener-rule/app/x/1/2/3";
    let kubeconfig = json!({
        "current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": url}}], "users": [{"name": "x", "user": {"token": TOKEN}}],
    });
    let kubeconfig = serde_json::from_value(kubeconfig).expect("the kubeconfig should be valid");
    let cluster = kubernetes::connect_over(&network, kubeconfig, None).await.expect("the client should be created");
    let web = HttpClient::over(network.clone());
    let request = |url| HttpRequest {
        counted_as: None,
        url,
        post: None,
        headers: &[],
        more_headers: HeaderMap::new(),
        timeout: Duration::from_secs(5),
    };
    let address = format!("{}/x", url.replace("http://", &format!("http://al:{PASSWORD}@")));
    vec![
        format!("{:?}", alb.caller().await.err()),
        format!("{:?}", alb.routes(&[RouteId::rule(rule)]).await),
        format!("{:?}", eks::connect_over(&network, &config, "shop", None).await.err()),
        format!("{:?}", cluster.identity().await.err()),
        format!("{:?}", cluster.bindings().await.err()),
        format!("{:?}", web.send(request(&address)).await.err()),
        format!("{:?}", web.send(request(&format!("ht tp://al:{FOREIGN}@x"))).await.err()),
    ]
}

#[tokio::test]
async fn no_adapter_repeats_a_secret_from_a_response_or_an_error() {
    // Register the secrets, as the program does with its environment.
    [KEY, TOKEN, PASSWORD].into_iter().for_each(redact::remember);
    for status in [200, 400, 401, 403, 404, 409, 422, 429, 500, 503] {
        for message in failures(&server(status).await).await {
            assert!(!message.contains("Canary"), "{status}: {message}");
        }
    }
    for message in failures("http://127.0.0.1:1").await {
        assert!(!message.contains("Canary"), "{message}");
    }
}
