//! `init` for a whole cluster: a lab with load balancers, namespaces and bindings of several origins is read through the
//! real adapters; the written plan passes the check and the comparison, and its waves complete in a rehearsal.
//! `CUTOVER_SIMULATION=full` plays all waves of the large cluster; otherwise only the first.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use cutover::app::exit::Exit;
use cutover::app::prepare::prepare;
use cutover::base::finding::Finding;
use cutover::domain::compare::compare;
use cutover::domain::kubernetes::binding::Binding;
use cutover::domain::view::init::InitError;
use cutover::domain::view::init::cluster::ClusterInitRequest;
use cutover::engine::compare_platform::read_both;
use cutover::engine::inventory::{InitCluster, init_cluster};
use cutover::lab::rehearsal::{Options, RehearsalLab};
use cutover::plan::model::{ClusterAccess, Plan};

use super::test_run::{TestRun, ending_name, exit, plan_of, ports_of, scenario};

/// The size of a cluster.
#[derive(Clone, Copy)]
pub struct Size {
    pub services: usize,
    pub balancers: usize,
    pub namespaces: usize,
}

const SMALL: Size = Size { services: 6, balancers: 3, namespaces: 2 };
const WHOLE: Size = Size { services: 60, balancers: 12, namespaces: 8 };

/// The origin of the bindings of a Service.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    /// Argo CD made a binding in each cluster, with the name of its group. The groups pair by name.
    ArgoCd,
    /// A person made a binding in each cluster, with the name of the Service.
    Hand,
    /// Only the old cluster has a binding. The groups pair by their tags.
    Tagged,
}

fn origin(n: usize) -> Origin {
    [Origin::ArgoCd, Origin::Hand, Origin::Tagged][n % 3]
}

fn group(n: usize, color: &str) -> String {
    match origin(n) {
        Origin::ArgoCd => format!("s{n:02}-{color}"),
        Origin::Hand => format!("hand{n:02}-{}", if color == "blue" { "one" } else { "two" }),
        Origin::Tagged => format!("k8s-{n:02}-{}", if color == "blue" { "5d2f" } else { "91ac" }),
    }
}

/// Returns the plan from which the lab is built. It has no hand-over and no waves.
fn lab_plan(size: Size) -> Plan {
    let mut workloads = String::new();
    for n in 0..size.services {
        let (balancer, place) = (n % size.balancers, n / size.balancers);
        // The last load balancer is a Network Load Balancer, with a listener for each Service.
        let is_network = balancer + 1 == size.balancers;
        let (kind, place) = if is_network {
            ("nlb", format!("listeners: [{}]", 9000 + place))
        } else {
            ("alb", format!("listeners: [80]\n            rules: [{{priority: {}}}]", 10 * (place + 1)))
        };
        let mode = if origin(n) == Origin::ArgoCd { "verify" } else { "create" };
        write!(
            workloads,
            "
    - name: s{n:02}
      service: {{namespace: team-{}, name: s{n:02}, port: http}}
      binding: {{mode: {mode}}}
      routes:
        - {kind}:
            loadBalancer: lb-{balancer:02}
            targetGroups: {{blue: {}, green: {}}}
            {place}",
            n % size.namespaces,
            group(n, "blue"),
            group(n, "green"),
        )
        .expect("a string should be writable");
    }
    plan_of(&format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: lab}}
spec:
  aws: {{accountId: \"123456789012\", region: eu-central-1}}
  clusters: [{{name: blue, eks: shop-blue}}, {{name: green, eks: shop-green}}]
  workloads:{workloads}
  strategy: {{from: blue, to: green, steps: [{{bind: {{}}}}, {{setWeight: 100}}]}}
"
    ))
}

/// Returns the settings of the lab: the tags of the groups, and which bindings exist.
fn settings(size: Size) -> String {
    let (mut groups, mut bindings) = (Vec::new(), Vec::new());
    for n in 0..size.services {
        match origin(n) {
            Origin::ArgoCd => {}
            Origin::Hand => bindings.push(format!("s{n:02}: {{binding: {{exists: false}}}}")),
            Origin::Tagged => groups.extend(["blue", "green"].map(|color| {
                let tags = format!("{{elbv2.k8s.aws/cluster: shop-{color}, service: s{n:02}}}");
                format!("{{name: {}, tags: {tags}}}", group(n, color))
            })),
        }
    }
    let bindings = bindings.join(", ");
    format!(
        "{{targetGroups: [{}], clusters: [{{name: from, workloads: {{{bindings}}}}}, \
         {{name: to, workloads: {{{bindings}}}}}]}}",
        groups.join(", ")
    )
}

async fn lab(size: Size) -> RehearsalLab {
    let plan = lab_plan(size);
    let options = Options { speed: None, rate: Some(2.0) };
    let lab = RehearsalLab::virtual_time(plan.clone(), &scenario(&settings(size)), 1, options).await;
    let lab = lab.unwrap_or_else(|e| panic!("{e}"));
    let all = cutover::plan::model::Selector::Tags(BTreeMap::new());
    let groups = cutover::port::Groups::Matching(&all);
    let groups = lab.balancer.inventory.target_groups(groups, cutover::port::Detail::Listed).await;
    let groups = groups.unwrap_or_else(|e| panic!("{e}"));
    for n in (0..size.services).filter(|n| origin(*n) == Origin::Hand) {
        for color in ["blue", "green"] {
            let found = groups.iter().find(|g| g.name == group(n, color)).expect("the group should exist");
            let binding = Binding::for_group(&plan.workloads[n], color, found).expect("the workload has a Service");
            let binding = Binding { name: format!("s{n:02}"), ..binding };
            lab.clusters[color].apply(&binding, false).await.unwrap_or_else(|e| panic!("{e}"));
        }
    }
    tokio::time::sleep(Duration::from_mins(10)).await;
    lab
}

/// Returns the plan that `init --from-cluster` writes for a cluster of this size.
pub async fn written_plan(size: Size) -> String {
    init(&lab(size).await).await.unwrap_or_else(|e| panic!("{e}"))
}

async fn init(lab: &RehearsalLab) -> Result<String, InitError> {
    let request = ClusterInitRequest {
        from_cluster: ClusterAccess::Eks("shop-blue".to_owned()),
        to_cluster: ClusterAccess::Eks("shop-green".to_owned()),
        from: Vec::new(),
        to: Vec::new(),
        name: None,
    };
    let connections = (lab.compared["blue"].connect().await, lab.compared["green"].connect().await);
    let (old, new) = (connections.0.objects, connections.1.objects);
    let (old, new) = (old.unwrap_or_else(|e| panic!("{e}")), new.unwrap_or_else(|e| panic!("{e}")));
    let from = InitCluster { cluster: &*lab.clusters["blue"], objects: &*old };
    let to = InitCluster { cluster: &*lab.clusters["green"], objects: &*new };
    init_cluster(&request, &*lab.balancer.inventory, from, to).await
}

/// Writes a plan, checks it, compares the clusters, and plays this number of waves, each in a lab of its own.
async fn assert_usable(size: Size, played: usize) -> String {
    let lab = lab(size).await;
    let text = init(&lab).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(init(&lab).await.as_ref(), Ok(&text), "the output is deterministic");
    let plan = plan_of(&text);
    assert_eq!(plan.workloads.len(), size.services, "{text}");
    assert_eq!(plan.waves.len(), size.namespaces, "{text}");
    let ports = ports_of(&lab);
    for run in plan.runs() {
        let refusing = |preparation: &cutover::app::prepare::Preparation| {
            let findings = preparation.report.findings.iter().filter(|finding| finding.refuses());
            findings.map(|finding| format!("{:?} {}", finding.code, finding.message)).collect::<Vec<_>>()
        };
        let preparation = prepare(&run, &ports, 1).await;
        assert_eq!(refusing(&preparation), Vec::<String>::new(), "{}\n{text}", run.title());
    }
    let (from, to) = read_both(&plan, &ports.compared, ports.clock.now()).await;
    let errors: Vec<_> = compare(&plan, &from, &to).into_iter().filter(Finding::refuses).collect();
    assert_eq!(errors, Vec::new());
    for run in plan.runs().into_iter().take(played) {
        let mut test_run = TestRun::begin(run.clone(), &scenario("{}")).await;
        let end = test_run.run().await;
        assert_eq!(
            (ending_name(&end), exit(&end)),
            ("completed", Exit::Done),
            "{}: {}",
            run.title(),
            test_run.output()
        );
        test_run.assert_shares(100, &[]);
    }
    text
}

#[tokio::test(start_paused = true)]
async fn plan_of_a_small_cluster_needs_no_edit() {
    let text = assert_usable(SMALL, SMALL.namespaces).await;
    insta::assert_snapshot!(text);
}

#[tokio::test(start_paused = true)]
async fn plan_of_sixty_services_needs_no_edit() {
    let is_full = std::env::var("CUTOVER_SIMULATION").as_deref() == Ok("full");
    assert_usable(WHOLE, if is_full { WHOLE.namespaces } else { 1 }).await;
}
