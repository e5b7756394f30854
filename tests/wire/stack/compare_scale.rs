//! `cutover compare` with many objects on two real API servers: time, memory and calls.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stack::cluster::Cluster;
use crate::stack::compare::{ROLE, create_platform};
use crate::stack::fixture::{StackFixture, until};
use crate::stack::permissions::{self, role};

/// The number of workloads in each cluster.
const WORKLOADS: usize = 500;
/// The number of pods of each workload.
const PODS: usize = 10;
/// The number of ConfigMaps in each cluster.
const CONFIG_MAPS: usize = 2000;
/// The number of objects that are created at the same time.
const PARALLEL: usize = 32;

/// The limit of the time.
const MAX_TIME: Duration = Duration::from_secs(60);
/// The limit of the memory, in KiB.
const MAX_MEMORY: u64 = 200 * 1024;

/// Returns the objects of a cluster, each with the path of its collection.
fn objects(namespace: &str) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let path = |api: &str, plural: &str| format!("{api}/namespaces/{namespace}/{plural}");
    for n in 0..CONFIG_MAPS {
        let data = json!({"settings.yaml": "line: value\n".repeat(50), "number": n.to_string()});
        all.push((path("/api/v1", "configmaps"), json!({"metadata": {"name": format!("c{n}")}, "data": data})));
    }
    for n in 0..WORKLOADS {
        let (name, labels) = (format!("w{n}"), json!({"app": format!("w{n}")}));
        let container = json!({
            "name": "app", "image": format!("registry.example/{name}:1"),
            "envFrom": [{"configMapRef": {"name": format!("c{n}")}}],
            "env": (0..20).map(|e| json!({"name": format!("E{e}"), "value": "some value"})).collect::<Vec<_>>(),
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        });
        let spec = json!({"containers": [container]});
        // Without replicas, no controller creates pods: the test creates them, complete and scheduled.
        let deployment = json!({"metadata": {"name": name}, "spec": {
            "replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec},
        }});
        all.push((path("/apis/apps/v1", "deployments"), deployment));
        let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
        let service = json!({"metadata": {"name": name}, "spec": {"selector": labels, "ports": ports}});
        all.push((path("/api/v1", "services"), service));
        for p in 0..PODS {
            let mut spec = spec.clone();
            // Not `node-1`: the test's kubelet must not see these pods.
            spec["nodeName"] = "node-2".into();
            let pod = json!({"metadata": {"name": format!("{name}-{p}"), "labels": labels}, "spec": spec});
            all.push((path("/api/v1", "pods"), pod));
        }
    }
    all
}

fn create_all(cluster: &Cluster, objects: &[(String, Value)]) {
    std::thread::scope(|scope| {
        for part in objects.chunks(objects.len().div_ceil(PARALLEL)) {
            scope.spawn(move || {
                for (path, object) in part {
                    cluster.api.create(path, object);
                }
            });
        }
    });
}

/// Writes the plan with all workloads. They share the target groups of the fixture in the first entry; `compare` reads no
/// load balancer.
fn write_plan(plan: &str) {
    let text = std::fs::read_to_string(plan).expect("the plan should be readable");
    let (head, tail) = text.split_once("  strategy:").expect("the plan should have a strategy");
    let mut all = head.to_owned();
    for n in 0..WORKLOADS {
        let service = format!("service: {{namespace: many, name: w{n}, port: http}}");
        let groups = format!("targetGroups: {{a: many-a-{n}, b: many-b-{n}}}");
        let routes = format!("routes: [{{alb: {{loadBalancer: many-web, {groups}}}}}]");
        let _ = writeln!(all, "    - name: w{n}\n      {service}\n      {routes}");
    }
    std::fs::write(plan, format!("{all}  strategy:{tail}")).expect("the plan should be written");
}

/// Runs a command. Returns its largest resident memory in KiB, its exit code and its standard output.
fn measured(mut command: Command) -> (u64, Option<i32>, String) {
    let mut child = command.stderr(Stdio::null()).spawn().expect("the program should run");
    let mut stdout = child.stdout.take().expect("a standard output");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let mut memory = 0;
    let code = loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        memory = peak.unwrap_or(memory);
        if let Some(ended) = child.try_wait().expect("the process should be known") {
            break ended.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    (memory, code, reader.join().expect("no panic").expect("the output should be UTF-8"))
}

#[test]
#[ignore = "tier stack"]
fn stack_many_workloads_are_compared_within_a_minute_and_200_mib() {
    let fixture = StackFixture::with_own_stack("many");
    let clusters = [&fixture.stack.a, &fixture.stack.b];
    let (all, grants) = (objects("many"), role::of_file(ROLE, "many"));
    let began = Instant::now();
    for cluster in clusters {
        create_platform(cluster, "many");
        cluster.api.create("/api/v1/nodes", &json!({"metadata": {"name": "node-2"}}));
        let status = json!({"status": {
            "allocatable": {"cpu": "1000", "memory": "4000Gi", "pods": "10000"},
            "nodeInfo": {
                "architecture": "arm64", "operatingSystem": "linux", "kubeletVersion": "v1.35.0", "machineID": "",
                "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "", "containerRuntimeVersion": "",
                "kubeProxyVersion": "",
            },
        }});
        cluster.api.merge("/api/v1/nodes/node-2/status", &status);
        create_all(cluster, &all);
        role::grant(cluster, "many", &grants);
    }
    println!("{} objects were created in each cluster in {:?}", all.len(), began.elapsed());
    let plan = permissions::plan(&fixture);
    write_plan(&plan);
    let command = || permissions::cutover(&fixture, "many", &["compare", &plan, "--output", "json"]);
    until("the API servers know the role", || {
        let output = command().output().expect("the program should run");
        !String::from_utf8_lossy(&output.stdout).contains("CUT190")
    });
    let from = clusters.map(|cluster| cluster.audit("many").len());
    let began = Instant::now();
    let (memory, code, out) = measured(command());
    let time = began.elapsed();
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    for (cluster, from) in clusters.iter().zip(from) {
        for event in cluster.audit("many").split_off(from) {
            let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or("-").to_owned();
            *calls.entry(format!("{} {}", text("/verb"), text("/objectRef/resource"))).or_default() += 1;
        }
    }
    println!("{time:?}, {memory} KiB, {} calls: {calls:?}", calls.values().sum::<usize>());
    println!("{}", out.lines().last().unwrap_or_default());
    assert_eq!(code, Some(0), "{out}");
    assert!(time < MAX_TIME && memory < MAX_MEMORY, "{time:?}, {memory} KiB");
}
