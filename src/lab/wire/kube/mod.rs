//! A Kubernetes API over the objects of a lab, complete enough for the real `kube` client and the real `kubectl`.
//!
//! [`Server::answer`] is a function from a request to a response. Sockets and streams must not be added here.

mod apply;
mod discovery;
mod failure;
mod fields;
mod managers;
mod patch;
mod path;
mod read;
mod select;
mod table;
pub mod token;
mod validate;
mod watch;
mod write;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, Response};
use hyper::body::Bytes;
use jiff::Timestamp;
use serde_json::Value;

pub use failure::Failure;
pub(in crate::lab) use validate::REFUSES;
pub use watch::Watch;

use super::super::objects::Objects;
use path::Query;
use write::Write;

/// Decides whether the value of the header `Authorization` is accepted at a time. Accepted clients may do everything.
pub type Authorize = dyn Fn(Option<&str>, Timestamp) -> bool + Send + Sync;

/// The API server of one cluster, without the cluster's objects.
pub struct Server {
    /// Version that the server reports as `gitVersion`, such as `v1.33.4-eks-1`.
    pub version: String,
    /// Decides whether credentials are accepted.
    pub authorize: Box<Authorize>,
}

/// The response to a request.
#[derive(Debug)]
pub enum KubeResponse {
    /// A complete response.
    Complete(Response<Bytes>),
    /// A stream of lines: status 200, `application/json`, and the lines of [`Watch::next`] until the time-out of the
    /// watch.
    Watch(Box<Watch>),
}

impl KubeResponse {
    /// Converts to a complete response, for a caller that cannot stream. A watch returns the current changes and ends.
    pub fn into_response(self, objects: &Objects) -> Response<Bytes> {
        match self {
            Self::Complete(response) => response,
            Self::Watch(mut watch) => response(200, "application/json", watch.next(objects).unwrap_or_default()),
        }
    }
}

impl Server {
    /// Creates a server that accepts every request.
    pub fn without_authentication(version: &str) -> Self {
        Self { version: version.to_owned(), authorize: Box::new(|_, _| true) }
    }

    /// Handles a request at this time.
    pub fn answer(&self, objects: &mut Objects, request: &Request<Bytes>, now: Timestamp) -> KubeResponse {
        self.try_answer(objects, request, now).unwrap_or_else(|f| KubeResponse::Complete(json(f.code, &f.status())))
    }

    fn try_answer(
        &self,
        objects: &mut Objects,
        request: &Request<Bytes>,
        now: Timestamp,
    ) -> Result<KubeResponse, Failure> {
        let path = request.uri().path();
        if matches!(path, "/healthz" | "/livez" | "/readyz") {
            return Ok(KubeResponse::Complete(response(200, "text/plain", Bytes::from_static(b"ok"))));
        }
        if !(self.authorize)(header(request, &AUTHORIZATION), now) {
            return Err(Failure::new(401, "Unauthorized", "Unauthorized"));
        }
        if request.method() == Method::GET
            && let Some(found) = discovery::answer(path, &self.version, objects.auto_mode())
        {
            return Ok(KubeResponse::Complete(json(200, &found)));
        }
        if path::unknown_group(path, objects.auto_mode()) {
            return Ok(KubeResponse::Complete(response(
                404,
                "text/plain; charset=utf-8",
                Bytes::from_static(b"404 page not found\n"),
            )));
        }
        answer_objects(objects, request, now)
    }
}

fn answer_objects(objects: &mut Objects, request: &Request<Bytes>, now: Timestamp) -> Result<KubeResponse, Failure> {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let target = path::parse_path(request.uri().path(), objects.auto_mode()).ok_or_else(Failure::no_such_path)?;
    let as_table = header(request, &ACCEPT).is_some_and(|a| a.contains("as=Table"));
    if request.method() == Method::GET && query.is("watch") {
        return Watch::parse(target, &query, as_table).map(|w| KubeResponse::Watch(Box::new(w)));
    }
    let agent = header(request, &USER_AGENT).and_then(|a| a.split('/').next()).unwrap_or("unknown").to_owned();
    let mut write = Write { objects, target: &target, query: &query, agent: &agent, now };
    let (status, body) = match (request.method().as_str(), target.name.is_some()) {
        ("GET", true) => (200, read::get(write.objects, &target, as_table)?),
        ("GET", false) => (200, read::list(write.objects, &target, &query, as_table)?),
        ("POST", false) if target.namespace.is_some() || !target.resource.namespaced => write.create(body(request)?)?,
        ("PUT", true) => write.replace(body(request)?)?,
        ("PATCH", true) => write.patch(header(request, &CONTENT_TYPE).unwrap_or_default(), body(request)?)?,
        ("DELETE", true) => write.delete(&if request.body().is_empty() { Value::Null } else { body(request)? })?,
        _ => return Err(not_allowed()),
    };
    Ok(KubeResponse::Complete(json(status, &body)))
}

fn not_allowed() -> Failure {
    let why = "the server does not allow this method on the requested resource";
    Failure { details: serde_json::json!({}), ..Failure::new(405, "MethodNotAllowed", why) }
}

fn header<'a>(request: &'a Request<Bytes>, name: &http::HeaderName) -> Option<&'a str> {
    request.headers().get(name).and_then(|v| v.to_str().ok())
}

/// Parses a JSON body. JSON is a subset of YAML; clients convert other YAML to JSON.
fn body(request: &Request<Bytes>) -> Result<Value, Failure> {
    let content_type = header(request, &CONTENT_TYPE).unwrap_or_default();
    if !content_type.contains("json") && !content_type.contains("yaml") && !content_type.is_empty() {
        let why = format!(
            "this API accepts only JSON, not {content_type} as the typed commands of kubectl send it; \
            use `kubectl apply -f` or `kubectl create -f`"
        );
        return Err(Failure::new(415, "UnsupportedMediaType", why));
    }
    let parsed = if content_type.starts_with("application/apply-patch+yaml") {
        serde_yaml::from_slice(request.body()).map_err(|e| e.to_string())
    } else {
        serde_json::from_slice(request.body()).map_err(|e| e.to_string())
    };
    let object = parsed.map_err(|e| Failure::bad_request(format!("the body cannot be decoded: {e}")))?;
    // A JSON patch is a list and has no kind.
    match object {
        Value::Object(_) | Value::Array(_) => Ok(object),
        _ => Err(Failure::bad_request("the object provided is unrecognized: it has no kind")),
    }
}

fn json(status: u16, value: &Value) -> Response<Bytes> {
    response(status, "application/json", value.to_string().into())
}

fn response(status: u16, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
