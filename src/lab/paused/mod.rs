//! The virtual shell: the model without sockets, under the real clients, in tokio's paused time.
//!
//! For a current-thread runtime with `start_paused(true)`: time passes only when every task waits, so a rehearsal of hours takes an instant and repeats to the byte.

mod aws;
mod cluster;

use std::sync::Arc;

use aws_credential_types::Credentials;
use http::{Request, Response};
use kube::client::Body;
use tokio::task::JoinHandle;
use tower::BoxError;
use tower::util::BoxCloneSyncService;

pub use aws::{Connector, Time};
pub use cluster::Transport;

use super::model::World;
use super::shell::Shell;
use crate::adapter::aws::Settings;
use crate::adapter::clock::Scaled;

/// A cluster's API in process, as the Kubernetes adapters take it in place of the network.
pub type KubeTransport = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// A world in virtual time. Dropping it ends its one task.
pub struct Lab {
    shell: Shell,
    ticker: JoinHandle<()>,
}

impl Lab {
    /// Starts the world's time. `clock` has speed 1 and runs on the runtime's paused time.
    pub fn start(world: World, clock: Scaled) -> Self {
        let shell = Shell::new(world, clock);
        Self { ticker: tokio::spawn(tick(shell.clone())), shell }
    }

    /// The model and the clock.
    pub fn shell(&self) -> &Shell {
        &self.shell
    }

    /// How the AWS adapters reach this world.
    pub fn aws_settings(&self) -> Settings {
        Settings {
            region: Some(self.shell.call(|world, _| world.region().to_owned())),
            endpoint_url: Some("http://lab.invalid".into()),
            credentials: Some(Credentials::new("lab", "lab", None, None, "lab")),
            http_client: Some(Connector::client(self.shell.clone())),
            time_source: Some(Time::source(self.shell.clock())),
            sleep: None,
        }
    }

    /// How the Kubernetes adapters reach one cluster of this world, by its name in the plan.
    pub fn kube_transport(&self, cluster: &str) -> KubeTransport {
        BoxCloneSyncService::new(Transport::new(self.shell.clone(), Arc::from(cluster)))
    }

    /// Ends the world's time.
    pub async fn stop(mut self) {
        self.ticker.abort();
        let _ = (&mut self.ticker).await;
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.ticker.abort();
    }
}

/// Health checks are the model's own here: there is nothing to send them over.
async fn tick(shell: Shell) {
    loop {
        let next = shell.call(|world, now| {
            world.advance(now);
            world.next()
        });
        shell.until(next).await;
    }
}
