//! The column of a real API server in `tests/wire/kubernetes/cases`, with the real load balancer controller's webhooks.

use std::sync::atomic::{AtomicU32, Ordering};

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;

use crate::kubernetes::cases::{self as cases, ApiServerCase};
use crate::stack::environment::Stack;
use crate::stack::setup;

async fn client(stack: &Stack) -> kube::Client {
    let authority = stack.kubeconfig.with_file_name("ca.crt");
    let text = setup::kubeconfig(&[("b", &stack.b.url)], "admin", Some(&authority));
    let kubeconfig = Kubeconfig::from_yaml(&text).expect("the kubeconfig should be valid");
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("the kubeconfig should have the context");
    kube::Client::try_from(config).expect("the client should be created")
}

/// Creates a namespace with a Service in cluster `b`, and two target groups. Returns the namespace and the groups'
/// ARNs.
fn create_resources(stack: &Stack, case: &str) -> (String, [String; 2]) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let namespace: String = format!("case-{number}-{}", case.replace('_', "-")).chars().take(60).collect();
    let namespace = namespace.trim_end_matches('-').to_owned();
    stack.b.api.create("/api/v1/namespaces", &json!({"metadata": {"name": namespace}}));
    let spec = json!({"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]});
    stack.b.api.create(
        &format!("/api/v1/namespaces/{namespace}/services"),
        &json!({"metadata": {"name": "web"}, "spec": spec}),
    );
    let vpcs = stack.boto(&json!([["ec2", "describe_vpcs", {}]])).remove(0);
    let vpc = &vpcs["Vpcs"][0]["VpcId"];
    let group = |letter: &str| {
        let name = format!("case-{number}-{letter}");
        json!([
            "elbv2", "create_target_group",
            {"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "ip"},
        ])
    };
    let made = stack.boto(&json!([group("one"), group("two")]));
    let arn = |n: usize| {
        made[n]["TargetGroups"][0]["TargetGroupArn"].as_str().expect("the ARN should be a string").to_owned()
    };
    (namespace, [arn(0), arn(1)])
}

macro_rules! column {
    ($($test:ident = $case:ident;)*) => {
        $(#[test]
        #[ignore = "tier stack"]
        fn $test() {
            let stack = Stack::shared();
            let (namespace, groups) = create_resources(stack, stringify!($case));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the runtime should be created");
            runtime.block_on(async {
                let subject = ApiServerCase { client: client(stack).await, namespace, groups };
                cases::$case(&subject).await;
            });
        })*
    };
}

column! {
    stack_a_missing_object_is_named = a_missing_object_is_named;
    stack_a_group_that_is_not_served_is_plain_text = a_group_that_is_not_served_is_plain_text;
    stack_reads_in_a_missing_namespace_are_empty_and_writes_are_refused = reads_in_a_missing_namespace_are_empty_and_writes_are_refused;
    stack_an_existing_object_is_not_created_again = an_existing_object_is_not_created_again;
    stack_a_new_object_with_a_version_is_refused = a_new_object_with_a_version_is_refused;
    stack_names_are_checked = names_are_checked;
    stack_body_and_path_must_agree = body_and_path_must_agree;
    stack_strict_validation_names_an_unknown_field = strict_validation_names_an_unknown_field;
    stack_a_stale_version_is_refused = a_stale_version_is_refused;
    stack_replacing_by_an_equal_object_changes_nothing = replacing_by_an_equal_object_changes_nothing;
    stack_a_lease_is_not_replaced_without_its_version = a_lease_is_not_replaced_without_its_version;
    stack_replacing_a_deleted_lease_creates_it = replacing_a_deleted_lease_creates_it;
    stack_replacing_a_deleted_lease_by_its_uid_is_refused = replacing_a_deleted_lease_by_its_uid_is_refused;
    stack_a_lease_lasts_at_least_a_second = a_lease_lasts_at_least_a_second;
    stack_pages_contain_every_object_once = pages_contain_every_object_once;
    stack_items_of_a_list_do_not_repeat_their_kind = items_of_a_list_do_not_repeat_their_kind;
    stack_an_invalid_page_is_refused = an_invalid_page_is_refused;
    stack_a_dry_run_stores_nothing = a_dry_run_stores_nothing;
    stack_a_second_apply_changes_nothing = a_second_apply_changes_nothing;
    stack_a_field_of_another_owner_is_a_conflict = a_field_of_another_owner_is_a_conflict;
    stack_a_field_that_the_schema_does_not_have_is_refused = a_field_that_the_schema_does_not_have_is_refused;
    stack_a_value_that_the_schema_does_not_have_is_refused = a_value_that_the_schema_does_not_have_is_refused;
    stack_an_apply_needs_a_manager = an_apply_needs_a_manager;
    stack_the_webhook_refuses_a_change_of_group_or_target_type = the_webhook_refuses_a_change_of_group_or_target_type;
    stack_the_webhook_refuses_a_second_binding_of_a_group = the_webhook_refuses_a_second_binding_of_a_group;
    stack_the_webhook_sets_the_ip_address_type = the_webhook_sets_the_ip_address_type;
}
