//! Reads an EKS cluster and connects to its API server. Do not add other calls of EKS, which belong to the rules that
//! need them.

mod token;

use std::sync::Arc;

use aws_sdk_eks::config::http::HttpResponse;
use aws_sdk_eks::error::{ProvideErrorMetadata, SdkError};
use aws_types::SdkConfig;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use kube::Config;
use kube::client::{Body, ClientBuilder};
use tower::BoxError;
use tower::filter::AsyncFilterLayer;
use tower::util::{BoxCloneSyncService, MapResponseLayer};

pub use token::{Audience, Bearer, sign};

use crate::adapter::aws::elb as alb;
use crate::adapter::calls::{AwsCallCounter, KubernetesCallLayer};
use crate::adapter::kubernetes::{Access, K8s, USER_AGENT, refuse_unauthorized, service};
use crate::adapter::network::Network;
use crate::base::text::list;
use crate::domain::traffic::Unreadable;

/// An EKS cluster as DescribeCluster returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EksCluster {
    /// The name of the cluster.
    pub name: String,
    /// The ARN of the cluster.
    pub arn: String,
    /// The status of the cluster, such as `ACTIVE`, `CREATING` or `UPDATING`.
    pub status: String,
    /// The Kubernetes version, such as `1.33`.
    pub version: String,
    /// The URL of the API server; `None` if it is not created yet.
    pub endpoint: Option<String>,
    /// The PEM text of the API server's certificate authority; `None` if it is not created yet.
    pub ca: Option<Vec<u8>>,
    /// The health issues of the cluster, each as `code: message`.
    pub issues: Vec<String>,
}

/// An API server in this process instead of a socket. The lab uses it in virtual time.
pub type Transport = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// Reads the description of a cluster.
pub async fn describe(config: &SdkConfig, name: &str) -> Result<EksCluster, Unreadable> {
    let counted = aws_sdk_eks::config::Builder::from(config).interceptor(AwsCallCounter).build();
    let client = aws_sdk_eks::Client::from_conf(counted);
    let answer = client.describe_cluster().name(name).send().await.map_err(unreadable)?;
    let cluster = answer
        .cluster
        .ok_or_else(|| Unreadable::Unavailable(format!("the response of EKS contains no cluster {name}")))?;
    let ca = match cluster.certificate_authority.and_then(|c| c.data).filter(|d| !d.is_empty()) {
        None => None,
        Some(data) => Some(
            BASE64_STANDARD
                .decode(data)
                .map_err(|_| Unreadable::Unavailable(format!("the certificate authority of {name} is not base64")))?,
        ),
    };
    let issues = cluster.health.and_then(|h| h.issues).unwrap_or_default().into_iter();
    let issue = |i: aws_sdk_eks::types::ClusterIssue| {
        format!(
            "{}: {}",
            i.code.map_or_else(|| "issue".to_owned(), |c| c.as_str().to_owned()),
            i.message.unwrap_or_default()
        )
    };
    Ok(EksCluster {
        name: cluster.name.unwrap_or_else(|| name.to_owned()),
        arn: cluster.arn.unwrap_or_default(),
        status: cluster.status.map(|s| s.as_str().to_owned()).unwrap_or_default(),
        version: cluster.version.unwrap_or_default(),
        endpoint: cluster.endpoint,
        ca,
        issues: issues.map(issue).collect(),
    })
}

/// Returns the text that a cluster does not exist, with the existing clusters if the caller may list them.
async fn cluster_not_found(config: &SdkConfig, name: &str) -> String {
    let region = config.region().map_or("the region", |region| region.as_ref());
    let counted = aws_sdk_eks::config::Builder::from(config).interceptor(AwsCallCounter).build();
    let listed = aws_sdk_eks::Client::from_conf(counted).list_clusters().send().await;
    let instead = listed.ok().map(|answer| answer.clusters.unwrap_or_default());
    match instead {
        None => format!("{region} has no EKS cluster `{name}`"),
        Some(all) if all.is_empty() => format!("{region} has no EKS cluster at all"),
        Some(all) => {
            format!("{region} has no EKS cluster `{name}`; its clusters are {}", list(&all))
        }
    }
}

/// Connects to a cluster's API server with a token. The token is renewed by the configuration's clock. `transport`
/// replaces the network.
pub async fn connect(config: &SdkConfig, cluster_name: &str, transport: Option<Transport>) -> Result<K8s, Unreadable> {
    connect_over(&Network::process(), config, cluster_name, transport).await
}

/// Connects to a cluster's API server as [`connect`] does, but with the given network environment.
pub async fn connect_over(
    network: &Arc<Network>,
    config: &SdkConfig,
    cluster_name: &str,
    transport: Option<Transport>,
) -> Result<K8s, Unreadable> {
    let cluster = match describe(config, cluster_name).await {
        Err(Unreadable::NotFound(_)) => {
            return Err(Unreadable::NotFound(cluster_not_found(config, cluster_name).await));
        }
        other => other?,
    };
    if !matches!(cluster.status.as_str(), "ACTIVE" | "UPDATING") {
        return Err(Unreadable::Unavailable(format!("the EKS cluster {cluster_name} is {}", cluster.status)));
    }
    let bearer = Arc::new(Bearer::new(config, &cluster.name)?);
    let signer = Arc::clone(&bearer);
    let filter = AsyncFilterLayer::new(move |request| add_authorization(Arc::clone(&signer), request));
    let access = Access::of_eks(&cluster.name, config.region().map(AsRef::as_ref));
    let client = if let Some(service) = transport {
        ClientBuilder::new(service, "default")
            .with_layer(&KubernetesCallLayer)
            .with_layer(&filter)
            .with_layer(&discard_refused_token(bearer))
            .with_layer(&refuse_unauthorized(&access))
            .build()
    } else {
        let place = format!("the description of the EKS cluster {cluster_name}");
        let service = service(network, client_config(&cluster)?, Some(place), None)?;
        ClientBuilder::new(service, "default")
            .with_layer(&KubernetesCallLayer)
            .with_layer(&filter)
            .with_layer(&discard_refused_token(bearer))
            .with_layer(&refuse_unauthorized(&access))
            .build()
    };
    Ok(K8s::new(client).with_access(access))
}

async fn add_authorization(bearer: Arc<Bearer>, mut request: Request<Body>) -> Result<Request<Body>, BoxError> {
    let value = bearer.header().await?;
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    Ok(request)
}

/// Discards a token that the API server refused. The credentials may have changed, or the clocks differ.
fn discard_refused_token<B>(bearer: Arc<Bearer>) -> MapResponseLayer<impl FnMut(Response<B>) -> Response<B> + Clone> {
    MapResponseLayer::new(move |response: Response<B>| {
        if response.status() == StatusCode::UNAUTHORIZED {
            bearer.forget();
        }
        response
    })
}

fn client_config(cluster: &EksCluster) -> Result<Config, Unreadable> {
    let wrong = |why: &str| Unreadable::Unavailable(format!("the endpoint of {}: {why}", cluster.name));
    let endpoint = cluster.endpoint.as_deref().ok_or_else(|| wrong("EKS has not created the endpoint yet"))?;
    let uri: Uri = endpoint.parse().map_err(|_| wrong("not a URL"))?;
    let ca = cluster.ca.as_ref().map(|pem| certificates(pem)).unwrap_or_default();
    match uri.scheme_str() {
        Some("https") if ca.is_empty() => return Err(wrong("no certificate authority")),
        Some("https") => (),
        Some("http") if is_loopback(&uri) => (),
        _ => return Err(wrong("a token is sent only over https")),
    }
    let mut config = Config::new(uri);
    config.root_cert = Some(ca);
    config.default_retry = false;
    Ok(config)
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns each certificate in a PEM text, in DER form.
fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(pem);
    let blocks =
        text.split("-----BEGIN CERTIFICATE-----").skip(1).filter_map(|b| b.split("-----END CERTIFICATE-----").next());
    blocks.filter_map(|b| BASE64_STANDARD.decode(b.split_whitespace().collect::<String>()).ok()).collect()
}

/// Returns the code and a short message, but never the raw text, which may quote the signed request.
pub(super) fn unreadable<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: SdkError<E, HttpResponse>,
) -> Unreadable {
    match alb::unreadable(error) {
        Unreadable::Unavailable(why) => Unreadable::Unavailable(format!("EKS: {why}")),
        known => known,
    }
}

#[cfg(test)]
mod tests;
