//! Clusters by EKS name: endpoint and CA from AWS, and tokens that expire.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::stack::fixture::StackFixture;
use crate::stack::watch;

/// Serializes these tests: all sign as the same user, and one of them invalidates the tokens of this user.
pub fn serialize_tests() -> MutexGuard<'static, ()> {
    static USER: Mutex<()> = Mutex::new(());
    USER.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
#[ignore = "tier stack"]
fn stack_clusters_can_be_named_by_their_eks_names() {
    let _alone = serialize_tests();
    let fixture = StackFixture::new("eks");
    let plan = fixture.plan("{bind: {}}, {setWeight: 100}");
    let text =
        std::fs::read_to_string(&plan).expect("the plan should be readable").replace("kubeContext: ", "eks: stack-");
    std::fs::write(&plan, text).expect("the plan should be written");
    watch::run(&fixture, &plan, |_| {}).assert_exit(0);
    fixture.assert_share(100);
    assert_eq!(fixture.targets("b"), fixture.pods(&fixture.stack.b));
}

#[test]
#[ignore = "tier stack"]
fn stack_tokens_that_expire_during_a_run_are_replaced() {
    let _alone = serialize_tests();
    let fixture = StackFixture::new("ended");
    let plan = fixture.plan("{pause: {duration: 12s}}, {bind: {}}, {setWeight: 100}");
    let text =
        std::fs::read_to_string(&plan).expect("the plan should be readable").replace("kubeContext: ", "eks: stack-");
    std::fs::write(&plan, text).expect("the plan should be written");
    let ended = watch::run(&fixture, &plan, |record| {
        if watch::begins(record, 1) {
            // The API server caches a token's user for ten seconds.
            fixture.stack.authenticator.end_tokens("cutover");
        }
    });
    ended.assert_exit(0);
    fixture.assert_share(100);
}
