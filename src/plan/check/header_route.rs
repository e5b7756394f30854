//! Checks `setHeaderRoute` steps: the headers, the kinds of the load balancers, and the order of the steps.

use super::{Diagnostic, Placed, note};
use crate::base::finding::Code;
use crate::plan::file::Step;
use crate::plan::header_route::HeaderRoute;
use crate::plan::model::{BalancerKind, HeaderMatch, StepKind, Workload};

/// The most headers of a step: a rule has five values, and its route needs at least one of them.
const MAX_HEADERS: usize = 4;

/// Returns the step of `setHeaderRoute`.
pub(super) fn kind(route: &Placed<HeaderRoute>, out: &mut Vec<Diagnostic>) -> Option<StepKind> {
    let mut headers: Vec<HeaderMatch> = Vec::new();
    let list = route.value.headers.as_ref()?;
    for entry in &list.value {
        let (name, value) = (entry.value.name.as_ref()?, entry.value.value.as_ref()?);
        let value = value.value.exact.as_ref()?.value.0.clone();
        if headers.iter().any(|known| known.name.eq_ignore_ascii_case(&name.value.0)) {
            let message = format!("`match` names the header `{}` twice, so no request matches", name.value.0);
            note(out, Code::CUT230, name.place, message).help("a request must have all headers of `match`; remove one");
        }
        headers.push(HeaderMatch { name: name.value.0.clone(), value });
    }
    if headers.len() > MAX_HEADERS {
        let message = format!("`match` has {} headers, but a rule has room for {MAX_HEADERS}", headers.len());
        note(out, Code::CUT230, list.head, message)
            .help("a rule of an Application Load Balancer has five values in all its conditions; remove headers");
    }
    Some(StepKind::HeaderRoute(headers))
}

/// Adds errors about `setHeaderRoute` steps that cannot work in the order of the steps, or at these load balancers.
pub(super) fn check(places: &[&Placed<Step>], kinds: &[StepKind], workloads: &[Workload], out: &mut Vec<Diagnostic>) {
    let mut live = false;
    for (at, (place, kind)) in places.iter().zip(kinds).enumerate() {
        let StepKind::HeaderRoute(headers) = kind else { continue };
        let Some(route) = &place.value.set_header_route else { continue };
        if headers.is_empty() && !live {
            note(
                out,
                Code::CUT232,
                route.head,
                "an empty `match` ends a header route, but no step before it makes one",
            )
            .help("remove the step, or add headers to `match`");
        }
        live = !headers.is_empty();
        if live && kinds[at..].contains(&StepKind::Bind) {
            let message = "`setHeaderRoute` comes before `bind`, so the target groups of `to` have no targets yet";
            note(out, Code::CUT232, route.head, message).help("move `bind: {}` before this step");
        }
        if let Some((workload, other)) = other_kind(workloads) {
            let message =
                format!("workload `{workload}` has a route of the kind `{other}`, which cannot match headers");
            note(out, Code::CUT231, route.head, message).help(
                "only Application Load Balancers match headers: remove this step, or move the workload with a plan of \
                 its own",
            );
        }
    }
}

fn other_kind(workloads: &[Workload]) -> Option<(&str, &'static str)> {
    workloads.iter().find_map(|workload| {
        let other = workload.routes.iter().find(|entry| entry.kind != BalancerKind::Alb)?;
        Some((workload.name.as_str(), other.kind.key()))
    })
}
