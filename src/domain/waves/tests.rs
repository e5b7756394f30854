//! A table of plans, runs, and what is next.

use super::*;
use crate::domain::fixture;
use crate::plan::model::Wave;

/// Returns a plan with these waves, which moves from a to b.
fn plan(waves: &[&str]) -> Plan {
    let plan = fixture::plan();
    let wave = |name: &&str| Wave { name: (*name).to_owned(), workloads: Vec::new(), strategy: plan.strategy.clone() };
    Plan { waves: waves.iter().map(wave).collect(), ..plan }
}

/// Parses runs, newest first: `ID MIGRATION WAVE OUTCOME`, with `-` for a run that is not of a wave.
fn runs(text: &str) -> Vec<PlanRun> {
    let parse = |line: &str| {
        let [id, migration, wave, outcome] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("`{line}` must have four words")
        };
        let (direction, migration) = migration.split_once('@').unwrap_or(("a>b", migration));
        let (from, to) = direction.split_once('>').expect("a direction");
        PlanRun {
            id: id.to_owned(),
            outcome: match outcome {
                "completed" | "retired" => Some(RunOutcome::Completed),
                "rolled-back" => Some(RunOutcome::RolledBack),
                "aborted" | "kept" => Some(RunOutcome::Aborted),
                _ => None,
            },
            keeps_share: outcome == "kept",
            wave: (wave != "-").then(|| WaveOfRun {
                migration: migration.to_owned(),
                name: wave.to_owned(),
                workloads: Vec::new(),
                from: from.to_owned(),
                to: to.to_owned(),
                retired: matches!(outcome, "retired" | "retiring"),
            }),
        }
    };
    text.split(',').map(str::trim).filter(|line| !line.is_empty()).map(parse).collect()
}

fn next(waves: &[&str], text: &str, new: bool) -> String {
    let (plan, runs) = (plan(waves), runs(text));
    match Migration::of(&plan, &runs, new).next() {
        NextWave::Continue { run } => format!("continue {run}"),
        NextWave::Begin { wave } => format!("begin {wave}"),
        NextWave::Failed { wave, run } => format!("failed {wave} {run}"),
        NextWave::Done => "done".to_owned(),
    }
}

#[test]
fn what_is_next_follows_from_the_plan_and_its_runs() {
    let three = ["internal", "public", "admin"];
    for (what, runs, expected) in [
        ("no run", "", "begin internal"),
        ("unfinished", "r1 r1 internal unfinished", "continue r1"),
        ("first done", "r1 r1 internal completed", "begin public"),
        ("second unfinished", "r2 r1 public unfinished, r1 r1 internal completed", "continue r2"),
        ("second rolled back", "r2 r1 public rolled-back, r1 r1 internal completed", "failed public r2"),
        ("second aborted", "r2 r1 public aborted, r1 r1 internal completed", "failed public r2"),
        (
            "second again unfinished",
            "r3 r1 public unfinished, r2 r1 public rolled-back, r1 r1 internal completed",
            "continue r3",
        ),
        (
            "second failed twice",
            "r3 r1 public aborted, r2 r1 public rolled-back, r1 r1 internal completed",
            "failed public r3",
        ),
        (
            "second repeated",
            "r3 r1 public completed, r2 r1 public rolled-back, r1 r1 internal completed",
            "begin admin",
        ),
        ("first taken back later", "r2 r1 public completed, r1 r1 internal aborted", "failed internal r1"),
        ("all taken back", "r2 r1 public aborted, r1 r1 internal aborted", "failed internal r1"),
        ("all done", "r3 r1 admin completed, r2 r1 public completed, r1 r1 internal completed", "done"),
        ("all retired", "r3 r1 admin retired, r2 r1 public retired, r1 r1 internal retired", "done"),
        ("one is being retired", "r2 r1 public completed, r1 r1 internal retiring", "continue r1"),
        (
            "a new migration has begun",
            "r4 r4 internal completed, r3 r1 admin completed, r2 r1 public completed, r1 r1 internal completed",
            "begin public",
        ),
        ("a run before the plan had waves", "r0 - - completed", "begin internal"),
        ("an unfinished run before the plan had waves", "r0 - - unfinished", "continue r0"),
        ("the other direction", "r1 b>a@r1 internal completed", "begin internal"),
        ("an emergency rollback of another kind", "r9 - - aborted, r1 r1 internal completed", "begin public"),
        ("a wave that the plan no longer has", "r1 r1 old unfinished", "continue r1"),
        ("done stays done after an edit", "r2 r1 old completed, r1 r1 internal completed", "begin public"),
    ] {
        assert_eq!(next(&three, runs, false), expected, "{what}");
    }
}

/// A wave that is added before finished waves runs next; finished waves stay done.
#[test]
fn edited_plan_keeps_what_is_done() {
    let done = "r2 r1 public completed, r1 r1 internal completed";
    assert_eq!(next(&["first", "internal", "public"], done, false), "begin first");
    assert_eq!(next(&["public", "internal"], done, false), "done");
    assert_eq!(next(&["internal", "public", "last"], done, false), "begin last");
}

#[test]
fn a_new_migration_begins_with_the_first_wave_unless_a_run_is_unfinished() {
    let waves = ["internal", "public"];
    assert_eq!(next(&waves, "r2 r1 public completed, r1 r1 internal completed", true), "begin internal");
    assert_eq!(next(&waves, "r2 r1 public rolled-back, r1 r1 internal completed", true), "begin internal");
    assert_eq!(next(&waves, "r2 r1 public unfinished, r1 r1 internal completed", true), "continue r2");
}

#[test]
fn a_rollback_begins_with_the_newest_run_on_the_new_cluster() {
    let plan = plan(&["internal", "public", "admin"]);
    let all = runs("r3 r1 admin unfinished, r2 r1 public rolled-back, r1 r1 internal completed, r0 r0 old completed");
    let ids: Vec<_> = to_roll_back(&all).map(|run| run.id.as_str()).collect();
    assert_eq!(ids, ["r3", "r1"]);
    let kept = runs("r2 r1 public kept, r1 r1 internal aborted");
    let ids: Vec<_> = to_roll_back(&kept).map(|run| run.id.as_str()).collect();
    assert_eq!(ids, ["r2"], "an abort to an earlier step leaves traffic on the new cluster");
    let retired = runs("r2 r1 public retired, r1 r1 internal completed, r0 - - completed");
    let ids: Vec<_> = to_roll_back(&retired).map(|run| run.id.as_str()).collect();
    assert_eq!(ids, ["r1"]);
    let migration = Migration::of(&plan, &all, false);
    let retiring = runs("r1 r1 internal retiring");
    assert_eq!(Migration::of(&plan, &retiring, false).waves[0].status, WaveStatus::Done);
    let text: Vec<_> = migration.waves.iter().map(|wave| wave.status.text()).collect();
    assert_eq!((text, migration.id), (vec!["done", "rolled back", "unfinished"], Some("r1")));
}
