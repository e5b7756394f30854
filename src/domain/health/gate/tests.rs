use super::*;
use crate::domain::fixture;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("the test's timestamp must be valid")
}

fn counts(healthy: u32, unhealthy: u32) -> HealthCounts {
    HealthCounts { healthy, unhealthy, ..HealthCounts::default() }
}

fn samples(all: &[(i64, HealthCounts)]) -> Samples {
    all.iter()
        .map(|(s, counts)| Sample { at: at(*s), counts: *counts, zones: BTreeMap::new(), unchecked: 0, unused: None })
        .collect()
}

/// Returns the health that a share of `share` percent requires if `total` targets are needed for all traffic.
fn needs(share: u32, total: u32) -> RaiseNeed {
    need(&fixture::plan().strategy.gates.raise, share, total, &[], Duration::from_secs(10))
}

/// Evaluates the raise gate with samples that are fresh for ten seconds.
fn raise(samples: &Samples, need: &RaiseNeed, now: Timestamp) -> RaiseVerdict {
    super::raise(samples, need, SignedDuration::from_secs(10), now)
}

fn guarded(all: &[(i64, HealthCounts)], share: u32, total: u32, now: i64) -> GuardVerdict {
    guard(&samples(all), &fixture::plan().strategy.gates.guard, share, total, 1.0, at(now))
}

#[test]
fn raise_gate_requires_two_samples_over_stable_for_and_a_fresh_sample() {
    let need = needs(50, 8);
    assert_eq!((need.healthy, need.stable_for), (4, Duration::from_secs(30)));
    let good = counts(4, 0);
    assert_eq!(
        raise(&samples(&[(0, good)]), &need, at(5)),
        RaiseVerdict::NotBefore(at(30)),
        "one sample must not pass the gate"
    );
    assert_eq!(raise(&samples(&[(0, good), (25, good)]), &need, at(29)), RaiseVerdict::NotBefore(at(30)));
    assert_eq!(raise(&samples(&[(0, good), (25, good)]), &need, at(30)), RaiseVerdict::Holds);
    assert_eq!(
        raise(&samples(&[(0, good), (25, good)]), &need, at(36)),
        RaiseVerdict::Unknown,
        "a sample older than ten seconds must not count"
    );
    let dip = samples(&[(0, good), (10, counts(3, 1)), (20, good), (30, good)]);
    assert_eq!(
        raise(&dip, &need, at(31)),
        RaiseVerdict::NotBefore(at(50)),
        "the time must start again after an unhealthy sample"
    );
    assert_eq!(raise(&Samples::new(), &need, at(0)), RaiseVerdict::Unknown);
    let instant = RaiseNeed { stable_for: Duration::ZERO, ..need };
    assert_eq!(
        raise(&samples(&[(0, good)]), &instant, at(1)),
        RaiseVerdict::NotBefore(at(1)),
        "one sample must not pass the gate, even with `stableFor: 0s`"
    );
}

#[test]
fn shortfall_message_has_the_numbers() {
    let short = |counts, need: &RaiseNeed| raise(&samples(&[(0, counts), (1, counts)]), need, at(2));
    assert_eq!(
        short(counts(4, 0), &needs(50, 40)),
        RaiseVerdict::Shortfall("has 4 of the 20 healthy targets that 50 % needs".into())
    );
    assert_eq!(
        short(counts(0, 0), &needs(1, 20)),
        RaiseVerdict::Shortfall("has 0 of the 1 healthy target that 1 % needs".into())
    );
    // 18 healthy targets of 20 are 90 %. `initial` targets count as not healthy; `draining` targets do not count.
    let percent = RaiseVerdict::Shortfall("has 18 of 20 targets healthy (90 %); 95 % are needed".into());
    assert_eq!(short(counts(18, 2), &needs(10, 20)), percent);
    assert_eq!(short(HealthCounts { initial: 2, ..counts(18, 0) }, &needs(10, 20)), percent);
    assert_eq!(short(HealthCounts { unused: 2, ..counts(18, 0) }, &needs(10, 20)), percent);
    assert!(matches!(
        short(HealthCounts { draining: 20, ..counts(18, 0) }, &needs(10, 20)),
        RaiseVerdict::NotBefore(_)
    ));
}

#[test]
fn required_capacity_is_rounded_up() {
    for (share, total, wanted) in
        [(1, 20, 1), (5, 20, 1), (20, 20, 4), (50, 20, 10), (100, 20, 20), (33, 10, 4), (1, 300, 3), (7, 100, 7)]
    {
        assert_eq!(needs(share, total).healthy, wanted, "{share} % of {total}");
    }
}

#[test]
fn without_cross_zone_balancing_every_zone_needs_healthy_targets() {
    let zones = ["x".to_owned(), "y".to_owned()];
    let need = need(&fixture::plan().strategy.gates.raise, 50, 12, &zones, Duration::from_secs(1));
    assert_eq!(need.zones, [("x".to_owned(), 3), ("y".to_owned(), 3)].into());
    let sample = |s, x, y| Sample {
        at: at(s),
        counts: counts(x + y, 0),
        zones: [("x".to_owned(), x), ("y".to_owned(), y)].into(),
        unchecked: 0,
        unused: None,
    };
    assert_eq!(raise(&[sample(0, 3, 3), sample(1, 3, 3)].into(), &need, at(3)), RaiseVerdict::Holds);
    let verdict = raise(&[sample(0, 5, 1), sample(1, 5, 1)].into(), &need, at(3));
    assert_eq!(verdict, RaiseVerdict::Shortfall("has 1 of the 3 healthy targets in zone y that 50 % needs".into()));
}

#[test]
fn initial_unused_and_draining_targets_do_not_fail_the_guard() {
    let verdict_of = |c| guarded(&[(0, c), (60, c), (95, c)], 10, 10, 95);
    assert_eq!(
        verdict_of(HealthCounts { initial: 30, unused: 30, draining: 30, ..counts(10, 0) }),
        GuardVerdict::Passing
    );
    assert!(matches!(verdict_of(HealthCounts { unavailable: 10, ..counts(10, 0) }), GuardVerdict::Failed(_)));
}

#[test]
fn guard_fails_at_once_without_healthy_targets_and_otherwise_after_its_time() {
    assert_eq!(
        guarded(&[(0, counts(0, 3))], 5, 10, 0),
        GuardVerdict::Failed("has no healthy target (3 unhealthy)".into())
    );
    assert_eq!(
        guarded(&[(0, HealthCounts::default())], 5, 10, 0),
        GuardVerdict::Failed("has no healthy target".into())
    );
    assert_eq!(guarded(&[], 5, 10, 0), GuardVerdict::Unknown);
    let why = "has 6 of 10 targets healthy (60 %); at least 70 % are needed";
    let weak = counts(6, 4);
    assert_eq!(
        guarded(&[(0, weak)], 5, 10, 100),
        GuardVerdict::Failing(at(0), why.into()),
        "one sample must not fail the guard"
    );
    assert_eq!(guarded(&[(0, weak), (89, weak)], 5, 10, 89), GuardVerdict::Failing(at(0), why.into()));
    assert_eq!(guarded(&[(0, weak), (90, weak)], 5, 10, 90), GuardVerdict::Failed(why.into()));
    assert_eq!(
        guarded(&[(0, weak), (45, counts(7, 3)), (90, weak)], 5, 10, 90),
        GuardVerdict::Failing(at(90), why.into())
    );
    assert_eq!(guarded(&[(0, weak), (90, counts(7, 3))], 5, 10, 90), GuardVerdict::Passing);
}

#[test]
fn guard_requires_70_percent_of_the_capacity_of_the_current_share() {
    // A share of 50 % of 40 needs 20 targets for a raise, and 14 for the guard.
    assert_eq!(guarded(&[(0, counts(14, 0)), (90, counts(14, 0))], 50, 40, 90), GuardVerdict::Passing);
    let why = "has 13 healthy targets; 50 % of the traffic needs at least 14";
    assert_eq!(guarded(&[(0, counts(13, 0)), (90, counts(13, 0))], 50, 40, 90), GuardVerdict::Failed(why.into()));
}

#[test]
fn targets_without_health_checks_do_not_fail_the_guard() {
    let target = |reason: Option<&str>| Target {
        id: "arn:aws:lambda:x".into(),
        port: 0,
        zone: None,
        state: TargetState::Unavailable,
        reason: reason.map(str::to_owned),
        explanation: None,
    };
    let gate = &fixture::plan().strategy.gates.guard;
    let verdict = |reason| {
        let sample = Sample::of(at(0), &[target(reason)]);
        (sample.healthy(), guard(&[sample].into(), gate, 100, 0, 1.0, at(0)))
    };
    assert_eq!(verdict(Some("Target.HealthCheckDisabled")), (None, GuardVerdict::Passing));
    assert_eq!(verdict(None), (Some(0), GuardVerdict::Failed("has no healthy target (1 unavailable)".into())));
}

#[test]
fn shortfall_message_explains_unused_targets() {
    let unused = |explanation: Option<&str>| Target {
        id: "10.0.0.1".into(),
        port: 80,
        zone: None,
        state: TargetState::Unused,
        reason: Some("Target.NotInUse".into()),
        explanation: explanation.map(str::to_owned),
    };
    let need = need(&fixture::plan().strategy.gates.raise, 50, 12, &[], Duration::from_secs(1));
    let shortfall_message = |targets: &[Target]| match raise(&[Sample::of(at(0), targets)].into(), &need, at(1)) {
        RaiseVerdict::Shortfall(why) => why,
        verdict => panic!("{verdict:?}"),
    };
    assert!(shortfall_message(&[unused(None)]).ends_with("; 1 unused: Target.NotInUse"));
    let zone = unused(Some("Target is in an Availability Zone that is not enabled for the load balancer"));
    assert!(
        shortfall_message(&[zone.clone(), zone, unused(None)])
            .contains("; 3 unused: Target is in an Availability Zone")
    );
}
