//! Tier `prometheus`: the real one, which is `$CUTOVER_PROMETHEUS`, and promtool beside it.

mod gate;
mod promtool;
