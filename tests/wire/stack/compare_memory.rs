//! The memory of `cutover compare`: no value of a Secret is ever in it.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::process::Child;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::stack::compare::{DEPLOYMENT, container_object, grants};
use crate::stack::fixture::{StackFixture, until};
use crate::stack::permissions::{self, role};

/// The value of a Secret.
const CANARY: &str = "a-value-for-the-memory-of-nobody";
/// The value of a ConfigMap, which the comparison reads.
const READ: &str = "a-value-that-the-comparison-reads";

/// Whether the writable memory of a process has a text. Freed memory counts too.
fn memory_has(process: &Child, text: &[u8]) -> bool {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", process.id())).expect("the memory map is readable");
    let mut memory = std::fs::File::open(format!("/proc/{}/mem", process.id()))
        .expect("reading the memory of a process needs the rights of a debugger");
    let mut found = false;
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let range = line.split(' ').next().unwrap_or_default();
        let number = |text: &str| u64::from_str_radix(text, 16).unwrap_or_default();
        let Some((from, to)) = range.split_once('-').map(|(from, to)| (number(from), number(to))) else { continue };
        let mut bytes = vec![0; usize::try_from(to - from).unwrap_or_default()];
        let read = memory.seek(SeekFrom::Start(from)).and_then(|_| memory.read_exact(&mut bytes));
        found |= read.is_ok() && bytes.windows(text.len()).any(|window| window == text);
    }
    found
}

#[test]
#[ignore = "tier stack"]
fn stack_no_value_of_a_secret_is_in_the_memory_of_the_process() {
    let fixture = StackFixture::new("memory");
    let secret = role::Grant {
        namespace: Some("memory".to_owned()),
        group: String::new(),
        resource: "secrets".to_owned(),
        verb: "get".to_owned(),
        name: Some("login".to_owned()),
    };
    for cluster in [&fixture.stack.a, &fixture.stack.b] {
        let login = json!({
            "metadata": {"name": "login", "annotations": {"note": CANARY}}, "stringData": {"password": CANARY},
        });
        cluster.api.create("/api/v1/namespaces/memory/secrets", &login);
        let settings = json!({"metadata": {"name": "settings"}, "data": {"note": READ}});
        cluster.api.create("/api/v1/namespaces/memory/configmaps", &settings);
        let mut container = container_object();
        container["envFrom"] = json!([{"secretRef": {"name": "login"}}, {"configMapRef": {"name": "settings"}}]);
        let template = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
        cluster.api.merge(&DEPLOYMENT.replace("NS", "memory"), &template);
        role::grant(cluster, "memory", grants(cluster, "memory").iter().chain([&secret]));
    }
    let plan = permissions::plan(&fixture);
    let compare = |more: &[&str]| {
        let mut args = vec!["compare", plan.as_str(), "--output", "json"];
        args.extend(more);
        permissions::cutover(&fixture, "memory", &args)
    };
    until("the Secret can be compared", || {
        let output = compare(&[]).output().expect("the program should run");
        !String::from_utf8_lossy(&output.stdout).contains("CUT190")
    });

    // With `--watch`, the process stays after it has read both clusters.
    let mut child = compare(&["--watch", "1h"]).spawn().expect("the program should run");
    let mut lines = BufReader::new(child.stdout.take().expect("a standard output")).lines();
    let summary = lines.find_map(|line| line.ok().filter(|line| line.contains("\"summary\"")));
    assert!(summary.is_some(), "the comparison should end");
    assert!(memory_has(&child, READ.as_bytes()), "the search must find what the process has read");
    for text in [CANARY.to_owned(), BASE64_STANDARD.encode(CANARY)] {
        assert!(!memory_has(&child, text.as_bytes()), "the memory of the process has the value of a Secret");
    }
    child.kill().expect("the process should end");
    let _ = child.wait();
}
