//! The lab's runtime API answers as the real HAProxy does: both get the same commands.

use std::io::{Read, Write};
use std::net::TcpStream;

use cutover::adapter::clock::LabClock;
use cutover::lab::live::LiveLab;
use cutover::lab::model::World;
use cutover::lab::scenario::Scenario;
use jiff::Timestamp;

use super::fleet::Fleet;

const PLAN: &str = r#"apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {name: webapp}
spec:
  clusters: [{name: a}, {name: b}]
  workloads:
    - name: webapp
      routes:
        - haproxy: {instances: ["tcp://10.0.1.10:9999"], backend: webapp, servers: {a: "a-*", b: "b-*"}}
        - haproxy: {instances: ["tcp://10.0.1.10:9999"], map: {file: FILE, backends: {a: webapp-a, b: webapp-b}}}
  strategy:
    from: a
    to: b
    steps: [{setWeight: 100}]
"#;

/// The commands, in order: what the adapter sends, and what it must recognize as a refusal.
const COMMANDS: [&str; 22] = [
    "show cli level",
    "get weight webapp/a-1",
    "get weight webapp/b-4",
    "set server webapp/a-1 weight 50",
    "get weight webapp/a-1",
    "set server webapp/a-2 weight 7;get weight webapp/a-2;get weight webapp/zz;get weight webapp/a-3",
    "set server webapp/zz weight 1",
    "set server nope/a-1 weight 1",
    "set server webapp/a-1 weight 300",
    "show servers state nope",
    "show stat nope 6 -1",
    "set map FILE 7 webapp-b",
    "set map FILE 700 webapp-b",
    "show map FILE",
    "show map /nope",
    "prepare map /nope",
    "add map @9 FILE 0 webapp-b",
    "prepare map FILE",
    "add map @1 FILE 0 webapp-b;add map @1 FILE 1 webapp-a",
    "show map FILE",
    "commit map @1 FILE",
    "show map FILE",
];

fn ask(address: &str, command: &str) -> String {
    let address = address.strip_prefix("tcp://").expect("the address should be one of TCP");
    let mut stream = TcpStream::connect(address).expect("the runtime API should accept connections");
    stream.write_all(format!("{command}\n").as_bytes()).expect("the command should be sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the answer should be readable");
    text
}

/// Returns an answer without the addresses in memory of the entries of a map.
fn comparable(answer: &str) -> Vec<String> {
    let words = |line: &str| line.split(' ').filter(|word| !word.starts_with("0x")).collect::<Vec<_>>().join(" ");
    answer.lines().map(words).collect()
}

/// Returns name, weight and configured weight of each server, and the names of the columns.
fn servers(answer: &str) -> (Vec<[String; 3]>, String) {
    let lines: Vec<_> = answer.lines().filter(|line| !line.is_empty()).collect();
    let server = |line: &&str| {
        let cells: Vec<_> = line.split(' ').collect();
        [3, 7, 8].map(|at: usize| cells[at].to_owned())
    };
    (lines[2..].iter().map(server).collect(), lines[1].to_owned())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tier haproxy"]
async fn lab_answers_as_haproxy_does() {
    let fleet = Fleet::start(&["a-1", "a-2", "a-3", "a-4", "b-1", "b-2", "b-3", "b-4"], 1, "");
    let file = fleet.map_file();
    let plan = cutover::plan::lint("plan.yaml", PLAN.replace("FILE", &file).as_bytes())
        .unwrap_or_else(|e| panic!("{}", cutover::plan::render(&e, false)));
    let now = Timestamp::now();
    let scenario = "apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {name: none}\nspec: {}\n";
    let scenario = Scenario::parse("none.yaml", scenario).unwrap_or_else(|e| panic!("{e}"));
    let world = World::new(&plan, &scenario, 1, now).unwrap_or_else(|e| panic!("{e}"));
    let lab = LiveLab::start(world, LabClock::new(now, 1.0)).await.expect("the lab should start");
    let (_, lab_api) = lab
        .environment()
        .iter()
        .find(|(name, _)| name == "LAB_HAPROXY_1")
        .expect("the lab should name the address of its instance");
    let both = |command: &str| [fleet.instances[0].api.as_str(), lab_api].map(|address| ask(address, command));
    let [real, ours] = both("show servers state webapp");
    assert_eq!(servers(&ours), servers(&real));
    for command in COMMANDS {
        let command = command.replace("FILE", &file);
        let [real, ours] = both(&command);
        assert_eq!(comparable(&ours), comparable(&real), "the answer to `{command}`");
    }
    // HAProxy 3.0 repeats the first word of the command, which 2.6 and the lab do not.
    let [real, ours] = both("show nonsense").map(|text| text.lines().next().map(|line| line.replace(": 'show'", "")));
    assert_eq!(ours, real);
    for name in ["Version: ", "Pid: ", "Uptime_sec: ", "Start_time_sec: "] {
        let [real, ours] = both("show info").map(|text| text.lines().any(|line| line.starts_with(name)));
        assert!(real && ours, "{name}");
    }
    lab.stop().await;
}
