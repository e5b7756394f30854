//! Tests with canaries: a secret in every place that can contain a secret, in whole runs of the program, through every
//! failure that the network and the services can have. No output and no file of a run may contain a canary.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::office::{Failure, Office};
use super::origin::{AUTHORITY, Asked};
use crate::child::ProcessResult;

const PROXY: &str = "Canary01ProxyPw";
const AWS_SECRET: &str = "Canary02AwsSecret/wJalrXUtnFEMI+K7MDENG";
const AWS_SESSION: &str = "Canary03AwsSession/b3JpZ2luX2VjEAAaCWV1LXdlc3Qt";
const TOKEN: &str = "Canary04KubeconfigToken";
const PLUGIN_TOKEN: &str = "Canary05PluginToken";
const PLUGIN_ERROR: &str = "Canary06PluginStderr";
const GATE_VARIABLE: &str = "Canary07GateVariable";
const GATE_FILE: &str = "Canary08GateFile";
const EVENTS_PATH: &str = "Canary09EventsPath";
const EVENTS_QUERY: &str = "Canary10EventsQuery";
const EVENTS_FILE: &str = "Canary11EventsFile";
const SLACK_PATH: &str = "Canary12SlackPath";
const OTEL: &str = "Canary13OtelHeader";
const REASON: &str = "Canary14PauseReason";
const KUBE_PROXY: &str = "Canary15KubeProxyPw";

const ALL: [&str; 15] = [
    PROXY,
    AWS_SECRET,
    AWS_SESSION,
    TOKEN,
    PLUGIN_TOKEN,
    PLUGIN_ERROR,
    GATE_VARIABLE,
    GATE_FILE,
    EVENTS_PATH,
    EVENTS_QUERY,
    EVENTS_FILE,
    SLACK_PATH,
    OTEL,
    REASON,
    KUBE_PROXY,
];

/// Returns the text that failing answers quote, as some service could. Each secret is in a form that shows that it is
/// secret, or is the value alone if the program has used the secret before.
fn quoted() -> String {
    [
        &format!("http://robot:{PROXY}@proxy:3128"),
        AWS_SECRET,
        AWS_SESSION,
        TOKEN,
        GATE_VARIABLE,
        GATE_FILE,
        &format!("https://events.example.test/services/{EVENTS_PATH}?key={EVENTS_QUERY}"),
        EVENTS_PATH,
        EVENTS_QUERY,
        EVENTS_FILE,
        SLACK_PATH,
        OTEL,
        &format!("Authorization: Basic {PLUGIN_ERROR}"),
    ]
    .join(" ")
}

/// Starts an office with all canaries. `refusal` is the first line of every answer of the proxies.
async fn office(refusal: Option<&str>) -> Office {
    let user = format!("robot:{PROXY}");
    let office = Office::start(&[&quoted()], Some(&user), refusal).await;
    office.kubeconfig(&json!({"token": TOKEN}), Some(&format!("http://{user}@{}", office.servers.http)));
    office.write("gate-header", GATE_FILE);
    office.write("events-header", &format!("Bearer {EVENTS_FILE}\n"));
    office.write("slack-url", &format!("https://events.example.test/services/T0/B0/{SLACK_PATH}\n"));
    let credentials = format!(
        "[default]\naws_access_key_id = AKIACANARY0000000000\naws_secret_access_key = {AWS_SECRET}\n\
         aws_session_token = {AWS_SESSION}\n"
    );
    let credentials = office.write("aws-credentials", &credentials).display().to_string();
    let url = format!("http://{user}@{}", office.servers.http);
    office.with(&[
        ("HTTPS_PROXY", &url),
        ("AWS_CA_BUNDLE", AUTHORITY),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_SHARED_CREDENTIALS_FILE", &credentials),
        ("PROMETHEUS_AUTH", &format!("Bearer {GATE_VARIABLE}")),
        ("EVENTS_URL", &format!("https://events.example.test/services/{EVENTS_PATH}?key={EVENTS_QUERY}")),
        ("OTEL_EXPORTER_OTLP_HEADERS", &format!("authorization=Bearer%20{OTEL}")),
    ])
}

/// The commands of a whole run, and the commands that people use about it, with all logs.
const VERBS: [&str; 5] = [
    "check plan.yaml --log-level trace",
    "run plan.yaml --yes --on-freeze exit --output json --log-level trace --metrics-file run.prom",
    "status plan.yaml --log-level trace",
    "resume plan.yaml --yes --on-freeze exit --max-wait 10s --log-level trace",
    "rollback plan.yaml --yes --log-level trace",
];

async fn play(office: &Office) -> Vec<(String, ProcessResult)> {
    let mut all = Vec::new();
    for verb in VERBS {
        all.push((verb.to_owned(), office.cutover(verb).await));
    }
    all
}

/// Asserts that no canary and no credential of a request is in an output, a file of the run, or the body of a
/// notification, a hook's request or a trace. Returns the number of texts.
fn assert_nothing_leaked(office: &Office, ended: &[(String, ProcessResult)]) -> usize {
    let mut texts = BTreeMap::new();
    for (verb, result) in ended {
        texts.insert(format!("stdout of {verb}"), result.out.clone());
        texts.insert(format!("stderr of {verb}"), result.err.clone());
    }
    files(&office.folder().join("state"), &mut texts);
    let metrics = std::fs::read_to_string(office.folder().join("run.prom"));
    texts.extend(metrics.ok().map(|text| ("metrics".to_owned(), text)));
    let mut secrets: Vec<String> = ALL.map(str::to_owned).to_vec();
    for (number, asked) in office.seen().iter().enumerate() {
        secrets.extend(credentials(asked));
        if asked.host.ends_with(".example.test") && asked.host.len() > "b.example.test".len() {
            let body = String::from_utf8_lossy(&asked.body).into_owned();
            texts.insert(format!("request {number} to {}", asked.host), body);
        }
    }
    for (place, text) in &texts {
        for secret in &secrets {
            let at = text.find(secret.as_str()).map(|at| text[at.saturating_sub(200)..].chars().take(400).collect());
            assert_eq!(at, None::<String>, "{secret} is in {place}");
        }
    }
    texts.len()
}

/// Returns the signature and the tokens of a request.
fn credentials(asked: &Asked) -> Vec<String> {
    let header = |name: &str| asked.headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = header("authorization").and_then(|value| value.rsplit(['=', ' ']).next());
    let all = authorization.into_iter().chain(header("x-amz-security-token"));
    all.filter(|text| text.len() > 10).map(str::to_owned).collect()
}

/// Adds every file below a folder to `texts`.
fn files(folder: &Path, texts: &mut BTreeMap<String, String>) {
    for entry in
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("the entry should be readable").path())
    {
        if entry.is_dir() {
            files(&entry, texts);
        } else {
            let bytes = std::fs::read(&entry).expect("the file should be readable");
            texts.insert(entry.display().to_string(), String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}

fn is_aws(asked: &Asked) -> bool {
    asked.host.ends_with(".amazonaws.com")
}

fn is_cluster(asked: &Asked) -> bool {
    matches!(asked.host.as_str(), "a.example.test" | "b.example.test")
}

/// Plays two whole runs in which one of `one_in` requests of this kind fails. In one run, the failures begin at the
/// start; in the other run, after its first notification, which says that the run has started.
async fn play_with(failure: Failure, one_in: usize, of: fn(&Asked) -> bool) {
    let play_from = async |mut begun: bool| {
        let office = office(None).await;
        let mut count = 0;
        office.fail(move |asked| {
            begun |= asked.host.starts_with("events");
            count += usize::from(begun && of(asked));
            // The failures have no period, so that a loop that repeats its calls does not meet the failure each time.
            let mixed = (count * 2_654_435_761) >> 13;
            (begun && of(asked) && mixed.is_multiple_of(one_in)).then_some(failure)
        });
        let ended = play(&office).await;
        (assert_nothing_leaked(&office, &ended), ended)
    };
    let ((_, _), (texts, ended)) = tokio::join!(play_from(true), play_from(false));
    assert!(
        texts > 12,
        "there is a journal: {texts} texts; {:?}",
        ended.iter().map(|(_, r)| r.code).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_without_failures_repeats_no_secret() {
    let office = office(None).await;
    let mut ended = play(&office).await;
    assert_eq!(ended[1].1.code, 0, "{}", ended[1].1.err);
    let journal = &ended[1].1.out;
    assert!(journal.contains("[redacted]"), "the commands printed their environment: {journal}");
    // A request that no process handles: there is no run any more, so a new one is stopped on its way.
    office.cutover("run plan.yaml --yes --until 2").await.assert_exit(8);
    let reason = format!("see https://robot:{REASON}@wiki.example.test");
    ended.push(("pause".to_owned(), office.cutover_with(&["pause", "office", "--reason", &reason]).await));
    let count = assert_nothing_leaked(&office, &ended);
    assert!(count > 30, "outputs, journals, break-glass scripts, requests, notifications, traces, metrics: {count}");
    for host in ["events", "grafana", "otel"] {
        assert!(office.seen().iter().any(|asked| asked.host.starts_with(host)), "{host} was asked");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_aws_that_quote_secrets_are_not_repeated() {
    play_with(Failure::QuoteEach, 3, is_aws).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_a_cluster_that_quote_secrets_are_not_repeated() {
    play_with(Failure::QuoteEach, 2, is_cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_gates_hooks_targets_and_collectors_that_quote_secrets_are_not_repeated() {
    play_with(Failure::QuoteEach, 1, |asked| !is_aws(asked) && !is_cluster(asked)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_cannot_be_parsed_are_not_repeated() {
    play_with(Failure::Malformed, 3, |_| true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_connections_repeat_no_secret() {
    play_with(Failure::Close, 3, |_| true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_an_answer_repeat_no_secret() {
    play_with(Failure::Hang, 1, |asked| !is_aws(asked) && !is_cluster(asked)).await;
    let office = office(None).await;
    let mut left = vec!["elasticloadbalancing", "a.", "b."];
    office.fail(move |asked| {
        let found = left.iter().position(|host| asked.host.starts_with(host))?;
        left.remove(found);
        Some(Failure::Hang)
    });
    let ended = vec![("check".to_owned(), office.cutover("check plan.yaml --log-level trace").await)];
    assert_nothing_leaked(&office, &ended);
}

/// Runs `check` and `run` with a failure before the first request: of the proxy, of TLS, or of a plugin. Asserts that
/// the output has this text.
async fn check_and_run(office: &Office, expected: &str) {
    let mut ended = Vec::new();
    for verb in &VERBS[..2] {
        let result = office.cutover(verb).await;
        let said = format!("{}{}", result.out, result.err);
        assert!(said.contains(expected), "{verb} says nothing of {expected}: {said}");
        ended.push(((*verb).to_owned(), result));
    }
    assert_nothing_leaked(office, &ended);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_down_and_a_certificate_that_is_not_trusted_reveal_no_secret() {
    let down = format!("http://robot:{PROXY}@127.0.0.1:1");
    check_and_run(&office(None).await.with(&[("HTTPS_PROXY", &down)]), "refused the connection (HTTPS_PROXY)").await;
    check_and_run(&office(None).await.with(&[("AWS_CA_BUNDLE", "")]), "is not trusted").await;
    let invalid = format!("ftp://robot:{PROXY}@proxy");
    check_and_run(&office(None).await.with(&[("HTTPS_PROXY", &invalid)]), "HTTPS_PROXY is not a valid proxy URL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_quotes_what_it_refuses_is_not_repeated() {
    for (status, expected) in [
        ("407 Proxy Authentication Required", "(407)"),
        ("403 Forbidden", "does not allow a connection to"),
        ("502 Bad Gateway", "did not connect to"),
    ] {
        let line = format!("HTTP/1.1 {status} for http://robot:{PROXY}@proxy and {PROXY}");
        check_and_run(&office(Some(&line)).await, expected).await;
    }
    check_and_run(&office(Some(&format!("SSH-2.0 {PROXY}"))).await, "is not HTTP").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_prints_its_credential_and_fails_is_not_repeated() {
    for (ending, expected) in
        [("exit 3", "failed with exit code 3"), ("", "does not accept the credentials"), ("kill $$", "was killed")]
    {
        let office = office(None).await;
        let script = format!(
            "echo '{{\"status\": {{\"token\": \"{PLUGIN_TOKEN}\"}}}}'\n\
             echo 'cannot store {PLUGIN_TOKEN}; {{\"refreshToken\": \"{PLUGIN_ERROR}\"}}' >&2\n{ending}\n"
        );
        let script = office.write("plug", &script).display().to_string();
        let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": [script],
            "interactiveMode": "Never", "env": [{"name": "PLUGIN_TOKEN", "value": PLUGIN_TOKEN}]});
        office.kubeconfig(&json!({"exec": exec}), None);
        office.fail(|asked| (asked.host == "a.example.test").then_some(Failure::Quote(401)));
        check_and_run(&office, expected).await;
    }
}
