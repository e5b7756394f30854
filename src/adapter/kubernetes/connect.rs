//! Clients for a kubeconfig's context: no retries, bounded waits, our name.

use std::time::Duration;

use http::header;
use kube::Config;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::{K8s, error};
use crate::adapter::calls::KubernetesCallLayer;
use crate::base::redact;
use crate::domain::traffic::Unreadable;

/// What we call ourselves.
pub const USER_AGENT: &str = concat!("cutover/", env!("CARGO_PKG_VERSION"));

/// The cluster of a context; `None`: the current one. Looks where kubectl looks: `KUBECONFIG`, else `~/.kube/config`.
pub async fn from_context(name: Option<&str>) -> Result<K8s, Unreadable> {
    from_kubeconfig(Kubeconfig::read().map_err(|e| unusable(&e))?, name).await
}

/// The cluster of a context of this kubeconfig; `None`: its current one.
pub async fn from_kubeconfig(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<K8s, Unreadable> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|e| unusable(&e))?;
    limit(&mut config);
    let builder = ClientBuilder::try_from(config).map_err(|e| error::read(&e))?;
    Ok(K8s::new(builder.with_layer(&KubernetesCallLayer).build()))
}

/// The client neither retries by itself nor waits for ever.
pub fn limit(config: &mut Config) {
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(Duration::from_secs(15));
    config.write_timeout = Some(Duration::from_secs(15));
    config.headers.push((header::USER_AGENT, header::HeaderValue::from_static(USER_AGENT)));
}

/// A parser's message may quote the file, and the file holds credentials.
fn unusable(error: &KubeconfigError) -> Unreadable {
    Unreadable::Unavailable(match error {
        KubeconfigError::Parse(_) => "kubeconfig: it is not the YAML of a kubeconfig".to_owned(),
        other => redact::clean(&format!("kubeconfig: {other}")).into_owned(),
    })
}
