//! Renders the report of `cutover check` as text, as Markdown for a pull request, or as JSON lines. Pure: the only
//! input is a [`CheckReport`].

mod json;
mod markdown;
mod summary;
mod text;

pub use json::json;
pub use markdown::markdown;
pub use summary::summary;
pub use text::text;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::finding::{Code, Finding, Severity};
use crate::base::number::count;
use crate::domain::view::check::{CheckReport, RouteLine, Weights};
use crate::domain::view::comparison;
use crate::domain::view::gates::{GateLine, NOT_ASKED};

/// Returns the verdict before a question: the number of findings, and what they mean.
fn findings_text(report: &CheckReport) -> String {
    let more = if report.is_refused() { ": a run is refused" } else { "" };
    format!("{}{more}", findings_count(report))
}

/// Returns the number of findings, such as `3 errors, 1 warning`, or `no findings`.
fn findings_count(report: &CheckReport) -> String {
    let kinds = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "note")];
    let mut counts: Vec<String> = kinds
        .iter()
        .map(|(s, noun)| (report.count(*s), noun))
        .filter(|(n, _)| *n > 0)
        .map(|(n, noun)| count(n, noun))
        .collect();
    let accepted = report.findings.iter().filter(|f| f.accepted.is_some()).count();
    if accepted > 0 {
        counts.push(format!("{accepted} accepted"));
    }
    if counts.is_empty() { "no findings".to_owned() } else { counts.join(", ") }
}

/// Returns `error`, `warning` or `note`; `accepted` for every accepted finding.
fn severity_word(finding: &Finding) -> &'static str {
    match (finding.accepted.is_some(), finding.severity) {
        (true, _) => "accepted",
        (_, Severity::Error) => "error",
        (_, Severity::Warning) => "warning",
        (_, Severity::Info) => "note",
    }
}

/// Returns the heading of a set of routes, such as `36 routes on alpha-webapp, workload webapp`, or `1000 routes on 40
/// load balancers, 1000 workloads`.
fn heading(lines: &[&RouteLine]) -> String {
    let (load_balancers, workloads): (BTreeSet<&str>, BTreeSet<&str>) =
        lines.iter().map(|l| (l.load_balancer.as_str(), l.workload.as_str())).unzip();
    let one_or_many = |names: &BTreeSet<&str>, one: &str, noun: &str| match names.first() {
        Some(name) if names.len() == 1 => format!("{one}{name}"),
        _ => count(names.len(), noun),
    };
    let (on, of) =
        (one_or_many(&load_balancers, "", "load balancer"), one_or_many(&workloads, "workload ", "workload"));
    format!("{} on {on}, {of}", count(lines.len(), "route"))
}

/// Maximum number of routes, or of findings of one kind, that a report names. If there are more, the report shows
/// groups.
const NAMED: usize = 8;
/// Maximum number of sets of routes that a report shows with the names of their target groups.
const NAMED_SETS: usize = 4;

/// Returns the sets of routes to show: by workload and load balancer, or by equal shares if there are many workloads.
fn route_sets(report: &CheckReport) -> Vec<Vec<&RouteLine>> {
    let by_workload = report.grouped();
    if by_workload.len() <= NAMED_SETS { by_workload } else { report.grouped_by_shares() }
}

/// Returns the findings to show. If many findings have the same code, returns only the first one, with the number of
/// the others.
fn shown_findings(findings: &[Finding], named: usize) -> Vec<(&Finding, usize)> {
    let mut totals: BTreeMap<(Code, bool), (usize, usize)> = BTreeMap::new();
    let kind = |f: &Finding| (f.code, f.accepted.is_some());
    for finding in findings {
        totals.entry(kind(finding)).or_default().0 += 1;
    }
    let mut shown = Vec::new();
    for finding in findings {
        let Some((total, seen)) = totals.get_mut(&kind(finding)) else { continue };
        *seen += 1;
        if *total <= named {
            shown.push((finding, 0));
        } else if *seen == 1 {
            shown.push((finding, *total - 1));
        }
    }
    shown
}

/// Returns the names of all groups in these weights, in the order of their first appearance.
fn columns(weights: &[Weights]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in weights.iter().filter_map(|w| w.groups.as_ref().ok()).flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

/// Returns one weight as text; `–` if the group is not attached.
fn cell(weights: &[(String, u16)], name: &str) -> String {
    weights.iter().find(|(n, _)| n == name).map_or_else(|| "–".to_owned(), |(_, w)| w.to_string())
}

/// Returns the verdict, and what to type next.
fn verdict(report: &CheckReport) -> String {
    if report.is_refused() {
        "a run would be refused: fix the errors first".to_owned()
    } else if report.at.is_none() {
        format!("the plan is valid; next: `cutover check {}`, which also checks AWS and the clusters", report.source)
    } else if report.findings.iter().any(|f| f.code == Code::CUT094 && f.accepted.is_none()) {
        "not ready: a run would stop after its first raise, because a gate cannot be asked".to_owned()
    } else {
        format!("ready: `cutover rehearse {0}`, then `cutover run {0}`", report.source)
    }
}

/// Returns the result of a gate's source as a sentence, or says that the source was not queried.
fn answer(gate: &GateLine) -> String {
    if let (Some(answer), comparison::NAME) = (&gate.answer, gate.gate.as_str()) {
        return format!("Now it {answer}");
    }
    gate.answer.as_ref().map_or_else(
        || format!("Its verdict: {NOT_ASKED}"),
        |answer| format!("Its source answers now: {answer}. Its verdict: {NOT_ASKED}"),
    )
}

/// Returns how often a run would observe, and how many calls this takes.
fn observation_line(report: &CheckReport) -> Option<String> {
    let (calls, every) = report.observation_cost.filter(|(calls, _)| *calls > 0)?;
    let seconds = every.as_secs_f64();
    #[allow(clippy::cast_precision_loss)] // a number of calls
    let rate = calls as f64 / seconds;
    Some(format!(
        "observes every {seconds:.0}s: {calls} describe calls each time, {rate:.1} a second (spec.aws.apiBudget)"
    ))
}

#[cfg(test)]
mod tests;
