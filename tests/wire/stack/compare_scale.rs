//! `cutover compare` with many objects: the number of calls grows with the pages, not with the workloads. With
//! `CUTOVER_SCALE=full` (`tests/bench/compare`) it prints time and memory for a large platform.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stack::cluster::Cluster;
use crate::stack::compare::ROLE;
use crate::stack::fixture::{StackFixture, until};
use crate::stack::permissions::{self, role};

/// The number of pods of each workload.
const PODS: usize = 10;
/// The number of objects that are created at the same time.
const PARALLEL: usize = 32;
/// The number of objects on a page of a list.
const PAGE: usize = 500;

/// The number of objects in each cluster.
#[derive(Clone, Copy)]
struct Scale {
    workloads: usize,
    config_maps: usize,
}

impl Scale {
    fn chosen() -> Self {
        if std::env::var("CUTOVER_SCALE").is_ok_and(|scale| scale == "full") {
            Self { workloads: 500, config_maps: 2000 }
        } else {
            Self { workloads: 10, config_maps: 40 }
        }
    }
}

/// Returns the objects of a cluster, each with the path of its collection.
fn objects(scale: Scale, namespace: &str) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let path = |api: &str, plural: &str| format!("{api}/namespaces/{namespace}/{plural}");
    for n in 0..scale.config_maps {
        let data = json!({"settings.yaml": "line: value\n".repeat(50), "number": n.to_string()});
        all.push((path("/api/v1", "configmaps"), json!({"metadata": {"name": format!("c{n}")}, "data": data})));
    }
    for n in 0..scale.workloads {
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

/// Writes the plan with all workloads. Their target groups do not exist: `compare` reads no load balancer.
fn write_plan(plan: &str, scale: Scale) {
    let text = std::fs::read_to_string(plan).expect("the plan should be readable");
    let (head, tail) = text.split_once("  strategy:").expect("the plan should have a strategy");
    let mut all = head.to_owned();
    for n in 0..scale.workloads {
        let service = format!("service: {{namespace: many, name: w{n}, port: http}}");
        let groups = format!("targetGroups: {{a: many-a-{n}, b: many-b-{n}}}");
        let routes = format!("routes: [{{alb: {{loadBalancer: many-web, {groups}}}}}]");
        let _ = writeln!(all, "    - name: w{n}\n      {service}\n      {routes}");
    }
    std::fs::write(plan, format!("{all}  strategy:{tail}")).expect("the plan should be written");
}

/// The result of one comparison.
struct Measured {
    time: Duration,
    /// Peak of the resident memory, in KiB.
    memory: u64,
    /// The summary in the JSON output.
    summary: Value,
    /// The number of calls, by verb and resource, of both clusters.
    calls: BTreeMap<String, usize>,
}

/// Compares once. With `--watch`, the process stays after that, so that its memory can be asked.
fn compare(fixture: &StackFixture, plan: &str) -> Measured {
    let clusters = [&fixture.stack.a, &fixture.stack.b];
    let before = clusters.map(|cluster| cluster.audit("many").len());
    let began = Instant::now();
    let mut command = permissions::cutover(fixture, "many", &["compare", plan, "--output", "json", "--watch", "1h"]);
    let mut child = command.spawn().expect("the program should run");
    let mut lines = BufReader::new(child.stdout.take().expect("a standard output")).lines();
    let summary = lines.find_map(|line| line.ok().filter(|line| line.contains("\"summary\"")));
    let time = began.elapsed();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("the process should live");
    child.kill().expect("the process should end");
    let _ = child.wait();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    for (cluster, before) in clusters.iter().zip(before) {
        for event in cluster.audit("many").split_off(before) {
            let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or("-").to_owned();
            *calls.entry(format!("{} {}", text("/verb"), text("/objectRef/resource"))).or_default() += 1;
        }
    }
    Measured {
        time,
        memory: peak.expect("the kernel should report the peak of the memory"),
        summary: serde_json::from_str(&summary.expect("the comparison should end")).expect("JSON"),
        calls,
    }
}

#[test]
#[ignore = "tier stack"]
fn stack_the_calls_of_a_comparison_grow_with_the_pages() {
    let (fixture, scale) = (StackFixture::with_own_stack("many"), Scale::chosen());
    let clusters = [&fixture.stack.a, &fixture.stack.b];
    let (all, grants) = (objects(scale, "many"), role::of_file(ROLE, "many"));
    for cluster in clusters {
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
    let plan = permissions::plan(&fixture);
    write_plan(&plan, scale);
    until("the API servers know the role", || {
        let output = permissions::cutover(&fixture, "many", &["compare", &plan, "--output", "json"]).output();
        !String::from_utf8_lossy(&output.expect("the program should run").stdout).contains("many: list")
    });
    let Measured { time, memory, summary, calls } = compare(&fixture, &plan);
    println!(
        "compare: {} workloads, {} pods, {} ConfigMaps in each of two clusters: {:.1} s, {} MB, {} calls: {calls:?}",
        scale.workloads,
        scale.workloads * PODS,
        scale.config_maps,
        time.as_secs_f64(),
        memory / 1024,
        calls.values().sum::<usize>()
    );
    println!("compare: {summary}");
    for (call, number) in calls.iter().filter(|(call, _)| call.starts_with("list ")) {
        let plural = format!("/{}", &call["list ".len()..]);
        let own = all.iter().filter(|(path, _)| path.ends_with(&plural)).count();
        // One page more: the objects of the fixture and of the cluster itself. Each of two clusters.
        assert!(*number <= 2 * (own / PAGE + 2), "{number} calls `{call}` for {own} objects: {calls:?}");
    }
    // Nothing permits a dry-run: the first refusal is enough.
    assert_eq!(calls.get("create deployments"), Some(&1), "{calls:?}");
    assert!(calls.contains_key("list pods") && calls.contains_key("list configmaps"), "{calls:?}");
}
