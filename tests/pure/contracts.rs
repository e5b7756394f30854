//! Checks `tests/contracts.yaml`: each named test exists and belongs to the column's implementation, and
//! `tests/CONTRACTS.md` is generated from the file.
//!
//! `CUTOVER_UPDATE=1 cargo test --test pure contracts` writes `tests/CONTRACTS.md`.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    behaviours: Vec<Row>,
    differences: Vec<Row>,
    /// Texts of the differences that remain.
    left: Vec<String>,
}

/// A behaviour or a difference, the change that a difference led to, and the tests that prove the row.
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
    serde_yaml::from_str(
        &std::fs::read_to_string("tests/contracts.yaml").expect("tests/contracts.yaml should be readable"),
    )
    .unwrap_or_else(|e| panic!("{e}"))
}

/// Returns the names of all tests: functions under a test attribute, and functions that the macro `column!` generates.
fn test_names() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for root in ["tests", "src"] {
        collect_tests(Path::new(root), &mut all);
    }
    all
}

fn collect_tests(folder: &Path, all: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the folder should be readable") {
        let path = entry.expect("the entry should be readable").path();
        if path.is_dir() {
            collect_tests(&path, all);
        } else if path.extension().is_some_and(|e| e == "rs") {
            collect_test_names(&std::fs::read_to_string(path).expect("the file should be UTF-8"), all);
        }
    }
}

fn collect_test_names(text: &str, all: &mut BTreeSet<String>) {
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
fn every_named_test_exists_and_belongs_to_its_column() {
    let (document, test_names) = (document(), test_names());
    assert!(test_names.len() > 200, "expected more than 200 tests: {test_names:?}");
    let mut wrong = Vec::new();
    for row in document.behaviours.iter().chain(&document.differences) {
        for (column, test) in row.cells().into_iter().filter_map(|(c, t)| Some((c, t.as_ref()?))) {
            let fits = match column {
                "moto" => test.contains("moto_"),
                "lab" => !test.starts_with("moto_") && !test.starts_with("stack_"),
                _ => test.starts_with("stack_"),
            };
            if !fits || !test_names.contains(test) {
                wrong.push(format!("{column} {test}: {}", row.what));
            }
        }
    }
    assert!(wrong.is_empty(), "tests that do not exist or are in the wrong column:\n{}", wrong.join("\n"));
}

#[test]
fn each_row_has_tests_in_two_columns() {
    let document = document();
    let proven = |row: &Row| row.cells().iter().filter(|(_, t)| t.is_some()).count();
    assert!(document.behaviours.len() >= 25, "expected at least 25 behaviours, found {}", document.behaviours.len());
    for row in &document.behaviours {
        assert!(
            proven(row) >= 2 && row.changed.is_none(),
            "a behaviour needs two tests and no `changed`: {}",
            row.what
        );
    }
    for row in &document.differences {
        assert!(
            row.changed.is_some() && row.lab.is_some() && proven(row) >= 2,
            "a difference needs `changed`, a lab test and a second test: {}",
            row.what
        );
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
    let difference_text =
        |row: &Row| format!("{} **Changed:** {}", row.what, row.changed.as_deref().unwrap_or_default());
    let differences: Vec<_> = document.differences.iter().map(|row| line(&difference_text(row), row)).collect();
    format!(
        "# Which implementation proves which behaviour

`pure/contracts.rs` generates this page from `contracts.yaml`, and checks that each named test exists. Each column is one implementation of the same APIs:

- **lab**: the simulator in `src/lab`; needs only Rust. Tests named `lab_like_moto_` also need boto3, which creates the resources of both columns.
- **moto**: an independent implementation of ELBv2, over HTTP. `./tests/run contract`, and for complete cutovers `./tests/run stack`.
- **API server**: kube-apiserver with etcd, built from source. `./tests/run stack`.
- **load balancer controller**: the AWS Load Balancer Controller with its webhooks, built from source; it registers the targets. `./tests/run stack`.

## Behaviours

{}
{}

## Differences found

Where a real implementation behaved differently from the lab, and what was changed because of it. The named tests run the same case on both sides.

{}
{}

Differences that remain:

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
fn the_page_is_generated_from_the_table() {
    let wanted = page(&document());
    if std::env::var_os("CUTOVER_UPDATE").is_some() {
        std::fs::write("tests/CONTRACTS.md", &wanted).expect("tests/CONTRACTS.md should be writable");
    }
    let found = std::fs::read_to_string("tests/CONTRACTS.md").unwrap_or_default();
    assert!(found == wanted, "tests/CONTRACTS.md differs from tests/contracts.yaml; CUTOVER_UPDATE=1 rewrites it");
}
