//! The lab's Kubernetes API over a socket: under the real kubectl, and under our own adapter.

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cutover::adapter::kubernetes::from_kubeconfig;
use cutover::domain::traffic::Unreadable;
use cutover::lab::objects::{Kind, Objects};
use cutover::lab::wire::kube::{Answer, Server};
use cutover::port::Cluster;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

struct Lab {
    objects: Arc<Mutex<Objects>>,
    server: Server,
}

async fn answer(lab: Arc<Lab>, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, body.collect().await?.to_bytes());
    let answer = lab.server.answer(&mut lab.objects.lock().unwrap(), &request, Timestamp::now());
    Ok(match answer {
        Answer::Whole(response) => response.map(|b| http_body_util::Full::new(b).boxed()),
        Answer::Watch(watch) => {
            let lines = futures::stream::unfold((watch, lab), |(mut watch, lab)| async move {
                loop {
                    let lines = watch.next(&lab.objects.lock().unwrap())?;
                    if !lines.is_empty() {
                        return Some((Ok(Frame::data(lines)), (watch, lab)));
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
            Response::builder().header("content-type", "application/json").body(StreamBody::new(lines).boxed()).unwrap()
        }
    })
}

/// Serves until the runtime ends.
async fn serve(lab: Arc<Lab>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let lab = Arc::clone(&lab);
            let service = service_fn(move |r| answer(Arc::clone(&lab), r));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    url
}

struct Kubectl {
    home: tempfile::TempDir,
    url: String,
}

impl Kubectl {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.home.path());
        command.args(["--server", &self.url, "--request-timeout", "20s"]).args(arguments);
        command
    }

    async fn try_run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments).await;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "kubectl {arguments:?}: {words}");
        assert!(!words.contains("rror"), "kubectl {arguments:?}: {words}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[arguments, &["-o", "json"]].concat()).await).unwrap()
    }

    async fn fails(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments).await;
        assert!(!output.status.success(), "kubectl {arguments:?} should fail");
        String::from_utf8(output.stderr).unwrap()
    }

    fn file(&self, name: &str, value: &Value) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, value.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn kubectl_version() -> Option<String> {
    let output = Command::new("kubectl").args(["version", "--client", "-o", "json"]).output().ok().filter(|o| o.status.success())?;
    let version: Value = serde_json::from_slice(&output.stdout).ok()?;
    version["clientVersion"]["gitVersion"].as_str().map(str::to_owned)
}

async fn start() -> Option<(Arc<Lab>, Kubectl)> {
    let Some(version) = kubectl_version() else {
        eprintln!("SKIPPED: there is no kubectl on the PATH");
        return None;
    };
    eprintln!("kubectl {version}");
    let mut objects = Objects::new(5, false, Timestamp::now());
    objects.put(Kind::Namespace, json!({"metadata": {"name": "prod"}}), Timestamp::now());
    let lab = Arc::new(Lab { objects: Arc::new(Mutex::new(objects)), server: Server::open("v1.33.4-eks-1") });
    let url = serve(Arc::clone(&lab)).await;
    Some((lab, Kubectl { home: tempfile::tempdir().unwrap(), url }))
}

fn deployment(image: &str, replicas: u32) -> Value {
    let labels = json!({"app": "web"});
    let containers = json!([{"name": "web", "image": image, "ports": [{"containerPort": 8080}], "env": [{"name": "A", "value": "1"}]}]);
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": containers}});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "prod"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    })
}

fn binding(port: u16) -> Value {
    let spec = json!({"serviceRef": {"name": "web", "port": port}, "targetGroupARN": "arn:g", "targetType": "ip"});
    json!({"apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding", "metadata": {"name": "web", "namespace": "prod"}, "spec": spec})
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_get_change_and_delete_as_people_do() {
    let Some((lab, kubectl)) = start().await else { return };
    let file = kubectl.file("deployment.json", &deployment("web:1", 2));
    assert_eq!(kubectl.run(&["apply", "-f", &file]).await.trim(), "deployment.apps/web created");
    let file = kubectl.file("deployment.json", &deployment("web:2", 2));
    assert_eq!(kubectl.run(&["apply", "-f", &file]).await.trim(), "deployment.apps/web configured");
    assert_eq!(kubectl.run(&["apply", "-f", &file]).await.trim(), "deployment.apps/web unchanged");
    kubectl.run(&["-n", "prod", "scale", "deploy/web", "--replicas=5"]).await;
    kubectl.run(&["-n", "prod", "set", "image", "deploy/web", "web=web:3"]).await;
    let read = kubectl.json(&["-n", "prod", "get", "deploy", "web"]).await;
    assert_eq!((&read["spec"]["replicas"], &read["metadata"]["generation"]), (&json!(5), &json!(4)));
    let containers = &read["spec"]["template"]["spec"]["containers"];
    assert_eq!(
        (containers.as_array().unwrap().len(), &containers[0]["image"], &containers[0]["env"][0]["value"]),
        (1, &json!("web:3"), &json!("1"))
    );

    kubectl.run(&["-n", "prod", "expose", "deploy", "web", "--port=80", "--target-port=8080"]).await;
    kubectl.run(&["-n", "prod", "label", "svc", "web", "tier=front"]).await;
    assert!(kubectl.run(&["get", "svc", "-A", "-l", "tier in (front,back)"]).await.contains("80/TCP"));
    assert_eq!(kubectl.run(&["get", "svc", "-A", "-l", "tier=back", "-o", "name"]).await, "");
    assert!(kubectl.run(&["get", "svc", "-n", "prod", "-o", "yaml"]).await.contains("targetPort: 8080"));
    let misspelt = kubectl.file(
        "misspelt.json",
        &json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "prod"}, "spec": {"prots": [{"port": 80}]}}),
    );
    assert!(kubectl.fails(&["apply", "-f", &misspelt]).await.contains("unknown field \"spec.prots\""));
    assert!(kubectl.fails(&["get", "pods", "nobody"]).await.contains("pods \"nobody\" not found"));

    assert!(kubectl.run(&["-n", "prod", "delete", "deploy", "web"]).await.contains("deleted"));
    assert!(lab.objects.lock().unwrap().list(Kind::Deployment, None).next().is_none());
    assert!(kubectl.run(&["api-resources"]).await.contains("targetgroupbindings"));
    assert!(kubectl.run(&["version"]).await.contains("v1.33.4-eks-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_apply_of_bindings_knows_owners() {
    let Some((lab, kubectl)) = start().await else { return };
    let file = kubectl.file("binding.json", &binding(80));
    let apply = ["apply", "--server-side", "-f", &file];
    assert!(kubectl.run(&[&apply[..], &["--dry-run=server"]].concat()).await.contains("serverside-applied (server dry run)"));
    assert!(lab.objects.lock().unwrap().list(Kind::TargetGroupBinding, None).next().is_none());
    kubectl.run(&apply).await;
    let table = kubectl.run(&["get", "targetgroupbindings", "-A"]).await;
    assert!(table.contains("ARN") && table.contains("arn:g"), "{table}");
    let file = kubectl.file("binding.json", &binding(81));
    let other = ["apply", "--server-side", "--field-manager=flux", "-f", &file];
    let conflict = kubectl.fails(&other).await;
    assert!(conflict.contains("conflict with \"kubectl\": .spec.serviceRef.port"), "{conflict}");
    kubectl.run(&[&other[..], &["--force-conflicts"]].concat()).await;
    let read = kubectl.json(&["-n", "prod", "get", "targetgroupbinding", "web", "--show-managed-fields"]).await;
    assert_eq!(read["spec"]["serviceRef"]["port"], 81);
    let owners: Vec<_> = read["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (&m["manager"], &m["fieldsV1"]["f:spec"]["f:serviceRef"]["f:port"]))
        .collect();
    assert_eq!(owners, [(&json!("kubectl"), &Value::Null), (&json!("flux"), &json!({}))]);
    assert!(kubectl.run(&["-n", "prod", "delete", "targetgroupbinding", "web"]).await.contains("deleted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_side_apply_becomes_a_server_side_one() {
    let Some((_lab, kubectl)) = start().await else { return };
    let file = kubectl.file("deployment.json", &deployment("web:1", 2));
    kubectl.run(&["apply", "-f", &file]).await;
    kubectl.run(&["apply", "--server-side", "-f", &file]).await;
    let mut fewer = deployment("web:2", 2);
    fewer["spec"].as_object_mut().unwrap().shift_remove("replicas");
    fewer["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap().shift_remove("env");
    let file = kubectl.file("deployment.json", &fewer);
    kubectl.run(&["apply", "--server-side", "-f", &file]).await;
    let container = &kubectl.json(&["-n", "prod", "get", "deploy", "web"]).await["spec"]["template"]["spec"]["containers"][0];
    assert_eq!((&container["image"], &container["env"]), (&json!("web:2"), &Value::Null), "what is no longer applied goes away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sees_what_comes_and_ends_with_the_deletion() {
    let Some((lab, kubectl)) = start().await else { return };
    let file = kubectl.file("binding.json", &binding(80));
    kubectl.run(&["apply", "-f", &file]).await;
    let waiting = kubectl.try_run(&["-n", "prod", "wait", "--for=delete", "targetgroupbinding/web", "--timeout=20s"]);
    let (output, ()) = tokio::join!(waiting, async {
        tokio::task::yield_now().await;
        lab.objects.lock().unwrap().delete(Kind::TargetGroupBinding, "prod", "web", Timestamp::now());
    });
    assert!(output.status.success() || String::from_utf8_lossy(&output.stderr).contains("not found"), "{output:?}");

    let mut command = kubectl.command(&["get", "services", "-n", "prod", "-o", "name", "--watch"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for name in ["one", "two"] {
        lab.objects.lock().unwrap().put(
            Kind::Service,
            json!({"metadata": {"name": name, "namespace": "prod"}, "spec": {}}),
            Timestamp::now(),
        );
        let (line, rest) = tokio::task::spawn_blocking(move || (lines.next(), lines)).await.unwrap();
        lines = rest;
        assert_eq!(line.unwrap().unwrap(), format!("service/{name}"));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn kubeconfig(url: &str, token: &str) -> kube::config::Kubeconfig {
    let named = |kind: &str, value: Value| json!([{"name": "x", kind: value}]);
    let context = json!({"cluster": "x", "user": "x"});
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x", "clusters": named("cluster", json!({"server": url})),
        "users": named("user", json!({"token": token})), "contexts": named("context", context),
    });
    serde_json::from_value(config).unwrap()
}

#[tokio::test]
async fn the_adapter_says_who_it_is_asks_once_and_keeps_its_token_to_itself() {
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let authorize = move |header: Option<&str>, _| {
        *count.lock().unwrap() += 1;
        header == Some("Bearer good-token")
    };
    let objects = Arc::new(Mutex::new(Objects::new(5, false, Timestamp::now())));
    let lab = Arc::new(Lab { objects, server: Server { version: "v1.33.4".to_owned(), authorize: Box::new(authorize) } });
    let url = serve(Arc::clone(&lab)).await;
    let good = from_kubeconfig(kubeconfig(&url, "good-token"), Some("x")).await.unwrap();
    assert_eq!(good.identity().await.unwrap().version, "v1.33.4");
    let before = *asked.lock().unwrap();
    let bad = from_kubeconfig(kubeconfig(&url, "bad-token"), None).await.unwrap();
    let why = bad.identity().await.unwrap_err();
    assert!(matches!(why, Unreadable::Credentials(_)), "{why}");
    assert_eq!(*asked.lock().unwrap() - before, 1, "a refusal is not tried again");
    let nobody = from_kubeconfig(kubeconfig("http://127.0.0.1:1", "bad-token"), None).await.unwrap().identity().await.unwrap_err();
    assert!(nobody.to_string().contains("onnection refused"), "{nobody}");
    assert!(!format!("{why:?}{nobody:?}").contains("bad-token"));
    let unknown = from_kubeconfig(kubeconfig(&url, "t"), Some("y")).await.err().unwrap();
    assert_eq!(unknown.to_string(), "kubeconfig: failed to load current context: y");
}
