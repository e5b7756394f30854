//! The lab's column of the cases: its API in this process, without sockets.

use std::sync::{Arc, Mutex};

use cutover::lab::objects::{Kind, Objects};
use cutover::lab::wire::kube::Server;
use http::Request;
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::client::Body;
use serde_json::json;
use tower::{BoxError, service_fn};

use super::cases::{self, ApiServerCase};

/// Returns a client for an API server with these objects.
pub fn client(objects: Objects) -> kube::Client {
    let (world, server) = (Arc::new(Mutex::new(objects)), Arc::new(Server::without_authentication("v1.36.3")));
    let service = service_fn(move |request: Request<Body>| {
        let (world, server) = (Arc::clone(&world), Arc::clone(&server));
        async move {
            let (parts, body) = request.into_parts();
            let request = Request::from_parts(parts, body.collect().await.map_err(|e| e.to_string())?.to_bytes());
            let mut objects = world.lock().expect("no thread should have panicked");
            Ok::<_, BoxError>(
                server.answer(&mut objects, &request, Timestamp::now()).into_response(&objects).map(Body::from),
            )
        }
    });
    kube::Client::new(service, "default")
}

fn subject() -> ApiServerCase {
    let now = Timestamp::now();
    let mut objects = Objects::new(11, false, now);
    objects.put(Kind::Namespace, json!({"metadata": {"name": "here"}}), now);
    let spec = json!({"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]});
    objects.put(Kind::Service, json!({"metadata": {"name": "web", "namespace": "here"}, "spec": spec}), now);
    let group =
        |name: &str| format!("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/{name}/0123456789abcdef");
    ApiServerCase { client: client(objects), namespace: "here".to_owned(), groups: [group("one"), group("two")] }
}

macro_rules! column {
    ($($test:ident = $case:ident;)*) => {
        $(#[tokio::test]
        async fn $test() {
            cases::$case(&subject()).await;
        })*
    };
}

column! {
    lab_a_missing_object_is_named = a_missing_object_is_named;
    lab_a_group_that_is_not_served_is_plain_text = a_group_that_is_not_served_is_plain_text;
    lab_reads_in_a_missing_namespace_are_empty_and_writes_are_refused = reads_in_a_missing_namespace_are_empty_and_writes_are_refused;
    lab_an_existing_object_is_not_created_again = an_existing_object_is_not_created_again;
    lab_a_new_object_with_a_version_is_refused = a_new_object_with_a_version_is_refused;
    lab_names_are_checked = names_are_checked;
    lab_body_and_path_must_agree = body_and_path_must_agree;
    lab_strict_validation_names_an_unknown_field = strict_validation_names_an_unknown_field;
    lab_a_stale_version_is_refused = a_stale_version_is_refused;
    lab_replacing_by_an_equal_object_changes_nothing = replacing_by_an_equal_object_changes_nothing;
    lab_a_lease_is_not_replaced_without_its_version = a_lease_is_not_replaced_without_its_version;
    lab_replacing_a_deleted_lease_creates_it = replacing_a_deleted_lease_creates_it;
    lab_replacing_a_deleted_lease_by_its_uid_is_refused = replacing_a_deleted_lease_by_its_uid_is_refused;
    lab_a_lease_lasts_at_least_a_second = a_lease_lasts_at_least_a_second;
    lab_pages_contain_every_object_once = pages_contain_every_object_once;
    lab_items_of_a_list_do_not_repeat_their_kind = items_of_a_list_do_not_repeat_their_kind;
    lab_an_invalid_page_is_refused = an_invalid_page_is_refused;
    lab_a_dry_run_stores_nothing = a_dry_run_stores_nothing;
    lab_a_second_apply_changes_nothing = a_second_apply_changes_nothing;
    lab_a_field_of_another_owner_is_a_conflict = a_field_of_another_owner_is_a_conflict;
    lab_a_field_that_the_schema_does_not_have_is_refused = a_field_that_the_schema_does_not_have_is_refused;
    lab_a_value_that_the_schema_does_not_have_is_refused = a_value_that_the_schema_does_not_have_is_refused;
    lab_an_apply_needs_a_manager = an_apply_needs_a_manager;
    lab_the_webhook_refuses_a_change_of_group_or_target_type = the_webhook_refuses_a_change_of_group_or_target_type;
    lab_the_webhook_refuses_a_second_binding_of_a_group = the_webhook_refuses_a_second_binding_of_a_group;
    lab_the_webhook_sets_the_ip_address_type = the_webhook_sets_the_ip_address_type;
}
