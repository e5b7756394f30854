//! The contract of the AWS adapter: the same cases against every endpoint that emulates ELBv2.
//!
//! A column is an endpoint with a load balancer from `tests/support/elbv2.py` ([`endpoint::EndpointFixture`]); a case
//! is a function that takes such a fixture. boto3 prepares both columns, so the lab's column also needs the virtual
//! environment.

pub mod endpoint;
mod header_rules;
pub mod lab;
mod missing;
mod reading;
mod shares;
mod unknown;
mod wire;

use endpoint::EndpointFixture;

/// Generates the tests of one column: `TEST = CASE, RULES`, where RULES is the number of rules on the second listener.
macro_rules! column {
    ($fixture:path: $($test:ident = $case:path, $rules:literal;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "tier contract"]
        async fn $test() {
            $case(&$fixture(stringify!($test), $rules).await).await;
        })*
    };
}

column! { EndpointFixture::moto:
    moto_header_rules_are_made_and_deleted = header_rules::made_and_deleted, 2;
    moto_shares_change_and_nothing_else = shares::move_shares_in_both_directions, 2;
    moto_reads_return_everything_across_pages = reading::everything, 60;
    moto_one_bad_route_does_not_block_the_others = reading::one_bad_route, 2;
    moto_tags_are_added_and_removed = reading::tags, 0;
    moto_a_missing_resource_is_not_found = missing::things, 2;
    moto_a_write_is_one_request_with_the_actions_only = wire::writes, 0;
    moto_an_unknown_element_is_refused_and_named = unknown::refused, 2;
    moto_an_unknown_element_of_a_default_action_is_refused_and_named = unknown::refused_by_default, 2;
}

column! { EndpointFixture::lab:
    lab_like_moto_header_rules_are_made_and_deleted = header_rules::made_and_deleted, 2;
    lab_like_moto_shares_change_and_nothing_else = shares::move_shares_in_both_directions, 2;
    lab_like_moto_reads_return_everything_across_pages = reading::everything, 60;
    lab_like_moto_one_bad_route_does_not_block_the_others = reading::one_bad_route, 2;
    lab_like_moto_tags_are_added_and_removed = reading::tags, 0;
    lab_like_moto_a_missing_resource_is_not_found = missing::things, 2;
    lab_like_moto_a_write_is_one_request_with_the_actions_only = wire::writes, 0;
    lab_like_moto_an_unknown_element_is_refused_and_named = unknown::refused, 2;
    lab_like_moto_an_unknown_element_of_a_default_action_is_refused_and_named = unknown::refused_by_default, 2;
}
