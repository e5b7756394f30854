//! Clients for a kubeconfig's context: no retries, bounded waits, our name.

use std::time::Duration;

use http::header;
use kube::config::{KubeConfigOptions, KubeconfigError};
use kube::{Client, Config};

use super::{K8s, error};
use crate::domain::alb::Unreadable;

/// What we call ourselves.
pub const USER_AGENT: &str = concat!("cutover/", env!("CARGO_PKG_VERSION"));

/// The cluster of a context; `None`: the current one. Looks where kubectl looks: `KUBECONFIG`, else `~/.kube/config`.
pub async fn from_context(name: Option<&str>) -> Result<K8s, Unreadable> {
    let options = KubeConfigOptions { context: name.map(str::to_owned), ..KubeConfigOptions::default() };
    let mut config = Config::from_kubeconfig(&options).await.map_err(|e| Unreadable::Unavailable(format!("kubeconfig: {}", words(&e))))?;
    limit(&mut config);
    Client::try_from(config).map(K8s::new).map_err(|e| error::read(&e))
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
fn words(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "it is not valid YAML of a kubeconfig".to_owned(),
        other => other.to_string(),
    }
}
