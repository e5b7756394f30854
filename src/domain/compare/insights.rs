//! The rule about deprecated APIs that clients of the old cluster still call, from its upgrade insights.

use super::context::Context;
use super::versions::minor;
use crate::base::finding::{Code, Finding, Severity};
use crate::base::number::count;

/// The number of clients that a message names.
const NAMED_CLIENTS: usize = 3;

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, .. } = context;
    let Some(Ok(deprecations)) = from.platform.as_ref().map(|platform| &platform.deprecations) else { return };
    let Some(version) = to.version.as_ref().ok().and_then(|version| minor(version)) else { return };
    for deprecation in deprecations.iter().filter(|deprecation| !deprecation.clients.is_empty()) {
        let Some(stop) = minor(&deprecation.stop_version) else { continue };
        let mut clients: Vec<_> = deprecation.clients.iter().collect();
        clients.sort_by(|a, b| b.requests.cmp(&a.requests).then(a.agent.cmp(&b.agent)));
        let named = clients.iter().take(NAMED_CLIENTS).map(|client| {
            let last = client.last.map(|at| format!(", last on {}", at.strftime("%Y-%m-%d"))).unwrap_or_default();
            format!(
                "{} ({} in 30 days{last})",
                client.agent,
                count(usize::try_from(client.requests).unwrap_or(usize::MAX), "request")
            )
        });
        let named = named.collect::<Vec<_>>().join(", ");
        let more = match clients.len().saturating_sub(NAMED_CLIENTS) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let called = format!("{} is called in {} by {named}{more}", deprecation.usage, from.name);
        let instead = match deprecation.replaced_with.as_str() {
            "" => "update these clients: nothing replaces the API".to_owned(),
            instead => format!("update these clients to {instead}"),
        };
        let (message, help, severity) = if stop <= version {
            let help = format!("these clients fail in the new cluster: {instead}");
            (format!("{called}; Kubernetes 1.{version} of {} does not serve it", to.name), help, Severity::Error)
        } else {
            let help = format!("the new cluster still serves it, but not after its upgrade to 1.{stop}: {instead}");
            (format!("{called}; Kubernetes 1.{stop} no longer serves it"), help, Severity::Info)
        };
        findings.push(Finding::new(Code::CUT112, deprecation.usage.clone(), message).help(help).lowered(severity));
    }
}
