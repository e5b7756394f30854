//! Requests of an operator from another process, and their effects.

use cutover::app::exit::Exit;
use cutover::base::rate::Rate;
use cutover::domain::elb;
use cutover::domain::emergency::MARKER_KEY;
use cutover::domain::run::event::{Event, FreezeReason, RequestKind, ResumeMode, Started};
use cutover::domain::run::state::{Phase, State};
use cutover::domain::traffic::RouteKind;
use cutover::engine::Ending;
use cutover::lab::shared_model::SharedModel;
use cutover::port::store::Request;
use jiff::{SignedDuration, Timestamp};

use super::route_actions::RouteActions;
use super::small::{self, SHORT};
use super::test_run::{ProcessEnd, TestRun, ending_name, exit, scenario};

fn by() -> String {
    "bob@lab".into()
}

/// The condition under which a request is sent.
type When = fn(&State) -> bool;

/// Runs with an operator who sends these requests one after the other, each once its condition holds.
async fn run_script(test_run: &mut TestRun, mut script: Vec<(When, Request)>) -> Ending {
    script.reverse();
    let ending = test_run
        .run_with(&mut |state, _, _, _| match script.pop_if(|(when, _)| when(state)) {
            Some((_, request)) => vec![request],
            None => vec![],
        })
        .await;
    assert!(script.is_empty(), "{} requests were never due\n{}", script.len(), test_run.output());
    ending
}

fn resume(mode: ResumeMode) -> Request {
    Request::Resume { by: by(), mode, ignore_hours: None }
}

fn rollback() -> Request {
    Request::Rollback { by: by(), force: false, break_stickiness: None }
}

/// Returns when the first matching event was journalled.
fn time_of(test_run: &TestRun, fits: fn(&Event) -> bool) -> Timestamp {
    test_run
        .records()
        .iter()
        .find(|r| fits(&r.event))
        .unwrap_or_else(|| panic!("the event was never journalled\n{}", test_run.output()))
        .time
}

#[tokio::test(start_paused = true)]
async fn a_pause_takes_effect_in_the_middle_of_a_batch() {
    let slow = Rate { burst: 1.0, per_second: 0.2 };
    let mut test_run = TestRun::begin_with(small::many_routes("", SHORT), &scenario("{}"), |s| s.modify = slow).await;
    let mut requested: Option<Timestamp> = None;
    let mut resumed = false;
    let ending = test_run
        .run_with(&mut |state, _, _, now| match requested {
            None if state.step == 2 && state.last_applied().is_some() => {
                requested = Some(now);
                vec![Request::Pause { by: by(), reason: "a look first".into() }]
            }
            Some(at) if !resumed && now.duration_since(at) >= SignedDuration::from_mins(3) => {
                resumed = true;
                vec![resume(ResumeMode::PLAIN)]
            }
            _ => vec![],
        })
        .await;
    assert_eq!(ending_name(&ending), "completed");
    test_run.assert_shares(100, &[]);
    let (paused, resumed) = (
        time_of(&test_run, |e| matches!(e, Event::Paused { .. })),
        time_of(&test_run, |e| matches!(e, Event::Resumed { .. })),
    );
    assert!(
        paused.duration_since(requested.expect("a pause should be requested")) <= SignedDuration::from_secs(1),
        "a pause must take effect within a second"
    );
    let writes = test_run.write_checker.writes.lock().expect("no thread should have panicked").clone();
    assert!(
        writes.iter().all(|(at, _, _)| *at <= paused || *at >= resumed),
        "nothing may be written while the run is paused"
    );
    let half = writes.iter().filter(|(at, _, _)| *at <= paused).count();
    assert!(
        (1..test_run.started().routes.len()).contains(&half),
        "some routes, but not all, must be moved before the pause; moved: {half}"
    );
}

#[tokio::test(start_paused = true)]
async fn promote_ends_one_pause_and_promote_full_ends_all_pauses() {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 5h}}, {pause: {}}, {setWeight: 100}, {pause: {duration: 5h}}]";
    let promote = |full| Request::Promote { by: by(), full };
    for script in [
        vec![
            (baking as When, promote(false)),
            (|s: &State| s.phase == Phase::AwaitingApproval, promote(false)),
            (|s: &State| s.phase == Phase::Baking && s.step == 6, promote(false)),
        ],
        vec![(baking as When, promote(true))],
    ] {
        let mut test_run = TestRun::begin(small::many_routes("", steps), &scenario("{}")).await;
        let ending = run_script(&mut test_run, script).await;
        assert_eq!(ending_name(&ending), "completed");
        let records = test_run.records();
        let length = records.last().expect("the journal should have records").time.duration_since(records[0].time);
        assert!(length < SignedDuration::from_mins(10), "{length:?}");
        test_run.assert_shares(100, &[]);
    }
}

fn baking(state: &State) -> bool {
    state.phase == Phase::Baking
}

fn frozen(state: &State) -> bool {
    state.frozen.is_some()
}

#[tokio::test(start_paused = true)]
async fn an_approval_step_waits_for_an_approval() {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {approval: the charts}}, {setWeight: 100}]";
    let mut test_run = TestRun::begin(small::many_routes("", steps), &scenario("{}")).await;
    // An approval that comes too early causes a notice and does not count.
    let script: Vec<(When, _)> = vec![
        (|s| s.step == 1, Request::Approve { by: by() }),
        (|s| s.phase == Phase::AwaitingApproval, Request::Approve { by: by() }),
    ];
    assert_eq!(ending_name(&run_script(&mut test_run, script).await), "completed");
    let approved = test_run.records().iter().filter(|r| matches!(r.event, Event::Approved { step: 3, .. })).count();
    let refused = test_run
        .records()
        .iter()
        .filter(|r| matches!(&r.event, Event::Notice { message, .. } if message.contains("no step waits for approval")))
        .count();
    assert_eq!((approved, refused), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn abort_restores_the_original_shares_or_those_of_a_step() {
    let steps = "[{bind: {}}, {setWeight: 20}, {pause: {duration: 1m}}, {setWeight: 50}, {pause: {duration: 1m}}, {setWeight: 100}]";
    let half: When = |s| s.phase == Phase::Baking && s.step == 5;
    let mut test_run = TestRun::begin(small::many_routes("", steps), &scenario("{}")).await;
    let ending = run_script(&mut test_run, vec![(half, Request::Abort { by: by(), to_step: None })]).await;
    assert_eq!((ending_name(&ending), exit(&ending)), ("aborted", Exit::RolledBack));
    test_run.assert_original(&[]);
    test_run.assert_attached();
    let mut test_run = TestRun::begin(small::many_routes("", steps), &scenario("{}")).await;
    let ending = run_script(&mut test_run, vec![(half, Request::Abort { by: by(), to_step: Some(2) })]).await;
    assert_eq!(ending_name(&ending), "aborted");
    test_run.assert_shares(20, &[]);
}

/// A rollback waits for no gate, so `abort --to-step` to a step with a higher share must be refused.
#[tokio::test(start_paused = true)]
async fn abort_to_a_step_with_more_traffic_is_refused() {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 1m}}, {setWeight: 20}, {pause: {duration: 1m}}, {setWeight: 100}]";
    let mut test_run = TestRun::begin(small::many_routes("", steps), &scenario("{}")).await;
    let fifth: When = |s| s.phase == Phase::Baking && s.step == 5;
    let ending = run_script(&mut test_run, vec![(fifth, Request::Abort { by: by(), to_step: Some(2) })]).await;
    assert_eq!(ending_name(&ending), "completed", "{}", test_run.output());
    let text = test_run.output();
    assert!(
        text.contains("step 2 gives b 50 %") && text.contains("but b has 20 % on ") && text.contains("that is a raise"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_a_crash_left_behind_is_not_carried_out_again() {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 30m}}, {setWeight: 60}, {pause: {duration: 30m}}, {setWeight: 100}]";
    let mut test_run = TestRun::begin(small::many_routes("", steps), &scenario("{}")).await;
    test_run.test_store.dies_on(Some(|e| matches!(e, Event::Promoted { .. })));
    let mut requested = false;
    let life = test_run
        .run_process_with(&mut |state, _, _, _| {
            if state.phase != Phase::Baking || requested {
                return vec![];
            }
            requested = true;
            vec![Request::Promote { by: by(), full: false }]
        })
        .await;
    assert_eq!(life, ProcessEnd::Killed);
    test_run.test_store.dies_on(None);
    assert_eq!(
        test_run.ports.store.requests(&test_run.run).await.expect("the requests should be readable").len(),
        1,
        "the request must be journalled and not yet removed"
    );
    assert_eq!(ending_name(&test_run.run().await), "completed");
    let began = time_of(&test_run, |e| matches!(e, Event::StepStarted { step: 5, .. }));
    let ended = time_of(&test_run, |e| matches!(e, Event::StepDone { step: 5 }));
    assert!(
        ended.duration_since(began) >= SignedDuration::from_mins(30),
        "the promotion must not end the next pause too"
    );
    assert!(test_run.ports.store.requests(&test_run.run).await.expect("the requests should be readable").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_completed_run_can_be_rolled_back() {
    let mut test_run = TestRun::begin(small::two_routes(), &scenario("{}")).await;
    assert_eq!(ending_name(&test_run.run().await), "completed");
    test_run.assert_shares(100, &[]);
    test_run.send_request(rollback());
    assert_eq!(ending_name(&test_run.run().await), "aborted");
    test_run.assert_original(&[]);
    test_run.assert_attached();
    // The run is over: a further request changes nothing.
    test_run.send_request(resume(ResumeMode::PLAIN));
    assert_eq!(ending_name(&test_run.run().await), "aborted");
    test_run.assert_original(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_with_a_deleted_rule_ends_the_run() {
    let deleted = "{faults: [{at: {share: {cluster: to, atLeast: 50}, after: 20s}, delete-rule: {}}]}";
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 3m}}, {setWeight: 100}]";
    let mut test_run =
        TestRun::begin_with(small::many_routes("", steps), &scenario(deleted), |s| s.exit_when_frozen = false).await;
    let ending = run_script(&mut test_run, vec![(frozen, rollback())]).await;
    assert_eq!(
        (ending_name(&ending), exit(&ending)),
        ("aborted", Exit::Stuck),
        "a deleted rule must end the rollback with exit code Stuck"
    );
    let gone = test_run.drifted_routes();
    assert_eq!(gone.len(), 1);
    let label = &test_run
        .started()
        .routes
        .iter()
        .find(|r| r.id.id() == gone[0])
        .expect("the deleted rule should belong to the run")
        .label;
    assert!(
        matches!(&ending, Ending::Finished { left, .. } if matches!(&left[..], [one] if one.starts_with(&format!("{label}: the rule was deleted")))),
        "{ending:?}"
    );
    test_run.assert_original(&[&gone[0]]);
    let runs = test_run.ports.store.find("small").await.expect("the runs should be readable");
    assert!(
        runs.iter().all(|r| r.finished.is_some()),
        "every run must be finished, so that a new run can start: {runs:?}"
    );
}

/// Scenario: someone sets the default action of port 80 back while half of the traffic is on `b`.
const FOREIGN_WRITE_SPEC: &str =
    "{faults: [{at: {share: {cluster: to, atLeast: 50}, after: 20s}, foreign-write: {weights: {from: 100, to: 0}}}]}";

async fn drifted_run() -> TestRun {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 3m}}, {setWeight: 100}, {pause: {duration: 30s}}]";
    TestRun::begin_with(small::many_routes("", steps), &scenario(FOREIGN_WRITE_SPEC), |s| s.exit_when_frozen = false)
        .await
}

#[tokio::test(start_paused = true)]
async fn an_operator_rolls_back_a_frozen_run_with_its_drifted_routes() {
    let mut test_run = drifted_run().await;
    let ending = run_script(&mut test_run, vec![(frozen, rollback())]).await;
    assert_eq!(ending_name(&ending), "aborted");
    test_run.assert_original(&[]);
}

/// Regression test: `resume` did not put the marker that another command had removed, so that the run froze again after
/// every `resume`, until its process ended.
#[tokio::test(start_paused = true)]
async fn a_resumed_run_puts_its_marker_again() {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 3m}}, {setWeight: 100}]";
    let plan = small::many_routes("", steps);
    let mut test_run = TestRun::begin_with(plan, &scenario("{}"), |s| s.exit_when_frozen = false).await;
    let shell = test_run.lab.model().clone();
    let load_balancer = test_run.started().load_balancers[0].clone();
    let (mut removed, mut resumed) = (false, 0);
    let ending = test_run
        .run_with(&mut |state, _, _, _| {
            if state.phase == Phase::Baking && !removed {
                removed = true;
                remove_tag(&shell, &load_balancer, MARKER_KEY);
            }
            if state.frozen.is_some() && resumed == 0 {
                resumed += 1;
                assert_eq!(state.frozen.as_ref().map(|frozen| frozen.reason), Some(FreezeReason::LockLost));
                return vec![resume(ResumeMode::PLAIN)];
            }
            vec![]
        })
        .await;
    assert_eq!((ending_name(&ending), resumed), ("completed", 1), "{}", test_run.output());
    let frozen = test_run.records().iter().filter(|r| matches!(r.event, Event::Frozen { .. })).count();
    assert_eq!(frozen, 1, "{}", test_run.output());
    test_run.assert_shares(100, &[]);
}

/// Removes a tag, as another command does.
fn remove_tag(shell: &SharedModel, arn: &str, key: &str) {
    let call = format!(
        "Action=RemoveTags&Version=2015-12-01&ResourceArns.member.1={}&TagKeys.member.1={}",
        arn.replace('/', "%2F"),
        key.replace('/', "%2F")
    );
    let request = http::Request::post("/").body(call.into()).expect("the request should be valid");
    let answer = shell.change(|world, now| world.aws(&request, now));
    assert_eq!(answer.response.status(), 200, "{}", String::from_utf8_lossy(answer.response.body()));
}

#[tokio::test(start_paused = true)]
async fn after_a_foreign_write_the_operator_decides_which_shares_apply() {
    for (mode, share) in [(ResumeMode::KEEP_LIVE, 0.0), (ResumeMode::REASSERT, 50.0)] {
        let mut test_run = drifted_run().await;
        let shell = test_run.lab.model().clone();
        let id = test_run.started().routes[0].id.clone();
        let managed: Vec<_> = test_run.started().routes[0].groups.values().cloned().collect();
        let green = test_run.started().routes[0].groups["b"].clone();
        let mut seen = Vec::new();
        let mut requested = false;
        let ending = test_run
            .run_with(&mut |state, _, _, _| {
                if state.frozen.is_some() && !requested {
                    requested = true;
                    return vec![resume(ResumeMode::PLAIN), resume(mode)];
                }
                if requested && state.phase == Phase::Baking && state.step == 3 && state.frozen.is_none() {
                    let actions = shell.call(|w, _| RouteActions::of(&w.snapshot().routes[id.id()]));
                    seen.push(actions.share(&green, &managed.iter().map(String::as_str).collect::<Vec<_>>()));
                }
                vec![]
            })
            .await;
        assert_eq!(ending_name(&ending), "completed", "{mode:?}\n{}", test_run.output());
        assert!(seen.last().is_some_and(|s| (s - share).abs() < 0.5), "{mode:?}: {seen:?}\n{}", test_run.output());
        test_run.assert_shares(100, &[]);
    }
}

/// Creates a rule next to the run's first rule, with all of its traffic on `a`. Returns the ARN of the new rule.
pub fn make_a_rule(shell: &SharedModel, started: &Started) -> String {
    let first = started.routes.iter().find(|r| r.id.kind() == RouteKind::Rule).expect("the run should have a rule");
    let call = format!(
        "Action=CreateRule&Version=2015-12-01&ListenerArn={}&Priority=777&Conditions.member.1.Field=path-pattern\
         &Conditions.member.1.Values.member.1=/new&Actions.member.1.Type=forward&Actions.member.1.TargetGroupArn={}",
        elb::listener(&first.id),
        first.groups["a"]
    );
    let request = http::Request::post("/").body(call.into()).expect("the request should be valid");
    let answer = shell.change(|world, now| world.aws(&request, now));
    let body = String::from_utf8_lossy(answer.response.body()).into_owned();
    body.split("<RuleArn>").nth(1).and_then(|s| s.split('<').next()).unwrap_or_else(|| panic!("{body}")).to_owned()
}

/// Runs a plan in whose first bake someone creates a rule, and an operator sends this request once the run has seen the
/// rule. Also returns the rule's ARN.
async fn run_with_a_new_rule(mut request: Option<Request>) -> (TestRun, Ending, String) {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 5m}}, {setWeight: 100}]";
    let mut test_run = TestRun::begin(small::many_routes("", steps), &scenario("{}")).await;
    let (shell, started) = (test_run.lab.model().clone(), test_run.started().clone());
    let mut made = None;
    let ending = test_run
        .run_with(&mut |state, _, _, _| {
            if state.phase == Phase::Baking {
                made.get_or_insert_with(|| make_a_rule(&shell, &started));
            }
            if state.newcomers.is_empty() { vec![] } else { request.take().into_iter().collect() }
        })
        .await;
    (test_run, ending, made.expect("the run should bake"))
}

#[tokio::test(start_paused = true)]
async fn a_rule_created_during_a_run_is_reported_and_not_changed() {
    let (test_run, ending, rule) = run_with_a_new_rule(None).await;
    assert_eq!(ending_name(&ending), "completed");
    test_run.assert_shares(100, &[]);
    let seen = test_run
        .records()
        .iter()
        .filter(|r| matches!(&r.event, Event::RuleCreated { route, .. } if route.id.id() == rule))
        .count();
    assert_eq!(seen, 1, "{}", test_run.output());
    assert!(
        matches!(&ending, Ending::Finished { remarks, .. } if remarks.iter().any(|r| r.contains("777"))),
        "{ending:?}"
    );
    let a = &test_run.started().routes[0].groups["a"];
    assert!(
        test_run.snapshot().routes[&rule][0].to_string().contains(a.as_str()),
        "the created rule must not be changed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rule_created_during_a_run_can_be_included_and_rolled_back() {
    let (mut test_run, ending, rule) = run_with_a_new_rule(Some(resume(ResumeMode::INCLUDE_NEW))).await;
    assert_eq!(ending_name(&ending), "completed", "{}", test_run.output());
    let groups = test_run.started().routes[0].groups.clone();
    let share = |test_run: &TestRun| {
        let actions = RouteActions::of(&test_run.snapshot().routes[&rule]);
        actions.share(&groups["b"], &groups.values().map(String::as_str).collect::<Vec<_>>())
    };
    assert!((share(&test_run) - 100.0).abs() < 1e-9);
    let half = test_run.records().iter().any(|r| {
        matches!(&r.event, Event::Intended { writes, .. }
            if writes.iter().any(|w| w.route.id() == rule && w.set.weight(&groups["a"]) == w.set.weight(&groups["b"])))
    });
    assert!(half, "the created rule must first get the shares of the other routes");
    let scripts = test_run.test_store.scripts.lock().expect("no thread should have panicked").clone();
    let [(_, first), (at, second)] = &scripts[..] else { panic!("expected 2 scripts, got {}", scripts.len()) };
    let joined = test_run
        .records()
        .iter()
        .position(|r| matches!(&r.event, Event::Resumed { .. }))
        .expect("the run should be resumed");
    assert!(
        !first.contains(&rule) && second.contains(&rule) && *at == joined + 1,
        "the script must be written right after the record, at {joined}: {at} {second}"
    );
    test_run.send_request(rollback());
    assert_eq!(ending_name(&test_run.run().await), "aborted");
    assert!(share(&test_run).abs() < 1e-9, "the rollback must also restore the created rule");
}

/// Both clusters are dead. A rollback without `--force` would restore nothing and end the process that guards the
/// traffic: it is refused, and the run stays as it is. With `--force`, the same process rolls back.
#[tokio::test(start_paused = true)]
async fn a_rollback_without_a_way_back_is_refused_and_the_guard_goes_on() {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 30m}}, {setWeight: 100}]";
    let dead = "{faults: [{at: {share: {cluster: to, atLeast: 50}, after: 1m}, kill: {cluster: from}}, \
                {at: {share: {cluster: to, atLeast: 50}, after: 3m}, kill: {cluster: to}}]}";
    let mut test_run =
        TestRun::begin_with(small::many_routes("", steps), &scenario(dead), |s| s.exit_when_frozen = false).await;
    let is_stuck: When = |state| state.frozen.as_ref().is_some_and(|f| f.reason == FreezeReason::NoWayBack);
    let (mut asked, mut forced): (Option<Timestamp>, bool) = (None, false);
    let ending = test_run
        .run_with(&mut |state, _, _, now| match asked {
            None if is_stuck(state) => {
                asked = Some(now);
                vec![rollback()]
            }
            Some(at) if !forced && now.duration_since(at) >= SignedDuration::from_mins(5) => {
                forced = true;
                assert!(is_stuck(state) && state.phase != Phase::RollingBack, "the run stays as it is");
                vec![Request::Rollback { by: by(), force: true, break_stickiness: None }]
            }
            _ => vec![],
        })
        .await;
    assert_eq!(ending_name(&ending), "aborted", "{}", test_run.output());
    let records = test_run.records();
    let refusals: Vec<_> = records
        .iter()
        .filter_map(|r| match &r.event {
            Event::Notice { message, refused: Some(RequestKind::Rollback), request: Some(_) } => Some(message.clone()),
            _ => None,
        })
        .collect();
    let run = &records[0].run;
    assert_eq!(
        refusals,
        [format!(
            "no route was restored: the old cluster has no healthy target; to restore anyway: cutover rollback {run} \
             --force; the run is guarded as before"
        )]
    );
    assert_eq!(records.iter().filter(|r| matches!(r.event, Event::ProcessStarted { .. })).count(), 1);
}

/// No process drives the run: the command itself says in one sentence that nothing was restored.
#[tokio::test(start_paused = true)]
async fn a_command_that_restores_nothing_says_why_once() {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 30m}}, {setWeight: 100}]";
    let dead = "{faults: [{at: {share: {cluster: to, atLeast: 50}, after: 1m}, kill: {cluster: from}}, \
                {at: {share: {cluster: to, atLeast: 50}, after: 3m}, kill: {cluster: to}}]}";
    let mut test_run = TestRun::begin(small::many_routes("", steps), &scenario(dead)).await;
    assert_eq!(exit(&test_run.run().await), Exit::Stuck);
    let ProcessEnd::Ended(ending) = test_run.run_process_with_request(&rollback()).await else { panic!("no crash") };
    let Ending::Stopped(_, message) = &ending else { panic!("{ending:?}") };
    assert_eq!(exit(&ending), Exit::Stuck);
    let run = test_run.records()[0].run.clone();
    assert_eq!(
        *message,
        format!(
            "no route was restored: the old cluster has no healthy target; to restore anyway: cutover rollback {run} \
             --force"
        )
    );
}
