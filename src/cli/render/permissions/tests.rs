use std::collections::BTreeMap;

use super::*;
use crate::domain::fixture;
use crate::domain::view::permissions::{Purpose, of};

#[test]
fn terraform_has_the_policy_and_the_roles_of_each_cluster() {
    let permissions = of(&fixture::plan(), &[Purpose::Run, Purpose::Rollback], &BTreeMap::new());
    insta::assert_snapshot!(terraform(&permissions, "alpha", "cutover-operators"));
}

#[test]
fn yaml_has_a_document_for_each_object_and_says_how_to_print_a_part() {
    let permissions = of(&fixture::plan(), &[Purpose::Run], &BTreeMap::new());
    let text = yaml(&permissions, "plan.yaml", "operators");
    let documents: Vec<Value> = serde_yaml::Deserializer::from_str(&text)
        .map(|document| serde::Deserialize::deserialize(document).expect("a document"))
        .collect();
    let kinds: Vec<_> = documents.iter().map(|document| document["kind"].as_str().unwrap_or("policy")).collect();
    let roles = ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
    assert_eq!(kinds, [&["policy"][..], &roles, &roles].concat());
    assert_eq!(documents[2]["subjects"][0]["name"], "operators");
    assert!(text.contains("cutover permissions plan.yaml --part a | kubectl apply -f -"), "{text}");
}
