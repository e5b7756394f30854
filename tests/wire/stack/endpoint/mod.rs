//! The AWS endpoint of the stack: moto behind a proxy that records requests and corrects moto where it differs from
//! AWS.
//!
//! The corrections:
//! - a target of a group that no listener or rule uses is `unused`, as in AWS; in moto it is `healthy`;
//! - weights outside 0–999, weights that are all zero, and more than five groups in an action are refused, as in AWS;
//!   moto accepts them;
//! - add-ons, upgrade insights, Pod Identity associations and Kubernetes versions of EKS exist, empty unless a test sets
//!   them; moto has none;
//! - an EKS cluster's endpoint and CA are those of an API server of the stack; in moto they do not exist;
//! - what a test requests: other target health, refused calls.
//!
//! The caller is the access key of the signature: each program of the stack has its own.

mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::runtime::Handle;

pub use wire::AwsRequest;

/// An error of AWS: HTTP status, code and message.
#[derive(Clone, Copy)]
pub struct Refusal(pub u16, pub &'static str, pub &'static str);

/// The error of a throttled call.
pub const THROTTLED: Refusal = Refusal(400, "Throttling", "Rate exceeded");

/// A function that decides whether a call is refused.
type Rule = Box<dyn FnMut(&AwsRequest) -> Option<Refusal> + Send>;

#[derive(Default)]
struct Inside {
    requests: Vec<AwsRequest>,
    /// The injected state and reason of targets, by target group ARN.
    health: BTreeMap<String, (String, String)>,
    /// The target groups that a listener or rule forwards to, by ARN of the listener or rule.
    forwards: BTreeMap<String, Vec<String>>,
    /// The endpoint and CA (base64) of each EKS cluster, by name.
    clusters: BTreeMap<String, (String, String)>,
    /// The responses of EKS that moto lacks, by method and path.
    platform: BTreeMap<String, Value>,
    /// The functions that may refuse calls, in the order in which the tests added them.
    rules: Vec<Rule>,
}

/// The AWS endpoint of all programs of the stack.
#[derive(Clone)]
pub struct Endpoint {
    /// The URL of the endpoint, `http://127.0.0.1:PORT`.
    pub url: String,
    inside: Arc<Mutex<Inside>>,
}

impl Endpoint {
    /// Starts the endpoint in front of moto at `upstream`.
    pub fn start(upstream: &str, runtime: &Handle) -> Self {
        let inside = Arc::default();
        let url = wire::serve(upstream, Arc::clone(&inside), runtime);
        Self { url, inside }
    }

    /// Returns the requests of this access key so far, in order.
    pub fn requests_of(&self, key: &str) -> Vec<AwsRequest> {
        self.inside().requests.iter().filter(|a| a.key == key).cloned().collect()
    }

    /// Sets the API server and the PEM of the CA of an EKS cluster.
    pub fn eks(&self, name: &str, url: &str, authority: &[u8]) {
        let authority = BASE64_STANDARD.encode(authority);
        self.inside().clusters.insert(name.to_owned(), (url.to_owned(), authority));
    }

    /// Sets the state of all registered targets of this group; `healthy` removes the injected state.
    pub fn health(&self, group: &str, state: &str, reason: &str) {
        let mut inside = self.inside();
        if state == "healthy" {
            inside.health.remove(group);
        } else {
            inside.health.insert(group.to_owned(), (state.to_owned(), reason.to_owned()));
        }
    }

    /// Sets the response of EKS for this method and path, such as `GET /clusters/stack-a/addons`.
    pub fn respond(&self, action: &str, response: Value) {
        self.inside().platform.insert(action.to_owned(), response);
    }

    /// Refuses calls for which `rule` returns a refusal.
    pub fn refuse(&self, rule: impl FnMut(&AwsRequest) -> Option<Refusal> + Send + 'static) {
        self.inside().rules.push(Box::new(rule));
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// Records a request, and returns its refusal if there is one.
    fn record(&mut self, request: AwsRequest) -> Option<Refusal> {
        let refused = self.rules.iter_mut().find_map(|rule| rule(&request)).or_else(|| refusal_by_limits(&request));
        self.requests.push(request);
        refused
    }

    /// Returns the response of EKS to a request that moto does not know.
    fn own_response(&self, request: &AwsRequest) -> Option<String> {
        if request.service != "eks" {
            return None;
        }
        let empty = match request.action.rsplit('/').next() {
            Some("addons") => "addons",
            Some("insights") => "insights",
            Some("pod-identity-associations") => "associations",
            Some("cluster-versions") => "clusterVersions",
            _ => "",
        };
        let set = self.platform.get(&request.action).cloned();
        set.or((!empty.is_empty()).then(|| json!({empty: []}))).map(|response| response.to_string())
    }

    /// Corrects a response of moto.
    fn correct(&mut self, request: &AwsRequest, answer: String) -> String {
        match request.action.as_str() {
            "CreateListener" | "ModifyListener" | "CreateRule" | "ModifyRule" => self.attach(&answer),
            "DeleteListener" | "DeleteRule" => {
                self.forwards.remove(
                    request
                        .parameters
                        .get("RuleArn")
                        .or(request.parameters.get("ListenerArn"))
                        .map_or("", String::as_str),
                );
            }
            "DescribeTargetHealth" => {
                return self.diagnose(request.parameters.get("TargetGroupArn").map_or("", String::as_str), answer);
            }
            action => {
                let cluster = action.strip_prefix("GET /clusters/").and_then(|name| self.clusters.get(name));
                return cluster.map_or(answer.clone(), |(url, authority)| with_api_server(&answer, url, authority));
            }
        }
        answer
    }

    fn attach(&mut self, answer: &str) {
        let Ok(document) = roxmltree::Document::parse(answer) else { return };
        for resource in document.descendants().filter(|n| n.tag_name().name() == "member") {
            let child = |name: &str| resource.children().find(|n| n.tag_name().name() == name).and_then(|n| n.text());
            if let Some(arn) = child("RuleArn").or(child("ListenerArn")) {
                let groups =
                    resource.descendants().filter(|n| n.tag_name().name() == "TargetGroupArn").filter_map(|n| n.text());
                self.forwards.insert(arn.to_owned(), groups.map(str::to_owned).collect());
            }
        }
    }

    fn diagnose(&self, group: &str, answer: String) -> String {
        let attached = self.forwards.values().flatten().any(|g| g == group);
        let unused = || ("unused".to_owned(), "Target.NotInUse".to_owned());
        let Some((state, reason)) = self.health.get(group).cloned().or_else(|| (!attached).then(unused)) else {
            return answer;
        };
        let injected =
            format!("<State>{state}</State><Reason>{reason}</Reason><Description>injected by the test</Description>");
        answer.replace("<State>healthy</State>", &injected)
    }
}

/// Puts the address and CA of an existing API server into a response of DescribeCluster.
fn with_api_server(answer: &str, url: &str, authority: &str) -> String {
    let mut answer: Value = serde_json::from_str(answer).unwrap_or_default();
    answer["cluster"]["endpoint"] = json!(url);
    answer["cluster"]["certificateAuthority"]["data"] = json!(authority);
    answer.to_string()
}

/// Returns the refusal of a request that AWS refuses and moto accepts.
fn refusal_by_limits(request: &AwsRequest) -> Option<Refusal> {
    if !matches!(request.action.as_str(), "CreateListener" | "ModifyListener" | "CreateRule" | "ModifyRule") {
        return None;
    }
    let ends = |end: &'static str| {
        request.parameters.iter().filter(move |(k, _)| k.contains(".ForwardConfig.TargetGroups.") && k.ends_with(end))
    };
    let weights: Vec<i64> = ends(".Weight").map(|(_, v)| v.parse().unwrap_or(-1)).collect();
    let wrong = |why| Some(Refusal(400, "ValidationError", why));
    if weights.iter().any(|w| !(0..=999).contains(w)) {
        return wrong("Target group weight must be between 0 and 999");
    }
    if !weights.is_empty() && weights.iter().all(|w| *w == 0) {
        return wrong("At least one target group must have a weight above 0");
    }
    if ends(".TargetGroupArn").count() > 5 {
        return Some(Refusal(400, "TooManyTargetGroups", "More than five target groups in an action"));
    }
    None
}
