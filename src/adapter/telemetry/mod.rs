//! Telemetry: metrics in a file or at a port, and traces to a collector. Deciding what is measured must not be added
//! here.

pub mod otlp;
mod publish;

pub use publish::{Dialect, Outlets, Page, Publisher};
