//! Reads the secrets that a plan names, before anything of the plan is used: a command of the plan can print its whole
//! environment before the first request with a secret is sent.
//!
//! Do not use the secrets here.

use super::metric::header_value;
use super::notify;
use crate::plan::model::Plan;
use crate::plan::model::hook::HookAction;
use crate::plan::model::metric::{Header, MetricSource};

/// Removes the values of the plan's headers and the URLs of its notification targets from every text from now on. A
/// secret that cannot be read is skipped, because its later use fails with the reason.
pub fn remember(plan: &Plan) {
    for notification in &plan.notifications {
        notify::remember_secrets(&notification.to);
    }
    let gates = plan.strategy.metrics.iter().filter_map(|gate| match &gate.source {
        MetricSource::Prometheus(source) => Some(&source.headers),
        MetricSource::Http(source) => Some(&source.headers),
        _ => None,
    });
    let hooks = plan.strategy.hooks.iter().filter_map(|hook| match &hook.action {
        HookAction::Http { headers, .. } => Some(headers),
        HookAction::Exec(_) => None,
    });
    gates.chain(hooks).flatten().for_each(|header: &Header| drop(header_value(header)));
}
