//! Tables and lists on the pages have what the code has.

use std::collections::BTreeSet;
use std::path::Path;

use cutover::app::exit::Exit;
use cutover::base::finding::{Code, Severity};
use cutover::domain::preflight::ACCEPTABLE_ERRORS;
use cutover::plan::model::notify;

use super::{assert_table, page, quoted, root};

#[test]
fn exit_codes_match_the_code() {
    let rows = Exit::ALL.map(|e| format!("| {} | {} |", e.code(), e.meaning()));
    assert_table("src/cli/help/exit-codes.md", "| exit | meaning |", &rows);
}

#[test]
fn finding_codes_match_the_code() {
    let row = |code: &Code| {
        let severity = match code.severity() {
            Severity::Error if ACCEPTABLE_ERRORS.contains(code) => "error, may be accepted",
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "note",
        };
        format!("| {} | {} | {severity} | {} |", code.name(), code.source().name(), code.title())
    };
    let rows: Vec<_> = Code::ALL.iter().map(row).collect();
    assert_table("src/cli/help/findings.md", "| code | from | severity | what it is about |", &rows);
}

/// Returns the serde names and doc comments of the variants of an enum in a source file.
fn variants(path: &str, name: &str) -> Vec<(String, String)> {
    let file = syn::parse_file(&page(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let of = file.items.into_iter().find_map(|item| match item {
        syn::Item::Enum(found) if found.ident == name => Some(found),
        _ => None,
    });
    let of = of.unwrap_or_else(|| panic!("{path} has no enum {name}"));
    of.variants.into_iter().map(|v| (camel_case(&v.ident.to_string()), doc(&v.attrs))).collect()
}

/// Returns the doc comment as one line.
fn doc(attributes: &[syn::Attribute]) -> String {
    let line = |a: &syn::Attribute| match &a.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    };
    attributes.iter().filter_map(line).collect::<Vec<_>>().join(" ")
}

/// Returns the name that serde gives a variant.
fn camel_case(variant: &str) -> String {
    variant[..1].to_lowercase() + &variant[1..]
}

#[test]
fn events_match_the_code() {
    let events = variants("src/domain/run/event/mod.rs", "Event");
    let rows: Vec<_> = events
        .iter()
        .filter(|(name, _)| name != "unknown")
        .map(|(name, doc)| format!("| `{name}` | {} |", doc.replace("[`", "`").replace("`]", "`").replace('|', "\\|")))
        .collect();
    assert!(rows.len() > 30, "{rows:#?}");
    assert_table("src/cli/help/state.md", "| event | meaning |", &rows);
}

#[test]
fn every_wait_reason_is_explained() {
    let text = page("src/cli/help/troubleshooting.md");
    let missing: Vec<_> = variants("src/domain/run/event/values.rs", "WaitReason")
        .into_iter()
        .filter(|(name, _)| !text.contains(&format!("| `{name}` |")))
        .collect();
    assert!(missing.is_empty(), "wait reasons without an explanation: {missing:#?}");
}

/// Appends all text of `src`, with broken string literals joined.
fn collect_source(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).expect("the folder should be readable") {
        let path = entry.expect("the entry should be readable").path();
        if path.is_dir() {
            collect_source(&path, all);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("the source file should be readable");
            let mut lines = text.split("\\\n");
            all.push_str(lines.next().unwrap_or_default());
            lines.for_each(|line| all.push_str(line.trim_start()));
        }
    }
}

#[test]
fn explained_messages_exist_in_the_program() {
    let text = page("src/cli/help/troubleshooting.md");
    let messages: Vec<_> =
        text.lines().filter_map(|l| l.strip_prefix("| `")?.split_once("` | ")).map(|(m, _)| m).collect();
    let reasons: BTreeSet<_> =
        variants("src/domain/run/event/values.rs", "WaitReason").into_iter().map(|(name, _)| name).collect();
    let mut all = String::new();
    collect_source(&root().join("src"), &mut all);
    let missing: Vec<_> =
        messages.iter().filter(|m| !reasons.contains(**m) && !all.contains(&m.replace('"', "\\\""))).collect();
    assert!(messages.len() > reasons.len() + 8, "{messages:?}");
    assert!(missing.is_empty(), "messages in the page that are not in the program: {missing:#?}");
}

#[test]
fn every_metric_is_listed() {
    let text = page("src/cli/help/telemetry.md");
    let snapshot = page("tests/wire/snapshots/wire__telemetry__a_run_as_metrics.snap");
    let types = snapshot.lines().filter_map(|l| l.strip_prefix("# TYPE ")).filter_map(|l| l.split_once(' '));
    let name = |(name, kind): (&str, &str)| match kind {
        "info" => format!("{name}_info"),
        "counter" => format!("{name}_total"),
        _ => name.to_owned(),
    };
    let names: Vec<_> = types.map(name).collect();
    assert!(names.len() > 10, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "metrics that are not listed: {missing:?}");
}

#[test]
fn every_kind_of_notification_and_placeholder_is_listed() {
    let text = page("src/cli/help/notifications.md");
    for word in notify::Kind::WORDS {
        assert!(text.contains(&format!("`{word}`")), "{word}");
    }
    for name in notify::PLACEHOLDERS {
        assert!(text.contains(&format!("`{{{{{name}}}}}`")), "{name}");
    }
}

/// Returns the AWS actions that the adapters call, with their IAM names.
fn called() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (folder, service) in [("src/adapter/aws/elb", "elasticloadbalancing"), ("src/adapter/aws/eks", "eks")] {
        for entry in std::fs::read_dir(root().join(folder)).expect(folder) {
            let text =
                std::fs::read_to_string(entry.expect(folder).path()).expect("the source file should be readable");
            for call in text.split('.').filter_map(|c| c.split_once("()")).map(|(name, _)| name) {
                let verbs = ["describe_", "modify_", "create_rule", "delete_rule", "add_tags", "remove_tags"];
                if verbs.iter().any(|verb| call.starts_with(verb)) {
                    all.insert(format!("{service}:{}", camel(call)));
                }
            }
        }
    }
    all
}

fn camel(snake: &str) -> String {
    snake.split('_').map(|w| w[..1].to_uppercase() + &w[1..]).collect()
}

#[test]
fn listed_permissions_match_the_called_actions() {
    let listed: BTreeSet<_> = quoted(&page("src/cli/help/permissions.md"))
        .into_iter()
        .filter(|q| q.starts_with("elasticloadbalancing:") || q.starts_with("eks:D"))
        .collect();
    let called = called();
    assert!(called.len() > 10, "{called:?}");
    assert_eq!(listed, called);
}
