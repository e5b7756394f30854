//! Checks the structure of `tests/`: test programs, files and tiers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Returns the root files of the test programs, as in `Cargo.toml`.
fn programs() -> Vec<PathBuf> {
    let manifest = read(Path::new("Cargo.toml"));
    let sections = manifest.split("\n[").filter_map(|section| section.strip_prefix("[test]]\n"));
    let path = |section: &str| {
        section.lines().find_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"').map(PathBuf::from))
    };
    sections.map(|section| path(section).expect("a [[test]] section should have a path")).collect()
}

/// Collects all `.rs` files below a folder, except `tests/fuzz`, which is a separate crate.
fn files(folder: &Path, all: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder should be readable") {
        let path = entry.expect("the entry should be readable").path();
        if path.is_dir() && path != Path::new("tests/fuzz") {
            files(&path, all);
        } else if path.extension().is_some_and(|e| e == "rs") {
            all.insert(path);
        }
    }
}

/// Adds a file and the files that its `mod NAME;` lines refer to.
fn reach(file: &Path, all: &mut BTreeSet<PathBuf>) {
    if !all.insert(file.to_owned()) {
        return;
    }
    let is_root = file.file_name().is_some_and(|name| name == "main.rs" || name == "mod.rs");
    let folder = file.parent().expect("the file should be in a folder");
    let text = read(file);
    let mut named = None;
    for line in text.lines().map(str::trim) {
        if let Some(path) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            named = Some(folder.join(path));
        } else if let Some(name) =
            line.strip_suffix(';').and_then(|line| line.strip_prefix("mod ").or(line.strip_prefix("pub mod ")))
        {
            let children = if is_root { folder.to_owned() } else { file.with_extension("") };
            let choices = [
                named.take().unwrap_or_default(),
                children.join(format!("{name}.rs")),
                children.join(name).join("mod.rs"),
            ];
            let found = choices
                .iter()
                .find(|path| path.is_file())
                .unwrap_or_else(|| panic!("mod {name} in {} has no file", file.display()));
            reach(&normalize(found), all);
        }
    }
}

/// Resolves `..` in a path.
fn normalize(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path {
        if part == ".." {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

#[test]
fn each_file_belongs_to_a_test_program() {
    let programs = programs();
    assert!((1..=5).contains(&programs.len()), "{programs:?}");
    let (mut found, mut reached) = (BTreeSet::new(), BTreeSet::new());
    files(Path::new("tests"), &mut found);
    for root in &programs {
        reach(root, &mut reached);
    }
    let forgotten: Vec<_> = found.difference(&reached).collect();
    assert!(forgotten.is_empty(), "files without a `mod` line in any test program:\n{forgotten:#?}");
}

/// Returns the tiers of `tests/run` that run ignored tests.
fn tiers() -> BTreeSet<String> {
    let run = read(Path::new("tests/run"));
    let tiers = run
        .lines()
        .find_map(|line| line.strip_prefix("tiers=(")?.strip_suffix(')'))
        .expect("tests/run should have a line tiers=(...)");
    tiers.split_whitespace().filter(|tier| run.contains(&format!(" ignored {tier}"))).map(str::to_owned).collect()
}

#[test]
fn exactly_the_tests_in_tier_folders_are_ignored() {
    let tiers = tiers();
    let mut all = BTreeSet::new();
    files(Path::new("tests/wire"), &mut all);
    let (mut ran, mut wrong) = (BTreeSet::new(), Vec::new());
    for file in all {
        let top = file
            .components()
            .nth(2)
            .expect("the file should be below tests/wire")
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        let wanted = tiers.contains(&top);
        let text = read(&file);
        let lines: Vec<_> = text.lines().map(|line| line.trim().trim_start_matches("$(")).collect();
        for (n, _) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
        {
            let ignored = lines[n + 1] == format!("#[ignore = \"tier {top}\"]");
            if ignored != wanted || lines[n + 1].starts_with("#[ignore") != wanted {
                wrong.push(format!("{}:{}: {}", file.display(), n + 1, lines[n + 1]));
            }
            ran.extend(ignored.then(|| top.clone()));
        }
    }
    assert!(
        wrong.is_empty(),
        "a test in the folder of a tier needs `#[ignore = \"tier NAME\"]` under the test attribute, and other tests must not have it:\n{}",
        wrong.join("\n")
    );
    assert_eq!(ran, tiers, "each tier of ignored tests in `tests/run` must have tests in tests/wire");
}
