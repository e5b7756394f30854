//! Sends requests with the credential of a plugin. If the plugin returns another client certificate, new connections are
//! opened with it: TLS presents the certificate once, when a connection is opened.
//!
//! Do not run the plugin here: see `plugin`.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use kube::client::Body;
use tower::{BoxError, ServiceExt};

use super::NoToken;
use super::connect::Service;
use super::plugin::{Credential, Plugin};
use crate::domain::traffic::Unreadable;

type Connect = dyn Fn(&Credential) -> Result<Service, Unreadable> + Send + Sync;

/// A service that authenticates with a plugin.
#[derive(Clone)]
pub struct PluginService {
    plugin: Arc<Plugin>,
    connect: Arc<Connect>,
    /// The connections, and the credential that they were opened with.
    open: Arc<Mutex<(Credential, Service)>>,
}

impl PluginService {
    /// Runs the plugin for the first time. `connect` prepares connections with the client certificate of a credential.
    pub async fn start(
        plugin: Plugin,
        connect: impl Fn(&Credential) -> Result<Service, Unreadable> + Send + Sync + 'static,
    ) -> Result<Self, Unreadable> {
        let credential = plugin.run_first().await.map_err(Unreadable::Credentials)?;
        let service = connect(&credential)?;
        let open = Arc::new(Mutex::new((credential, service)));
        Ok(Self { plugin: Arc::new(plugin), connect: Arc::new(connect), open })
    }

    /// Returns the connections for a credential.
    fn service(&self, credential: &Credential) -> Result<Service, NoToken> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.0.same_certificate(credential) {
            let service = (self.connect)(credential);
            let unusable = |why| NoToken(format!("the certificate of {} cannot be used: {why}", self.plugin.name()));
            *open = (credential.clone(), service.map_err(unusable)?);
        }
        Ok(open.1.clone())
    }

    async fn send(self, mut request: Request<Body>) -> Result<Response<Incoming>, BoxError> {
        let credential = Arc::clone(&self.plugin).current().await?;
        credential.authorize(&mut request)?;
        let response = self.service(&credential)?.oneshot(request).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.plugin.forget();
        }
        Ok(response)
    }
}

impl tower::Service<Request<Body>> for PluginService {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Incoming>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}
