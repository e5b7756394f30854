//! The sources of metric gates: Prometheus, CloudWatch, HTTP probes, commands, and workloads of a cluster.
//!
//! Do not judge values here.

mod exec;
mod fill;
mod kubernetes;
mod probe;
mod prometheus;
pub mod substitute;
pub(crate) mod web;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_types::SdkConfig;
use futures::future::join_all;
use jiff::Timestamp;

use crate::base::redact;
use crate::base::text::line;
use crate::domain::health::HostCounts;
use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest};
use crate::plan::model::metric::MetricSource;
use crate::plan::model::{ClusterName, Plan, ServiceRef};
use crate::port::{Cluster, Metrics};

use crate::adapter::aws::cloudwatch::CloudWatch;
use crate::adapter::process::Folder;
use substitute::Substitutes;
pub use web::{HttpClient, HttpRequest, header_value};

/// The metric sources of a plan.
pub struct Sources {
    web: HttpClient,
    folder: Folder,
    cloudwatch: CloudWatch,
    substitutes: Substitutes,
    clusters: BTreeMap<ClusterName, Arc<dyn Cluster>>,
    /// The Services by workload and cluster.
    services: BTreeMap<String, BTreeMap<ClusterName, ServiceRef>>,
}

impl Sources {
    /// Creates the sources that the plan's gates use.
    pub fn new(plan: &Plan, config: &SdkConfig, clusters: &BTreeMap<ClusterName, Arc<dyn Cluster>>) -> Self {
        let services = plan.workloads.iter().map(|w| (w.name.clone(), w.services.clone()));
        Self {
            web: HttpClient::default(),
            folder: Folder::of(plan),
            cloudwatch: CloudWatch::new(config),
            substitutes: Substitutes::from_environment(),
            clusters: clusters.clone(),
            services: services.collect(),
        }
    }

    async fn measure_one(&self, measurement: &MeasurementRequest) -> MeasuredValue {
        match &measurement.gate.source {
            MetricSource::Prometheus(source) => {
                prometheus::measure(&self.web, &self.substitutes.prometheus(source), measurement).await
            }
            MetricSource::Http(source) => {
                let (source, headers) = self.substitutes.probe(source);
                probe::measure(&self.web, &source, headers, measurement).await
            }
            MetricSource::Exec(source) => exec::measure(source, &self.folder, measurement).await,
            MetricSource::Kubernetes { max_restarts } => {
                kubernetes::measure(&self.clusters, &self.services, *max_restarts, measurement).await
            }
            MetricSource::CloudWatch(_) | MetricSource::CloudWatchAlarms(_) => self
                .cloudwatch
                .measure(&self.web, &[measurement])
                .await
                .pop()
                .unwrap_or_else(|| unreadable("no response")),
        }
    }
}

#[async_trait]
impl Metrics for Sources {
    async fn measure(&self, measurements: &[MeasurementRequest]) -> Vec<MeasuredValue> {
        // CloudWatch handles many queries in one call.
        if measurements.len() > 1
            && measurements
                .iter()
                .all(|q| matches!(q.gate.source, MetricSource::CloudWatch(_) | MetricSource::CloudWatchAlarms(_)))
        {
            return self.cloudwatch.measure(&self.web, &measurements.iter().collect::<Vec<_>>()).await;
        }
        join_all(measurements.iter().map(|q| self.measure_one(q))).await
    }

    async fn host_counts(
        &self,
        groups: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, HostCounts>, String> {
        self.cloudwatch.host_counts(&self.web, groups, now).await.map_err(|why| clipped(&why))
    }

    async fn open_connections(
        &self,
        groups: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, u64>, String> {
        self.cloudwatch.open_connections(&self.web, groups, now).await.map_err(|why| clipped(&why))
    }
}

/// The metrics of a rollback: it measures nothing, and counts the open connections after its end.
pub struct AfterRollback {
    web: HttpClient,
    cloudwatch: CloudWatch,
}

impl AfterRollback {
    /// Creates the source with the configuration's credentials, region and endpoint.
    pub fn new(config: &SdkConfig) -> Self {
        Self { web: HttpClient::default(), cloudwatch: CloudWatch::new(config) }
    }
}

#[async_trait]
impl Metrics for AfterRollback {
    async fn measure(&self, measurements: &[MeasurementRequest]) -> Vec<MeasuredValue> {
        NoMetrics.measure(measurements).await
    }

    async fn host_counts(
        &self,
        groups: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, HostCounts>, String> {
        NoMetrics.host_counts(groups, now).await
    }

    async fn open_connections(
        &self,
        groups: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, u64>, String> {
        self.cloudwatch.open_connections(&self.web, groups, now).await
    }
}

/// A metric source that measures nothing, for actions that need no metrics.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMetrics;

#[async_trait]
impl Metrics for NoMetrics {
    async fn measure(&self, measurements: &[MeasurementRequest]) -> Vec<MeasuredValue> {
        measurements
            .iter()
            .map(|_| MeasuredValue::Unreadable { message: "this command reads no metrics".into() })
            .collect()
    }

    async fn host_counts(&self, _: &[(String, String)], _: Timestamp) -> Result<BTreeMap<String, HostCounts>, String> {
        Err("this command reads no metrics".into())
    }

    async fn open_connections(&self, _: &[(String, String)], _: Timestamp) -> Result<BTreeMap<String, u64>, String> {
        Err("this command reads no metrics".into())
    }
}

/// Returns a text for a journal: one line of at most 200 characters, without credentials.
pub(crate) fn clipped(text: &str) -> String {
    line(&redact::clean(text), 200)
}

pub(crate) fn unreadable(why: impl std::fmt::Display) -> MeasuredValue {
    MeasuredValue::Unreadable { message: clipped(&why.to_string()) }
}
