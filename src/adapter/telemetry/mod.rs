//! What machines are told: metrics in a file or at a port, and traces to a collector.

pub mod otlp;
mod publish;

pub use publish::{Dialect, Outlets, Page, Publisher};
