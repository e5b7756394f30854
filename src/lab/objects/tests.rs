use super::*;

fn now() -> Timestamp {
    "2026-11-02T10:00:00Z".parse().unwrap()
}

fn pod(name: &str, owner: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "prod", "ownerReferences": [{"uid": owner}]},
        "spec": {"nodeName": "n1"},
    })
}

#[test]
fn the_server_sets_uid_version_and_generation() {
    let mut objects = Objects::new(1, false, now());
    let first = objects.put(Kind::Pod, pod("p", ""), now());
    let later = now() + jiff::SignedDuration::from_secs(5);
    let forged = json!({
        "metadata": {"name": "p", "namespace": "prod", "uid": "forged", "ownerReferences": [{"uid": ""}]},
        "spec": {"nodeName": "n1"},
    });
    let same = objects.put(Kind::Pod, forged, later);
    assert_eq!(same, first, "a write without a change must not change the object");
    let status = objects.update(Kind::Pod, "prod", "p", later, |v| v["status"] = json!({"phase": "Running"})).unwrap();
    assert_eq!(status["metadata"]["generation"], 1);
    assert_eq!(status["metadata"]["uid"], first["metadata"]["uid"]);
    let spec = objects.update(Kind::Pod, "prod", "p", later, |v| v["spec"]["nodeName"] = "n2".into()).unwrap();
    assert_eq!(spec["metadata"]["generation"], 2);
    assert_eq!(spec["metadata"]["creationTimestamp"], "2026-11-02T10:00:00Z");
    assert!(
        meta_text(&spec, "resourceVersion").parse::<u64>().unwrap()
            > meta_text(&first, "resourceVersion").parse::<u64>().unwrap()
    );
}

#[test]
fn a_finalizer_delays_a_deletion_until_it_is_removed() {
    let mut objects = Objects::new(1, false, now());
    let binding = json!({"metadata": {"name": "b", "namespace": "prod", "finalizers": ["elbv2.k8s.aws/resources"]}});
    objects.put(Kind::TargetGroupBinding, binding, now());
    let marked = objects.delete(Kind::TargetGroupBinding, "prod", "b", now()).unwrap();
    assert_eq!(meta_text(&marked, "deletionTimestamp"), "2026-11-02T10:00:00Z");
    assert!(objects.get(Kind::TargetGroupBinding, "prod", "b").is_some());
    objects.update(Kind::TargetGroupBinding, "prod", "b", now(), |v| drop(meta(v).remove("finalizers")));
    assert!(objects.get(Kind::TargetGroupBinding, "prod", "b").is_none());
    assert_eq!(objects.changes_since(0).unwrap().last().unwrap().change_kind, ChangeKind::Deleted);
}

#[test]
fn owned_objects_are_deleted_with_their_owner() {
    let mut objects = Objects::new(1, false, now());
    let deployment = objects.put(Kind::Deployment, json!({"metadata": {"name": "web", "namespace": "prod"}}), now());
    let set = json!({
        "metadata": {"name": "web-1", "namespace": "prod", "ownerReferences": [{"uid": deployment["metadata"]["uid"]}]},
    });
    let set = objects.put(Kind::ReplicaSet, set, now());
    objects.put(Kind::Pod, pod("web-1-x", meta_text(&set, "uid")), now());
    objects.put(Kind::Pod, pod("other", "someone-else"), now());
    let before = objects.revision();
    objects.delete(Kind::Deployment, "prod", "web", now());
    let left: Vec<_> = objects.list(Kind::Pod, Some("prod")).map(|p| meta_text(&p, "name").to_owned()).collect();
    assert_eq!(left, ["other"]);
    let deletions: Vec<_> =
        objects.changes_since(before).unwrap().iter().map(|c| (c.change_kind, c.name.as_str())).collect();
    assert_eq!(
        deletions,
        [(ChangeKind::Deleted, "web"), (ChangeKind::Deleted, "web-1"), (ChangeKind::Deleted, "web-1-x")]
    );
}

#[test]
fn the_same_seed_makes_the_same_uids() {
    let uid = |seed| {
        meta_text(&Objects::new(seed, false, now()).get(Kind::Namespace, "", "kube-system").unwrap(), "uid").to_owned()
    };
    assert_eq!(uid(7), uid(7));
    assert_ne!(uid(7), uid(8));
    assert_eq!((uid(7).len(), &uid(7)[14..15]), (36, "4"));
}

#[test]
fn a_revision_older_than_the_change_log_is_rejected() {
    let mut objects = Objects::new(1, true, now());
    for n in 0..2 * KEPT_CHANGES {
        objects
            .update(Kind::Namespace, "", "default", now(), |v| meta(v).insert("n".into(), n.into()).map_or((), drop));
    }
    assert_eq!(objects.changes_since(5), None);
    assert_eq!(objects.changes_since(objects.revision() - 2).map(<[Change]>::len), Some(2));
    assert_eq!(objects.resource(Kind::TargetGroupBinding).api_version(), "eks.amazonaws.com/v1");
}

#[test]
fn pods_are_found_by_their_labels() {
    let mut objects = Objects::new(1, false, now());
    let labelled =
        |name: &str, app: &str| json!({"metadata": {"name": name, "namespace": "prod", "labels": {"app": app}}});
    for (name, app) in [("c", "web"), ("a", "web"), ("b", "api")] {
        objects.put(Kind::Pod, labelled(name, app), now());
    }
    let names = |objects: &Objects, app: &str| -> Vec<String> {
        objects.labelled_pods("prod", "app", app).map(|pod| meta_text(&pod, "name").to_owned()).collect()
    };
    assert_eq!(names(&objects, "web"), ["a", "c"]);
    objects.put(Kind::Pod, labelled("c", "api"), now());
    objects.delete(Kind::Pod, "prod", "a", now());
    assert_eq!((names(&objects, "web"), names(&objects, "api")), (vec![], vec!["b".to_owned(), "c".to_owned()]));
    let changed = objects.take_changed();
    assert!(changed.contains(&(Kind::Pod, "prod".into(), "a".into())) && objects.take_changed().is_empty());
}
