//! Links, files, plans and scenarios that the pages name exist and are valid.

use std::collections::BTreeSet;
use std::path::Path;

use cutover::cli::command::Cutover;
use cutover::cli::help::{TOPICS, Topic};

use super::{blocks, commands, page, pages, prose, quoted, root};

#[test]
fn links_point_to_existing_files_and_topics() {
    let mut wrong = Vec::new();
    for (path, text) in pages() {
        let prose = prose(&text);
        for target in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let folder = root().join(&path).parent().expect("the page should be in a folder").to_owned();
            if !target.contains("://") && !file.is_empty() && !folder.join(file).exists() {
                wrong.push(format!("{path}: {target}"));
            }
        }
        for name in commands(&text).iter().filter_map(|(c, _)| c.strip_prefix("cutover help ")) {
            let name = name.split_whitespace().next().unwrap_or_default();
            let verb = Cutover::definition(Path::new("cutover")).find_subcommand(name).is_some();
            if Topic::find(name).is_none() && !verb && !["TOPIC", "COMMAND", "WORD", "CUT042"].contains(&name) {
                wrong.push(format!("{path}: cutover help {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_topic_is_named_in_the_readme() {
    let text = page("README.md");
    let names = TOPICS.iter().map(|topic| topic.name);
    let missing: Vec<_> = names.filter(|name| !text.contains(&format!("(src/cli/help/{name}.md)"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_plan_and_scenario_on_a_page_is_valid() {
    let pages = pages();
    let plans = pages.iter().flat_map(|(path, text)| blocks(text, "yaml").into_iter().map(move |plan| (path, plan)));
    assert!(plans.clone().count() > 0);
    for (path, plan) in plans {
        if plan.contains("kind: Scenario") {
            cutover::lab::scenario::Scenario::parse(path, plan).unwrap_or_else(|e| panic!("{e}"));
            continue;
        }
        cutover::plan::lint(path, plan.as_bytes()).unwrap_or_else(|e| panic!("{}", cutover::plan::render(&e, false)));
    }
}

#[test]
fn every_file_named_on_a_page_exists() {
    let pages = pages();
    let all = pages
        .iter()
        .flat_map(|(_, text)| {
            quoted(text).into_iter().chain(commands(text).into_iter().map(|(c, _)| c)).collect::<Vec<_>>()
        })
        .flat_map(|q| q.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let folders = ["src/", "plans/", "examples/", "tests/", "./tests/", "CHANGELOG", "LICENSE"];
    let named: BTreeSet<_> = all.filter(|w| folders.iter().any(|f| w.starts_with(f))).collect();
    assert!(named.len() > 10, "{named:?}");
    let example = |name: &&String| name.contains("NAME");
    let missing: Vec<_> = named.iter().filter(|n| !example(n) && !root().join(n).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Returns the name, lesson and exit code of every scenario in the topic's table.
fn scenarios() -> Vec<(String, String, u8)> {
    let text = page("src/cli/help/lab.md");
    let rows = text.lines().filter(|l| l.starts_with("| `") && l.matches('|').count() == 5);
    let cells = rows.map(|l| l.split('|').map(str::trim).collect::<Vec<_>>());
    cells.filter_map(|c| Some((c[1].trim_matches('`').to_owned(), c[2].to_owned(), c[4].parse().ok()?))).collect()
}

#[test]
fn every_scenario_is_listed_with_its_lesson() {
    let listed: BTreeSet<_> = scenarios().into_iter().map(|(name, lesson, _)| (name, lesson)).collect();
    let mut there = BTreeSet::new();
    for entry in
        std::fs::read_dir(root().join("examples/scenarios")).expect("the folder examples/scenarios should be readable")
    {
        let path = entry.expect("the entry should be readable").path();
        let text = std::fs::read_to_string(&path).expect("the scenario should be readable");
        let lesson = text
            .lines()
            .next()
            .and_then(|l| l.strip_prefix("# What you learn: "))
            .expect("a scenario should begin with `# What you learn: `");
        there.insert((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), lesson.to_owned()));
    }
    assert_eq!(listed, there);
}
