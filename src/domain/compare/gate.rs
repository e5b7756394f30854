//! Judges for the compare gate whether a comparison allows a raise of the new cluster's share. Decisions about the run
//! are in `decide`.

use std::collections::BTreeSet;

use super::facts::ClusterFacts;
use super::unknown::{self, Unknown};
use crate::base::finding::{Code, Finding, Severity, Source};
use crate::domain::preflight::Acceptance;
use crate::domain::run::comparison::Comparison;
use crate::domain::traffic::Unreadable;
use crate::plan::model::Plan;

/// The maximum number of reasons that a verdict names.
const MAX_REASONS: usize = 5;

/// Returns the findings of a comparison with `ignore` of the gate applied.
fn findings(plan: &Plan, from: &ClusterFacts, to: &ClusterFacts) -> Vec<Finding> {
    let mut findings = super::compare(plan, from, to);
    if let Some(gate) = &plan.strategy.compare {
        let ignore = Acceptance { field: "gates.compare.ignore", entries: &gate.ignore, source: Source::Compare };
        ignore.apply(&mut findings);
    }
    findings
}

/// Returns the findings and the verdict of the gate about two clusters. `earlier` is the last verdict of the run.
pub fn judge(
    plan: &Plan,
    from: &ClusterFacts,
    to: &ClusterFacts,
    earlier: Option<&Comparison>,
) -> (Vec<Finding>, Comparison) {
    let findings = findings(plan, from, to);
    let unknown: Vec<_> = [from, to]
        .into_iter()
        .flat_map(|cluster| unknown::each(cluster).into_iter().map(|unknown| (name(cluster, &unknown), unknown.why)))
        .collect();
    let verdict = of(&findings, &unknown, earlier);
    (findings, verdict)
}

/// Returns the verdict of a comparison that could not be made.
pub fn not_compared(why: &str, earlier: Option<&Comparison>) -> Comparison {
    let unknown = earlier.map(|earlier| earlier.unknown.clone()).unwrap_or_default();
    Comparison { held: vec![why.to_owned()], unknown, ..Comparison::default() }
}

/// Returns the verdict of findings. `unknown` has the facts that could not be read, each with the reason.
fn of(findings: &[Finding], unknown: &[(String, Unreadable)], earlier: Option<&Comparison>) -> Comparison {
    let number = |fits: &dyn Fn(&Finding) -> bool| findings.iter().filter(|finding| fits(finding)).count();
    let is_ignored = |name: &str| {
        let accepted = |finding: &&Finding| finding.code == Code::CUT190 && finding.accepted.is_some();
        findings.iter().filter(accepted).any(|finding| finding.subject == cluster_of(name))
    };
    let is_allowed = |(name, why): &&(String, Unreadable)| {
        let lacking = matches!(why, Unreadable::Denied(_) | Unreadable::NotFound(_));
        (lacking || is_ignored(name)) && earlier.is_none_or(|earlier| earlier.unknown.contains(name))
    };
    let errors = findings.iter().filter(|finding| finding.refuses());
    let mut held: Vec<_> = errors.map(|finding| format!("{} {}", finding.code.name(), finding.message)).collect();
    held.extend(lost(unknown.iter().filter(|entry| !is_allowed(entry)), earlier.is_some()));
    let errors = number(&Finding::refuses);
    let more = held.split_off(held.len().min(MAX_REASONS)).len();
    Comparison {
        held,
        more,
        errors,
        warnings: number(&|f| {
            f.severity == Severity::Warning && f.accepted.is_none() && f.code.source() == Source::Compare
        }),
        accepted: number(&|f| f.accepted.is_some()),
        unknown: unknown.iter().filter(is_allowed).map(|(name, _)| name.clone()).collect(),
    }
}

/// Returns a text for each reason why facts cannot be read, so that a cluster that does not respond is one reason.
fn lost<'a>(unknown: impl Iterator<Item = &'a (String, Unreadable)>, was_read: bool) -> Vec<String> {
    let (mut reasons, mut all) = (BTreeSet::new(), Vec::new());
    let hint = if was_read {
        "; an earlier comparison of this run could read it"
    } else {
        "; if it cannot be read from here at all, list CUT190 in `gates.compare.ignore`"
    };
    for (name, why) in unknown {
        let cluster = cluster_of(name);
        if reasons.insert((cluster, why.to_string())) {
            all.push(format!("{} {name} cannot be read: {why}{hint}", Code::CUT190.name()));
        }
    }
    all
}

/// Returns the name of the cluster in the name of a fact.
fn cluster_of(name: &str) -> &str {
    name.split(':').next().unwrap_or_default()
}

fn name(cluster: &ClusterFacts, Unknown { what, object, .. }: &Unknown) -> String {
    let object = object.as_ref().map_or_else(String::new, |object| format!(" {object}"));
    format!("{}: {what}{object}", cluster.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> Finding {
        Finding::new(Code::CUT120, "shop/checkout", "Deployment shop/checkout: a runs sha256:1, b runs sha256:2")
    }

    #[test]
    fn only_an_error_that_nobody_accepts_holds_a_raise() {
        let warning = Finding::new(Code::CUT131, "shop/checkout", "no PodDisruptionBudget in b");
        let held = of(&[error(), warning.clone()], &[], None);
        assert_eq!(held.held, ["CUT120 Deployment shop/checkout: a runs sha256:1, b runs sha256:2"]);
        assert_eq!((held.errors, held.warnings, held.accepted), (1, 1, 0));
        let accepted = Finding { accepted: Some("known".to_owned()), ..error() };
        let free = of(&[accepted, warning], &[], Some(&held));
        assert!(free.allows_raises());
        assert_eq!((free.errors, free.warnings, free.accepted), (0, 1, 1));
    }

    /// A fact whose permission is missing from the start holds no raise. A fact that was read before and is now
    /// unreadable holds the raise until the fact can be read again.
    #[test]
    fn a_lost_fact_holds_and_a_missing_permission_passes() {
        let denied = |name: &str| (name.to_owned(), Unreadable::Denied("forbidden".to_owned()));
        let first = of(&[], &[denied("b: list nodes")], None);
        assert!(first.allows_raises() && first.unknown.contains("b: list nodes"));

        let lost = of(&[], &[denied("b: list nodes"), denied("b: list pods")], Some(&first));
        assert_eq!(lost.held.len(), 1);
        assert!(lost.held[0].starts_with("CUT190 b: list pods cannot be read: access denied: forbidden"), "{lost:?}");
        let still = of(&[], &[denied("b: list nodes"), denied("b: list pods")], Some(&lost));
        assert_eq!(still, lost, "a second comparison must not forget what could be read");
        assert!(of(&[], &[denied("b: list nodes")], Some(&still)).allows_raises());
        // The second comparison could read the fact, so the third one must hold.
        let known = of(&[], &[], Some(&first));
        assert!(!of(&[], &[denied("b: list nodes")], Some(&known)).allows_raises());
    }

    #[test]
    fn a_cluster_that_does_not_respond_holds_with_one_reason() {
        let down = |name: &str| (name.to_owned(), Unreadable::Unavailable("HTTP 503".to_owned()));
        let first = of(&[], &[down("b: list nodes"), down("b: list pods")], None);
        let hint = "if it cannot be read from here at all, list CUT190 in `gates.compare.ignore`";
        assert_eq!(first.held, [format!("CUT190 b: list nodes cannot be read: HTTP 503; {hint}")]);
    }

    /// An API that cannot be reached from the network of the run may be ignored. A fact that was read once may not.
    #[test]
    fn an_ignored_fact_passes_until_it_was_read() {
        let down = |name: &str| (name.to_owned(), Unreadable::Unavailable("the connection timed out".to_owned()));
        let ignored = |cluster: &str| {
            let finding =
                Finding::new(Code::CUT190, cluster, format!("{cluster}: iam:GetRole: the connection timed out"));
            Finding { accepted: Some("IAM has no endpoint in this network".to_owned()), ..finding }
        };
        let first = of(&[ignored("b")], &[down("b: iam:GetRole")], None);
        assert!(first.allows_raises(), "{first:?}");
        assert!(of(&[ignored("b")], &[down("b: iam:GetRole")], Some(&first)).allows_raises());
        assert!(!of(&[ignored("a")], &[down("b: iam:GetRole")], None).allows_raises());
        let read = of(&[], &[], None);
        let lost = of(&[ignored("b")], &[down("b: iam:GetRole")], Some(&read));
        assert!(lost.held[0].ends_with("an earlier comparison of this run could read it"), "{lost:?}");
    }

    #[test]
    fn many_reasons_are_summed_up() {
        let errors: Vec<_> = (0..9).map(|_| error()).collect();
        let held = of(&errors, &[], None);
        assert_eq!((held.held.len(), held.more, held.errors), (MAX_REASONS, 4, 9));
        assert!(held.reason().ends_with("; and 8 more reasons"), "{}", held.reason());
    }
}
