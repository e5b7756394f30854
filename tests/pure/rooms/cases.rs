//! Tests the dependency checker with small source trees, so that it cannot pass because it finds nothing.

use super::arrow::arrows;
use super::rule::{needless, violations};
use super::source::{Source, Texts};

/// Returns a source tree with the parent modules added.
fn tree(files: &[(&str, &str)]) -> Texts {
    let mut texts: Texts = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    for (file, _) in files {
        let parts: Vec<_> = file.trim_end_matches("/mod.rs").trim_end_matches(".rs").split('/').collect();
        for n in 0..parts.len() {
            let parent = if n == 0 { "lib.rs".to_owned() } else { format!("{}/mod.rs", parts[..n].join("/")) };
            let text = texts.entry(parent).or_default();
            let line = format!("pub mod {};\n", parts[n]);
            if !text.contains(&line) {
                text.push_str(&line);
            }
        }
    }
    texts
}

fn wrong(files: &[(&str, &str)]) -> Vec<String> {
    violations(&arrows(&Source::of(&tree(files))), &[])
}

/// Asserts that there is exactly one violation, which contains this text.
fn assert_single_violation(files: &[(&str, &str)], expected: &str) {
    let wrong = wrong(files);
    assert!(wrong.len() == 1 && wrong[0].contains(expected), "{expected}: {wrong:#?}");
}

const CLI: (&str, &str) = ("cli/term.rs", "pub struct Term; pub fn say() {}");

#[test]
fn an_upward_dependency_is_found_in_every_notation() {
    for text in [
        "use crate::cli::term::Term;",
        "\nuse crate::{cli::{term::{Term}}};",
        "use crate::cli::*;",
        "use crate::cli::term::{self as other, Term as Other};",
        "pub use crate::cli::term::Term;",
        "use super::super::cli::term::say;",
        "fn f() { crate::cli::term::say() }",
        "fn f() { use crate::cli::term; }",
        "fn f() { println!(\"{}\", crate::cli::term::say()) }",
        "#[arg(value_parser = crate::cli::term::say)] struct S;",
        "fn f<T: Into<crate::cli::term::Term>>() {}",
        "mod inner { use crate::cli::term::Term; }",
        "mod inner { fn f() { super::super::super::cli::term::say() } }",
    ] {
        assert_single_violation(&[CLI, ("engine/run.rs", text)], "engine must not use cli");
    }
    assert_single_violation(
        &[CLI, ("engine/run.rs", "\n\nuse crate::cli::term::Term;")],
        "src/engine/run.rs:3: → cli/term.rs",
    );
}

#[test]
fn downward_dependencies_comments_and_test_code_are_allowed() {
    let below = ("engine/run.rs", "pub struct Run;");
    assert!(
        wrong(&[below, ("cli/term.rs", "use crate::engine::run::Run; fn f() { crate::engine::run::Run; }")]).is_empty()
    );
    for text in [
        "// use crate::cli::term::Term;",
        "/// [`Term`](crate::cli::term::Term)\nstruct S;",
        "const S: &str = \"use crate::cli::term::Term\";",
        "#[cfg(test)] mod tests { use crate::cli::term::Term; }",
        "#[cfg(test)] use crate::cli::term::Term;",
        "#[cfg(test)] fn f() { crate::cli::term::say() }",
        "struct S; impl S { #[cfg(test)] fn f() { crate::cli::term::say() } }",
        "mod cli { pub mod term { pub fn say() {} } } fn f() { cli::term::say() }",
        "pub(super) fn f() {} pub(in crate::engine) fn g() {}",
    ] {
        assert_eq!(wrong(&[CLI, ("engine/run.rs", text)]), [] as [&str; 0], "{text}");
    }
}

#[test]
fn re_exported_names_are_resolved_to_the_defining_file() {
    let files = [
        ("engine/mod.rs", "pub use hold::Hold;\n"),
        ("engine/hold.rs", "pub use crate::cli::term::Term; pub struct Hold;"),
        CLI,
    ];
    let mut all = vec![("port/store.rs", "use crate::engine::Hold;")];
    all.extend(files);
    let wrong = wrong(&all);
    assert!(wrong.iter().any(|line| line.contains("src/port/store.rs:1: → engine/hold.rs")), "{wrong:#?}");
    let through = [("port/store.rs", "use crate::engine::hold::Term;"), files[1], CLI];
    assert!(super::cases::wrong(&through).iter().any(|line| line.contains("src/port/store.rs:1: → cli/term.rs")));
}

#[test]
fn rooms_of_the_domain_may_use_only_lower_rooms() {
    let all = [
        ("domain/traffic/mod.rs", "pub struct Route;"),
        ("domain/elb/mod.rs", "pub struct Arn;"),
        ("domain/health/mod.rs", "pub struct Counts;"),
    ];
    let with = |file, text| all.into_iter().chain([(file, text)]).collect::<Vec<_>>();
    assert!(
        wrong(&with("domain/run/mod.rs", "use crate::domain::traffic::Route; use super::health::Counts;")).is_empty()
    );
    assert_single_violation(
        &with("domain/traffic/split.rs", "use crate::domain::elb::Arn;"),
        "traffic must not use elb",
    );
    assert_single_violation(
        &with("domain/metric/mod.rs", "fn f(_: super::health::Counts) {}"),
        "metric must not use health",
    );
}

#[test]
fn neutral_rooms_must_not_use_types_of_a_vendor() {
    let elb = ("domain/elb/mod.rs", "pub struct Listener;");
    let text = "use crate::domain::elb::Listener;";
    for file in ["domain/run/mod.rs", "domain/decide/goal.rs", "engine/look.rs", "port/traffic.rs"] {
        assert_single_violation(&[elb, (file, text)], "must not use a vendor's types");
    }
    for file in ["engine/inventory/facts.rs", "port/inventory.rs", "domain/view/init.rs"] {
        assert!(wrong(&[elb, (file, text)]).is_empty(), "{file}");
    }
}

#[test]
fn circles_of_files_are_found_and_re_exports_do_not_count() {
    let circle = [
        ("engine/a.rs", "use super::b::B; pub struct A;"),
        ("engine/b.rs", "use super::c::C; pub struct B;"),
        ("engine/c.rs", "use super::a::A; pub struct C;"),
    ];
    assert_single_violation(
        &circle,
        "src/engine/a.rs:1 → src/engine/b.rs:1 → src/engine/c.rs:1 → engine/a.rs: a circle",
    );
    let elsewhere = circle.map(|(file, text)| (file.replace("engine", "lab"), text));
    assert!(
        wrong(&elsewhere.each_ref().map(|(file, text)| (file.as_str(), *text))).is_empty(),
        "rooms outside NO_CIRCLES may have circles"
    );
    let parent = [
        ("engine/mod.rs", "pub struct Ports; pub use run::Run;\n"),
        ("engine/run.rs", "use super::Ports; pub struct Run;"),
    ];
    assert!(wrong(&parent).is_empty());
    let used = [("engine/mod.rs", "pub struct Ports; pub use run::Run; fn f(_: Run) {}\n"), parent[1]];
    assert_single_violation(&used, "a circle");
    let called = [
        ("engine/mod.rs", "pub struct Ports; fn f() { run::go() }\n"),
        ("engine/run.rs", "use super::Ports; pub fn go() {}"),
    ];
    assert_single_violation(&called, "a circle");
}

#[test]
fn crates_may_be_used_only_in_their_rooms() {
    let aws = "use aws_sdk_elasticloadbalancingv2::Client;";
    assert!(wrong(&[("adapter/aws.rs", aws)]).is_empty());
    for text in [aws, "use aws_sdk_elasticloadbalancingv2;", "use aws_sdk_elasticloadbalancingv2 as elb;"] {
        assert_single_violation(&[("domain/elb/mod.rs", text)], "domain must not use that crate");
    }
    assert_single_violation(&[("app/world.rs", "fn f(_: ::kube::Client) {}")], "only adapter, lab may");
    assert_single_violation(
        &[("plan/file.rs", "fn f() { std::fs::read(\"x\").ok(); }")],
        "plan must not use that crate",
    );
    assert_single_violation(
        &[("base/time.rs", "#[async_trait::async_trait] trait T {}")],
        "base must not use that crate",
    );
    assert_single_violation(
        &[("domain/run/mod.rs", "async fn f() { tokio::select! { _ = g() => {} } }")],
        "domain must not use that crate",
    );
    let own = [
        ("adapter/kubernetes.rs", "pub fn connect() {}"),
        ("app/world.rs", "use crate::adapter::kubernetes as kube; fn f() { kube::connect() }"),
    ];
    assert!(wrong(&own).is_empty(), "an import named like a crate must not count as the crate");
}

#[test]
fn known_violations_are_ignored_and_stale_entries_are_found() {
    let arrows = arrows(&Source::of(&tree(&[CLI, ("engine/run.rs", "use crate::cli::term::Term;")])));
    let known = [("engine/run.rs", "cli/term.rs"), ("engine/run.rs", "cli/gone.rs")];
    assert!(violations(&arrows, &known).is_empty());
    assert_eq!(needless(&arrows, &known), [&known[1]]);
}

#[test]
fn files_without_a_mod_line_are_found() {
    let mut texts = tree(&[("engine/mod.rs", "#[cfg(test)] mod fake;\n#[cfg(test)] mod tests;"), CLI]);
    for file in ["engine/fake.rs", "engine/tests/mod.rs", "engine/tests/more.rs", "engine/forgotten.rs"] {
        texts.insert(file.to_owned(), String::new());
    }
    assert_eq!(Source::of(&texts).forgotten(&texts), ["engine/forgotten.rs"]);
}
