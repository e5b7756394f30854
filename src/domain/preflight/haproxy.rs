//! Checks the backends of HAProxy: the level of the socket, the balancing algorithm, the weights, cookies, backup
//! servers, and who else could write weights.

use std::collections::BTreeMap;

use super::context::{Context, finding};
use crate::base::finding::{Code, Finding, Severity};
use crate::base::text::list;
use crate::domain::elb::balancer::LoadBalancer;
use crate::domain::elb::select::SelectedRoute;
use crate::domain::haproxy::{self, attribute};
use crate::plan::model::{StateLocation, StepKind};

/// Whether a load balancer is a backend of HAProxy.
pub(super) fn is_haproxy(load_balancer: &LoadBalancer) -> bool {
    load_balancer.kind == attribute::KIND
}

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let all = || context.facts.selection.load_balancers.values().filter(|lb| is_haproxy(lb));
    for balancer in all() {
        check_level(balancer, findings);
        check_algorithm(context, balancer, findings);
    }
    check_cookies(context, findings);
    for selected in &context.facts.selection.routes {
        check_weights(selected, findings);
        check_backups(context, selected, findings);
    }
    if all().next().is_some() && context.plan.state == StateLocation::Local {
        let message =
            "HAProxy has no marker: only the lock file of this machine's state directory prevents a second run";
        let help = "a run that is started on another machine is not refused; each run then sees only the drift that the \
            other causes, and freezes. Use shared state (`spec.state`, `cutover help state`), or agree to run cutover on \
            one machine only";
        findings.push(finding(Code::CUT344, "lock", message.to_owned(), help));
    }
}

fn attribute_of<'a>(balancer: &'a LoadBalancer, name: &str) -> &'a str {
    balancer.attributes.get(name).map_or("", String::as_str)
}

fn check_level(balancer: &LoadBalancer, findings: &mut Vec<Finding>) {
    let (name, level) = (&balancer.name, attribute_of(balancer, attribute::LEVEL));
    if level != "admin" {
        let message = format!("the socket of {name} has the level {level}, but only the level admin may set weights");
        let help =
            "add `level admin` to the `stats socket` line of this address, reload HAProxy, then repeat the command";
        findings.push(finding(Code::CUT340, name, message, help));
    }
}

/// Whether a step of the plan divides the traffic.
fn has_partial_share(context: &Context<'_>) -> bool {
    let partial = |share: &u32| (1..100).contains(share);
    context.plan.strategy.steps.iter().any(|s| matches!(&s.kind, StepKind::Shares(all) if all.values().any(partial)))
}

fn check_algorithm(context: &Context<'_>, balancer: &LoadBalancer, findings: &mut Vec<Finding>) {
    let (name, algorithm) = (&balancer.name, attribute_of(balancer, attribute::ALGORITHM));
    let dynamic = if algorithm.is_empty() { Some(true) } else { haproxy::is_dynamic(algorithm) };
    if dynamic == Some(true) || !has_partial_share(context) {
        return;
    }
    let help = "with a static algorithm only steps of 0 and 100 % are possible. Use `balance roundrobin`, `leastconn` or \
        `random`; or `hash-type consistent` beside an algorithm that hashes";
    let (why, severity) = match dynamic {
        Some(false) => ("is static, so HAProxy refuses shares between 0 and 100 %", Severity::Error),
        _ => (
            "hashes: HAProxy refuses shares between 0 and 100 %, unless `hash-type` is `consistent`",
            Severity::Warning,
        ),
    };
    let message = format!("the algorithm of {name}, `{algorithm}`, {why}");
    findings.push(finding(Code::CUT341, name, message, help).lowered(severity));
}

fn check_cookies(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let all = context.facts.selection.load_balancers.values().filter(|lb| is_haproxy(lb));
    let mut by_cookie: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for balancer in all.filter(|lb| !attribute_of(lb, attribute::COOKIE).is_empty()) {
        by_cookie.entry(attribute_of(balancer, attribute::COOKIE)).or_default().push(&balancer.name);
    }
    for (cookie, names) in by_cookie {
        let message = format!(
            "the cookie {cookie} keeps clients on their server at {}: weights apply to new clients only",
            list(&names)
        );
        let help = "the real shares follow more slowly than the weights, and after a rollback clients with a cookie stay \
            on the new servers, also at weight 0. To move them at once, set the new servers to maintenance (`set server \
            BACKEND/SERVER state maint`)";
        findings.push(finding(Code::CUT343, names[0], message, help));
    }
}

/// Checks that the weights of each set have the configured ratios. With a weight of 0, other ratios would be forgotten.
fn check_weights(selected: &SelectedRoute, findings: &mut Vec<Finding>) {
    let Ok(servers) = haproxy::servers_of(&selected.route.content) else { return };
    if servers.uneven.is_empty() {
        return;
    }
    let weights: Vec<_> = servers.uneven.iter().map(|(server, weight)| format!("{server} {weight}")).collect();
    let label = selected.route.label();
    let message = format!(
        "the weights of the servers of {label} do not have the ratios of the configured weights: {}",
        weights.join(", ")
    );
    let help = "someone changed single weights at run time, and a share of 0 would forget that. Restore the configured \
        weights (`set server BACKEND/SERVER weight 100%`), or configure the ratios that you want and reload HAProxy";
    findings.push(finding(Code::CUT342, &label, message, help));
}

fn check_backups(context: &Context<'_>, selected: &SelectedRoute, findings: &mut Vec<Finding>) {
    let Ok(servers) = haproxy::servers_of(&selected.route.content) else { return };
    let Some(balancer) = context.facts.selection.load_balancers.get(&selected.load_balancer) else { return };
    let in_set = |name: &&str| servers.sets.values().any(|set| set.contains_key(*name));
    let backups: Vec<_> = attribute_of(balancer, attribute::BACKUPS).split(' ').filter(in_set).collect();
    if !backups.is_empty() {
        let message =
            format!("backup servers of {} belong to a cluster of the plan: {}", balancer.name, list(&backups));
        let help = "HAProxy sends requests to a backup server only while no other server is up, whatever its weight, so \
            the shares would be wrong. Remove `backup` from these servers, or choose globs that do not match them";
        findings.push(finding(Code::CUT345, &balancer.name, message, help));
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::elb::select::{LiveResources, Selection};
    use crate::domain::fixture;
    use crate::domain::haproxy::Backend;
    use crate::domain::preflight::facts::{Facts, ItemFacts, MachineFacts};
    use crate::domain::traffic::{RouteContent, Unreadable};

    /// Returns the codes of the findings about a backend with these attributes and this content.
    fn codes(attributes: &[(&str, &str)], content: RouteContent) -> Vec<Code> {
        let backend = Backend::parse("haproxy:tcp://10.0.1.10:9999/webapp").unwrap();
        let all = [(attribute::LEVEL, "admin"), (attribute::ALGORITHM, "roundrobin")];
        let balancer = LoadBalancer {
            kind: attribute::KIND.to_owned(),
            attributes: all.iter().chain(attributes).map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            ..LoadBalancer::named(&backend.id())
        };
        let mut plan = fixture::plan();
        plan.state = StateLocation::Kubernetes {
            access: crate::plan::model::ClusterAccess::KubeContext("state".into()),
            namespace: "cutover".into(),
        };
        let route = fixture::route(9999, None, content);
        let mut selection = Selection::default();
        selection.load_balancers.insert(backend.id(), balancer);
        selection.routes.push(SelectedRoute {
            route,
            load_balancer: backend.id(),
            workload: "webapp".into(),
            groups: BTreeMap::new(),
            settle: None,
            reasserts: false,
        });
        let facts = Facts {
            quotas: BTreeMap::new(),
            caller: Err(Unreadable::Throttled),
            live: LiveResources::default(),
            selection,
            attached: BTreeMap::new(),
            health: BTreeMap::new(),
            clusters: BTreeMap::new(),
            gate_answers: BTreeMap::new(),
            items: ItemFacts::default(),
            machine: MachineFacts::default(),
            reading_ended: None,
        };
        let mut findings = Vec::new();
        check(&Context { plan: &plan, facts: &facts, now: Timestamp::UNIX_EPOCH }, &mut findings);
        findings.into_iter().map(|finding| finding.code).collect()
    }

    /// Returns the content of a backend with two servers in `a-*` that have these weights.
    fn content(one: u32, two: u32) -> RouteContent {
        let header = "1\n# srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_check_status \
            srv_check_state srv_port\n";
        let line = |n: u32, weight: u32| format!("a-{n} 10.0.0.{n} 2 0 {weight} 100 15 6 8080\n");
        let servers = haproxy::parse_servers(&format!("{header}{}{}\n", line(1, one), line(2, two))).unwrap();
        let backend = Backend::parse("haproxy:tcp://10.0.1.10:9999/webapp").unwrap();
        haproxy::content(&backend, &["a-*".into()], &servers, "pid 7".into()).unwrap()
    }

    #[test]
    fn each_problem_of_a_backend_has_its_code() {
        assert_eq!(codes(&[], content(100, 100)), []);
        assert_eq!(codes(&[(attribute::LEVEL, "operator")], content(100, 100)), [Code::CUT340]);
        assert_eq!(codes(&[(attribute::ALGORITHM, "static-rr")], content(100, 100)), [Code::CUT341]);
        assert_eq!(codes(&[(attribute::ALGORITHM, "source")], content(100, 100)), [Code::CUT341]);
        assert_eq!(codes(&[], content(100, 50)), [Code::CUT342]);
        assert_eq!(codes(&[(attribute::COOKIE, "SRV")], content(100, 100)), [Code::CUT343]);
        assert_eq!(codes(&[(attribute::BACKUPS, "a-2")], content(100, 100)), [Code::CUT345]);
    }
}
