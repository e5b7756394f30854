//! Entry points of the APIs. They apply faults, throttling, latency and the call log around each operation.

use std::time::Duration;

use http::{Request, Response};
use hyper::body::Bytes;
use jiff::Timestamp;

use super::queue::LabEvent;
use super::{AwsAnswer, Caller, Delivery, KubeAnswer, World};
use crate::base::partition;
use crate::base::time::{earlier, later};
use crate::lab::wire::query::Query;
use crate::lab::wire::{cloudwatch, ec2, eks, elbv2, iam, kube, sts};

/// The AWS service that a call addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Elbv2,
    Sts,
    Eks,
    CloudWatch,
    Iam,
    Ec2,
}

impl Service {
    /// Returns the service of a call, by the credential scope of the signature, otherwise by path and version.
    fn of(request: &Request<Bytes>, query: &Query) -> Self {
        let authorization =
            request.headers().get(http::header::AUTHORIZATION).and_then(|a| a.to_str().ok()).unwrap_or_default();
        match authorization {
            _ if cloudwatch::operation(request).is_some() => Self::CloudWatch,
            a if a.contains("/sts/aws4_request") => Self::Sts,
            a if a.contains("/eks/aws4_request") => Self::Eks,
            a if a.contains("/iam/aws4_request") => Self::Iam,
            a if a.contains("/ec2/aws4_request") => Self::Ec2,
            _ if request.uri().path().starts_with("/clusters") => Self::Eks,
            _ if query.version == sts::API_VERSION => Self::Sts,
            _ if query.version == iam::API_VERSION => Self::Iam,
            _ if query.version == ec2::API_VERSION => Self::Ec2,
            _ => Self::Elbv2,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Elbv2 => "elasticloadbalancing",
            Self::Sts => "sts",
            Self::Eks => "eks",
            Self::CloudWatch => "monitoring",
            Self::Iam => "iam",
            Self::Ec2 => "ec2",
        }
    }
}

impl World {
    /// Handles an AWS call: ELBv2, STS, IAM and EC2 in their query protocols, EKS in JSON, CloudWatch in JSON or CBOR.
    pub fn aws(&mut self, request: &Request<Bytes>, now: Timestamp) -> AwsAnswer {
        self.advance(now);
        let form = if request.body().is_empty() {
            request.uri().query().unwrap_or_default().into()
        } else {
            String::from_utf8_lossy(request.body())
        };
        let query = Query::read(&form);
        let service = Service::of(request, &query);
        let operation = match service {
            Service::Eks => eks::operation(request),
            Service::CloudWatch => cloudwatch::operation(request).unwrap_or_default(),
            Service::Elbv2 | Service::Sts | Service::Iam | Service::Ec2 => query.action.clone(),
        };
        let mutating = service == Service::Elbv2 && elbv2::mutating(&operation);
        let (response, fate, outcome) = self.carry_out(request, service, query, mutating);
        self.log(service.name(), &operation, mutating, Caller::Client, &outcome);
        let jitter = 0.7 + 0.6 * self.random.f64();
        AwsAnswer { response, latency: self.latency.aws.0.mul_f64(jitter), delivery: fate }
    }

    fn carry_out(
        &mut self,
        request: &Request<Bytes>,
        service: Service,
        query: Query,
        mutating: bool,
    ) -> (Response<Bytes>, Delivery, String) {
        if self.faults.aws_down {
            return (Response::default(), Delivery::Dropped, "dropped".into());
        }
        let id = self.request_id();
        if self.faults.expired {
            let (code, message) = ("ExpiredToken", "The security token included in the request is expired");
            let response = match service {
                Service::Eks => eks::failure(403, "ExpiredTokenException", message, &id),
                Service::Sts => sts::failure(403, code, message, &id),
                Service::Elbv2 => elbv2::failure(403, code, message, &id),
                Service::CloudWatch => cloudwatch::failure(403, "ExpiredTokenException", message, &id),
                Service::Iam => iam::failure(403, code, message, &id),
                Service::Ec2 => ec2::failure(400, "RequestExpired", message, &id),
            };
            return (response, Delivery::Answered, code.into());
        }
        match service {
            Service::Sts => delivered(sts::answer(&self.account, &query, &id)),
            Service::Eks => {
                delivered(eks::answer(&self.eks_clusters(), &self.account, &self.region, request, &id, self.now))
            }
            Service::Iam => delivered(self.iam_call(&query, &id)),
            Service::Ec2 => {
                let subnets: Vec<_> = self.clusters.iter().flat_map(|cluster| &cluster.platform.subnets).collect();
                delivered(ec2::answer(&subnets, &query, &id))
            }
            Service::Elbv2 => self.elbv2_call(query, mutating, &id),
            Service::CloudWatch => {
                let operation = cloudwatch::operation(request).unwrap_or_default();
                delivered(cloudwatch::answer(self, &operation, request, &id))
            }
        }
    }

    fn iam_call(&self, query: &Query, id: &str) -> (Response<Bytes>, String) {
        let trusted = self.clusters.iter().filter(|cluster| cluster.platform.trusted);
        let issuers: Vec<_> = trusted.map(|cluster| cluster.platform.issuer.clone()).collect();
        iam::answer(&issuers, &self.account, partition::of_region(&self.region).name, query, id)
    }

    fn elbv2_call(&mut self, query: Query, mutating: bool, id: &str) -> (Response<Bytes>, Delivery, String) {
        if self.is_throttled(&query.action, mutating) {
            return (elbv2::failure(400, "Throttling", "Rate exceeded", id), Delivery::Answered, "Throttling".into());
        }
        let late = if matches!(query.action.as_str(), "ModifyRule" | "ModifyListener") {
            self.faults.unanswered_writes.pop()
        } else {
            None
        };
        match late {
            None => delivered(elbv2::answer(self, &query, id)),
            Some(None) => (Response::default(), Delivery::Dropped, "dropped".into()),
            Some(Some(Duration::ZERO)) => {
                let (response, outcome) = elbv2::answer(self, &query, id);
                (response, Delivery::Lost, format!("{outcome}, answer lost"))
            }
            Some(Some(delay)) => {
                let at = later(self.now, delay);
                self.queue.schedule(at, LabEvent::Late(Box::new(query)));
                (Response::default(), Delivery::AppliedLate(at), "late".into())
            }
        }
    }

    pub(super) fn apply_late(&mut self, query: &Query) {
        let id = self.request_id();
        let (_, outcome) = elbv2::answer(self, query, &id);
        self.log("elasticloadbalancing", &query.action, true, Caller::Client, &format!("late: {outcome}"));
    }

    /// Returns whether a call is throttled. If not, takes a token from the bucket of the call's class.
    fn is_throttled(&mut self, operation: &str, mutating: bool) -> bool {
        if self.faults.throttled > 0 && self.random.u32(..100) < self.faults.throttled {
            return true;
        }
        let bucket = match operation {
            "RegisterTargets" | "DeregisterTargets" => &mut self.buckets.register,
            _ if mutating => &mut self.buckets.modify,
            _ => &mut self.buckets.describe,
        };
        !bucket.take(self.now, self.faults.capacity)
    }

    /// Returns the time whose state reads return: the current time, or an earlier time while a fault makes reads stale.
    pub(crate) fn as_of(&self) -> Timestamp {
        earlier(self.now, self.faults.stale)
    }

    fn eks_clusters(&self) -> Vec<eks::ClusterDescription> {
        let description = |c: &super::cluster::Cluster| eks::ClusterDescription {
            name: c.eks.clone(),
            endpoint: c.endpoint.clone(),
            ca: c.ca.clone(),
            version: c.version.clone(),
            platform: c.platform.clone(),
        };
        self.clusters.iter().map(description).collect()
    }

    fn request_id(&mut self) -> String {
        self.requests += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.requests)
    }

    /// Handles a call of a cluster's Kubernetes API. A call to an unknown cluster gets no response.
    pub fn kube(&mut self, cluster: &str, request: &Request<Bytes>, now: Timestamp) -> KubeAnswer {
        self.advance(now);
        let latency = self.latency.kubernetes.0;
        let dropped = |latency| KubeAnswer {
            answer: kube::KubeResponse::Complete(Response::default()),
            latency,
            delivery: Delivery::Dropped,
        };
        let Some(index) = self.clusters.iter().position(|c| &*c.name == cluster) else { return dropped(latency) };
        let mutating = !matches!(*request.method(), http::Method::GET | http::Method::HEAD | http::Method::OPTIONS);
        let operation = format!("{} {}", request.method(), request.uri().path_and_query().map_or("/", |p| p.as_str()));
        if self.faults.clusters_down.contains(&index) {
            self.log(&format!("kubernetes/{cluster}"), &operation, mutating, Caller::Client, "dropped");
            return dropped(latency);
        }
        let (expired, region) = (self.faults.expired, self.region.clone());
        let authorize =
            move |header: Option<&str>, _: Timestamp| !expired && header.is_none_or(|h| is_accepted(h, &region));
        let cluster_state = &mut self.clusters[index];
        let server =
            kube::Server { version: format!("v{}.4-eks-1", cluster_state.version), authorize: Box::new(authorize) };
        let answer = server.answer(&mut cluster_state.objects, request, now);
        let outcome = match &answer {
            kube::KubeResponse::Complete(response) if response.status().is_success() => "ok".to_owned(),
            kube::KubeResponse::Complete(response) => response.status().as_u16().to_string(),
            kube::KubeResponse::Watch(_) => "watch".to_owned(),
        };
        self.log(&format!("kubernetes/{cluster}"), &operation, mutating, Caller::Client, &outcome);
        self.schedule_controllers(index);
        KubeAnswer { answer, latency, delivery: Delivery::Answered }
    }

    /// Returns the new lines of a watch, which may be empty; `None` if the watch has ended or its cluster is
    /// unreachable.
    pub fn watch(&mut self, cluster: &str, watch: &mut kube::Watch) -> Option<Bytes> {
        let index = self.clusters.iter().position(|c| &*c.name == cluster)?;
        if self.faults.clusters_down.contains(&index) {
            return None;
        }
        watch.next(&self.clusters[index].objects)
    }
}

/// Returns whether an `Authorization` header is accepted. An EKS token must be for this region. Its age is not checked,
/// because clients may sign with another clock than the lab's. All other credentials are accepted.
fn is_accepted(header: &str, region: &str) -> bool {
    !header.starts_with("Bearer k8s-aws-v1.")
        || kube::token::Token::read(Some(header)).is_ok_and(|t| t.region == region)
}

fn delivered((response, outcome): (Response<Bytes>, String)) -> (Response<Bytes>, Delivery, String) {
    (response, Delivery::Answered, outcome)
}
