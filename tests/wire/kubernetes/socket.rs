//! The lab's Kubernetes API over a socket, used by the adapter.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cutover::adapter::kubernetes::from_kubeconfig;
use cutover::domain::traffic::Unreadable;
use cutover::lab::objects::Objects;
use cutover::lab::wire::kube::{KubeResponse, Server};
use cutover::port::Cluster;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

/// Objects and the API server that serves them.
pub struct Lab {
    pub objects: Arc<Mutex<Objects>>,
    pub server: Server,
}

async fn answer(lab: Arc<Lab>, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, body.collect().await?.to_bytes());
    let answer = lab.server.answer(&mut lab.objects.lock().unwrap(), &request, Timestamp::now());
    Ok(match answer {
        KubeResponse::Complete(response) => response.map(|b| http_body_util::Full::new(b).boxed()),
        KubeResponse::Watch(watch) => {
            let lines = futures::stream::unfold((watch, lab), |(mut watch, lab)| async move {
                loop {
                    let lines = watch.next(&lab.objects.lock().unwrap())?;
                    if !lines.is_empty() {
                        return Some((Ok(Frame::data(lines)), (watch, lab)));
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
            Response::builder().header("content-type", "application/json").body(StreamBody::new(lines).boxed()).unwrap()
        }
    })
}

/// Serves the API until the runtime ends; returns the URL.
pub async fn serve(lab: Arc<Lab>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let lab = Arc::clone(&lab);
            let service = service_fn(move |r| answer(Arc::clone(&lab), r));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    url
}

fn kubeconfig(url: &str, token: &str) -> kube::config::Kubeconfig {
    let named = |kind: &str, value: Value| json!([{"name": "x", kind: value}]);
    let context = json!({"cluster": "x", "user": "x"});
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": named("cluster", json!({"server": url})),
        "users": named("user", json!({"token": token})), "contexts": named("context", context),
    });
    serde_json::from_value(config).unwrap()
}

#[tokio::test]
async fn the_adapter_authenticates_calls_once_and_never_shows_its_token() {
    let request_count = Arc::new(Mutex::new(0));
    let count = Arc::clone(&request_count);
    let authorize = move |header: Option<&str>, _| {
        *count.lock().unwrap() += 1;
        header == Some("Bearer good-token")
    };
    let objects = Arc::new(Mutex::new(Objects::new(5, false, Timestamp::now())));
    let lab =
        Arc::new(Lab { objects, server: Server { version: "v1.33.4".to_owned(), authorize: Box::new(authorize) } });
    let url = serve(Arc::clone(&lab)).await;
    let good = from_kubeconfig(kubeconfig(&url, "good-token"), Some("x")).await.unwrap();
    assert_eq!(good.identity().await.unwrap().version, "v1.33.4");
    let before = *request_count.lock().unwrap();
    let bad = from_kubeconfig(kubeconfig(&url, "bad-token"), None).await.unwrap();
    let why = bad.identity().await.unwrap_err();
    assert!(matches!(why, Unreadable::Credentials(_)), "{why}");
    assert_eq!(*request_count.lock().unwrap() - before, 1, "a refusal must not be retried");
    let nobody = from_kubeconfig(kubeconfig("http://127.0.0.1:1", "bad-token"), None)
        .await
        .unwrap()
        .identity()
        .await
        .unwrap_err();
    assert!(nobody.to_string().contains("refused the connection"), "{nobody}");
    assert!(!format!("{why:?}{nobody:?}").contains("bad-token"));
    let unknown = from_kubeconfig(kubeconfig(&url, "t"), Some("y")).await.err().unwrap();
    assert_eq!(unknown.to_string(), "kubeconfig: there is no context `y`; the contexts are x");
}
