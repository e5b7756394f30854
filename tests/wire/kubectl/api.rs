//! The lab's Kubernetes API over a socket, used with kubectl.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use cutover::lab::objects::{Kind, Objects};
use cutover::lab::wire::kube::Server;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::program;
use crate::kubernetes::socket::{Lab, serve};

struct Kubectl {
    program: String,
    home: tempfile::TempDir,
    url: String,
}

impl Kubectl {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.home.path());
        command.args(["--server", &self.url, "--request-timeout", "1800s"]).args(arguments);
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

async fn start() -> (Arc<Lab>, Kubectl) {
    let mut objects = Objects::new(5, false, Timestamp::now());
    objects.put(Kind::Namespace, json!({"metadata": {"name": "prod"}}), Timestamp::now());
    let lab = Arc::new(Lab {
        objects: Arc::new(Mutex::new(objects)),
        server: Server::without_authentication("v1.33.4-eks-1"),
    });
    let url = serve(Arc::clone(&lab)).await;
    (lab, Kubectl { program: program(), home: tempfile::tempdir().unwrap(), url })
}

fn deployment(image: &str, replicas: u32) -> Value {
    let labels = json!({"app": "web"});
    let containers = json!([
        {"name": "web", "image": image, "ports": [{"containerPort": 8080}], "env": [{"name": "A", "value": "1"}]},
    ]);
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": containers}});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "prod"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    })
}

fn binding(port: u16) -> Value {
    let spec = json!({"serviceRef": {"name": "web", "port": port}, "targetGroupARN": "arn:g", "targetType": "ip"});
    json!({
        "apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding",
        "metadata": {"name": "web", "namespace": "prod"}, "spec": spec,
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tier kubectl"]
async fn kubectl_applies_gets_changes_and_deletes() {
    let (lab, kubectl) = start().await;
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
        &json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "prod"},
            "spec": {"prots": [{"port": 80}]},
        }),
    );
    assert!(kubectl.fails(&["apply", "-f", &misspelt]).await.contains("unknown field \"spec.prots\""));
    assert!(kubectl.fails(&["get", "pods", "nobody"]).await.contains("pods \"nobody\" not found"));

    assert!(kubectl.run(&["-n", "prod", "delete", "deploy", "web"]).await.contains("deleted"));
    assert!(lab.objects.lock().unwrap().list(Kind::Deployment, None).next().is_none());
    assert!(kubectl.run(&["api-resources"]).await.contains("targetgroupbindings"));
    assert!(kubectl.run(&["version"]).await.contains("v1.33.4-eks-1"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tier kubectl"]
async fn server_side_apply_of_bindings_knows_owners() {
    let (lab, kubectl) = start().await;
    let file = kubectl.file("binding.json", &binding(80));
    let apply = ["apply", "--server-side", "-f", &file];
    assert!(
        kubectl
            .run(&[&apply[..], &["--dry-run=server"]].concat())
            .await
            .contains("serverside-applied (server dry run)")
    );
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
#[ignore = "tier kubectl"]
async fn a_client_side_apply_becomes_a_server_side_one() {
    let (_lab, kubectl) = start().await;
    let file = kubectl.file("deployment.json", &deployment("web:1", 2));
    kubectl.run(&["apply", "-f", &file]).await;
    kubectl.run(&["apply", "--server-side", "-f", &file]).await;
    let mut fewer = deployment("web:2", 2);
    fewer["spec"].as_object_mut().unwrap().shift_remove("replicas");
    fewer["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap().shift_remove("env");
    let file = kubectl.file("deployment.json", &fewer);
    kubectl.run(&["apply", "--server-side", "-f", &file]).await;
    let container =
        &kubectl.json(&["-n", "prod", "get", "deploy", "web"]).await["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        (&container["image"], &container["env"]),
        (&json!("web:2"), &Value::Null),
        "a field that is no longer applied must be removed"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tier kubectl"]
async fn a_watch_reports_changes_and_ends_with_the_deletion() {
    let (lab, kubectl) = start().await;
    let file = kubectl.file("binding.json", &binding(80));
    kubectl.run(&["apply", "-f", &file]).await;
    let waiting = kubectl.try_run(&["-n", "prod", "wait", "--for=delete", "targetgroupbinding/web", "--timeout=1800s"]);
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
