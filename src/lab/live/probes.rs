//! Health checks over real HTTP: the model says which are due, this asks the pods' servers, the model hears what they said.

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

/// How much longer than its time-out a check may really take: on a fast clock a busy machine must not look like a sick pod.
const GRACE: Duration = Duration::from_secs(10);

/// Asks, and reports to the model.
pub struct Prober {
    shell: Shell,
    directory: Directory,
    pool: Pool<Empty<Bytes>>,
    asking: JoinSet<()>,
}

impl Prober {
    /// One that finds its pods in `directory`.
    pub fn new(shell: Shell, directory: Directory) -> Self {
        Self { shell, directory, pool: pool(), asking: JoinSet::new() }
    }

    /// Sends these checks off and returns at once.
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

    /// Forgets the checks that are under way.
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
