//! Publishes telemetry: metrics in a file or at a port, and traces to a collector. Do not decide here what is measured.

pub mod otlp;
mod publish;

pub use publish::{MetricsFormat, MetricsPage, Outlets, Publisher};
