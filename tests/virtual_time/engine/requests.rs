//! Operator requests from another process, and that they are carried out.

use cutover::app::exit::Exit;
use cutover::base::rate::Rate;
use cutover::domain::elb;
use cutover::domain::run::event::{Event, ResumeMode, Started};
use cutover::domain::run::state::{Phase, State};
use cutover::domain::traffic::RouteKind;
use cutover::engine::Ending;
use cutover::lab::shared_model::SharedModel;
use cutover::port::store::Request;
use jiff::{SignedDuration, Timestamp};

use super::face::Face;
use super::small::{self, SHORT};
use super::theatre::{Life, Theatre, exit, scenario, word};

fn by() -> String {
    "bob@lab".into()
}

/// Whether a request is due.
type When = fn(&State) -> bool;

/// Runs with a person who asks these things, each once its condition holds, one after the other.
async fn ask(theatre: &mut Theatre, mut script: Vec<(When, Request)>) -> Ending {
    script.reverse();
    let ending = theatre
        .run_with(&mut |state, _, _, _| match script.pop_if(|(when, _)| when(state)) {
            Some((_, request)) => vec![request],
            None => vec![],
        })
        .await;
    assert!(script.is_empty(), "{} requests were never due\n{}", script.len(), theatre.lines());
    ending
}

fn resume(mode: ResumeMode) -> Request {
    Request::Resume { by: by(), mode }
}

fn rollback() -> Request {
    Request::Rollback { by: by(), force: false }
}

/// When an event of this kind was journalled.
fn when(theatre: &Theatre, fits: fn(&Event) -> bool) -> Timestamp {
    theatre.records().iter().find(|r| fits(&r.event)).unwrap_or_else(|| panic!("never\n{}", theatre.lines())).time
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_heard_in_the_middle_of_a_batch() {
    let slow = Rate { burst: 1.0, per_second: 0.2 };
    let mut theatre = Theatre::begin_with(small::many_routes("", SHORT), &scenario("{}"), |s| s.modify = slow).await;
    let mut asked: Option<Timestamp> = None;
    let mut resumed = false;
    let ending = theatre
        .run_with(&mut |state, _, _, now| match asked {
            None if state.step == 2 && state.last_applied.is_some() => {
                asked = Some(now);
                vec![Request::Pause { by: by(), reason: "a look first".into() }]
            }
            Some(at) if !resumed && now.duration_since(at) >= SignedDuration::from_mins(3) => {
                resumed = true;
                vec![resume(ResumeMode::PLAIN)]
            }
            _ => vec![],
        })
        .await;
    assert_eq!(word(&ending), "completed");
    theatre.assert_shares(100, &[]);
    let (paused, resumed) =
        (when(&theatre, |e| matches!(e, Event::Paused { .. })), when(&theatre, |e| matches!(e, Event::Resumed { .. })));
    assert!(paused.duration_since(asked.expect("asked")) <= SignedDuration::from_secs(1), "heard within a second");
    let writes = theatre.witness.writes.lock().expect("a lock").clone();
    assert!(writes.iter().all(|(at, _, _)| *at <= paused || *at >= resumed), "nothing is written while paused");
    let half = writes.iter().filter(|(at, _, _)| *at <= paused).count();
    assert!((1..theatre.started().routes.len()).contains(&half), "{half} routes were moved before the pause");
}

#[tokio::test(start_paused = true)]
async fn promote_ends_a_pause_and_full_ends_them_all() {
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
        let mut theatre = Theatre::begin(small::many_routes("", steps), &scenario("{}")).await;
        let ending = ask(&mut theatre, script).await;
        assert_eq!(word(&ending), "completed");
        let records = theatre.records();
        let length = records.last().expect("records").time.duration_since(records[0].time);
        assert!(length < SignedDuration::from_mins(10), "{length:?}");
        theatre.assert_shares(100, &[]);
    }
}

fn baking(state: &State) -> bool {
    state.phase == Phase::Baking
}

fn frozen(state: &State) -> bool {
    state.frozen.is_some()
}

#[tokio::test(start_paused = true)]
async fn an_approval_waits_for_a_person_and_nothing_else_is_one() {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {approval: the charts}}, {setWeight: 100}]";
    let mut theatre = Theatre::begin(small::many_routes("", steps), &scenario("{}")).await;
    // Too early, it is a notice, not an approval in advance.
    let script: Vec<(When, _)> = vec![
        (|s| s.step == 1, Request::Approve { by: by() }),
        (|s| s.phase == Phase::AwaitingApproval, Request::Approve { by: by() }),
    ];
    assert_eq!(word(&ask(&mut theatre, script).await), "completed");
    let approved = theatre.records().iter().filter(|r| matches!(r.event, Event::Approved { step: 3, .. })).count();
    let refused = theatre
        .records()
        .iter()
        .filter(|r| matches!(&r.event, Event::Notice { message, .. } if message.contains("no step waits for approval")))
        .count();
    assert_eq!((approved, refused), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn abort_goes_to_the_start_or_to_a_step() {
    let steps = "[{bind: {}}, {setWeight: 20}, {pause: {duration: 1m}}, {setWeight: 50}, {pause: {duration: 1m}}, {setWeight: 100}]";
    let half: When = |s| s.phase == Phase::Baking && s.step == 5;
    let mut theatre = Theatre::begin(small::many_routes("", steps), &scenario("{}")).await;
    let ending = ask(&mut theatre, vec![(half, Request::Abort { by: by(), to_step: None })]).await;
    assert_eq!((word(&ending), exit(&ending)), ("aborted", Exit::RolledBack));
    theatre.assert_original(&[]);
    theatre.assert_attached();
    let mut theatre = Theatre::begin(small::many_routes("", steps), &scenario("{}")).await;
    let ending = ask(&mut theatre, vec![(half, Request::Abort { by: by(), to_step: Some(2) })]).await;
    assert_eq!(word(&ending), "aborted");
    theatre.assert_shares(20, &[]);
}

/// Restoring waits for no gate, so on a canary's way down an earlier step is no way back.
#[tokio::test(start_paused = true)]
async fn abort_to_a_step_with_more_traffic_is_refused_and_names_it() {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 1m}}, {setWeight: 20}, {pause: {duration: 1m}}, {setWeight: 100}]";
    let mut theatre = Theatre::begin(small::many_routes("", steps), &scenario("{}")).await;
    let fifth: When = |s| s.phase == Phase::Baking && s.step == 5;
    let ending = ask(&mut theatre, vec![(fifth, Request::Abort { by: by(), to_step: Some(2) })]).await;
    assert_eq!(word(&ending), "completed", "{}", theatre.lines());
    let said = theatre.lines();
    assert!(said.contains("step 2 gives b 50 %") && said.contains("has it at 20 % now: that is a raise"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_a_crash_left_behind_is_not_heard_again() {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 30m}}, {setWeight: 60}, {pause: {duration: 30m}}, {setWeight: 100}]";
    let mut theatre = Theatre::begin(small::many_routes("", steps), &scenario("{}")).await;
    theatre.ledger.dies_on(Some(|e| matches!(e, Event::Promoted { .. })));
    let mut asked = false;
    let life = theatre
        .live_with(&mut |state, _, _, _| {
            if state.phase != Phase::Baking || asked {
                return vec![];
            }
            asked = true;
            vec![Request::Promote { by: by(), full: false }]
        })
        .await;
    assert_eq!(life, Life::Killed);
    theatre.ledger.dies_on(None);
    assert_eq!(
        theatre.ports.store.requests(&theatre.run).await.expect("in memory").len(),
        1,
        "journalled, and not removed"
    );
    assert_eq!(word(&theatre.run().await), "completed");
    let began = when(&theatre, |e| matches!(e, Event::StepStarted { step: 5, .. }));
    let ended = when(&theatre, |e| matches!(e, Event::StepDone { step: 5 }));
    assert!(
        ended.duration_since(began) >= SignedDuration::from_mins(30),
        "the next pause is not the one that was promoted"
    );
    assert!(theatre.ports.store.requests(&theatre.run).await.expect("in memory").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_completed_run_can_be_taken_back() {
    let mut theatre = Theatre::begin(small::two_routes(), &scenario("{}")).await;
    assert_eq!(word(&theatre.run().await), "completed");
    theatre.assert_shares(100, &[]);
    theatre.ask(rollback());
    assert_eq!(word(&theatre.run().await), "aborted");
    theatre.assert_original(&[]);
    theatre.assert_attached();
    // And it is over: nothing else is heard.
    theatre.ask(resume(ResumeMode::PLAIN));
    assert_eq!(word(&theatre.run().await), "aborted");
    theatre.assert_original(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_rule_was_deleted_is_over_once_a_person_took_the_rest_back() {
    let deleted = "{faults: [{at: {share: {cluster: to, atLeast: 50}, after: 20s}, delete-rule: {}}]}";
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 3m}}, {setWeight: 100}]";
    let mut theatre =
        Theatre::begin_with(small::many_routes("", steps), &scenario(deleted), |s| s.leave_when_frozen = false).await;
    let ending = ask(&mut theatre, vec![(frozen, rollback())]).await;
    assert_eq!((word(&ending), exit(&ending)), ("aborted", Exit::Stuck), "a person is needed");
    let gone = theatre.drifted();
    assert_eq!(gone.len(), 1);
    let label = &theatre.started().routes.iter().find(|r| r.id.id() == gone[0]).expect("a route").label;
    assert!(
        matches!(&ending, Ending::Finished { left, .. } if *left == [format!("{label}: the rule was deleted")]),
        "{ending:?}"
    );
    theatre.assert_original(&[&gone[0]]);
    let runs = theatre.ports.store.find("small").await.expect("in memory");
    assert!(runs.iter().all(|r| r.finished.is_some()), "nothing is in a new run's way: {runs:?}");
}

/// A colleague's tool sets the default action of 80 back while half of the traffic is on `b`.
const FOREIGN: &str =
    "{faults: [{at: {share: {cluster: to, atLeast: 50}, after: 20s}, foreign-write: {weights: {from: 100, to: 0}}}]}";

async fn drifted() -> Theatre {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 3m}}, {setWeight: 100}, {pause: {duration: 30s}}]";
    Theatre::begin_with(small::many_routes("", steps), &scenario(FOREIGN), |s| s.leave_when_frozen = false).await
}

#[tokio::test(start_paused = true)]
async fn a_frozen_run_is_rolled_back_by_a_person_drift_and_all() {
    let mut theatre = drifted().await;
    let ending = ask(&mut theatre, vec![(frozen, rollback())]).await;
    assert_eq!(word(&ending), "aborted");
    theatre.assert_original(&[]);
}

#[tokio::test(start_paused = true)]
async fn after_a_foreign_write_a_person_decides_whose_shares_hold() {
    for (mode, share) in [(ResumeMode::KEEP_LIVE, 0.0), (ResumeMode::REASSERT, 50.0)] {
        let mut theatre = drifted().await;
        let shell = theatre.stage.model().clone();
        let id = theatre.started().routes[0].id.clone();
        let managed: Vec<_> = theatre.started().routes[0].groups.values().cloned().collect();
        let green = theatre.started().routes[0].groups["b"].clone();
        let mut seen = Vec::new();
        let mut asked = false;
        let ending = theatre
            .run_with(&mut |state, _, _, _| {
                if state.frozen.is_some() && !asked {
                    asked = true;
                    return vec![resume(ResumeMode::PLAIN), resume(mode)];
                }
                if asked && state.phase == Phase::Baking && state.step == 3 && state.frozen.is_none() {
                    let face = shell.call(|w, _| Face::of(&w.snapshot().routes[id.id()]));
                    seen.push(face.share(&green, &managed.iter().map(String::as_str).collect::<Vec<_>>()));
                }
                vec![]
            })
            .await;
        assert_eq!(word(&ending), "completed", "{mode:?}\n{}", theatre.lines());
        assert!(seen.last().is_some_and(|s| (s - share).abs() < 0.5), "{mode:?}: {seen:?}\n{}", theatre.lines());
        theatre.assert_shares(100, &[]);
    }
}

/// Someone makes a rule beside the run's first one, with all of its traffic on `a`. Returns its ARN.
pub fn make_a_rule(shell: &SharedModel, started: &Started) -> String {
    let first = started.routes.iter().find(|r| r.id.kind() == RouteKind::Rule).expect("a rule");
    let call = format!(
        "Action=CreateRule&Version=2015-12-01&ListenerArn={}&Priority=777&Conditions.member.1.Field=path-pattern\
         &Conditions.member.1.Values.member.1=/new&Actions.member.1.Type=forward&Actions.member.1.TargetGroupArn={}",
        elb::listener(&first.id),
        first.groups["a"]
    );
    let request = http::Request::post("/").body(call.into()).expect("a request");
    let answer = shell.change(|world, now| world.aws(&request, now));
    let body = String::from_utf8_lossy(answer.response.body()).into_owned();
    body.split("<RuleArn>").nth(1).and_then(|s| s.split('<').next()).unwrap_or_else(|| panic!("{body}")).to_owned()
}

/// A run in whose first bake someone makes a rule, and a person who asks for this once the run has seen it. With the
/// rule's ARN.
async fn beside_a_new_rule(mut request: Option<Request>) -> (Theatre, Ending, String) {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 5m}}, {setWeight: 100}]";
    let mut theatre = Theatre::begin(small::many_routes("", steps), &scenario("{}")).await;
    let (shell, started) = (theatre.stage.model().clone(), theatre.started().clone());
    let mut made = None;
    let ending = theatre
        .run_with(&mut |state, _, _, _| {
            if state.phase == Phase::Baking {
                made.get_or_insert_with(|| make_a_rule(&shell, &started));
            }
            if state.newcomers.is_empty() { vec![] } else { request.take().into_iter().collect() }
        })
        .await;
    (theatre, ending, made.expect("a bake"))
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_appears_is_told_of_and_left_alone() {
    let (theatre, ending, rule) = beside_a_new_rule(None).await;
    assert_eq!(word(&ending), "completed");
    theatre.assert_shares(100, &[]);
    let seen = theatre
        .records()
        .iter()
        .filter(|r| matches!(&r.event, Event::RuleCreated { route, .. } if route.id.id() == rule))
        .count();
    assert_eq!(seen, 1, "{}", theatre.lines());
    assert!(
        matches!(&ending, Ending::Finished { remarks, .. } if remarks.iter().any(|r| r.contains("777"))),
        "{ending:?}"
    );
    let a = &theatre.started().routes[0].groups["a"];
    assert!(theatre.world().routes[&rule][0].to_string().contains(a.as_str()), "untouched");
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_appears_is_taken_along_and_back_when_a_person_says_so() {
    let (mut theatre, ending, rule) = beside_a_new_rule(Some(resume(ResumeMode::INCLUDE_NEW))).await;
    assert_eq!(word(&ending), "completed", "{}", theatre.lines());
    let groups = theatre.started().routes[0].groups.clone();
    let share = |theatre: &Theatre| {
        let face = Face::of(&theatre.world().routes[&rule]);
        face.share(&groups["b"], &groups.values().map(String::as_str).collect::<Vec<_>>())
    };
    assert!((share(&theatre) - 100.0).abs() < 1e-9);
    let half = theatre.records().iter().any(|r| {
        matches!(&r.event, Event::Intended { writes, .. }
            if writes.iter().any(|w| w.route.id() == rule && w.set.weight(&groups["a"]) == w.set.weight(&groups["b"])))
    });
    assert!(half, "it followed the others to where they were first");
    let scripts = theatre.ledger.scripts.lock().expect("a lock").clone();
    let [(_, first), (at, second)] = &scripts[..] else { panic!("{} scripts", scripts.len()) };
    let joined = theatre.records().iter().position(|r| matches!(&r.event, Event::Resumed { .. })).expect("it joined");
    assert!(
        !first.contains(&rule) && second.contains(&rule) && *at == joined + 1,
        "the journal first, and then the script: {at} {second}"
    );
    theatre.ask(rollback());
    assert_eq!(word(&theatre.run().await), "aborted");
    assert!(share(&theatre).abs() < 1e-9, "and back with them");
}
