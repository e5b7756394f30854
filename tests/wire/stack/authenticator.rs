//! A token webhook, as EKS runs for each API server: it gets a bearer token and returns the user.
//!
//! The webhook checks the form and age of a token as EKS does, with the lab's parser. It does not check signatures (STS
//! does, moto does not): the name of the user is the access key. A test can invalidate the tokens of a user.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cutover::lab::wire::kube::token::Token;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

/// By user, the time before which signed tokens are refused.
type Ended = Arc<Mutex<BTreeMap<String, Timestamp>>>;

/// The token webhook of all clusters.
#[derive(Clone)]
pub struct Authenticator {
    /// The URL of the webhook, `http://127.0.0.1:PORT`.
    pub url: String,
    ended: Ended,
}

impl Authenticator {
    /// Starts the webhook on a free port.
    pub fn start(runtime: &Handle) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port should exist");
        let url = format!("http://{}", listener.local_addr().expect("the listener should have an address"));
        let ended = Ended::default();
        let shared = Arc::clone(&ended);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let ended = Arc::clone(&shared);
                let service = service_fn(move |request| answer(Arc::clone(&ended), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, ended }
    }

    /// Refuses, from now on, all tokens that this user signed before now.
    pub fn end_tokens(&self, user: &str) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned(), Timestamp::now());
    }
}

async fn answer(ended: Ended, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let mut review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let token = Token::read(Some(&format!("Bearer {}", review["spec"]["token"].as_str().unwrap_or_default())));
    let holds = |token: &Token| {
        let ended = ended.lock().unwrap_or_else(PoisonError::into_inner).get(&token.access_key).copied();
        token.is_fresh(Timestamp::now()) && ended.is_none_or(|at| token.signed > at)
    };
    review["status"] = match token {
        Ok(token) if holds(&token) => {
            json!({"authenticated": true, "user": {"username": token.access_key, "groups": ["system:authenticated"]}})
        }
        _ => json!({"authenticated": false}),
    };
    let mut response = Response::new(Full::from(review.to_string()));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}
