//! Applies `accept` of a plan, and `ignore` of its compare gate, to the findings.

use crate::base::finding::{Code, Finding, Severity, Source};
use crate::plan::model::Accept;

/// The errors that a plan may accept, because an operator may know more than tags, permissions and names show. No plan
/// can accept other errors of the preflight, because they protect traffic.
pub const ACCEPTABLE_ERRORS: &[Code] = &[
    Code::CUT053,
    Code::CUT058,
    Code::CUT060,
    Code::CUT073,
    Code::CUT075,
    Code::CUT085,
    Code::CUT091,
    Code::CUT093,
    Code::CUT305,
    Code::CUT307,
    Code::CUT362,
];

/// Entries that accept findings.
#[derive(Debug, Clone, Copy)]
pub struct Acceptance<'a> {
    /// The field of the plan, for messages: `accept`.
    pub field: &'static str,
    /// The entries.
    pub entries: &'a [Accept],
    /// The source of the findings. Entries for codes of other sources are skipped.
    pub source: Source,
}

impl Acceptance<'_> {
    /// Marks the accepted findings with the reason of their entry. Adds findings about entries for errors that cannot be
    /// accepted, and about entries that match no finding.
    pub fn apply(&self, findings: &mut Vec<Finding>) {
        let mut more = Vec::new();
        for entry in self.entries {
            let mut found = false;
            for finding in findings.iter_mut().filter(|finding| matches(entry, finding)) {
                found = true;
                if self.may_accept(finding) {
                    finding.accepted.get_or_insert_with(|| entry.reason.clone());
                } else {
                    more.push(not_acceptable(entry, finding));
                }
            }
            // Codes of the plan's own checks were checked when the plan was read.
            let is_checked_here = Code::ALL.iter().any(|c| c.name() == entry.code && c.source() == self.source);
            if !found && is_checked_here {
                more.push(self.unused(entry));
            }
        }
        more.dedup();
        findings.append(&mut more);
    }

    fn may_accept(&self, finding: &Finding) -> bool {
        self.source == Source::Compare
            || finding.severity < Severity::Error
            || ACCEPTABLE_ERRORS.contains(&finding.code)
    }

    fn unused(&self, entry: &Accept) -> Finding {
        let check = if self.source == Source::Compare { "the comparison" } else { "the check" };
        let object = entry.object.as_ref().map_or_else(String::new, |object| format!(" for {object}"));
        let message = format!("`{}` lists {}{object}, but {check} has no such finding", self.field, entry.code);
        Finding::new(Code::CUT090, entry.code.clone(), message)
            .help("remove this entry, so that it cannot hide a finding in the future")
    }
}

/// Whether an entry is about a finding: by the code, and by the object if the entry names one.
fn matches(entry: &Accept, finding: &Finding) -> bool {
    finding.code.name() == entry.code && entry.object.as_ref().is_none_or(|object| *object == finding.subject)
}

fn not_acceptable(entry: &Accept, finding: &Finding) -> Finding {
    Finding::new(
        Code::CUT089,
        finding.subject.clone(),
        format!("{} cannot be accepted: {}", entry.code, finding.code.title()),
    )
    .help(format!("correct what the finding reports, and remove {} from `accept`", entry.code))
}
