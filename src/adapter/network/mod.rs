//! The network environment of this process: proxies, trusted certificates and time-outs. The environment is parsed
//! once, and every connection uses it: to AWS, EKS, Kubernetes, metric sources, hooks, notification targets and
//! collectors.
//!
//! This module opens connections and sends HTTP requests. The protocols of AWS,
//! Kubernetes and other services belong in their own adapters.

mod client;
mod connect;
mod contact;
mod error;
mod profile;
mod proxy;
mod route;
mod trust;
mod tunnel;
mod verifier;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::body::Body;
use rustls::ClientConfig;
use tower::BoxError;

pub use client::{Client, USER_AGENT};
pub use connect::Connector;
pub use error::{ConnectError, find};
pub use profile::{Profiles, selected_profile};
pub use proxy::{Proxy, Scheme};
pub use route::Proxies;
pub use trust::Trust;
pub use verifier::certificate_verifier;

use contact::Contacts;

/// The time limit for a connection: resolve the name, connect, and negotiate with a proxy and TLS.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The proxies and the trusted certificates of an environment.
#[derive(Debug)]
pub struct Network {
    proxies: Proxies,
    trust: Trust,
    tls: OnceLock<Result<Arc<ClientConfig>, ConnectError>>,
    contacts: Contacts,
}

impl Network {
    /// Parses the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` in both letter cases,
    /// `SSL_CERT_FILE`, `SSL_CERT_DIR`, `AWS_CA_BUNDLE` and `ca_bundle` of the AWS profile. An invalid setting fails
    /// the connections that need it, with the name of the setting.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Arc<Self> {
        let given = |name: &str| variable(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        Arc::new(Self {
            proxies: Proxies::of(&given),
            trust: Trust::of(&given),
            tls: OnceLock::new(),
            contacts: Contacts::default(),
        })
    }

    /// Returns the environment of this process.
    pub fn process() -> Arc<Self> {
        static PROCESS_NETWORK: OnceLock<Arc<Network>> = OnceLock::new();
        Arc::clone(PROCESS_NETWORK.get_or_init(|| Self::of(|name| std::env::var(name).ok())))
    }

    /// Returns an environment without proxies and settings, for servers of this process on loopback.
    pub fn alone() -> Arc<Self> {
        Self::of(|_| None)
    }

    /// Returns every trusted certificate authority, in DER form.
    pub fn roots(&self) -> Result<Vec<Vec<u8>>, ConnectError> {
        self.trust.roots().map(|all| all.iter().map(|one| one.as_ref().to_vec()).collect())
    }

    /// Returns a connector that uses the proxies and certificates of this environment.
    pub fn connector(self: &Arc<Self>) -> Connector {
        Connector::new(Arc::clone(self))
    }

    /// Returns an HTTP client that uses this environment.
    pub fn client<B>(self: &Arc<Self>) -> Client<B>
    where
        B: Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        Client::new(self.connector())
    }

    /// Returns the TLS configuration that trusts the environment's certificates. The certificates are read once.
    fn tls(&self) -> Result<Arc<ClientConfig>, ConnectError> {
        self.tls.get_or_init(|| self.trust.client_config().map(Arc::new)).clone()
    }
}
