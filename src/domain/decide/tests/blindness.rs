//! What a run cannot see does not let it raise.

use super::*;

/// Eight looks, five seconds apart, at which all of b's targets are in these zones.
fn in_zones(zones: &[&str]) -> Watch {
    (1..=8).fold(watch(0), |mut watch, i| {
        let target = |n: usize| Target {
            id: format!("10.0.0.{n}"),
            port: 80,
            zone: zones.get(n % zones.len().max(1)).map(|z| (*z).into()),
            state: TargetState::Healthy,
            reason: None,
        };
        watch = watch.seen(i * 5 - 1, Ok(forward(&ORIGINAL)), [10, 10]);
        let health = [(group_arn("webapp-b"), Reading { at: at(i * 5), value: Ok((0..12).map(target).collect()) })].into();
        watch.absorb(at(i * 5), Observation { health, ..Observation::default() }, false);
        watch
    })
}

#[test]
fn without_cross_zone_balancing_targets_in_one_zone_of_three_are_not_enough() {
    let mut state = run(forward(&ORIGINAL)).did(1, Event::StepStarted { step: 4, kind: StepType::Shares, label: String::new() });
    let group = state.started.groups.get_mut(&group_arn("webapp-b")).unwrap();
    (group.cross_zone, group.zones) = (false, ["2a", "2b", "2c"].map(str::to_owned).into());
    let Decision::Wait(waits) = next(&state, &in_zones(&["2a"]), 40) else { panic!("{:?}", next(&state, &in_zones(&["2a"]), 40)) };
    assert!(waits[0].message.contains("zone 2b"), "{waits:?}");
    assert!(matches!(next(&state, &in_zones(&["2a", "2b", "2c"]), 40), Decision::Write(_)));
    assert!(matches!(next(&state, &in_zones(&["all"]), 40), Decision::Write(_)), "an address outside the VPC is reached from every zone");
    state.started.groups.get_mut(&group_arn("webapp-b")).unwrap().zones.clear();
    assert!(matches!(next(&state, &in_zones(&["2a"]), 40), Decision::Write(_)), "an older journal does not know the zones");
}
