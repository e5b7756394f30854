//! Health checks over HTTP: takes the checks that are due from the model, calls the servers of the pods, and reports
//! the results to the model.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use tokio::task::JoinSet;

use super::forwarder::{Pool, connection_pool};
use super::pods::{Directory, HEALTH_CHECK_AGENT, TIMEOUT_HEADER, millis, response_time};
use crate::lab::model::{Probe, ProbeResult};
use crate::lab::shared_model::SharedModel;

/// Additional real time for a check, so that a busy machine does not look like an unhealthy pod when the lab's clock
/// runs fast.
const GRACE_PERIOD: Duration = Duration::from_secs(10);

/// Sends health checks and reports their results.
pub struct Prober {
    model: SharedModel,
    directory: Directory,
    pool: Pool<Empty<Bytes>>,
    in_flight: JoinSet<()>,
}

impl Prober {
    /// Creates a prober that finds the servers of pods in `directory`.
    pub fn new(model: SharedModel, directory: Directory) -> Self {
        Self { model, directory, pool: connection_pool(), in_flight: JoinSet::new() }
    }

    /// Starts these checks and returns at once.
    pub fn send(&mut self, due: Vec<Probe>) {
        while self.in_flight.try_join_next().is_some() {}
        for probe in due {
            let (model, pool) = (self.model.clone(), self.pool.clone());
            let address = self.directory.address(probe.ip, probe.port);
            self.in_flight.spawn(async move {
                let result = run_probe(&pool, &model, &probe, address).await;
                model.change(|world, now| world.report_probe(&probe, result, now));
            });
        }
    }

    /// Cancels the checks that are still running.
    pub async fn stop(mut self) {
        self.in_flight.shutdown().await;
    }
}

async fn run_probe(
    pool: &Pool<Empty<Bytes>>,
    model: &SharedModel,
    probe: &Probe,
    address: Option<SocketAddr>,
) -> ProbeResult {
    let Some(address) = address else { return ProbeResult::Refused };
    let request = Request::get(format!("http://{address}{}", probe.path))
        .header(header::USER_AGENT, HEALTH_CHECK_AGENT)
        .header(TIMEOUT_HEADER, millis(probe.timeout))
        .body(Empty::new());
    let Ok(request) = request else { return ProbeResult::Refused };
    let deadline = probe.timeout.div_f64(model.clock().speed()) + GRACE_PERIOD;
    match tokio::time::timeout(deadline, pool.request(request)).await {
        Err(_) => ProbeResult::Timeout,
        Ok(Err(_)) => ProbeResult::Refused,
        Ok(Ok(response)) if response_time(&response) >= probe.timeout => ProbeResult::Timeout,
        Ok(Ok(response)) => ProbeResult::Status(response.status().as_u16()),
    }
}
