//! Creates clients for a cluster: no retries, limited waits, and the proxies and certificates of the network
//! environment.
//!
//! Do not read kubeconfigs or run credential plugins here.

use std::sync::Arc;

use http::{Request, Response, header};
use hyper::body::Incoming;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::Kubeconfig;
use rustls::pki_types::{CertificateDer, ServerName};
use secrecy::ExposeSecret;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, ServiceBuilder};

use super::access::refuse_unauthorized;
use super::kubeconfig::{self, ContextAccess};
use super::plugin::{Credential, Plugin};
use super::plugin_service::PluginService;
use super::{K8s, error};
use crate::adapter::calls::KubernetesCallLayer;
use crate::adapter::network::{self, Client, ConnectError, Network, Proxy};
use crate::base::redact;
use crate::domain::traffic::Unreadable;

/// The name of this program in requests.
pub const USER_AGENT: &str = network::USER_AGENT;

/// Connects to the cluster of a context; `None` means the current context. Reads the files that kubectl reads:
/// `KUBECONFIG`, else `~/.kube/config`.
pub async fn from_context(name: Option<&str>) -> Result<K8s, Unreadable> {
    from_kubeconfig(kubeconfig::read().map_err(Unreadable::Unavailable)?, name).await
}

/// Connects to the cluster of a context of this kubeconfig; `None` means the current context.
pub async fn from_kubeconfig(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<K8s, Unreadable> {
    connect_over(&Network::process(), kubeconfig, context).await
}

/// Connects to the cluster of a context with this network environment.
pub async fn connect_over(
    network: &Arc<Network>,
    kubeconfig: Kubeconfig,
    context: Option<&str>,
) -> Result<K8s, Unreadable> {
    let access = ContextAccess::of(kubeconfig, context).map_err(Unreadable::Unavailable)?;
    let ContextAccess { config, proxy, exec, context, access, authority } = access;
    let user = &config.auth_info;
    [&user.token, &user.password, &user.client_key_data]
        .into_iter()
        .flatten()
        .for_each(|s| redact::remember(s.expose_secret()));
    let proxy = proxy.map(|url| Proxy::parse(&format!("proxy-url of the context {context}"), &url));
    let proxy = proxy.transpose().map_err(|e| to_unreadable(&e))?;
    let authority = authority.then(|| format!("the kubeconfig's context {context} (certificate-authority)"));
    let Some(exec) = exec else {
        let client = counted(client(network, config, authority, proxy)?);
        let client = ClientBuilder::new(client, "default").with_layer(&refuse_unauthorized(&access)).build();
        return Ok(K8s::new(client).with_access(access));
    };
    let network = Arc::clone(network);
    let connect = move |credential: &Credential| {
        let mut config = config.clone();
        credential.certificate_into(&mut config.auth_info);
        client(&network, config, authority.clone(), proxy.clone()).map(counted)
    };
    let client = PluginService::start(Plugin::new(exec, &context), connect).await?;
    let client = ClientBuilder::new(client, "default").with_layer(&refuse_unauthorized(&access)).build();
    Ok(K8s::new(client).with_access(access))
}

fn counted(client: Service) -> Service {
    Service::new(KubernetesCallLayer.layer(client))
}

/// A service that sends requests to an API server.
pub type Service = BoxCloneSyncService<Request<Body>, Response<Incoming>, BoxError>;

/// Builds the service that sends requests to the API server of `config`. `config` contains all credentials except those
/// of a plugin. `authority` says where the cluster's own certificate authority is configured; `None` if the
/// environment's authorities are used.
pub fn client(
    network: &Arc<Network>,
    mut config: Config,
    authority: Option<String>,
    proxy: Option<Proxy>,
) -> Result<Service, Unreadable> {
    let https = config.cluster_url.scheme_str() != Some("http");
    config.headers.push((header::USER_AGENT, header::HeaderValue::from_static(USER_AGENT)));
    let mut connector = network.connector();
    if https {
        if authority.is_none() {
            config.root_cert = Some(network.roots().map_err(|e| to_unreadable(&e))?);
        }
        let mut tls = config.rustls_client_config().map_err(|e| error::read(&e))?;
        if let Some(trusted) = config.root_cert.as_ref().filter(|_| !config.accept_invalid_certs) {
            let trusted = trusted.iter().map(|der| CertificateDer::from(der.clone())).collect();
            let verifier = network::certificate_verifier(trusted).map_err(|e| to_unreadable(&e))?;
            tls.dangerous().set_certificate_verifier(verifier);
        }
        connector = connector.tls(tls, authority);
    }
    if let Some(name) = &config.tls_server_name {
        let name = ServerName::try_from(name.clone())
            .map_err(|_| Unreadable::Unavailable(format!("tls-server-name `{name}` is not a valid name")))?;
        connector = connector.server_name(name);
    }
    if let Some(proxy) = proxy {
        connector = connector.through(proxy);
    }
    let auth = config.auth_layer().map_err(|e| error::read(&e))?;
    let headers = config.extra_headers_layer().map_err(|e| error::read(&e))?;
    let stack = ServiceBuilder::new().layer(config.base_uri_layer()).option_layer(auth).layer(headers);
    Ok(Service::new(stack.service(Client::<Body>::new(connector))))
}

fn to_unreadable(error: &ConnectError) -> Unreadable {
    Unreadable::Setup(error.to_string())
}
