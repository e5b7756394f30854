//! Whole cutovers and rollbacks under load: the shares are counted at the clients.

use super::fleet::Fleet;

const STEPS: &str = "      - setWeight: 1\n      - pause: {}\n      - setWeight: 25\n      - pause: {}\n      - setWeight: 50\n      \
    - pause: {}\n      - setWeight: 100";

/// Asserts that a share is within this number of percentage points.
fn assert_close(share: f64, expected: f64, tolerance: f64) {
    assert!((share - expected).abs() <= tolerance, "{share} % of the requests instead of {expected} %");
}

fn whole_way(instances: usize) {
    let fleet = Fleet::start(&["a-1", "a-2", "a-3", "a-4", "b-1", "b-2", "b-3", "b-4"], instances, "");
    fleet.plan(STEPS);
    let check = fleet.cutover("check plan.yaml");
    assert_eq!(check.code, 0, "{check:?}");
    let clients = fleet.clients();
    assert_close(fleet.measure(&clients, 200), 0.0, 0.0);
    let mut run = fleet.follow("run plan.yaml --yes");
    for (pause, share) in [(2, 1.0), (4, 25.0), (6, 50.0)] {
        run.until_step(pause);
        assert_close(fleet.measure(&clients, 2_000), share, if share > 2.0 { 2.0 } else { 0.5 });
        let approve = fleet.cutover("approve webapp");
        assert_eq!(approve.code, 0, "{approve:?}");
    }
    let (code, output) = run.end();
    assert_eq!(code, 0, "{output}");
    assert_close(fleet.measure(&clients, 2_000), 100.0, 0.0);
    let status = fleet.cutover("status webapp");
    assert_eq!(status.code, 0, "{status:?}");
    assert!(fleet.cutover("history").out.contains("webapp-"), "the history must have the run");

    let back = fleet.cutover("rollback webapp --yes");
    assert_eq!(back.code, 0, "{back:?}");
    assert_close(fleet.measure(&clients, 500), 0.0, 0.0);
    for instance in &fleet.instances {
        assert_eq!(["a-1", "a-4", "b-1", "b-4"].map(|s| instance.weight(s)), ["100", "100", "0", "0"]);
    }
    let (count, failed) = clients.end();
    assert!(failed.is_empty(), "{} of {count} requests failed: {failed:?}", failed.len());
}

#[test]
#[ignore = "tier haproxy"]
fn one_instance_moves_to_100_and_back() {
    whole_way(1);
}

#[test]
#[ignore = "tier haproxy"]
fn two_instances_move_as_one_step() {
    whole_way(2);
}

/// The example of a configuration is one that HAProxy accepts.
#[test]
#[ignore = "tier haproxy"]
fn configuration_of_the_examples_is_valid() {
    let checked = std::process::Command::new(crate::programs::variable("CUTOVER_HAPROXY"))
        .args(["-c", "-f", "examples/haproxy/haproxy.cfg"])
        .output()
        .expect("HAProxy should start");
    assert!(checked.status.success(), "{checked:?}");
}

/// The break-glass script restores the weights with bash, and with socat where it exists.
#[test]
#[ignore = "tier haproxy"]
fn break_glass_script_restores_the_weights() {
    let fleet = Fleet::start(&["a-1", "b-1"], 1, "");
    fleet.plan("      - setWeight: 100");
    let run = fleet.cutover("run plan.yaml --yes");
    assert_eq!(run.code, 0, "{run:?}");
    let instance = &fleet.instances[0];
    assert_eq!(["a-1", "b-1"].map(|server| instance.weight(server)), ["0", "100"]);
    let said = fleet.break_glass();
    assert!(said.contains("restored    webapp on 127.0.0.1:") && !said.contains("NOT"), "{said}");
    assert_eq!(["a-1", "b-1"].map(|server| instance.weight(server)), ["100", "0"]);
}
