//! Without readings there are no raises.

use super::*;
use crate::domain::run::observation::Marker;

/// Eight observations, five seconds apart, with all targets in these zones.
fn in_zones(zones: &[&str]) -> Observed {
    (1..=8).fold(watch(0), |mut watch, i| {
        let target = |n: usize| Target {
            id: format!("10.0.0.{n}"),
            port: 80,
            zone: zones.get(n % zones.len().max(1)).map(|z| (*z).into()),
            state: TargetState::Healthy,
            reason: None,
            explanation: None,
        };
        let health = ["webapp-a", "webapp-b"]
            .map(|g| (group_arn(g), Reading { at: at(i * 5), value: Ok((0..12).map(target).collect()) }));
        let routes = [(id(), Reading { at: at(i * 5), value: Ok(forward(&ORIGINAL)) })].into();
        watch.add(at(i * 5), Observation { routes, health: health.into(), ..Observation::default() }, true);
        watch
    })
}

#[test]
fn without_cross_zone_balancing_targets_in_one_zone_of_three_are_not_enough() {
    let mut state =
        run(forward(&ORIGINAL)).after(1, Event::StepStarted { step: 4, kind: StepType::Shares, label: String::new() });
    let group = state.started.groups.get_mut(&group_arn("webapp-b")).unwrap();
    (group.cross_zone, group.zones) = (false, ["2a", "2b", "2c"].map(str::to_owned).into());
    let Decision::Wait(waits) = next(&state, &in_zones(&["2a"]), 40) else {
        panic!("{:?}", next(&state, &in_zones(&["2a"]), 40))
    };
    assert!(waits[0].message.contains("zone 2b"), "{waits:?}");
    assert!(matches!(next(&state, &in_zones(&["2a", "2b", "2c"]), 40), Decision::Write(_)));
    assert!(
        matches!(next(&state, &in_zones(&["all"]), 40), Decision::Write(_)),
        "an address outside the VPC is reached from every zone"
    );
    state.started.groups.get_mut(&group_arn("webapp-b")).unwrap().zones.clear();
    assert!(
        matches!(next(&state, &in_zones(&["2a"]), 40), Decision::Write(_)),
        "an older journal does not know the zones"
    );
}

/// Returns an observation with this marker and everything else healthy.
fn tagged(watch: Observed, second: i64, marker: Option<Result<Marker, Unreadable>>) -> Observed {
    let mut watch = watch.seen(second, Ok(forward(&ORIGINAL)), [10, 10]);
    let marker = marker.map(|value| Reading { at: at(second), value });
    watch.add(at(second), Observation { marker, ..Observation::default() }, false);
    watch
}

#[test]
fn a_marker_that_cannot_be_read_stops_the_raises_and_then_freezes_until_it_can() {
    let state =
        run(forward(&ORIGINAL)).after(1, Event::StepStarted { step: 4, kind: StepType::Shares, label: String::new() });
    let ours = (1..=8).fold(watch(0), |w, i| tagged(w, i * 5, Some(Ok(Marker::Ours))));
    assert!(matches!(next(&state, &ours, 40), Decision::Write(_)));
    let blind = tagged(ours, 45, Some(Err(Unreadable::Throttled)));
    let Decision::Wait(waits) = next(&state, &blind, 45) else { panic!("another run may have set its marker") };
    assert_eq!(waits[0].reason, WaitReason::Unreadable);
    let blind = (10..=21).fold(blind, |w, i| tagged(w, i * 5, Some(Err(Unreadable::Throttled))));
    let Decision::Record(events) = next(&state, &blind, 105) else { panic!("{:?}", next(&state, &blind, 105)) };
    assert!(
        matches!(&events[..], [Event::Frozen { reason: FreezeReason::Unreadable, message }] if message.contains("marker")),
        "{events:?}"
    );
    let state = state.after(105, events[0].clone());
    let back = tagged(blind.clone(), 110, Some(Ok(Marker::Ours)));
    assert_eq!(next(&state, &back, 110), Decision::Record(vec![Event::Unfrozen {}]));
    let other = tagged(blind, 110, Some(Ok(Marker::Other("beta-1".into()))));
    assert!(matches!(next(&state, &other, 110), Decision::Exit(StopReason::Lock, _)));
}

#[test]
fn a_plan_without_a_marker_misses_none() {
    let state =
        run(forward(&ORIGINAL)).after(1, Event::StepStarted { step: 4, kind: StepType::Shares, label: String::new() });
    let seen = (1..=30).fold(watch(0), |w, i| tagged(w, i * 5, None));
    assert!(matches!(next(&state, &seen, 150), Decision::Write(_)), "{:?}", next(&state, &seen, 150));
}
