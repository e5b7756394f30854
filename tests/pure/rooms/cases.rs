//! The checker on small trees: it cannot pass by seeing nothing.

use super::arrow::arrows;
use super::rule::{needless, violations};
use super::source::{Source, Texts};

/// The modules of a tree; what leads to them is put in.
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

/// Exactly one is wrong, and this is said of it.
fn only(files: &[(&str, &str)], said: &str) {
    let wrong = wrong(files);
    assert!(wrong.len() == 1 && wrong[0].contains(said), "{said}: {wrong:#?}");
}

const CLI: (&str, &str) = ("cli/term.rs", "pub struct Term; pub fn say() {}");

#[test]
fn an_arrow_up_is_found_however_it_is_written() {
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
        only(&[CLI, ("engine/run.rs", text)], "engine must not use cli");
    }
    only(&[CLI, ("engine/run.rs", "\n\nuse crate::cli::term::Term;")], "src/engine/run.rs:3: → cli/term.rs");
}

#[test]
fn an_arrow_down_and_what_is_no_code_is_allowed() {
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
fn a_name_is_followed_to_the_file_that_defines_it() {
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
fn inside_the_domain_a_later_room_uses_an_earlier_one_only() {
    let all = [
        ("domain/traffic/mod.rs", "pub struct Route;"),
        ("domain/elb/mod.rs", "pub struct Arn;"),
        ("domain/health/mod.rs", "pub struct Counts;"),
    ];
    let with = |file, text| all.into_iter().chain([(file, text)]).collect::<Vec<_>>();
    assert!(
        wrong(&with("domain/run/mod.rs", "use crate::domain::traffic::Route; use super::health::Counts;")).is_empty()
    );
    only(&with("domain/traffic/split.rs", "use crate::domain::elb::Arn;"), "traffic must not use elb");
    only(&with("domain/metric/mod.rs", "fn f(_: super::health::Counts) {}"), "metric must not use health");
}

#[test]
fn a_neutral_room_uses_no_vendors_types() {
    let elb = ("domain/elb/mod.rs", "pub struct Listener;");
    let text = "use crate::domain::elb::Listener;";
    for file in ["domain/run/mod.rs", "domain/decide/goal.rs", "engine/look.rs", "port/traffic.rs"] {
        only(&[elb, (file, text)], "must not use a vendor's types");
    }
    for file in ["engine/inventory/facts.rs", "port/inventory.rs", "domain/view/init.rs"] {
        assert!(wrong(&[elb, (file, text)]).is_empty(), "{file}");
    }
}

#[test]
fn a_circle_of_files_is_found_and_a_re_export_is_none() {
    let circle = [
        ("engine/a.rs", "use super::b::B; pub struct A;"),
        ("engine/b.rs", "use super::c::C; pub struct B;"),
        ("engine/c.rs", "use super::a::A; pub struct C;"),
    ];
    only(&circle, "src/engine/a.rs:1 → src/engine/b.rs:1 → src/engine/c.rs:1 → engine/a.rs: a circle");
    let elsewhere = circle.map(|(file, text)| (file.replace("engine", "lab"), text));
    assert!(
        wrong(&elsewhere.each_ref().map(|(file, text)| (file.as_str(), *text))).is_empty(),
        "only some rooms forbid them"
    );
    let parent = [
        ("engine/mod.rs", "pub struct Ports; pub use run::Run;\n"),
        ("engine/run.rs", "use super::Ports; pub struct Run;"),
    ];
    assert!(wrong(&parent).is_empty());
    let used = [("engine/mod.rs", "pub struct Ports; pub use run::Run; fn f(_: Run) {}\n"), parent[1]];
    only(&used, "a circle");
    let called = [
        ("engine/mod.rs", "pub struct Ports; fn f() { run::go() }\n"),
        ("engine/run.rs", "use super::Ports; pub fn go() {}"),
    ];
    only(&called, "a circle");
}

#[test]
fn a_crate_is_used_only_where_it_belongs() {
    let aws = "use aws_sdk_elasticloadbalancingv2::Client;";
    assert!(wrong(&[("adapter/aws.rs", aws)]).is_empty());
    for text in [aws, "use aws_sdk_elasticloadbalancingv2;", "use aws_sdk_elasticloadbalancingv2 as elb;"] {
        only(&[("domain/elb/mod.rs", text)], "domain must not use that crate");
    }
    only(&[("app/world.rs", "fn f(_: ::kube::Client) {}")], "only adapter, lab may");
    only(&[("plan/file.rs", "fn f() { std::fs::read(\"x\").ok(); }")], "plan must not use that crate");
    only(&[("base/time.rs", "#[async_trait::async_trait] trait T {}")], "base must not use that crate");
    only(
        &[("domain/run/mod.rs", "async fn f() { tokio::select! { _ = g() => {} } }")],
        "domain must not use that crate",
    );
    let own = [
        ("adapter/kubernetes.rs", "pub fn connect() {}"),
        ("app/world.rs", "use crate::adapter::kubernetes as kube; fn f() { kube::connect() }"),
    ];
    assert!(wrong(&own).is_empty(), "a room of ours that is called so here");
}

#[test]
fn what_is_known_is_passed_over_and_must_still_be_there() {
    let arrows = arrows(&Source::of(&tree(&[CLI, ("engine/run.rs", "use crate::cli::term::Term;")])));
    let known = [("engine/run.rs", "cli/term.rs"), ("engine/run.rs", "cli/gone.rs")];
    assert!(violations(&arrows, &known).is_empty());
    assert_eq!(needless(&arrows, &known), [&known[1]]);
}

#[test]
fn a_file_that_no_module_leads_to_is_noticed() {
    let mut texts = tree(&[("engine/mod.rs", "#[cfg(test)] mod fake;\n#[cfg(test)] mod tests;"), CLI]);
    for file in ["engine/fake.rs", "engine/tests/mod.rs", "engine/tests/more.rs", "engine/forgotten.rs"] {
        texts.insert(file.to_owned(), String::new());
    }
    assert_eq!(Source::of(&texts).forgotten(&texts), ["engine/forgotten.rs"]);
}
