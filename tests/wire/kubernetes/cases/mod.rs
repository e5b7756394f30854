//! Requests that the program makes to a Kubernetes API server, and the responses and refusals: the same cases against
//! the lab's server and a real one.
//!
//! The lab's column is in this folder; the column of a real API server with the real load balancer controller is in
//! `tests/wire/stack`.

mod bindings;
mod leases;
mod lists;
mod refusals;

pub use bindings::*;
pub use leases::*;
pub use lists::*;
pub use refusals::*;

use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

/// An API server with a namespace for one case. The namespace is empty except for a Service `web` with a port `http` on
/// 80.
pub struct ApiServerCase {
    /// A client with all permissions.
    pub client: kube::Client,
    /// The name of the namespace.
    pub namespace: String,
    /// ARNs of two target groups without bindings, both with IP targets.
    pub groups: [String; 2],
}

/// HTTP status, content type and body of a response; the body is a string if it is not JSON.
pub type HttpAnswer = (u16, String, Value);

pub const APPLY: &str = "application/apply-patch+yaml";
pub const MERGE: &str = "application/merge-patch+json";
pub const JSON: &str = "application/json";

impl ApiServerCase {
    /// Sends one request and returns the response unchanged.
    pub async fn ask(&self, method: &str, path: &str, kind: &str, body: Option<Value>) -> HttpAnswer {
        let body = body.map_or_else(Vec::new, |b| b.to_string().into_bytes());
        let request = Request::builder().method(method).uri(path).header("content-type", kind).header("accept", JSON);
        let answer = self
            .client
            .send(request.body(Body::from(body)).expect("the request should be valid"))
            .await
            .expect("the response should arrive");
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.expect("the body should be readable").to_bytes();
        let kind = parts.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        (parts.status.as_u16(), kind, value)
    }

    pub async fn get(&self, path: &str) -> HttpAnswer {
        self.ask("GET", path, JSON, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> HttpAnswer {
        self.ask("POST", path, JSON, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> HttpAnswer {
        self.ask("PUT", path, JSON, Some(body)).await
    }

    /// Returns the path of the collection of a kind in the namespace.
    pub fn of(&self, plural: &str) -> String {
        let root = match plural {
            "leases" => "/apis/coordination.k8s.io/v1",
            "deployments" => "/apis/apps/v1",
            "targetgroupbindings" => "/apis/elbv2.k8s.aws/v1beta1",
            _ => "/api/v1",
        };
        format!("{root}/namespaces/{}/{plural}", self.namespace)
    }
}

/// Asserts a refusal: status, reason (empty: no reason), message, and details (null: no details).
pub fn assert_refused(answer: &HttpAnswer, code: u16, reason: &str, message: &str, details: &Value) {
    let (status, _, body) = answer;
    assert_eq!(*status, code, "{body}");
    assert_eq!(
        (&body["kind"], &body["status"], &body["code"]),
        (&json!("Status"), &json!("Failure"), &json!(code)),
        "{body}"
    );
    assert_eq!(body["reason"].as_str().unwrap_or_default(), reason, "{body}");
    assert_eq!(body["message"], message, "{body}");
    assert_eq!(&body["details"], details, "{body}");
}
