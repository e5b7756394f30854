//! Rollbacks of routes whose clients have cookies: what they write, and how they end.

use cutover::app::exit::Exit;
use cutover::domain::run::event::Event;
use cutover::engine::Ending;
use cutover::plan::model::Plan;
use cutover::port::store::Request;

use super::route_actions::RouteActions;
use super::small;
use super::test_run::{ProcessEnd, TestRun, ending_name, exit, scenario};

const STICKY: &str = "{loadBalancers: [{stickiness: {duration: 10m}}]}";
const STEPS: &str = "[{bind: {}}, {setWeight: 20}, {pause: {duration: 1m}}, {setWeight: 100}]";

/// A plan whose rollback breaks or keeps stickiness.
fn plan(stickiness: &str) -> Plan {
    small::many_routes(&format!("rollback: {{stickiness: {stickiness}}}"), STEPS)
}

fn rollback(break_stickiness: Option<bool>) -> Request {
    Request::Rollback { by: "bob@lab".into(), force: false, break_stickiness }
}

async fn ended(test_run: &mut TestRun, request: &Request) -> Ending {
    match test_run.run_process_with_request(request).await {
        ProcessEnd::Ended(ending) => ending,
        other => panic!("{other:?}"),
    }
}

/// Returns whether the new groups are attached to every route (`Some(true)`) or to none (`Some(false)`).
fn attached(test_run: &TestRun) -> Option<bool> {
    let world = test_run.snapshot();
    let routes = test_run.started().routes.iter();
    let one =
        routes.map(|route| RouteActions::of(&world.routes[route.id.id()]).weights.contains_key(&route.groups["b"]));
    let all: Vec<bool> = one.collect();
    all.windows(2).all(|pair| pair[0] == pair[1]).then(|| all[0])
}

fn remarks(ending: &Ending) -> String {
    let Ending::Finished { remarks, .. } = ending else { panic!("{ending:?}") };
    remarks.join("; ")
}

/// Regression test: after a rollback with `stickiness: keep`, no command moved the clients with a cookie.
#[tokio::test(start_paused = true)]
async fn a_later_rollback_moves_the_clients_that_the_plan_kept() {
    let mut test_run = TestRun::begin(plan("keep"), &scenario(STICKY)).await;
    assert_eq!(ending_name(&test_run.run().await), "completed");
    let kept = ended(&mut test_run, &rollback(None)).await;
    assert_eq!((ending_name(&kept), exit(&kept)), ("aborted", Exit::Stuck));
    let command = format!("cutover rollback {} --stickiness break", test_run.run);
    assert!(remarks(&kept).ends_with(&command), "{}", remarks(&kept));
    assert_eq!(attached(&test_run), Some(true));
    let broken = ended(&mut test_run, &rollback(Some(true))).await;
    assert_eq!((ending_name(&broken), exit(&broken), remarks(&broken)), ("aborted", Exit::RolledBack, String::new()));
    assert_eq!(attached(&test_run), Some(false));
    test_run.assert_original(&[]);
    assert!(test_run.output().contains("the rollback broke the stickiness of "), "{}", test_run.output());
}

/// Regression test: `abort` and `rollback` left the clients with a cookie on the new cluster, whatever the plan said.
#[tokio::test(start_paused = true)]
async fn an_operators_rollback_does_what_the_plan_says() {
    let abort = Request::Abort { by: "bob@lab".into(), to_step: None };
    let (breaks, keeps) = ((Exit::RolledBack, Some(false)), (Exit::Stuck, Some(true)));
    let cases = [
        ("break", rollback(None), breaks),
        ("break", rollback(Some(false)), keeps),
        ("keep", rollback(None), keeps),
        ("keep", rollback(Some(true)), breaks),
        ("break", abort.clone(), breaks),
        ("keep", abort, keeps),
    ];
    for (stickiness, request, expected) in cases {
        let mut test_run = TestRun::begin(plan(stickiness), &scenario(STICKY)).await;
        let paused = |state: &cutover::domain::run::state::State| state.step == 3;
        let mut sent = false;
        let end = test_run
            .run_process_with(&mut |state, _, _, _| {
                let now = paused(state) && !std::mem::replace(&mut sent, paused(state));
                if now { vec![request.clone()] } else { vec![] }
            })
            .await;
        let ProcessEnd::Ended(ending) = end else { panic!("{end:?}") };
        assert_eq!((exit(&ending), attached(&test_run)), expected, "{stickiness}: {request:?}");
        test_run.assert_original(&[]);
    }
}

/// A run without group stickiness has nothing to break, and its journal does not mention it.
#[tokio::test(start_paused = true)]
async fn a_rollback_without_sticky_clients_keeps_the_new_groups_attached() {
    let mut test_run = TestRun::begin(plan("break"), &scenario("{}")).await;
    assert_eq!(ending_name(&test_run.run().await), "completed");
    let ending = ended(&mut test_run, &rollback(Some(true))).await;
    assert_eq!((exit(&ending), attached(&test_run)), (Exit::RolledBack, Some(true)));
    let breaks = |event: &Event| matches!(event, Event::RollbackStarted { break_stickiness: true, .. });
    assert!(!test_run.records().iter().any(|record| breaks(&record.event)));
}
