//! Every field, verb and option is in a topic.

use std::collections::BTreeSet;
use std::path::Path;

use cutover::cli::command::Cutover;

use super::{code, has_word, topics};

/// Collects the names of all properties in a JSON Schema.
fn collect_properties(schema: &serde_json::Value, names: &mut BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                if let ("properties", serde_json::Value::Object(fields)) = (key.as_str(), value) {
                    names.extend(fields.keys().cloned());
                    fields.values().for_each(|field| collect_properties(field, names));
                } else {
                    collect_properties(value, names);
                }
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|one| collect_properties(one, names)),
        _ => {}
    }
}

/// Returns the words that are not in the code of any topic.
fn missing_in_topics(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let code: String = topics().iter().map(|(_, text)| code(text) + "\n").collect();
    words.into_iter().filter(|word| !has_word(&code, word)).collect()
}

#[test]
fn every_field_of_a_plan_is_in_a_topic() {
    let mut names = BTreeSet::new();
    collect_properties(
        &serde_json::to_value(cutover::plan::schema()).expect("the schema should convert to JSON"),
        &mut names,
    );
    assert!(names.len() > 90, "{names:?}");
    assert_eq!(missing_in_topics(names), Vec::<String>::new());
}

#[test]
fn every_field_of_a_fault_is_in_a_topic() {
    let mut names = BTreeSet::new();
    let schema =
        serde_json::to_value(cutover::lab::scenario::Scenario::schema()).expect("the schema should convert to JSON");
    for (name, definition) in schema["$defs"].as_object().expect("the schema should have definitions") {
        let world = ["Spec", "LoadBalancer", "Listener", "Rule", "TargetGroup", "HealthCheck", "Cluster", "Workload"];
        if !world.contains(&name.as_str())
            && !["Hpa", "Binding", "Latency", "Bucket", "Load", "Limits"].contains(&name.as_str())
        {
            collect_properties(definition, &mut names);
        }
    }
    assert!(names.len() > 30, "{names:?}");
    assert_eq!(missing_in_topics(names), Vec::<String>::new());
}

#[test]
fn every_verb_and_every_option_is_in_a_topic() {
    let mut program = Cutover::definition(Path::new("cutover"));
    program.build();
    let verbs = program.get_subcommands().map(|verb| format!("cutover {}", verb.get_name()));
    let options = std::iter::once(&program)
        .chain(program.get_subcommands())
        .flat_map(clap::Command::get_arguments)
        .filter(|option| !option.is_hide_set())
        .filter_map(|option| option.get_long().map(|long| format!("--{long}")));
    let names: BTreeSet<_> = verbs.chain(options).collect();
    assert!(names.len() > 50, "{names:?}");
    assert_eq!(missing_in_topics(names), Vec::<String>::new());
}
