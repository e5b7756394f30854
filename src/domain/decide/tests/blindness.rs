//! Tests that no share is raised while readings fail.

use super::*;
use crate::domain::run::observation::Marker;

/// Returns eight observations, five seconds apart, with all targets in these zones.
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
        let census = Some(Reading { at: at(i * 5), value: Ok(Vec::new()) });
        watch.add(at(i * 5), Observation { routes, health: health.into(), census, ..Observation::default() }, true);
        watch
    })
}

#[test]
fn raise_gate_without_cross_zone_balancing_requires_targets_in_every_zone() {
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
        "targets outside of the VPC are reachable from every zone and must pass"
    );
    state.started.groups.get_mut(&group_arn("webapp-b")).unwrap().zones.clear();
    assert!(
        matches!(next(&state, &in_zones(&["2a"]), 40), Decision::Write(_)),
        "a journal of an older version has no zones, so any zone must pass"
    );
}

/// Adds an observation with this marker, in which all targets are healthy.
fn with_marker(watch: Observed, second: i64, marker: Option<Result<Marker, Unreadable>>) -> Observed {
    let mut watch = watch.seen(second, Ok(forward(&ORIGINAL)), [10, 10]);
    let marker = marker.map(|value| Reading { at: at(second), value });
    watch.add(at(second), Observation { marker, ..Observation::default() }, false);
    watch
}

#[test]
fn unreadable_marker_stops_raises_and_then_freezes_until_it_is_readable() {
    let state =
        run(forward(&ORIGINAL)).after(1, Event::StepStarted { step: 4, kind: StepType::Shares, label: String::new() });
    let ours = (1..=8).fold(watch(0), |w, i| with_marker(w, i * 5, Some(Ok(Marker::Ours))));
    assert!(matches!(next(&state, &ours, 40), Decision::Write(_)));
    let unreadable = with_marker(ours, 45, Some(Err(Unreadable::Throttled)));
    let Decision::Wait(waits) = next(&state, &unreadable, 45) else {
        panic!("an unreadable marker must stop raises, because another run may have set its marker")
    };
    assert_eq!(waits[0].reason, WaitReason::Unreadable);
    let unreadable = (10..=21).fold(unreadable, |w, i| with_marker(w, i * 5, Some(Err(Unreadable::Throttled))));
    let Decision::Record(events) = next(&state, &unreadable, 105) else {
        panic!("{:?}", next(&state, &unreadable, 105))
    };
    assert!(
        matches!(&events[..], [Event::Frozen { reason: FreezeReason::Unreadable, message }] if message.contains("marker")),
        "{events:?}"
    );
    let state = state.after(105, events[0].clone());
    let back = with_marker(unreadable.clone(), 110, Some(Ok(Marker::Ours)));
    assert_eq!(next(&state, &back, 110), Decision::Record(vec![Event::Unfrozen {}]));
    let other = with_marker(unreadable, 110, Some(Ok(Marker::Other("beta-1".into()))));
    assert!(matches!(next(&state, &other, 110), Decision::Exit(StopReason::Lock, _)));
}

#[test]
fn plan_without_a_marker_does_not_wait_for_a_marker() {
    let state =
        run(forward(&ORIGINAL)).after(1, Event::StepStarted { step: 4, kind: StepType::Shares, label: String::new() });
    let seen = (1..=30).fold(watch(0), |w, i| with_marker(w, i * 5, None));
    assert!(matches!(next(&state, &seen, 150), Decision::Write(_)), "{:?}", next(&state, &seen, 150));
}
