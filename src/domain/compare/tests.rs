//! Tests of the rules: two equal clusters have no finding, and each difference has exactly its finding.

use serde_json::{Value, json};

use super::facts::{ClusterFacts, KINDS, Kind};
use super::test_clusters::{
    NAME, NAMESPACE, add, cluster, container, deployment, edit, image, metadata, plan, remove, secret, template,
};
use super::*;
use crate::base::finding::Code;
use crate::domain::traffic::Unreadable;
use crate::plan::model::Accept;

type Change = fn(&mut ClusterFacts);

/// Each difference, as a change of the new cluster, with the only code that it must have.
const DIFFERENCES: &[(&str, Code, Change)] = &[
    ("two versions are skipped", Code::CUT100, |to| to.version = Ok("v1.36.0".to_owned())),
    ("the kubelet is older by four versions", Code::CUT102, |to| {
        edit(to, Kind::Node, "node-1", |node| node["status"]["nodeInfo"]["kubeletVersion"] = "v1.29.1".into());
    }),
    ("the nodes have another architecture", Code::CUT103, |to| {
        edit(to, Kind::Node, "node-1", |node| node["status"]["nodeInfo"]["architecture"] = "amd64".into());
    }),
    ("CoreDNS is missing", Code::CUT106, |to| remove(to, Kind::Deployment, "coredns")),
    ("CoreDNS is older", Code::CUT107, |to| image(to, "coredns", "registry.example/coredns:v1.10.1")),
    ("the controller is older", Code::CUT108, |to| {
        image(to, "aws-load-balancer-controller", "registry.example/aws-load-balancer-controller:v2.4.0");
    }),
    ("the mesh has a different version", Code::CUT109, |to| image(to, "istiod", "registry.example/pilot:1.25.0")),
    ("the namespace joins no mesh", Code::CUT109, |to| {
        edit(to, Kind::Namespace, NAMESPACE, |namespace| namespace["metadata"]["labels"] = json!({}));
    }),
    ("a webhook is missing", Code::CUT115, |to| remove(to, Kind::MutatingWebhookConfiguration, "injector")),
    ("a webhook is new", Code::CUT115, |to| {
        add(to, Kind::ValidatingWebhookConfiguration, json!({"metadata": {"name": "policy"}}));
    }),
    ("a pod runs another digest", Code::CUT120, |to| {
        edit(to, Kind::Pod, "webapp-2", |pod| {
            pod["status"]["containerStatuses"][0]["imageID"] = "registry.example/webapp@sha256:bbbb".into();
        });
    }),
    ("a container is missing", Code::CUT120, |to| {
        template(to, "containers", json!([{"name": "other", "image": "registry.example/webapp:7"}]));
    }),
    ("replicas differ", Code::CUT121, |to| {
        edit(to, Kind::Deployment, NAME, |body| body["spec"]["replicas"] = 5.into());
    }),
    ("resources differ", Code::CUT123, |to| {
        container(to, "resources", json!({"requests": {"cpu": "250m", "memory": "256Mi"}}));
    }),
    ("the probe has a different path", Code::CUT124, |to| {
        container(to, "readinessProbe", json!({"httpGet": {"path": "/", "port": 8080}}));
    }),
    ("a variable has a different value", Code::CUT125, |to| {
        container(to, "env", json!([{"name": "MODE", "value": "test"}, {"name": "LEVEL", "value": "info"}]));
    }),
    ("a variable is missing", Code::CUT125, |to| container(to, "env", json!([{"name": "LEVEL", "value": "info"}]))),
    ("arguments differ", Code::CUT126, |to| container(to, "args", json!(["serve", "--debug"]))),
    ("a volume is mounted elsewhere", Code::CUT127, |to| {
        container(to, "volumeMounts", json!([{"name": "data", "mountPath": "/other"}]));
    }),
    ("the container runs as root", Code::CUT128, |to| {
        container(to, "securityContext", json!({"runAsNonRoot": false}));
    }),
    ("the priority differs", Code::CUT129, |to| template(to, "priorityClassName", json!("system-node-critical"))),
    ("no node has the label", Code::CUT130, |to| template(to, "nodeSelector", json!({"zone": "b"}))),
    ("the disruption budget is missing", Code::CUT131, |to| remove(to, Kind::PodDisruptionBudget, NAME)),
    ("the port differs", Code::CUT132, |to| {
        edit(to, Kind::Service, NAME, |service| service["spec"]["ports"][0]["targetPort"] = 9090.into());
    }),
    ("a network policy is missing", Code::CUT133, |to| remove(to, Kind::NetworkPolicy, "ingress")),
    ("the content of a ConfigMap differs", Code::CUT140, |to| {
        edit(to, Kind::ConfigMap, "settings", |map| map["data"]["limit"] = "20".into());
    }),
    ("a ConfigMap is missing", Code::CUT141, |to| remove(to, Kind::ConfigMap, "settings")),
    ("a Secret is missing", Code::CUT142, |to| secret(to, "login", Ok(None))),
    ("a Secret has a different number of keys", Code::CUT142, |to| secret(to, "login", Ok(Some(3)))),
    ("the login of the registry is missing", Code::CUT147, |to| secret(to, "registry", Ok(None))),
    ("a Secret is not readable", Code::CUT190, |to| secret(to, "login", Err(Unreadable::Denied("no".to_owned())))),
    ("the storage class is missing", Code::CUT143, |to| remove(to, Kind::StorageClass, "gp3")),
    ("a volume is in both clusters", Code::CUT144, |to| {
        edit(to, Kind::PersistentVolume, "pvc-b", |volume| volume["spec"]["csi"]["volumeHandle"] = "vol-a".into());
    }),
    ("the ingress class is missing", Code::CUT145, |to| remove(to, Kind::IngressClass, "alb")),
    ("a custom resource is missing", Code::CUT146, |to| {
        remove(to, Kind::CustomResourceDefinition, "rollouts.argoproj.io");
    }),
    ("the service account is missing", Code::CUT148, |to| remove(to, Kind::ServiceAccount, NAME)),
    ("the priority class is missing", Code::CUT149, |to| remove(to, Kind::PriorityClass, "high")),
    ("there is no room", Code::CUT160, |to| {
        remove(to, Kind::Pod, "webapp-1");
        remove(to, Kind::Pod, "webapp-2");
        edit(to, Kind::Node, "node-1", |node| node["status"]["allocatable"]["cpu"] = "700m".into());
    }),
    ("a pod is pending", Code::CUT162, |to| {
        add(
            to,
            Kind::Pod,
            json!({
                "metadata": {"namespace": NAMESPACE, "name": "webapp-3", "labels": {"app": NAME}},
                "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "full"}]},
            }),
        );
    }),
    ("the limits differ", Code::CUT164, |to| {
        edit(to, Kind::LimitRange, "limits", |range| range["spec"]["limits"][0]["default"] = json!({"cpu": "1"}));
    }),
    ("a CronJob is active in both", Code::CUT170, |to| {
        edit(to, Kind::CronJob, "billing", |job| job["spec"]["suspend"] = false.into());
    }),
    ("a Job runs in both", Code::CUT171, |to| {
        edit(to, Kind::Job, "import", |job| job["status"]["active"] = 1.into());
    }),
    ("a worker runs in both", Code::CUT173, |to| {
        edit(to, Kind::Deployment, "mailer", |worker| worker["spec"]["replicas"] = 1.into());
    }),
    ("KEDA scales in both", Code::CUT174, |to| {
        edit(to, Kind::ScaledObject, "mailer", |object| object["metadata"]["annotations"] = json!({}));
    }),
    ("a leader is active in both", Code::CUT175, |to| {
        edit(to, Kind::Lease, "mailer-leader", |lease| lease["spec"]["holderIdentity"] = "mailer-2".into());
    }),
    ("the nodes are not readable", Code::CUT190, |to| {
        to.objects.insert(Kind::Node, Err(Unreadable::Denied("no".to_owned())));
    }),
];

fn codes(findings: &[Finding]) -> Vec<Code> {
    findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn equal_clusters_have_no_finding() {
    assert_eq!(compare(&plan(), &cluster("a"), &cluster("b")), []);
}

#[test]
fn keda_does_not_scale_while_a_number_of_pods_is_fixed() {
    let mut to = cluster("b");
    edit(&mut to, Kind::ScaledObject, "mailer", |object| {
        object["metadata"]["annotations"] = json!({"autoscaling.keda.sh/paused-replicas": "0"});
    });
    assert_eq!(compare(&plan(), &cluster("a"), &to), []);
}

#[test]
fn each_difference_has_exactly_its_finding() {
    for (what, code, change) in DIFFERENCES {
        let mut to = cluster("b");
        change(&mut to);
        let findings = compare(&plan(), &cluster("a"), &to);
        assert_eq!(codes(&findings), [*code], "{what}: {findings:#?}");
        assert!(findings[0].help.is_some() && !findings[0].message.is_empty(), "{what}");
    }
}

/// Differences that need another cluster on both sides.
#[test]
fn what_runs_twice_has_the_step_that_hands_it_over() {
    let help = |kind: Kind, name: &str, change: fn(&mut Value)| {
        let mut to = cluster("b");
        edit(&mut to, kind, name, change);
        let findings = compare(&plan(), &cluster("a"), &to);
        findings[0].help.clone().unwrap_or_default()
    };
    let job = help(Kind::CronJob, "billing", |job| job["spec"]["suspend"] = false.into());
    let step = format!("- handOver: {{cronJobs: [{{namespace: {NAMESPACE}, name: billing}}]}}");
    assert!(job.ends_with(&step), "{job}");
    let worker = help(Kind::Deployment, "mailer", |worker| worker["spec"]["replicas"] = 1.into());
    let step = format!("- handOver: {{workers: [{{namespace: {NAMESPACE}, kind: Deployment, name: mailer}}]}}");
    assert!(worker.ends_with(&step), "{worker}");
}

#[test]
fn autoscalers_quotas_and_states_are_compared() {
    let autoscaler = |max: i32| {
        json!({
            "metadata": metadata(NAMESPACE, NAME),
            "spec": {
                "minReplicas": 2, "maxReplicas": max,
                "scaleTargetRef": {"kind": "Deployment", "name": NAME},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu"}}],
            },
        })
    };
    let both = |change: &dyn Fn(&mut ClusterFacts, bool)| {
        let (mut from, mut to) = (cluster("a"), cluster("b"));
        change(&mut from, false);
        change(&mut to, true);
        codes(&compare(&plan(), &from, &to))
    };
    let scaled = |facts: &mut ClusterFacts, new: bool| {
        add(facts, Kind::HorizontalPodAutoscaler, autoscaler(if new { 4 } else { 8 }));
        edit(facts, Kind::Deployment, NAME, |body| body["spec"]["replicas"] = if new { 3 } else { 2 }.into());
    };
    assert_eq!(both(&scaled), [Code::CUT122]);
    assert_eq!(
        both(&|facts, new| {
            add(facts, Kind::HorizontalPodAutoscaler, autoscaler(4));
            if new {
                facts.served = Ok(["v1", "apps/v1"].map(str::to_owned).into());
            }
        }),
        [Code::CUT110]
    );
    assert_eq!(
        both(&|facts, new| {
            let fields = json!([{"apiVersion": "apps/v1beta2", "manager": "helm", "time": "2026-01-05T08:00:00Z"}]);
            edit(facts, Kind::Deployment, NAME, |body| body["metadata"]["managedFields"] = fields.clone());
            if !new {
                facts.served = Ok(["apps/v1beta2"].map(str::to_owned).into());
            }
        }),
        [Code::CUT111]
    );
    let stateful = json!({"metadata": metadata(NAMESPACE, "db"), "spec": {"replicas": 1, "selector": {}}});
    assert_eq!(both(&|facts, _| add(facts, Kind::StatefulSet, stateful.clone())), [Code::CUT172]);
    let mut dns = deployment("dns", "external-dns", "registry.example/external-dns:v0.18");
    dns["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["--txt-owner-id=shop"]);
    assert_eq!(both(&|facts, _| add(facts, Kind::Deployment, dns.clone())), [Code::CUT176]);
    assert_eq!(
        both(&|facts, new| {
            if new {
                for pod in ["webapp-1", "webapp-2"] {
                    remove(facts, Kind::Pod, pod);
                }
                edit(facts, Kind::ResourceQuota, "quota", |quota| {
                    quota["status"]["used"]["requests.cpu"] = "9.5".into();
                });
            }
            edit(facts, Kind::Deployment, NAME, |body| body["spec"]["replicas"] = 0.into());
        }),
        [Code::CUT163]
    );
    assert_eq!(
        both(&|facts, new| if new {
            remove(facts, Kind::Deployment, NAME);
        }),
        [Code::CUT134]
    );
}

#[test]
fn what_always_differs_is_not_a_difference() {
    let mut to = cluster("b");
    // Defaults of the API server, an injected sidecar, another order, and the hash of a generated name.
    container(&mut to, "terminationMessagePath", json!("/dev/termination-log"));
    let mut probe = json!({"httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10});
    probe["timeoutSeconds"] = 1.into();
    container(&mut to, "readinessProbe", probe);
    container(&mut to, "env", json!([{"name": "LEVEL", "value": "info"}, {"name": "MODE", "value": "live"}]));
    let names = json!([{"configMapRef": {"name": "settings-7g5hkd2bt6"}}, {"secretRef": {"name": "login"}}]);
    container(&mut to, "envFrom", names);
    edit(&mut to, Kind::Deployment, NAME, |body| {
        let containers = body["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
        containers.push(json!({"name": "istio-proxy", "image": "proxyv2:1.27.1"}));
    });
    let settings = to.one(Kind::ConfigMap, NAMESPACE, "settings").unwrap().body.clone();
    remove(&mut to, Kind::ConfigMap, "settings");
    let mut settings = settings;
    settings["metadata"]["name"] = "settings-7g5hkd2bt6".into();
    add(&mut to, Kind::ConfigMap, settings);
    // The same digest below another tag, as behind a mirror.
    image(&mut to, NAME, "mirror.example/webapp:live");
    assert_eq!(compare(&plan(), &cluster("a"), &to), []);
}

#[test]
fn accept_takes_a_code_and_an_object() {
    let mut to = cluster("b");
    remove(&mut to, Kind::PodDisruptionBudget, NAME);
    let accepted = |object: Option<&str>| {
        let accept =
            Accept { code: "CUT131".to_owned(), object: object.map(str::to_owned), reason: "later".to_owned() };
        let plan = Plan { accept: vec![accept], ..plan() };
        compare(&plan, &cluster("a"), &to)[0].accepted.is_some()
    };
    assert!(accepted(None) && accepted(Some("web/webapp")) && !accepted(Some("web/other")));
}

/// A list that cannot be read is reported as unknown, never as equal.
#[test]
fn each_unreadable_kind_is_unknown() {
    for api in KINDS {
        let mut to = cluster("b");
        to.objects.insert(api.kind, Err(Unreadable::Denied("forbidden".to_owned())));
        let findings = compare(&plan(), &cluster("a"), &to);
        let unknown: Vec<_> = findings.iter().filter(|finding| finding.code == Code::CUT190).collect();
        assert_eq!(unknown.len(), 1, "{:?}: {findings:#?}", api.kind);
        assert!(unknown[0].message.contains(&api.permission()), "{:?}: {}", api.kind, unknown[0].message);
        let others: Vec<_> = findings.iter().filter(|finding| finding.code != Code::CUT190).collect();
        assert!(others.is_empty(), "{:?}: {others:#?}", api.kind);
    }
}
