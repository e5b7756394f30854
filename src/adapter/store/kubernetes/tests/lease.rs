//! Tests of the lock: a live owner, an owner that lost the lock, and an owner that cannot be reached.

use super::*;

#[tokio::test(start_paused = true)]
async fn running_owner_keeps_its_lease_and_dead_owner_loses_it() {
    let cluster = Cluster::new();
    let (alice, bob) = (cluster.machine(), cluster.machine());
    let lbs = [LB.to_owned()];
    let held = alice.store.lock(&lbs, &holder("alice")).await.unwrap();
    assert_eq!(cluster.lease()["spec"]["holderIdentity"], format!("alice/7 {RUN}"));
    seconds(600).await;
    let started_at = Instant::now();
    assert_eq!(bob.store.lock(&lbs, &holder("bob")).await.unwrap_err(), LockError::HeldBy(Box::new(holder("alice"))));
    assert!(started_at.elapsed() <= RENEW_INTERVAL + Duration::from_secs(2), "{:?}", started_at.elapsed());
    assert_eq!((held.check(), held.expiry(Duration::from_secs(10))), (Ok(()), None));
    // The process of alice dies: it sends no more requests.
    alice.set_delivery(|_| Delivery::Dropped);
    let started_at = Instant::now();
    let taken_over = bob.store.lock(&lbs, &holder("bob")).await.unwrap();
    assert!(
        started_at.elapsed() >= LEASE_DURATION && started_at.elapsed() <= LEASE_DURATION + Duration::from_secs(7),
        "{:?}",
        started_at.elapsed()
    );
    assert_eq!(bob.store.lock_owner(RUN).await.unwrap().owner, "bob");
    // The process of alice was alive but could not reach the cluster. It notices the new owner, and releases only its
    // own leases.
    assert_eq!(held.check(), Ok(()), "an unreachable lock must not count as lost");
    assert!(held.expiry(Duration::ZERO).unwrap().contains("connection refused"));
    alice.set_delivery(|_| Delivery::Normal);
    held.confirm().await;
    assert_eq!(held.check(), Err(LockError::HeldBy(Box::new(holder("bob")))));
    held.release().await;
    taken_over.confirm().await;
    assert_eq!((taken_over.check(), taken_over.expiry(Duration::from_secs(10))), (Ok(()), None));
}

#[tokio::test(start_paused = true)]
async fn unrenewed_lease_expires_before_another_process_can_acquire_it() {
    let cluster = Cluster::new();
    let alice = cluster.machine();
    let held = alice.store.lock(&[LB.to_owned()], &holder("alice")).await.unwrap();
    alice.set_delivery(|_| Delivery::Silent);
    let need = Duration::from_secs(10);
    seconds(LEASE_DURATION.as_secs() - need.as_secs() - RENEW_INTERVAL.as_secs()).await;
    assert_eq!(held.expiry(need), None);
    seconds(RENEW_INTERVAL.as_secs() + 1).await;
    assert!(held.expiry(need).is_some());
    assert_eq!(held.check(), Ok(()));
    alice.set_delivery(|_| Delivery::Normal);
    seconds(2 * RENEW_INTERVAL.as_secs()).await;
    assert_eq!((held.check(), held.expiry(need)), (Ok(()), None));
}

#[tokio::test(start_paused = true)]
async fn sleeping_owner_loses_a_lock_that_another_process_owned() {
    let cluster = Cluster::new();
    let (alice, bob) = (cluster.machine(), cluster.machine());
    let lbs = [LB.to_owned()];
    let held = alice.store.lock(&lbs, &holder("alice")).await.unwrap();
    alice.set_delivery(|_| Delivery::Dropped);
    bob.store.take_over(&lbs, &holder("bob")).await.unwrap().release().await;
    alice.set_delivery(|_| Delivery::Normal);
    held.confirm().await;
    assert_eq!(
        held.check(),
        Err(LockError::HeldBy(Box::new(holder("bob")))),
        "a lock that another process owned meanwhile must count as lost"
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
    for delivery in [Delivery::Normal, Delivery::Lost, Delivery::Dropped] {
        let cluster = Cluster::new();
        let (alice, bob) = (cluster.machine(), cluster.machine());
        alice.set_next_write(delivery);
        bob.set_next_write(delivery);
        let (one, two) = (["arn:a".to_owned(), LB.to_owned()], [LB.to_owned(), "arn:a".to_owned()]);
        let (a, b) = (holder("alice"), holder("bob"));
        let (alice_has, bob_has) = futures::join!(alice.store.lock(&one, &a), bob.store.lock(&two, &b));
        assert_eq!(
            usize::from(alice_has.is_ok()) + usize::from(bob_has.is_ok()),
            1,
            "{delivery:?}: {alice_has:?} {bob_has:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn unreachable_server_and_missing_namespace_are_errors() {
    let cluster = Cluster::new();
    let alice = cluster.machine();
    alice.set_delivery(|_| Delivery::Dropped);
    let refused = alice.store.probe().await.unwrap_err();
    assert!(matches!(&refused, StoreError::Unusable { why, .. } if why.contains("connection refused")), "{refused}");
    assert!(matches!(
        alice.store.lock(&[LB.to_owned()], &holder("alice")).await,
        Err(LockError::Io(StoreError::Unusable { .. }))
    ));
    alice.set_delivery(|_| Delivery::Normal);
    // A server that did not respond gets no requests for a while.
    seconds(11).await;
    cluster.objects.lock().unwrap().delete(Kind::Namespace, "", NAMESPACE, time(0));
    let refused = alice.store.lock(&[LB.to_owned()], &holder("alice")).await.unwrap_err().to_string();
    assert!(refused.contains("namespaces \"cutover\" not found"), "{refused}");
}
