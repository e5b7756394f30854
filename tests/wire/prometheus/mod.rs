//! Tier `prometheus`: the real Prometheus, `$CUTOVER_PROMETHEUS`, and promtool in the same folder.

mod gate;
mod promtool;
