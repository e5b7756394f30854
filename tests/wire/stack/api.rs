//! An administrator's access to the API of one cluster, in JSON and by path, to create and read objects for tests.

use std::time::Duration;

use http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use tokio::runtime::Handle;

/// A refused call: HTTP status (0: no response), and the `Status` object or another reason.
#[derive(Debug)]
pub struct RefusedCall(pub u16, pub Value);

/// An administrator's client. Its methods block, except `ask`; do not call them inside the runtime.
#[derive(Clone)]
pub struct Api {
    client: kube::Client,
    runtime: Handle,
}

impl Api {
    /// Creates a client for a context of this kubeconfig, without retries.
    pub fn new(kubeconfig: &str, context: &str, runtime: Handle) -> Self {
        let kubeconfig = Kubeconfig::from_yaml(kubeconfig).expect("the kubeconfig should be valid");
        let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
        let client = runtime.block_on(async {
            let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .expect("the kubeconfig should have the context");
            config.default_retry = false;
            config.read_timeout = Some(Duration::from_secs(15));
            kube::Client::try_from(config).expect("the client should be created")
        });
        Self { client, runtime }
    }

    /// Creates an `Api` that uses another client.
    pub fn with_client(&self, client: impl FnOnce() -> kube::Client) -> Self {
        let client = self.runtime.block_on(async { client() });
        Self { client, runtime: self.runtime.clone() }
    }

    /// Reads an object with `GET`; panics if the call is refused.
    pub fn get(&self, path: &str) -> Value {
        self.call("GET", path, None).unwrap_or_else(|e| panic!("GET {path}: {e:?}"))
    }

    /// Reads an object with `GET`; `None` if the object does not exist.
    pub fn find(&self, path: &str) -> Option<Value> {
        match self.call("GET", path, None) {
            Err(RefusedCall(404, _)) => None,
            other => Some(other.unwrap_or_else(|e| panic!("GET {path}: {e:?}"))),
        }
    }

    /// Creates an object with `POST` to a collection.
    pub fn create(&self, path: &str, object: &Value) -> Value {
        self.call("POST", path, Some(object)).unwrap_or_else(|e| panic!("POST {path} {object}: {e:?}"))
    }

    /// Changes an object with a merge patch.
    pub fn merge(&self, path: &str, patch: &Value) -> Value {
        self.call("PATCH", path, Some(patch)).unwrap_or_else(|e| panic!("PATCH {path} {patch}: {e:?}"))
    }

    /// Deletes an object with `DELETE`.
    pub fn delete(&self, path: &str) -> Value {
        self.call("DELETE", path, None).unwrap_or_else(|e| panic!("DELETE {path}: {e:?}"))
    }

    /// Whether the API server reports that it is ready.
    pub fn ready(&self) -> bool {
        let request = Request::get("/readyz").body(Vec::new()).expect("the request should be valid");
        self.runtime.block_on(self.client.request_text(request)).is_ok()
    }

    /// Sends any request; `Err` is the refusal. A `PATCH` is a merge patch, or a server-side apply if the path has a
    /// `fieldManager`.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, RefusedCall> {
        self.runtime.block_on(self.ask(method, path, body))
    }

    /// Sends any request; to be called inside the runtime.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, RefusedCall> {
        let kind = match method {
            "PATCH" if path.contains("fieldManager=") => "application/apply-patch+yaml",
            "PATCH" if path.ends_with("/status") => "application/strategic-merge-patch+json",
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let bytes = body.map_or_else(Vec::new, |b| b.to_string().into_bytes());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .body(bytes)
            .expect("the request should be valid");
        self.client.request(request).await.map_err(|e| match e {
            kube::Error::Api(status) => RefusedCall(status.code, serde_json::to_value(status).unwrap_or_default()),
            other => RefusedCall(0, other.to_string().into()),
        })
    }
}
