//! Clusters that are reached by their EKS name: endpoint and authority from AWS, and tokens that end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::stack::watch;
use crate::stack::world::World;

/// All sign as the same user, whose tokens one of them ends: those of everybody, were they under way at once.
pub fn alone() -> MutexGuard<'static, ()> {
    static USER: Mutex<()> = Mutex::new(());
    USER.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
#[ignore = "tier stack"]
fn stack_clusters_by_their_eks_names() {
    let _alone = alone();
    let world = World::new("eks");
    let plan = world.plan("{bind: {}}, {setWeight: 100}");
    let text = std::fs::read_to_string(&plan).expect("the plan").replace("kubeContext: ", "eks: stack-");
    std::fs::write(&plan, text).expect("the plan");
    watch::run(&world, &plan, |_| {}).exits(0);
    world.share_is(100);
    assert_eq!(world.targets("b"), world.pods(&world.stack.b));
}

#[test]
#[ignore = "tier stack"]
fn stack_tokens_that_end_in_the_middle_are_signed_anew() {
    let _alone = alone();
    let world = World::new("ended");
    let plan = world.plan("{pause: {duration: 12s}}, {bind: {}}, {setWeight: 100}");
    let text = std::fs::read_to_string(&plan).expect("the plan").replace("kubeContext: ", "eks: stack-");
    std::fs::write(&plan, text).expect("the plan");
    let ended = watch::run(&world, &plan, |record| {
        if watch::begins(record, 1) {
            // The API server remembers for ten seconds whose a token was.
            world.stack.authenticator.end_tokens("cutover");
        }
    });
    ended.exits(0);
    world.share_is(100);
}
