//! A lane: a load balancer with its plan, on which cases run one after another, each from the same initial state.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use cutover::adapter::aws;
use cutover::adapter::aws::elb::Alb;
use cutover::adapter::store::fs::LocalStore;
use cutover::domain::run::event::RunOutcome;
use cutover::domain::traffic::{RouteContent, RouteId, RouteKind};
use cutover::engine::marker;
use cutover::plan::model::Selector;
use cutover::port::store::Store;
use cutover::port::{Detail, Inventory, TagStore, Traffic};
use http_body_util::{Empty, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::crash::connection::{Connection, Moment, RouteWrite, name};
use crate::crash::lab::{self, Lab};

/// How a case ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The run is resumed and completes.
    Resume,
    /// The run is rolled back.
    Rollback,
}

/// The state of a run after its process was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KilledState {
    /// The run ended before the request at which it was to be killed.
    NotKilled,
    /// The process was killed before the run existed.
    Nothing,
    /// The process was killed during the run.
    Unfinished,
    /// The process was killed after the last record of the run.
    Finished,
}

/// One case: the request at which the program is killed, and how the run ends.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub kill_at: Option<(usize, Moment)>,
    pub ending: Ending,
}

pub struct Lane {
    number: usize,
    /// The folder with the plan, the kubeconfig and the runs of this lane.
    pub folder: PathBuf,
    /// The environment variables of the program.
    pub environment: Vec<(String, String)>,
    /// The proxy between the program and the lab.
    pub wire: Arc<Connection>,
    /// The lab's own endpoint, without the proxy.
    aws: String,
    balancer: Alb,
    binding: String,
    load_balancer: String,
    /// The original content of each route.
    original: BTreeMap<RouteId, RouteContent>,
}

/// The result of a process; `code` is `None` if the process was killed.
pub struct ProcessOutput {
    pub code: Option<i32>,
    pub out: String,
    pub text: String,
}

impl Lane {
    pub async fn open(lab: &Lab, number: usize) -> Self {
        let folder = lab.folder().join(format!("lane{number}"));
        std::fs::create_dir(&folder).expect("the folder should be created");
        std::fs::write(folder.join("plan.yaml"), lab::plan(number)).expect("the plan should be written");
        let wire = Arc::<Connection>::default();
        let (a, b) = (wire.start_proxy(&lab.cluster("a")).await, wire.start_proxy(&lab.cluster("b")).await);
        let kubeconfig =
            std::fs::read_to_string(lab.variable("KUBECONFIG")).expect("the kubeconfig should be readable");
        let kubeconfig = kubeconfig.replace(&lab.cluster("a"), &a).replace(&lab.cluster("b"), &b);
        std::fs::write(folder.join("kubeconfig"), kubeconfig).expect("the kubeconfig should be written");
        let environment = [
            ("AWS_ENDPOINT_URL", wire.start_proxy(lab.variable("AWS_ENDPOINT_URL")).await),
            ("AWS_ACCESS_KEY_ID", "lab".into()),
            ("AWS_SECRET_ACCESS_KEY", "lab".into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("KUBECONFIG", folder.join("kubeconfig").display().to_string()),
            ("HOME", folder.display().to_string()),
            ("USER", "alice".into()),
        ];
        let settings = aws::Settings {
            region: Some("eu-central-1".into()),
            endpoint_url: Some(lab.variable("AWS_ENDPOINT_URL").to_owned()),
            credentials: Some(Credentials::new("lab", "lab", None, None, "test")),
            ..aws::Settings::default()
        };
        let balancer = Alb::new(&aws::config(&settings).await);
        let found = balancer
            .load_balancers(&Selector::Name(format!("shop{number}")), Detail::Listed)
            .await
            .expect("the load balancer should exist");
        let binding = format!("apis/elbv2.k8s.aws/v1beta1/namespaces/shop/targetgroupbindings/shop{number}-b");
        let mut lane = Self {
            number,
            folder,
            environment: environment.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            wire,
            aws: lab.variable("AWS_ENDPOINT_URL").to_owned(),
            balancer,
            binding: format!("{}/{binding}", lab.cluster("b")),
            load_balancer: found[0].arn.clone(),
            original: BTreeMap::new(),
        };
        lane.original = lane.live().await;
        lane
    }

    /// Returns the present content of the two routes.
    async fn live(&self) -> BTreeMap<RouteId, RouteContent> {
        let listeners = self
            .balancer
            .listeners(&self.load_balancer, Detail::Listed)
            .await
            .expect("the listeners should be readable");
        let routes = listeners.into_iter().flat_map(|(_, routes)| routes);
        routes.filter(|r| matches!(r.priority, None | Some(11))).map(|r| (r.id, r.content)).collect()
    }

    /// Adds an OIDC action to the second route, and makes every response that describes it contain the client secret,
    /// unlike AWS.
    pub async fn authenticate(&mut self, secret: &str) {
        let (route, content) =
            self.original.iter().find(|(id, _)| id.kind() == RouteKind::Rule).expect("a rule should exist");
        let oidc = "Actions.member.1.AuthenticateOidcConfig";
        let mut form = format!(
            "Action=ModifyRule&Version=2015-12-01&RuleArn={route}&Actions.member.1.Type=authenticate-oidc&Actions.member.1.Order=1\
             &{oidc}.Issuer=https://id.example&{oidc}.AuthorizationEndpoint=https://id.example/a&{oidc}.TokenEndpoint=https://id.example/t\
             &{oidc}.UserInfoEndpoint=https://id.example/u&{oidc}.ClientId=shop&{oidc}.ClientSecret={secret}\
             &Actions.member.2.Type=forward&Actions.member.2.Order=2"
        );
        for (i, group) in content.split.members.iter().enumerate() {
            let at = format!("Actions.member.2.ForwardConfig.TargetGroups.member.{}", i + 1);
            let (arn, weight) = (&group.id, group.weight.unwrap_or(1));
            write!(form, "&{at}.TargetGroupArn={arn}&{at}.Weight={weight}")
                .expect("writing to a string should succeed");
        }
        let request = Request::post(&self.aws)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::<Bytes>::from(form));
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer =
            client.request(request.expect("the request should be valid")).await.expect("the response should arrive");
        assert_eq!(answer.status(), StatusCode::OK);
        self.original = self.live().await;
        self.wire.replace_in_answers(
            "<ClientId>shop</ClientId>",
            &format!("<ClientId>shop</ClientId><ClientSecret>{secret}</ClientSecret>"),
        );
    }

    /// Prepares a new case: restores the original routes, and removes the binding in the new cluster.
    pub async fn reset(&mut self) {
        for (route, content) in &self.original {
            self.balancer.set(route, content, Duration::from_mins(10)).await.expect("the route should be reset");
        }
        let delete = Request::delete(&self.binding).body(Empty::<Bytes>::new()).expect("the request should be valid");
        let answer = Client::builder(TokioExecutor::new())
            .build_http()
            .request(delete)
            .await
            .expect("the response should arrive");
        assert!(matches!(answer.status(), StatusCode::OK | StatusCode::NOT_FOUND), "{}", answer.status());
        self.wire.written();
    }

    /// Returns the folder of all runs of this lane.
    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Returns the journal of the newest run.
    pub async fn journal(&self) -> Vec<u8> {
        let runs = self.store().runs().await.expect("the runs should be readable");
        std::fs::read(self.state().join("runs").join(&runs[0].id).join("journal.jsonl"))
            .expect("the journal should be readable")
    }

    /// Returns the requests of the last program.
    pub fn requests(&self) -> Vec<String> {
        self.wire.requests()
    }

    fn store(&self) -> LocalStore {
        LocalStore::open(Some(self.state())).expect("the store should be created")
    }

    /// Runs the program until it ends or is killed at the given request.
    pub async fn cutover(&self, words: &str, kill_at: Option<(usize, Moment)>) -> (ProcessOutput, Option<String>) {
        let mut command = Command::new(lab::program());
        command.env_clear().envs(self.environment.iter().cloned()).env("CUTOVER_STATE_DIR", self.state());
        command.args(words.split_whitespace()).current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::piped());
        // Starting a process and waiting for its end block the thread, and the proxies of all lanes need the threads of
        // the runtime: the program would wait for a response until its time-out.
        let started = tokio::task::spawn_blocking(move || command.stderr(Stdio::piped()).spawn()).await;
        let mut child = started.expect("no thread should have panicked").expect("cutover should start");
        let (mut stdout, mut stderr) = (
            child.stdout.take().expect("the process should have a standard output"),
            child.stderr.take().expect("the process should have a standard error"),
        );
        self.wire.set_program(child, kill_at);
        let out = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        let text = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        let text = text.await.expect("no thread should have panicked").expect("the output should be readable");
        let out = out.await.expect("no thread should have panicked").expect("the output should be readable");
        let (mut child, killed_at) = self.wire.take_program().await;
        let ended = tokio::task::spawn_blocking(move || child.wait()).await.expect("no thread should have panicked");
        let code = ended.expect("the process should end").code();
        (ProcessOutput { code, out, text }, killed_at)
    }

    /// Runs one case. Returns the state after the kill, and the request at which the program was killed.
    pub async fn try_case(&mut self, case: Case) -> (KilledState, Option<String>) {
        self.reset().await;
        let before = self.store().runs().await.expect("the runs should be readable").len();
        let (result, killed_at) = self.cutover("run plan.yaml --yes", case.kill_at).await;
        let label = format!("lane {} {case:?} at {killed_at:?}\n{}", self.number, result.text);
        let runs = self.store().runs().await.expect("the runs should be readable");
        let found = match (result.code, runs.first().filter(|_| runs.len() > before).map(|run| run.finished)) {
            (Some(0), _) => KilledState::NotKilled,
            (None, None) => KilledState::Nothing,
            (None, Some(None)) => KilledState::Unfinished,
            (None, Some(Some(_))) => KilledState::Finished,
            (Some(code), _) => panic!("exit {code}: {label}"),
        };
        let mut next = match (found, case.ending) {
            // No run exists: the operator starts the plan again.
            (KilledState::Nothing, Ending::Resume) => vec!["run plan.yaml --yes"],
            (KilledState::Nothing, Ending::Rollback) => vec!["run plan.yaml --yes", "rollback plan.yaml --yes"],
            (KilledState::Unfinished, Ending::Resume) => vec!["resume plan.yaml --yes"],
            (KilledState::NotKilled | KilledState::Finished, Ending::Resume) => vec![],
            (_, Ending::Rollback) => vec!["rollback plan.yaml --yes"],
        };
        let mut label = label;
        for words in next.drain(..) {
            let (result, _) = self.cutover(words, None).await;
            label = format!("{label}\nthen {words}:\n{}", result.text);
            assert_eq!(result.code, Some(0), "{label}");
        }
        self.assert_result(case.ending, &label).await;
        (found, killed_at)
    }

    /// Asserts that there are no double writes, exact final weights, no unfinished run and no marker.
    async fn assert_result(&self, ending: Ending, label: &str) {
        let written = self.wire.written();
        let runs = self.store().runs().await.expect("the runs should be readable");
        let outcome = runs.first().and_then(|run| run.finished);
        assert!(runs.iter().all(|run| run.finished.is_some()), "no run may be unfinished: {label}");
        let live = self.live().await;
        let tags =
            self.balancer.tags(std::slice::from_ref(&self.load_balancer)).await.expect("the tags should be readable");
        if let Some(left) = tags[&self.load_balancer].get(marker::KEY) {
            // The program was killed after its last record: the next run finds the marker and continues.
            assert!(
                marker::is_unstarted_or_finished(&self.store(), left).await,
                "no marker of another run may be left: {label}"
            );
        }
        for (route, content) in &self.original {
            let now = weights(&live[route]);
            let before = weights(content);
            let route_writes: Vec<_> =
                written.iter().filter(|w| w.route == route.id()).map(|w: &RouteWrite| w.weights.clone()).collect();
            let wanted = expected(ending, &before, &route_writes);
            assert_eq!(route_writes, wanted, "unexpected writes to {route}: {label}");
            assert_eq!(now, *route_writes.last().unwrap_or(&before), "unexpected live weights of {route}: {label}");
        }
        if ending == Ending::Resume {
            assert_eq!(outcome, Some(RunOutcome::Completed), "{label}");
        }
    }
}

/// Returns the writes that a route may get: each step once and in order, and at the end the planned weights, or the
/// original weights with the new group at 0.
fn expected(ending: Ending, before: &[(String, u16)], route_writes: &[Vec<(String, u16)>]) -> Vec<Vec<(String, u16)>> {
    let with = |a: u16, b: u16| {
        let mut weights: BTreeMap<String, u16> = before.iter().cloned().collect();
        weights.extend([("a".to_owned(), a), ("b".to_owned(), b)]);
        weights.into_iter().collect::<Vec<_>>()
    };
    let steps = [with(100, 0), with(50, 50), with(0, 100)];
    match ending {
        Ending::Resume => steps.to_vec(),
        Ending::Rollback => {
            let reached = route_writes.iter().zip(&steps).take_while(|(seen, step)| seen == step).count();
            let back = if reached > 1 { &steps[..1] } else { &[] };
            // A route that was never raised may have got the new group, so that its health is visible.
            let attached = if reached == 0 && route_writes.is_empty() { &[] } else { &steps[..reached] };
            [attached, back].concat()
        }
    }
}

fn weights(content: &RouteContent) -> Vec<(String, u16)> {
    let mut weights: Vec<_> = content.split.members.iter().map(|g| (name(&g.id), g.weight.unwrap_or(1))).collect();
    weights.sort();
    weights
}
