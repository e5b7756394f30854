//! Half-way, and back: with a run, with a journal that is damaged, and with none at all.

use crate::child::{Ended, run};
use crate::compare::{only_tuples_differ, shares_are, weights};
use crate::world::World;

fn ends(world: &World, args: &[&str], code: i32) -> Ended {
    run(world.cutover(args)).exits(code)
}

#[test]
fn moto_a_run_stops_where_asked_and_a_new_one_begins_there() {
    let Some(world) = World::new("halfway") else { return };
    let before = world.show();
    let was = weights(&world, &before);
    let plan = world.plan("{bind: {}}, {setWeight: 50, name: half}, {setWeight: 100}");
    let plan = plan.as_str();
    let stopped = ends(&world, &["run", plan, "--yes", "--until", "half"], 8);
    assert!(stopped.err.contains("cutover resume") && stopped.err.contains("cutover rollback"), "{}", stopped.err);
    shares_are(&was, &weights(&world, &world.show()), 50);

    let refused = ends(&world, &["run", plan, "--yes"], 3);
    assert!(refused.err.contains("unfinished") && refused.err.contains("cutover resume halfway-"), "{}", refused.err);
    let status = ends(&world, &["status", plan], 0).out;
    assert!(status.contains("a 50 %") && status.contains("UNGUARDED") && !status.contains("settling"), "{status}");

    damage(&world);
    for args in [&["rollback", plan, "--yes"][..], &["rollback", "--yes"], &["status", plan]] {
        let said = ends(&world, args, 5).err;
        assert!(said.contains("cutover rollback --load-balancer halfway-web --from halfway-a --to halfway-b"), "{said}");
    }
    shares_are(&was, &weights(&world, &world.show()), 50);

    // On another machine: the plan, and nothing else.
    let elsewhere = world.folder.path().join("elsewhere");
    let there = |args: &[&str], code: i32| {
        let mut command = world.cutover(args);
        command.env("CUTOVER_STATE_DIR", &elsewhere);
        run(command).exits(code)
    };
    let marked = there(&["run", plan, "--yes", "--from-step", "3"], 6).err;
    assert!(marked.contains("alice@") && marked.contains("halfway-"), "{marked}");
    let emergency = ["rollback", "--load-balancer", "halfway-web", "--from", "*-a", "--to", "*-b", "--yes", "--take-over"];
    let back = there(&emergency, 0);
    assert!(back.out.contains("21 of 21 routes restored"), "{}", back.out);
    let now = world.show();
    only_tuples_differ(&world, &before, &now, "the end");
    shares_are(&was, &weights(&world, &now), 0);

    let live = there(&["run", plan, "--yes", "--from-step", "3"], 3).err;
    assert!(live.contains("CUT049") && live.contains("50 %"), "{live}");
}

/// One bit of the third record of the only journal.
fn damage(world: &World) {
    let run = std::fs::read_dir(world.state().join("runs")).expect("runs").next().expect("a run").expect("a folder");
    let path = run.path().join("journal.jsonl");
    let mut bytes = std::fs::read(&path).expect("a journal");
    let third = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(1).expect("two records").0;
    bytes[third + 20] ^= 1;
    std::fs::write(&path, bytes).expect("written");
}

#[test]
fn moto_without_any_journal_the_traffic_goes_back() {
    let Some(world) = World::new("nojournal") else { return };
    let before = world.show();
    let was = weights(&world, &before);
    let plan = world.plan("{bind: {}}, {setWeight: 50}, {setWeight: 100}");
    ends(&world, &["run", &plan, "--yes", "--until", "2"], 8);
    // A run from the middle to its end, once nobody is in the way.
    std::fs::remove_dir_all(world.state()).expect("the state");
    let emergency = ["rollback", "--load-balancer", "nojournal-web", "--from", "*-a", "--to", "*-b", "--yes"];
    ends(&world, &emergency, 6);
    unmark(&world);
    let status = ends(&world, &["status", "--load-balancer", "nojournal-web"], 0).out;
    assert!(status.contains("nojournal-a 40 %, nojournal-b 40 %, nojournal-c 20 %"), "{status}");
    let whole = ends(&world, &["run", &plan, "--yes", "--from-step", "3", "--output", "json"], 0).records();
    assert!(whole.iter().all(|r| r["event"] != "stepStarted" || r["step"] == 3), "{whole:?}");
    shares_are(&was, &weights(&world, &world.show()), 100);

    std::fs::remove_dir_all(world.state()).expect("the state");
    ends(&world, &emergency, 0);
    let now = world.show();
    only_tuples_differ(&world, &before, &now, "the end");
    shares_are(&was, &weights(&world, &now), 0);
    let left = std::fs::read_dir(world.state().join("runs")).expect("runs").count();
    assert_eq!(left, 1, "the rollback's own journal, and nothing else");
}

fn unmark(world: &World) {
    let key = serde_json::json!(["cutover.dev/run"]);
    world.boto(&serde_json::json!([["elbv2", "remove_tags", {"ResourceArns": [world.load_balancer], "TagKeys": key}]]));
}
