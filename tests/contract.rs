//! The contract of the AWS adapter: the same cases against every endpoint that claims to be ELBv2.
//!
//! A column is an endpoint with a load balancer as `tests/support/elbv2.py` furnishes it ([`World`]); a case is a function over it. Names say what a
//! test needs: `…moto_…` needs the virtual environment of `tests/requirements.txt` (see `tests/run`), the others nothing.

#[path = "contract/endpoint.rs"]
mod endpoint;
#[path = "contract/failures.rs"]
mod failures;
#[path = "contract/lab.rs"]
mod lab;
#[path = "contract/missing.rs"]
mod missing;
#[path = "support/moto.rs"]
mod moto;
#[path = "contract/proxy.rs"]
mod proxy;
#[path = "contract/reading.rs"]
mod reading;
#[path = "contract/shares.rs"]
mod shares;
#[path = "contract/unknown.rs"]
mod unknown;
#[path = "contract/wire.rs"]
mod wire;

use endpoint::World;

/// Every case for one column: `NAME(PREFIX, RULES) -> Option<World>`, `None` where its prerequisites are missing.
macro_rules! column {
    ($world:path: $($test:ident = $case:path, $rules:literal;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            if let Some(world) = $world(stringify!($test), $rules).await {
                $case(&world).await;
            }
        })*
    };
}

column! { World::moto:
    moto_shares_move_and_nothing_else_does = shares::there_and_back, 2;
    moto_everything_is_read_whatever_the_page = reading::everything, 60;
    moto_one_bad_route_does_not_hold_up_the_others = reading::one_bad_route, 2;
    moto_tags_come_and_go = reading::tags, 0;
    moto_what_is_not_there_is_not_found = missing::things, 2;
    moto_a_write_is_one_request_with_the_actions_only = wire::writes, 0;
    moto_an_unknown_element_is_refused_and_named = unknown::refused, 2;
    moto_an_unknown_element_of_a_default_action_is_refused_and_named = unknown::refused_by_default, 2;
}

column! { World::lab:
    lab_like_moto_shares_move_and_nothing_else_does = shares::there_and_back, 2;
    lab_like_moto_everything_is_read_whatever_the_page = reading::everything, 60;
    lab_like_moto_one_bad_route_does_not_hold_up_the_others = reading::one_bad_route, 2;
    lab_like_moto_tags_come_and_go = reading::tags, 0;
    lab_like_moto_what_is_not_there_is_not_found = missing::things, 2;
    lab_like_moto_a_write_is_one_request_with_the_actions_only = wire::writes, 0;
    lab_like_moto_an_unknown_element_is_refused_and_named = unknown::refused, 2;
    lab_like_moto_an_unknown_element_of_a_default_action_is_refused_and_named = unknown::refused_by_default, 2;
}
