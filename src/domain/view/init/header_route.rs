//! Proposes a header route before the first share, so that people and a probe can try the new cluster before any user
//! does. The plan gets it only if every route can have one.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::model::{GroupPair, InitFacts};
use crate::domain::elb::balancer::{Listener, LiveRoute};
use crate::domain::elb::header_route::plan;
use crate::domain::elb::other_type::kind_of;
use crate::domain::elb::rule::Condition;
use crate::domain::traffic::RouteId;
use crate::plan::model::{BalancerKind, HeaderMatch};

/// The header that the plan proposes.
const HEADER: (&str, &str) = ("X-Canary", "yes");
/// The number of rules that an account may have on a load balancer, without an increase.
const MAX_RULES: usize = 100;
/// The last lines of the pause for testers, below which the comment with the probe stands.
const PAUSE: [&str; 2] = ["duration: 5m", "name: testers"];

/// A load balancer with its pairs of groups.
type Balancer<'a> = (&'a InitFacts, &'a [GroupPair]);

/// Whether every route of these pairs can have a header rule.
pub(super) fn fits(all: &[Balancer<'_>]) -> bool {
    !all.is_empty() && all.iter().all(|(seen, pairs)| fits_on(seen, pairs))
}

fn fits_on(seen: &InitFacts, pairs: &[GroupPair]) -> bool {
    if kind_of(&seen.load_balancer) != Ok(BalancerKind::Alb) || seen.unread().next().is_some() {
        return false;
    }
    let groups: BTreeMap<&RouteId, &str> = moved(seen, pairs).map(|(_, live, to)| (&live.id, to)).collect();
    let headers = [HeaderMatch { name: HEADER.0.to_owned(), value: HEADER.1.to_owned() }];
    let planned = plan(&seen.listeners, |id| groups.get(id).copied(), &headers);
    let existing = seen.listeners.iter().flat_map(|(_, routes)| routes).filter(|live| live.priority.is_some()).count();
    planned.misfits.is_empty()
        && planned.left_out.is_empty()
        && !planned.rules.is_empty()
        && existing + planned.rules.len() <= MAX_RULES
}

/// Returns the routes that move, each with its listener and the new target group.
fn moved<'a>(
    seen: &'a InitFacts,
    pairs: &'a [GroupPair],
) -> impl Iterator<Item = (&'a Listener, &'a LiveRoute, &'a str)> {
    let routes = seen.listeners.iter().flat_map(|(listener, routes)| routes.iter().map(move |live| (listener, live)));
    routes.filter_map(|(listener, live)| {
        let split = live.forwards()?;
        let pair = pairs.iter().find(|pair| split.carries(&pair.from.arn))?;
        Some((listener, live, pair.to.arn.as_str()))
    })
}

/// Returns the step that makes the header route, and a pause in which the new cluster can be tried.
pub(super) fn steps() -> [Value; 2] {
    let header = json!({"headerName": HEADER.0, "headerValue": {"exact": HEADER.1}});
    [
        json!({"setHeaderRoute": {"match": [header]}, "name": "header-route"}),
        json!({"pause": {"duration": "5m"}, "name": "testers"}),
    ]
}

/// Adds a probe to the pause for testers, as a comment: which path answers 200 for everyone who runs the plan cannot be
/// read from a load balancer, and a probe that fails would hold the run.
pub(super) fn with_probe(yaml: &str, all: &[Balancer<'_>]) -> String {
    let url = all.iter().find_map(|(seen, pairs)| url(seen, pairs)).unwrap_or_default();
    let (name, value) = HEADER;
    let probe = [
        "Requests with the header go to the new cluster from now on, all others to the old one. Try it:".to_owned(),
        format!("curl -i -H '{name}: {value}' {url}"),
        "Without the `#`, the run tries it, too; the URL must answer 200 from where the run is:".to_owned(),
        "gates:".to_owned(),
        "- name: probe".to_owned(),
        "  http:".to_owned(),
        format!("    url: {url}"),
        format!("    headers: [{{name: {name}, value: \"{value}\"}}]"),
    ];
    let (mut out, mut last) = (String::with_capacity(yaml.len()), "");
    for line in yaml.lines() {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{line}");
        if [last, line].map(str::trim) == PAUSE {
            let indent = &line[..line.len() - line.trim_start().len()];
            for line in &probe {
                let _ = writeln!(out, "{indent}# {line}");
            }
        }
        last = line;
    }
    out
}

/// Returns the address of the most telling route: one with the name of a host, if there is one.
fn url(seen: &InitFacts, pairs: &[GroupPair]) -> Option<String> {
    let exact = |live: &LiveRoute, field: &str| {
        let of_field = |condition: &&Condition| condition.field == field;
        let values = live.rule.conditions.iter().filter(of_field).filter_map(Condition::texts).flatten();
        values.map(str::to_owned).find(|value| !value.contains(['*', '?']))
    };
    let all = moved(seen, pairs).map(|(listener, live, _)| {
        let host = exact(live, "host-header");
        (host.is_none(), listener.protocol != "HTTPS", host, listener, exact(live, "path-pattern"))
    });
    let (_, _, host, listener, path) = all.min_by_key(|(no_host, plain, ..)| (*no_host, *plain))?;
    let host = host.unwrap_or_else(|| seen.load_balancer.dns_name.clone());
    let (scheme, usual) = if listener.protocol == "HTTPS" { ("https", 443) } else { ("http", 80) };
    let port = if listener.port == usual { String::new() } else { format!(":{}", listener.port) };
    Some(format!("{scheme}://{host}{port}{}", path.unwrap_or_else(|| "/".to_owned())))
}
