//! The contract of the AWS adapter: the same cases against every endpoint that emulates ELBv2.
//!
//! A column is an endpoint with a load balancer from `tests/support/elbv2.py` ([`World`]); a case is a function of it.
//! boto3 prepares both columns, so the lab's column needs the virtual environment, too.

pub mod endpoint;
mod lab;
mod missing;
mod reading;
mod shares;
mod unknown;
mod wire;

use endpoint::EndpointFixture;

/// All cases for one column: `NAME(PREFIX, RULES) -> World`.
macro_rules! column {
    ($world:path: $($test:ident = $case:path, $rules:literal;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "tier contract"]
        async fn $test() {
            $case(&$world(stringify!($test), $rules).await).await;
        })*
    };
}

column! { EndpointFixture::moto:
    moto_shares_move_and_nothing_else_does = shares::there_and_back, 2;
    moto_everything_is_read_whatever_the_page = reading::everything, 60;
    moto_one_bad_route_does_not_block_the_others = reading::one_bad_route, 2;
    moto_tags_are_added_and_removed = reading::tags, 0;
    moto_a_missing_resource_is_not_found = missing::things, 2;
    moto_a_write_is_one_request_with_the_actions_only = wire::writes, 0;
    moto_an_unknown_element_is_refused_and_named = unknown::refused, 2;
    moto_an_unknown_element_of_a_default_action_is_refused_and_named = unknown::refused_by_default, 2;
}

column! { EndpointFixture::lab:
    lab_like_moto_shares_move_and_nothing_else_does = shares::there_and_back, 2;
    lab_like_moto_everything_is_read_whatever_the_page = reading::everything, 60;
    lab_like_moto_one_bad_route_does_not_block_the_others = reading::one_bad_route, 2;
    lab_like_moto_tags_are_added_and_removed = reading::tags, 0;
    lab_like_moto_a_missing_resource_is_not_found = missing::things, 2;
    lab_like_moto_a_write_is_one_request_with_the_actions_only = wire::writes, 0;
    lab_like_moto_an_unknown_element_is_refused_and_named = unknown::refused, 2;
    lab_like_moto_an_unknown_element_of_a_default_action_is_refused_and_named = unknown::refused_by_default, 2;
}
