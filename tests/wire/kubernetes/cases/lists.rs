//! Lists and pages.

use serde_json::{Value, json};

use super::{ApiServerCase, assert_refused};

async fn create_three(subject: &ApiServerCase) -> String {
    let path = subject.of("configmaps");
    for name in ["page-x", "page-y", "page-z"] {
        assert_eq!(subject.post(&path, json!({"metadata": {"name": name, "labels": {"page": "1"}}})).await.0, 201);
    }
    path
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("the items should be a list");
    items.iter().filter_map(|i| i["metadata"]["name"].as_str()).filter(|n| n.starts_with("page-")).collect()
}

/// Checks that pages contain each object once, and that the remaining items are counted only without a selector.
pub async fn pages_contain_every_object_once(subject: &ApiServerCase) {
    let path = create_three(subject).await + "?labelSelector=page%3D1";
    let (_, _, first) = subject.get(&format!("{path}&limit=2")).await;
    assert_eq!(names(&first), ["page-x", "page-y"]);
    assert_eq!(
        first["metadata"]["remainingItemCount"],
        Value::Null,
        "remaining items must not be counted with a selector"
    );
    let token = first["metadata"]["continue"].as_str().expect("the token should be a string");
    let (_, _, rest) = subject.get(&format!("{path}&limit=2&continue={token}")).await;
    assert_eq!((names(&rest), rest["metadata"]["continue"].as_str().unwrap_or_default()), (vec!["page-z"], ""));
    let (_, _, all) = subject.get(&subject.of("configmaps")).await;
    let count = all["items"].as_array().expect("the items should be a list").len();
    let (_, _, first) = subject.get(&format!("{}?limit=1", subject.of("configmaps"))).await;
    assert_eq!(first["metadata"]["remainingItemCount"], json!(count - 1));
}

/// Checks that a list names the kind of its items, and that the items do not repeat it.
pub async fn items_of_a_list_do_not_repeat_their_kind(subject: &ApiServerCase) {
    let path = create_three(subject).await;
    let (_, _, list) = subject.get(&path).await;
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
    assert!(
        list["items"]
            .as_array()
            .expect("the items should be a list")
            .iter()
            .all(|i| i.get("kind").is_none() && i.get("apiVersion").is_none())
    );
    let (_, _, one) = subject.get(&format!("{path}/page-x")).await;
    assert_eq!((&one["kind"], &one["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
}

/// Checks that invalid limits and tokens are refused.
pub async fn an_invalid_page_is_refused(subject: &ApiServerCase) {
    let path = subject.of("configmaps");
    let answer = subject.get(&format!("{path}?limit=many")).await;
    assert_refused(&answer, 400, "BadRequest", "strconv.ParseInt: parsing \"many\": invalid syntax", &Value::Null);
    let (status, _, body) = subject.get(&format!("{path}?limit=1&continue=nonsense")).await;
    assert_eq!((status, &body["reason"]), (400, &json!("BadRequest")), "{body}");
    assert!(
        body["message"].as_str().is_some_and(|m| m.starts_with("invalid continue token: continue key is not valid")),
        "{body}"
    );
}
