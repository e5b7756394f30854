//! Instances by name: `dns://NAME:PORT` in the plan.

use super::fleet::Fleet;

/// Replaces the address of the instance in the plan by this name.
fn name_instance(fleet: &Fleet, name: &str) {
    let file = fleet.folder().join("plan.yaml");
    let text = std::fs::read_to_string(&file).expect("the plan should exist");
    std::fs::write(&file, text.replace(&fleet.instances[0].api, name)).expect("the plan should be written");
}

/// The run and its rollback use the addresses of the journal. The plan file still names the run.
#[test]
#[ignore = "tier haproxy"]
fn journal_has_the_addresses_of_a_name() {
    let fleet = Fleet::start(&["a-1", "b-1"], 1, "");
    fleet.plan("      - setWeight: 50\n      - pause: {}\n      - setWeight: 100");
    let api = &fleet.instances[0].api;
    name_instance(&fleet, &api.replace("tcp://", "dns://"));
    let check = fleet.cutover("check plan.yaml");
    assert_eq!(check.code, 0, "{check:?}");
    let mut run = fleet.follow("run plan.yaml --yes");
    run.until_step(2);
    assert_eq!(["a-1", "b-1"].map(|s| fleet.instances[0].weight(s)), ["50", "50"]);
    let status = fleet.cutover("status plan.yaml");
    assert!(status.out.contains(&format!("webapp on {}", api.trim_start_matches("tcp://"))), "{status:?}");
    assert_eq!(fleet.cutover("approve plan.yaml").code, 0);
    let (code, output) = run.end();
    assert_eq!(code, 0, "{output}");
    // The rollback resolves nothing.
    name_instance(&fleet, "tcp://unused");
    let back = fleet.cutover("rollback webapp --yes");
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(["a-1", "b-1"].map(|s| fleet.instances[0].weight(s)), ["100", "0"]);
}

/// RFC 6761: names in `invalid` never have an address.
#[test]
#[ignore = "tier haproxy"]
fn name_without_an_address_is_refused() {
    let fleet = Fleet::start(&["a-1", "b-1"], 1, "");
    fleet.plan("      - setWeight: 100");
    name_instance(&fleet, "dns://haproxy.invalid:9999");
    for command in ["check plan.yaml", "run plan.yaml --yes"] {
        let refused = fleet.cutover(command);
        assert_eq!(refused.code, 3, "{refused:?}");
        assert!(refused.err.contains("dns://haproxy.invalid:9999 has no address"), "{refused:?}");
    }
    assert_eq!(["a-1", "b-1"].map(|s| fleet.instances[0].weight(s)), ["100", "0"]);
}
