//! Serves the model without sockets, to the real clients, in tokio's paused time.
//!
//! It needs a current-thread runtime with `start_paused(true)`: time passes only when every task waits, so that a
//! rehearsal of hours takes an instant and repeats to the byte.

mod aws;
mod cluster;

use std::sync::Arc;

use aws_credential_types::Credentials;
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

/// A cluster's API without sockets, which the Kubernetes adapters take in place of the network.
pub type KubeTransport = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// A lab in virtual time. Dropping it ends its task.
pub struct VirtualLab {
    shell: SharedModel,
    ticker: JoinHandle<()>,
}

impl VirtualLab {
    /// Starts the lab's time. `clock` has speed 1 and runs on the runtime's paused time.
    pub fn start(world: World, clock: LabClock) -> Self {
        let shell = SharedModel::new(world, clock);
        Self { ticker: tokio::spawn(tick(shell.clone())), shell }
    }

    /// The model and the clock.
    pub fn shell(&self) -> &SharedModel {
        &self.shell
    }

    /// Connection settings of the AWS adapters for this lab.
    pub fn aws_settings(&self) -> Settings {
        Settings {
            region: Some(self.shell.call(|world, _| world.region().to_owned())),
            endpoint_url: Some("http://lab.invalid".into()),
            credentials: Some(Credentials::new("lab", "lab", None, None, "lab")),
            http_client: Some(ModelConnector::client(self.shell.clone())),
            time_source: Some(LabTimeSource::source(self.shell.clock())),
            sleep: None,
            network: None,
        }
    }

    /// Transport of the Kubernetes adapters to one cluster, by its name in the plan.
    pub fn kube_transport(&self, cluster: &str) -> KubeTransport {
        BoxCloneSyncService::new(Transport::new(self.shell.clone(), Arc::from(cluster)))
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

/// The model runs the health checks itself: there are no sockets to send them over.
async fn tick(shell: SharedModel) {
    loop {
        let next = shell.call(|world, now| {
            world.advance(now);
            world.next_event()
        });
        shell.until(next).await;
    }
}
