//! An office network: a lab behind proxies and TLS, so that a whole run of the program uses every kind of connection.
//! Every name of AWS, of the clusters and of the other services leads to one site, which passes on, answers or fails.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::origin::{AUTHORITY, Asked, Reply, Site};
use super::servers::TestServers;
use crate::child::{self, ProcessResult};
use crate::crash::lab::{Lab, program};

/// The kinds of connection, by the hosts that must be asked.
pub const CONNECTIONS: [(&str, &str); 10] = [
    ("AWS", "elasticloadbalancing.eu-central-1.amazonaws.com:443"),
    ("AWS", "sts.eu-central-1.amazonaws.com:443"),
    ("EKS API", "eks.eu-central-1.amazonaws.com:443"),
    ("EKS API", "b.example.test:443"),
    ("Kubernetes", "a.example.test:443"),
    ("gates", "prometheus.example.test:443"),
    ("gates", "smoke.example.test:443"),
    ("hooks", "grafana.example.test:443"),
    ("notifications", "events.example.test:443"),
    ("telemetry", "otel.example.test:443"),
];

/// A failure of the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The site answers with this status, and a body of the service's kind that quotes the request and every secret.
    Quote(u16),
    /// The site answers with the statuses of [`STATUSES`] in turn.
    QuoteEach,
    /// The site answers 200 with a body that cannot be parsed and that quotes the same texts.
    Malformed,
    /// The site closes the connection.
    Close,
    /// The site does not answer.
    Hang,
}

/// The statuses of [`Failure::QuoteEach`].
pub const STATUSES: [u16; 9] = [400, 401, 403, 404, 409, 422, 429, 500, 503];

/// The number of measurements after which a run is interrupted. A run that does not wait needs fewer.
const MEASUREMENTS: usize = 25;

type Rule = Box<dyn FnMut(&Asked) -> Option<Failure> + Send>;

/// The network, a folder with plan and kubeconfig, and the environment of the program.
pub struct Office {
    pub servers: TestServers,
    folder: tempfile::TempDir,
    /// Environment of the program; a name may be added twice, then the last one counts.
    pub environment: Vec<(String, String)>,
    seen: Arc<Mutex<Vec<Asked>>>,
    rule: Arc<Mutex<Rule>>,
    _lab: Lab,
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Office {
    /// Starts an office. Failing answers quote `secrets` in addition to the request. `user` is the user that the
    /// proxies require. `refusal` is the first line of every answer of the HTTP proxies.
    pub async fn start(secrets: &[&str], user: Option<&str>, refusal: Option<&str>) -> Self {
        let lab = Lab::of(&plan(""));
        let seen: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(|_| None)));
        let site = site(&lab, &seen, &rule, secrets.join(" "));
        let servers = TestServers::serving(site, user, refusal).await;
        let folder = tempfile::tempdir().expect("the folder should be created");
        let office = Self { servers, folder, environment: Vec::new(), seen, rule, _lab: lab };
        office.write("plan.yaml", &plan(EXTRAS));
        office.write("print", PRINT);
        office.kubeconfig(&json!({"token": "token-of-a-test"}), None);
        office.write("gate-header", "gate-header-of-a-test");
        office.write("events-header", "events-header-of-a-test");
        office.write("slack-url", "https://events.example.test/services/T0/B0/slack");
        let home = office.folder().display().to_string();
        office.with(&[
            ("PATH", "/usr/bin:/bin"),
            ("HOME", &home),
            ("USER", "alice"),
            ("KUBECONFIG", &format!("{home}/kubeconfig")),
            ("CUTOVER_STATE_DIR", &format!("{home}/state")),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret-of-a-test"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel.example.test"),
            ("PROMETHEUS_AUTH", "Bearer prometheus-of-a-test"),
            ("EVENTS_URL", "https://events.example.test/in"),
        ])
    }

    /// Adds environment variables. An empty value removes the variable.
    #[must_use]
    pub fn with(mut self, variables: &[(&str, &str)]) -> Self {
        for (name, value) in variables {
            self.environment.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.environment.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the folder and returns its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::create_dir_all(path.parent().expect("the folder should be created"))
            .expect("the folder should be created");
        std::fs::write(&path, text).expect("the file should be written");
        path
    }

    /// Writes the kubeconfig of the context `a`.
    pub fn kubeconfig(&self, user: &Value, proxy_url: Option<&str>) {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config",
            "current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "clusters": [{"name": "a", "cluster": {"server": "https://a.example.test", "proxy-url": proxy_url}}],
            "users": [{"name": "a", "user": user}],
        });
        self.write("kubeconfig", &kubeconfig.to_string());
    }

    /// From now on, decides about each request whether it fails.
    pub fn fail(&self, rule: impl FnMut(&Asked) -> Option<Failure> + Send + 'static) {
        *locked(&self.rule) = Box::new(rule);
    }

    /// Returns every request that has arrived so far.
    pub fn seen(&self) -> Vec<Asked> {
        locked(&self.seen).clone()
    }

    /// Runs the program to its end.
    pub async fn cutover(&self, words: &str) -> ProcessResult {
        self.cutover_with(&words.split_whitespace().collect::<Vec<_>>()).await
    }

    /// Runs the program with arguments that contain spaces.
    pub async fn cutover_with(&self, args: &[&str]) -> ProcessResult {
        let mut command = Command::new(program());
        command.args(args).env_clear().envs(self.environment.iter().cloned());
        command.current_dir(self.folder()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A run can wait forever for something that this network does not have.
        tokio::task::spawn_blocking(|| child::interrupt_after(MEASUREMENTS, "gateMeasured", command))
            .await
            .expect("the process should end")
    }
}

fn site(lab: &Lab, seen: &Arc<Mutex<Vec<Asked>>>, rule: &Arc<Mutex<Rule>>, secrets: String) -> Site {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let (aws, a) = (lab.variable("AWS_ENDPOINT_URL").to_owned(), lab.cluster("a"));
    let (seen, rule, b) = (Arc::clone(seen), Arc::clone(rule), Arc::new(Mutex::new(String::new())));
    let turn = Mutex::new(0_usize);
    Arc::new(move |asked| {
        let failure = (*locked(&rule))(&asked);
        locked(&seen).push(asked.clone());
        if let Some(failure) = failure {
            *locked(&turn) += 1;
            let reply = fail(failure, &asked, &secrets, *locked(&turn));
            return Box::pin(async move { reply });
        }
        let upstream = match asked.host.split('.').next().unwrap_or_default() {
            _ if asked.host.ends_with(".amazonaws.com") => aws.clone(),
            "a" => a.clone(),
            "b" => locked(&b).clone(),
            "prometheus" => {
                let data = json!({"resultType": "vector", "result": [{"metric": {}, "value": [0, "1"]}]});
                let text = json!({"status": "success", "data": data}).to_string();
                return Box::pin(async move { Reply::Answer(200, text) });
            }
            _ => return Box::pin(async { Reply::Answer(200, "{}".into()) }),
        };
        let (client, b) = (client.clone(), Arc::clone(&b));
        Box::pin(async move {
            let clusters = asked.path.starts_with("/clusters/");
            let mut request = Request::builder().method(asked.method).uri(format!("{upstream}{}", asked.path));
            for (name, value) in asked.headers.iter().filter(|(name, _)| *name != "host") {
                request = request.header(name, value);
            }
            let request = request.body(Full::new(asked.body)).expect("the request should be valid");
            let Ok(answer) = client.request(request).await else { return Reply::Close };
            let status = answer.status().as_u16();
            let Ok(body) = answer.into_body().collect().await else { return Reply::Close };
            let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
            Reply::Answer(status, if clusters { renamed(&text, &mut locked(&b)) } else { text })
        })
    })
}

/// Returns the description of an EKS cluster with the name of its API server and the authority of these tests.
fn renamed(text: &str, endpoint: &mut String) -> String {
    let Ok(mut answer) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    if let Some(at) = answer["cluster"]["endpoint"].as_str() {
        at.clone_into(endpoint);
        let ca = BASE64_STANDARD.encode(std::fs::read(AUTHORITY).expect("the authority should be readable"));
        answer["cluster"]["endpoint"] = "https://b.example.test".into();
        answer["cluster"]["certificateAuthority"] = json!({"data": ca});
    }
    answer.to_string()
}

fn fail(failure: Failure, asked: &Asked, secrets: &str, turn: usize) -> Reply {
    let headers = asked.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or_default()));
    let body = String::from_utf8_lossy(&asked.body).into_owned();
    let plain = format!("{} and {body} and {secrets}", headers.collect::<Vec<_>>().join(" "));
    let encoded = percent_encoding::utf8_percent_encode(secrets, percent_encoding::NON_ALPHANUMERIC);
    let quoted = format!("you sent {plain} that is {encoded} to {}", asked.path);
    let status = match failure {
        Failure::Close => return Reply::Close,
        Failure::Hang => return Reply::Hang,
        Failure::Malformed => return Reply::Answer(200, format!("{{\"x\": <DescribeRulesResult> {quoted}")),
        Failure::Quote(status) => status,
        Failure::QuoteEach => STATUSES[turn % STATUSES.len()],
    };
    let text = if asked.host.starts_with("prometheus") {
        json!({"status": "error", "error": quoted}).to_string()
    } else if asked.host.starts_with("eks.") {
        json!({"__type": "InvalidRequestException", "message": quoted}).to_string()
    } else if asked.host.ends_with(".amazonaws.com") {
        let text = quoted.replace('&', "&amp;").replace('<', "&lt;");
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>Odd</Code><Message>{text}</Message></Error></ErrorResponse>"
        )
    } else {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": quoted, "reason": "Odd", "code": status})
            .to_string()
    };
    Reply::Answer(status, text)
}

/// Returns the plan of the lab; with `extras`, the plan of the program.
fn plan(extras: &str) -> String {
    let (notifications, strategy) = extras.split_once("---\n").unwrap_or_default();
    format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: office}}
spec:
  aws: {{accountId: \"123456789012\", region: eu-central-1}}
  clusters:
    - {{name: a, kubeContext: a}}
    - {{name: b, eks: shop-b}}
  workloads:
    - name: shop
      service: {{namespace: shop, name: shop, port: 8080}}
      routes:
        - alb:
            loadBalancer: shop
            listeners: [443]
            targetGroups: {{a: shop-a, b: shop-b}}
            rules: [{{default: {{}}}}]
{notifications}  strategy:
    from: a
    to: b
    settle: 1s
{strategy}    steps: [{{bind: {{}}}}, {{setWeight: 50}}, {{setWeight: 100}}]
"
    )
}

/// A gate, a hook and a notification of every kind. Two commands print their whole environment.
const EXTRAS: &str = r#"  notifications:
    - webhook: {urlFrom: {env: EVENTS_URL}, headers: [{name: X-Events, fromFile: events-header}]}
      on: [started, stepStarted, frozen, finished, rollbackStarted, stopped]
    - slack: {urlFrom: {file: slack-url}}
      on: [started, frozen, finished]
---
    gates:
      targetHealth:
        raise: {minHealthy: 1, stableFor: 1s}
        guard: {minHealthyPercent: 70, for: 5m}
        timeout: 10s
      metrics:
        - name: up
          interval: 1s
          failureLimit: 1000
          prometheus:
            address: https://prometheus.example.test
            headers: [{name: Authorization, fromEnv: PROMETHEUS_AUTH}, {name: X-Gate, fromFile: gate-header}]
            timeout: 2s
            query: up
          successCondition: {atLeast: 1}
        - name: smoke
          interval: 1s
          failureLimit: 1000
          http: {url: "https://smoke.example.test/{{cluster}}", headers: [{name: X-Gate, fromFile: gate-header}], timeout: 2s}
        - name: command
          interval: 1s
          failureLimit: 1000
          exec: {command: [sh, print, last]}
    hooks:
      - name: environment
        before: bind
        exec: {command: [sh, print, env]}
      - name: files
        before: bind
        exec: {command: [sh, print, files]}
      - name: annotate
        after: shift
        http: {url: "https://grafana.example.test/in", headers: [{name: X-Gate, fromFile: gate-header}], timeout: 2s}
"#;

/// The script of the two commands. It prints a message with all secrets of the environment, or of the files.
const PRINT: &str = r#"case $1 in
env) text=$(env | grep Canary | sort);;
last) text=$(env | grep Canary | sort -r);;
files) text=$(cat gate-header events-header slack-url);;
esac
printf '{"message": "%s"}' "$(printf %s "$text" | tr '\n"\\' '   ')"
"#;
