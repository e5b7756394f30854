//! Tests of the lock: who owns it, who lost it, and who only cannot be reached.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_running_owner_keeps_its_lease_and_a_dead_one_does_not() {
    let cluster = Cluster::new();
    let (alice, bob) = (cluster.machine(), cluster.machine());
    let lbs = [LB.to_owned()];
    let held = alice.store.lock(&lbs, &holder("alice")).await.unwrap();
    assert_eq!(cluster.lease()["spec"]["holderIdentity"], format!("alice/7 {RUN}"));
    seconds(600).await;
    let begun = Instant::now();
    assert_eq!(bob.store.lock(&lbs, &holder("bob")).await.unwrap_err(), LockError::HeldBy(Box::new(holder("alice"))));
    assert!(begun.elapsed() <= RENEW_INTERVAL + Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!((held.check(), held.expiry(Duration::from_secs(10))), (Ok(()), None));
    // Its process dies: it sends no more requests.
    alice.way(|_| Way::Dropped);
    let begun = Instant::now();
    let taken = bob.store.lock(&lbs, &holder("bob")).await.unwrap();
    assert!(
        begun.elapsed() >= DURATION && begun.elapsed() <= DURATION + Duration::from_secs(7),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(bob.store.lock_owner(RUN).await.unwrap().owner, "bob");
    // It was alive but cut off: it notices the new owner, and releases nothing that it does not own.
    assert_eq!(held.check(), Ok(()), "unreachable is not lost");
    assert!(held.expiry(Duration::ZERO).unwrap().contains("connection refused"));
    alice.way(|_| Way::Open);
    held.confirm().await;
    assert_eq!(held.check(), Err(LockError::HeldBy(Box::new(holder("bob")))));
    held.release().await;
    taken.confirm().await;
    assert_eq!((taken.check(), taken.expiry(Duration::from_secs(10))), (Ok(()), None));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_lapses_before_another_can_take_it_and_recovers() {
    let cluster = Cluster::new();
    let alice = cluster.machine();
    let held = alice.store.lock(&[LB.to_owned()], &holder("alice")).await.unwrap();
    alice.way(|_| Way::Silent);
    let need = Duration::from_secs(10);
    seconds(DURATION.as_secs() - need.as_secs() - RENEW_INTERVAL.as_secs()).await;
    assert_eq!(held.expiry(need), None);
    seconds(RENEW_INTERVAL.as_secs() + 1).await;
    assert!(held.expiry(need).is_some());
    assert_eq!(held.check(), Ok(()));
    alice.way(|_| Way::Open);
    seconds(2 * RENEW_INTERVAL.as_secs()).await;
    assert_eq!((held.check(), held.expiry(need)), (Ok(()), None));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_slept_while_another_owned_the_lock_has_lost_it() {
    let cluster = Cluster::new();
    let (alice, bob) = (cluster.machine(), cluster.machine());
    let lbs = [LB.to_owned()];
    let held = alice.store.lock(&lbs, &holder("alice")).await.unwrap();
    alice.way(|_| Way::Dropped);
    bob.store.take_over(&lbs, &holder("bob")).await.unwrap().release().await;
    alice.way(|_| Way::Open);
    held.confirm().await;
    assert_eq!(
        held.check(),
        Err(LockError::HeldBy(Box::new(holder("bob")))),
        "it is free, but not for somebody who knows nothing of that"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_emptied_or_deleted_by_hand_is_acquired_again() {
    let cluster = Cluster::new();
    let alice = cluster.machine();
    let held = alice.store.lock(&[LB.to_owned()], &holder("alice")).await.unwrap();
    let name = meta_text(&cluster.lease(), "name").to_owned();
    cluster.edit(Kind::Lease, &name, |lease| lease["spec"]["holderIdentity"] = Value::Null);
    seconds(6).await;
    assert_eq!(cluster.lease()["spec"]["holderIdentity"], format!("alice/7 {RUN}"));
    cluster.objects.lock().unwrap().delete(Kind::Lease, NAMESPACE, &name, time(0));
    seconds(6).await;
    assert_eq!(cluster.lease()["spec"]["holderIdentity"], format!("alice/7 {RUN}"));
    assert_eq!((held.check(), held.expiry(Duration::from_secs(10))), (Ok(()), None));
}

#[tokio::test(start_paused = true)]
async fn one_of_two_concurrent_acquisitions_succeeds_even_if_answers_are_lost() {
    for way in [Way::Open, Way::Lost, Way::Dropped] {
        let cluster = Cluster::new();
        let (alice, bob) = (cluster.machine(), cluster.machine());
        alice.next_write(way);
        bob.next_write(way);
        let (one, two) = (["arn:a".to_owned(), LB.to_owned()], [LB.to_owned(), "arn:a".to_owned()]);
        let (a, b) = (holder("alice"), holder("bob"));
        let (alice_has, bob_has) = futures::join!(alice.store.lock(&one, &a), bob.store.lock(&two, &b));
        assert_eq!(
            usize::from(alice_has.is_ok()) + usize::from(bob_has.is_ok()),
            1,
            "{way:?}: {alice_has:?} {bob_has:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn unreachable_is_an_error_and_a_missing_namespace_is_not_an_empty_one() {
    let cluster = Cluster::new();
    let alice = cluster.machine();
    alice.way(|_| Way::Dropped);
    let refused = alice.store.probe().await.unwrap_err();
    assert!(matches!(&refused, StoreError::Unusable { why, .. } if why.contains("connection refused")), "{refused}");
    assert!(matches!(
        alice.store.lock(&[LB.to_owned()], &holder("alice")).await,
        Err(LockError::Io(StoreError::Unusable { .. }))
    ));
    alice.way(|_| Way::Open);
    // A server that did not answer gets no requests for a while.
    seconds(11).await;
    cluster.objects.lock().unwrap().delete(Kind::Namespace, "", NAMESPACE, time(0));
    let refused = alice.store.lock(&[LB.to_owned()], &holder("alice")).await.unwrap_err().to_string();
    assert!(refused.contains("namespaces \"cutover\" not found"), "{refused}");
}
