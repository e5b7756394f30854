//! A rollback without plan and journal: `rollback --haproxy`, at real instances.

use super::fleet::{Fleet, Instance};

/// Moves all traffic to the servers of `b`, as a run whose journal is lost has done.
fn move_to_b(instance: &Instance) {
    instance.ask("set server webapp/b-1 weight 100");
    instance.ask("set server webapp/b-2 weight 100");
    instance.ask("set server webapp/a-1 weight 0");
    instance.ask("set server webapp/a-2 weight 0");
}

fn weights(instance: &Instance) -> [String; 4] {
    ["a-1", "a-2", "b-1", "b-2"].map(|server| instance.weight(server))
}

/// Returns the command for all instances.
fn command(fleet: &Fleet, rest: &str) -> String {
    let addresses: Vec<_> = fleet.instances.iter().map(|instance| instance.api.as_str()).collect();
    format!("rollback --haproxy {} {rest}", addresses.join(" "))
}

#[test]
#[ignore = "tier haproxy"]
fn servers_get_their_traffic_back_without_plan_and_journal() {
    let fleet = Fleet::start(&["a-1", "a-2", "b-1", "b-2"], 2, "");
    fleet.instances.iter().for_each(move_to_b);
    let back = command(&fleet, "--backend webapp --back-to a-* --away-from b-*");

    let asked = fleet.cutover(&back);
    assert_eq!(asked.code, 2, "{asked:?}");
    assert!(asked.err.contains("a-* 0 %, b-* 100 % → a-* 100 %, b-* 0 %"), "{asked:?}");
    assert!(asked.err.contains("way back: a-* has 2 healthy targets"), "{asked:?}");
    assert!(asked.err.contains("--yes"), "{asked:?}");
    assert_eq!(weights(&fleet.instances[0]), ["0", "0", "100", "100"], "nothing may be written without an answer");

    let swapped = fleet.cutover(&command(&fleet, "--backend webapp --back-to c-* --away-from b-* --yes"));
    assert_eq!(swapped.code, 2, "{swapped:?}");
    assert!(swapped.err.contains("nothing was written") && swapped.err.contains("it has a-1, a-2, b-*"), "{swapped:?}");

    let done = fleet.cutover(&format!("{back} --yes"));
    assert_eq!(done.code, 0, "{done:?}");
    for instance in &fleet.instances {
        assert_eq!(weights(instance), ["100", "100", "0", "0"]);
    }
}

/// The killed instance is named, and delays no other.
#[test]
#[ignore = "tier haproxy"]
fn instance_that_does_not_answer_is_named_and_delays_no_other() {
    let fleet = Fleet::start(&["a-1", "a-2", "b-1", "b-2"], 2, "");
    fleet.instances.iter().for_each(move_to_b);
    fleet.instances[1].kill();
    let done = fleet.cutover(&command(&fleet, "--backend webapp --back-to a-* --away-from b-* --yes"));
    assert_eq!(done.code, 5, "{done:?}");
    assert_eq!(weights(&fleet.instances[0]), ["100", "100", "0", "0"]);
    let killed = fleet.instances[1].api.trim_start_matches("tcp://");
    let line = format!("possibly not rolled back: webapp on {killed} cannot be read");
    assert!(done.err.contains(&line) || done.out.contains(&line), "{line}: {done:?}");

    fleet.instances[0].kill();
    let none = fleet.cutover(&command(&fleet, "--backend webapp --back-to a-* --away-from b-* --yes"));
    assert_eq!(none.code, 5, "{none:?}");
    assert!(none.err.contains("nothing was written"), "{none:?}");
}

#[test]
#[ignore = "tier haproxy"]
fn slots_of_a_map_go_back_without_plan_and_journal() {
    let fleet = Fleet::start(&["a-1", "b-1"], 1, "");
    let (instance, file) = (&fleet.instances[0], fleet.map_file());
    for slot in 0..60 {
        instance.ask(&format!("set map {file} {slot} webapp-b"));
    }
    instance.ask(&format!("set map {file} 99 webapp"));
    let done = fleet.cutover(&command(&fleet, &format!("--map {file} --back-to webapp-a --away-from webapp-b --yes")));
    assert_eq!(done.code, 0, "{done:?}");
    let table = instance.ask(&format!("show map {file}"));
    let count = |backend: &str| table.lines().filter(|line| line.ends_with(&format!(" {backend}"))).count();
    assert_eq!(
        ["webapp-a", "webapp-b", "webapp"].map(count),
        [99, 0, 1],
        "a slot outside of the names must not change"
    );
}

/// `init` writes a plan for a table of slots, which `check` accepts as it is.
#[test]
#[ignore = "tier haproxy"]
fn init_writes_a_plan_for_a_map_that_check_accepts() {
    let fleet = Fleet::start(&["a-1", "b-1"], 1, "");
    let (address, file) = (&fleet.instances[0].api, fleet.map_file());
    let written = fleet.cutover(&format!("init --haproxy {address} --map {file} --from webapp-a --to webapp-b"));
    assert_eq!(written.code, 0, "{written:?}");
    std::fs::write(fleet.folder().join("plan.yaml"), &written.out).expect("the plan should be written");
    let check = fleet.cutover("check plan.yaml");
    assert_eq!(check.code, 0, "{check:?}");
}

/// `init` writes a plan from the live servers, which `check` accepts as it is.
#[test]
#[ignore = "tier haproxy"]
fn init_writes_a_plan_that_check_accepts() {
    let fleet = Fleet::start(&["a-1", "a-2", "b-1", "b-2"], 2, "");
    let addresses: Vec<_> = fleet.instances.iter().map(|instance| instance.api.as_str()).collect();
    let init = format!("init --haproxy {} --backend webapp", addresses.join(" "));
    let swapped = fleet.cutover(&format!("{init} --from b-* --to a-*"));
    assert_eq!(swapped.code, 2, "{swapped:?}");
    assert!(swapped.err.contains("no traffic goes to the servers `b-*`"), "{swapped:?}");
    let written = fleet.cutover(&format!("{init} --from a-* --to b-*"));
    assert_eq!(written.code, 0, "{written:?}");
    std::fs::write(fleet.folder().join("plan.yaml"), &written.out).expect("the plan should be written");
    let check = fleet.cutover("check plan.yaml");
    assert_eq!(check.code, 0, "{check:?}");
}
