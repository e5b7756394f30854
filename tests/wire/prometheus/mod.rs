//! Tier `prometheus`: the real Prometheus, `$CUTOVER_PROMETHEUS`, and the promtool beside it.

mod gate;
mod promtool;
