//! The table cannot lie: each test that it names is in the tree and of the column's kind, and `tests/CONTRACTS.md` is
//! made of it.
//!
//! `CUTOVER_UPDATE=1 cargo test --test pure contracts` writes the page anew.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    behaviours: Vec<Row>,
    differences: Vec<Row>,
    /// Differences that stay, in words.
    left: Vec<String>,
}

/// A behaviour, or a difference with what was changed; and the tests that prove it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    what: String,
    changed: Option<String>,
    lab: Option<String>,
    moto: Option<String>,
    server: Option<String>,
    controller: Option<String>,
}

impl Row {
    fn cells(&self) -> [(&'static str, &Option<String>); 4] {
        [("lab", &self.lab), ("moto", &self.moto), ("server", &self.server), ("controller", &self.controller)]
    }
}

fn document() -> Document {
    serde_yaml::from_str(&std::fs::read_to_string("tests/contracts.yaml").expect("the table"))
        .unwrap_or_else(|e| panic!("{e}"))
}

/// Names of all tests: functions under a test attribute, and what the columns' macros make.
fn tests() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for root in ["tests", "src"] {
        collect(Path::new(root), &mut all);
    }
    all
}

fn collect(folder: &Path, all: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, all);
        } else if path.extension().is_some_and(|e| e == "rs") {
            named(&std::fs::read_to_string(path).expect("UTF-8"), all);
        }
    }
}

fn named(text: &str, all: &mut BTreeSet<String>) {
    let (mut tested, mut column) = (false, false);
    for line in text.lines().map(str::trim) {
        tested |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        column = (column || line.starts_with("column! {")) && line != "}";
        let function = line.trim_start_matches("async ").strip_prefix("fn ").and_then(|l| l.split('(').next());
        if let Some(name) = function {
            if tested {
                all.insert(name.to_owned());
            }
            tested = false;
        }
        if let Some((name, _)) = line.split_once(" = ").filter(|_| column) {
            all.insert(name.to_owned());
        }
    }
}

#[test]
fn every_test_of_the_table_is_there_and_of_its_column() {
    let (document, tests) = (document(), tests());
    assert!(tests.len() > 200, "{tests:?}");
    let mut wrong = Vec::new();
    for row in document.behaviours.iter().chain(&document.differences) {
        for (column, test) in row.cells().into_iter().filter_map(|(c, t)| Some((c, t.as_ref()?))) {
            let fits = match column {
                "moto" => test.contains("moto_"),
                "lab" => !test.starts_with("moto_") && !test.starts_with("stack_"),
                _ => test.starts_with("stack_"),
            };
            if !fits || !tests.contains(test) {
                wrong.push(format!("{column} {test}: {}", row.what));
            }
        }
    }
    assert!(wrong.is_empty(), "no such tests:\n{}", wrong.join("\n"));
}

#[test]
fn each_behaviour_is_proven_twice_and_each_difference_on_both() {
    let document = document();
    let proven = |row: &Row| row.cells().iter().filter(|(_, t)| t.is_some()).count();
    assert!(document.behaviours.len() >= 25, "{}", document.behaviours.len());
    for row in &document.behaviours {
        assert!(proven(row) >= 2 && row.changed.is_none(), "{}", row.what);
    }
    for row in &document.differences {
        assert!(row.changed.is_some() && row.lab.is_some() && proven(row) >= 2, "{}", row.what);
    }
}

fn page(document: &Document) -> String {
    let cell = |test: &Option<String>| test.as_ref().map_or(String::new(), |t| format!("`{t}`"));
    let line = |first: &str, row: &Row| {
        let cells: Vec<_> = row.cells().iter().map(|(_, t)| cell(t)).collect();
        format!("| {first} | {} |", cells.join(" | "))
    };
    let head = |first: &str| {
        format!("| {first} | lab | moto | API server | load balancer controller |\n|---|---|---|---|---|")
    };
    let behaviours: Vec<_> = document.behaviours.iter().map(|row| line(&row.what, row)).collect();
    let told = |row: &Row| format!("{} **Changed:** {}", row.what, row.changed.as_deref().unwrap_or_default());
    let differences: Vec<_> = document.differences.iter().map(|row| line(&told(row), row)).collect();
    format!(
        "# What is proven on what

Made of `contracts.yaml` by `pure/contracts.rs`, which also holds each name to the tree. A column is an implementation that claims to be the same thing:

- **lab**: the embedded one of `src/lab`; needs nothing but Rust, except where the name says `lab_like_moto_`: boto3 furnishes both.
- **moto**: an ELBv2 that others wrote, over HTTP. `./tests/run contract`, and in whole cutovers `./tests/run stack`.
- **API server**: kube-apiserver with etcd, built from source. `./tests/run stack`.
- **load balancer controller**: the AWS Load Balancer Controller with its webhooks, built from source; it registers the targets. `./tests/run stack`.

## Behaviours

{}
{}

## Differences found

What the real things did otherwise than the lab, and what was changed for it. The tests named run the same case on both sides.

{}
{}

Left as they are:

{}
",
        head("behaviour"),
        behaviours.join("\n"),
        head("difference"),
        differences.join("\n"),
        document.left.iter().map(|l| format!("- {l}")).collect::<Vec<_>>().join("\n")
    )
}

#[test]
fn the_page_is_made_of_the_table() {
    let wanted = page(&document());
    if std::env::var_os("CUTOVER_UPDATE").is_some() {
        std::fs::write("tests/CONTRACTS.md", &wanted).expect("the page");
    }
    let found = std::fs::read_to_string("tests/CONTRACTS.md").unwrap_or_default();
    assert!(found == wanted, "tests/CONTRACTS.md is not what tests/contracts.yaml says; CUTOVER_UPDATE=1 writes it");
}
