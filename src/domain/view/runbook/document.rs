//! Puts the sections of a runbook into one document.

use std::collections::BTreeSet;

use super::input::{LiveFacts, RunbookInput, and, put, row};
use super::{emergency, people, rules, timetable};
use crate::base::finding::Severity;
use crate::base::number::count;
use crate::domain::elb::select::selector_text;
use crate::domain::view::check::CheckReport;
use crate::plan::model::BalancerKind;

/// Returns the runbook as Markdown, which ends with a newline.
pub fn markdown(input: &RunbookInput<'_>) -> String {
    let mut out = String::new();
    head(input, &mut out);
    let sections: [fn(&RunbookInput<'_>, &mut String); 10] = [
        emergency::write,
        timetable::write,
        people::decisions,
        people::stopping,
        people::watching,
        rules::gates,
        rules::commands,
        rules::irreversible,
        people::preparation,
        live,
    ];
    for section in sections.into_iter().chain([rules::break_glass, people::contacts]) {
        if !out.ends_with("\n\n") {
            put(&mut out, "");
        }
        section(input, &mut out);
    }
    out
}

fn head(input: &RunbookInput<'_>, out: &mut String) {
    let plan = input.plan;
    let (from, to) = (&plan.strategy.from, &plan.strategy.to);
    put(out, &format!("# Runbook: {}\n", plan.title()));
    let balancers: BTreeSet<_> = input
        .entries()
        .map(|entry| match entry.kind {
            BalancerKind::Haproxy => "HAProxy".to_owned(),
            kind => format!("{} `{}`", kind.key().to_uppercase(), selector_text(&entry.load_balancer)),
        })
        .collect();
    let balancers = and(&balancers.into_iter().collect::<Vec<_>>());
    put(
        out,
        &format!("Moves traffic of {} from cluster **{from}** to **{to}** at {balancers}.", timetable::workloads(plan)),
    );
    let hash = plan.hash.get(..12).unwrap_or(&plan.hash);
    let source = match &input.live {
        LiveFacts::Offline => "Written from the plan alone.".to_owned(),
        LiveFacts::Unreadable(_) => "**AWS could not be read: written from the plan alone.**".to_owned(),
        LiveFacts::Read { at, .. } => format!("With what was live at {}.", at.strftime("%F %H:%M UTC")),
    };
    put(out, &format!("Plan: `{}`, SHA-256 `{hash}…`. {source}", input.file));
}

/// Appends the section about what is live.
fn live(input: &RunbookInput<'_>, out: &mut String) {
    put(out, "## What is live\n");
    match &input.live {
        LiveFacts::Offline => put(out, "Not read. Without `--offline`, this section has the routes and their shares."),
        LiveFacts::Unreadable(reasons) => {
            put(out, "AWS could not be read, so nothing here is compared with what is live:\n");
            for reason in reasons {
                put(out, &format!("- {}", reason.replace('\n', " ")));
            }
        }
        LiveFacts::Read { report, .. } => routes(report, out),
    }
    put(out, "");
}

fn routes(report: &CheckReport, out: &mut String) {
    put(out, "| load balancer | workload | routes | weights now |\n|---|---|---|---|");
    for lines in report.grouped() {
        let Some(first) = lines.first() else { continue };
        let now = first.weights.first().and_then(|weights| weights.groups.as_ref().ok());
        let now = now.map_or_else(String::new, |groups| {
            groups.iter().map(|(name, weight)| format!("{name} {weight}")).collect::<Vec<_>>().join(", ")
        });
        let labels: Vec<_> = lines.iter().map(|line| line.label.as_str()).collect();
        let labels = format!("{}: {}", count(lines.len(), "route"), labels.join(", "));
        row(out, &[&first.load_balancer, &first.workload, &labels, &now]);
    }
    let errors = report.findings.iter().filter(|finding| finding.refuses());
    let errors: Vec<_> = errors.map(|finding| format!("- **{}** {}", finding.code.name(), finding.message)).collect();
    if !errors.is_empty() {
        put(out, "\n**A run would be refused now:**\n");
        for line in errors {
            put(out, &line.replace('\n', " "));
        }
    }
    let warnings = report.count(Severity::Warning);
    if warnings > 0 {
        put(out, &format!("\n{} of `cutover check`: read them before the call.", count(warnings, "warning")));
    }
}
