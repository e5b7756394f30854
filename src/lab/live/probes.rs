//! Health checks over HTTP: takes the checks that are due from the model, calls the pods' servers, and reports the
//! results
//! to the model.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use tokio::task::JoinSet;

use super::front::{Pool, pool};
use super::pods::{Directory, HEALTH_CHECKER, PATIENCE, millis, took};
use crate::lab::model::{Probe, ProbeResult};
use crate::lab::shell::Shell;

/// Extra real time for a check, so that a busy machine does not look like an unhealthy pod when the lab's clock runs
/// fast.
const GRACE: Duration = Duration::from_secs(10);

/// Sends health checks and reports their results.
pub struct Prober {
    shell: Shell,
    directory: Directory,
    pool: Pool<Empty<Bytes>>,
    asking: JoinSet<()>,
}

impl Prober {
    /// Creates one that finds the pods' servers in `directory`.
    pub fn new(shell: Shell, directory: Directory) -> Self {
        Self { shell, directory, pool: pool(), asking: JoinSet::new() }
    }

    /// Starts these checks and returns at once.
    pub fn send(&mut self, due: Vec<Probe>) {
        while self.asking.try_join_next().is_some() {}
        for probe in due {
            let (shell, pool) = (self.shell.clone(), self.pool.clone());
            let address = self.directory.address(probe.ip, probe.port);
            self.asking.spawn(async move {
                let result = ask(&pool, &shell, &probe, address).await;
                shell.change(|world, now| world.probed(&probe, result, now));
            });
        }
    }

    /// Cancels the checks that are under way.
    pub async fn stop(mut self) {
        self.asking.shutdown().await;
    }
}

async fn ask(pool: &Pool<Empty<Bytes>>, shell: &Shell, probe: &Probe, address: Option<SocketAddr>) -> ProbeResult {
    let Some(address) = address else { return ProbeResult::Refused };
    let request = Request::get(format!("http://{address}{}", probe.path))
        .header(header::USER_AGENT, HEALTH_CHECKER)
        .header(PATIENCE, millis(probe.timeout))
        .body(Empty::new());
    let Ok(request) = request else { return ProbeResult::Refused };
    let deadline = probe.timeout.div_f64(shell.clock().speed()) + GRACE;
    match tokio::time::timeout(deadline, pool.request(request)).await {
        Err(_) => ProbeResult::Timeout,
        Ok(Err(_)) => ProbeResult::Refused,
        Ok(Ok(response)) if took(&response) >= probe.timeout => ProbeResult::Timeout,
        Ok(Ok(response)) => ProbeResult::Status(response.status().as_u16()),
    }
}
