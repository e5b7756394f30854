//! Serves the model to the real clients without sockets, in tokio's paused time.
//!
//! The servers need a current-thread runtime with `start_paused(true)`: time passes only while every task waits, so
//! that a rehearsal of hours takes an instant and gives exactly the same output each time.

mod aws;
mod cluster;
#[cfg(test)]
mod platform_tests;

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use http::{Request, Response};
use kube::client::Body;
use tokio::task::JoinHandle;
use tower::BoxError;
use tower::util::BoxCloneSyncService;

pub use aws::{LabTimeSource, ModelConnector};
pub use cluster::Transport;

use super::model::World;
use super::shared_model::SharedModel;
use crate::adapter::aws::Settings;
use crate::adapter::clock::LabClock;

/// The Kubernetes API of a cluster without sockets, which the Kubernetes adapters use in place of the network.
pub type KubeTransport = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// A lab in virtual time. Dropping this value ends the lab's task.
pub struct VirtualLab {
    model: SharedModel,
    ticker: JoinHandle<()>,
}

impl VirtualLab {
    /// Starts the lab's time. `clock` has the speed 1 and follows the paused time of the runtime.
    pub fn start(world: World, clock: LabClock) -> Self {
        let model = SharedModel::new(world, clock);
        Self { ticker: tokio::spawn(tick(model.clone())), model }
    }

    /// Returns the model with the lab's clock.
    pub fn model(&self) -> &SharedModel {
        &self.model
    }

    /// Returns the settings with which the AWS adapters connect to this lab.
    pub fn aws_settings(&self) -> Settings {
        Settings {
            region: Some(self.model.call(|world, _| world.region().to_owned())),
            endpoint_url: Some("http://lab.invalid".into()),
            credentials: Some(Credentials::new("lab", "lab", None, None, "lab")),
            http_client: Some(ModelConnector::client(self.model.clone())),
            time_source: Some(LabTimeSource::source(self.model.clock())),
            sleep: None,
            network: None,
        }
    }

    /// Returns the connector with which the AWS adapters send requests that no SDK client sends.
    pub fn aws_connector(&self) -> SharedHttpConnector {
        ModelConnector::connector(self.model.clone())
    }

    /// Returns the transport with which the Kubernetes adapters connect to the cluster with this name in the plan.
    pub fn kube_transport(&self, cluster: &str) -> KubeTransport {
        BoxCloneSyncService::new(Transport::new(self.model.clone(), Arc::from(cluster)))
    }

    /// Stops the lab's time.
    pub async fn stop(mut self) {
        self.ticker.abort();
        let _ = (&mut self.ticker).await;
    }
}

impl Drop for VirtualLab {
    fn drop(&mut self) {
        self.ticker.abort();
    }
}

/// Runs the events of the model when they are due. The model runs the health checks itself, because there are no
/// sockets.
async fn tick(model: SharedModel) {
    loop {
        let next = model.call(|world, now| {
            world.advance(now);
            world.next_event()
        });
        model.until(next).await;
    }
}
