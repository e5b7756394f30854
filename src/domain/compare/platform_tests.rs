//! Tests of the rules about AWS and dry-runs: two equal EKS clusters have no finding, and each difference has exactly
//! its finding.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::facts::{Candidate, ClusterFacts, DryRun, Kind};
use super::platform::{Addon, ApiClient, Deprecation, EksDescription, PlatformFacts, Subnet, Support, Unread};
use super::test_clusters::{NAME, NAMESPACE, cluster, edit, image, plan, remove};
use super::*;
use crate::base::finding::{Code, Severity};
use crate::domain::traffic::Unreadable;

const ROLE: &str = "arn:aws:iam::123456789012:role/shop/webapp";
const ADDONS: [&str; 3] = ["aws-ebs-csi-driver", "coredns", "vpc-cni"];

fn issuer(name: &str) -> String {
    format!("oidc.eks.eu-central-1.amazonaws.com/id/{name}")
}

fn now() -> Timestamp {
    "2026-11-30T12:00:00Z".parse().unwrap()
}

fn days(number: i64) -> Option<Timestamp> {
    Timestamp::from_second(now().as_second() + number * 86_400).ok()
}

/// Returns a trust policy for a service account of the clusters with these names.
fn policy(names: &[&str]) -> Value {
    let statement = |name: &&str| {
        let issuer = issuer(name);
        json!({
            "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
            "Principal": {"Federated": format!("arn:aws:iam::123456789012:oidc-provider/{issuer}")},
            "Condition": {"StringEquals": {
                format!("{issuer}:sub"): format!("system:serviceaccount:{NAMESPACE}:{NAME}"),
                format!("{issuer}:aud"): "sts.amazonaws.com",
            }},
        })
    };
    json!({"Version": "2012-10-17", "Statement": names.iter().map(statement).collect::<Vec<_>>()})
}

fn platform(name: &str) -> PlatformFacts {
    let addon = |name: &str| Addon {
        name: name.to_owned(),
        version: "v1.0.0-eksbuild.1".to_owned(),
        status: "ACTIVE".to_owned(),
        issues: Vec::new(),
    };
    let subnet = |zone: &str| Subnet { id: format!("subnet-{zone}"), zone: zone.to_owned(), free: 4 };
    PlatformFacts {
        cluster: Ok(EksDescription {
            issuer: Some(format!("https://{}", issuer(name))),
            subnets: vec!["subnet-a".to_owned(), "subnet-c".to_owned()],
            standard_support: true,
            ..EksDescription::default()
        }),
        addon_names: Ok(ADDONS.map(str::to_owned).into()),
        addons: Ok(ADDONS.map(addon).into()),
        addon_versions: Ok(ADDONS.map(|name| (name.to_owned(), ["v1.0.0-eksbuild.1".to_owned()].into())).into()),
        support: Ok(Some(Support { standard_end: days(200), extended_end: days(565) })),
        pod_identities: Ok([(NAMESPACE.to_owned(), "other".to_owned())].into()),
        roles: [(ROLE.to_owned(), Ok(Some(policy(&["a", "b"]))))].into(),
        subnets: Ok(["a", "c"].map(subnet).into()),
        ..PlatformFacts::empty(now())
    }
}

/// Returns an EKS cluster whose service account has a role by its annotation.
fn eks(name: &str) -> ClusterFacts {
    let mut facts = ClusterFacts { platform: Some(platform(name)), ..cluster(name) };
    edit(&mut facts, Kind::ServiceAccount, NAME, |account| {
        account["metadata"]["annotations"] = json!({"eks.amazonaws.com/role-arn": ROLE});
    });
    facts
}

fn of(facts: &mut ClusterFacts) -> &mut PlatformFacts {
    facts.platform.as_mut().unwrap()
}

fn description(facts: &mut ClusterFacts) -> &mut EksDescription {
    of(facts).cluster.as_mut().unwrap()
}

fn addon<'a>(facts: &'a mut ClusterFacts, name: &str) -> &'a mut Addon {
    of(facts).addons.as_mut().unwrap().iter_mut().find(|addon| addon.name == name).unwrap()
}

fn support(facts: &mut ClusterFacts, standard: i64, extended: i64) {
    of(facts).support = Ok(Some(Support { standard_end: days(standard), extended_end: days(extended) }));
}

fn trust(facts: &mut ClusterFacts, policy: Option<Value>) {
    of(facts).roles.insert(ROLE.to_owned(), Ok(policy));
}

fn without_annotation(facts: &mut ClusterFacts) {
    edit(facts, Kind::ServiceAccount, NAME, |account| account["metadata"]["annotations"] = json!({}));
}

fn associate(facts: &mut ClusterFacts) {
    of(facts).pod_identities.as_mut().unwrap().insert((NAMESPACE.to_owned(), NAME.to_owned()));
}

fn deprecated(facts: &mut ClusterFacts, stop: &str, agents: &[&str]) {
    let client = |agent: &&str| ApiClient { agent: (*agent).to_owned(), requests: 7, last: days(-2) };
    of(facts).deprecations.as_mut().unwrap().push(Deprecation {
        usage: "/apis/flowcontrol.apiserver.k8s.io/v1beta3/flowschemas".to_owned(),
        replaced_with: "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas".to_owned(),
        stop_version: stop.to_owned(),
        clients: agents.iter().map(client).collect(),
    });
}

/// Removes pods of the new cluster, and returns how many addresses each of its two zones has.
fn needs_two_pods(facts: &mut ClusterFacts, free: [u64; 2]) {
    remove(facts, Kind::Pod, "webapp-1");
    remove(facts, Kind::Pod, "webapp-2");
    for (subnet, free) in of(facts).subnets.as_mut().unwrap().iter_mut().zip(free) {
        subnet.free = free;
    }
}

fn dry_run(facts: &mut ClusterFacts, result: Result<DryRun, Unreadable>) {
    let (from, to) = (cluster("a"), cluster("b"));
    let candidate = candidates(&plan(), &from, &to).remove(0);
    facts.dry_runs = vec![(candidate, result)];
}

type Change = fn(&mut ClusterFacts, &mut ClusterFacts);

/// Each difference, with the only code and the severity that it must have.
const DIFFERENCES: &[(&str, Code, Severity, Change)] = &[
    ("the standard support ends in 59 days", Code::CUT101, Severity::Warning, |_, to| support(to, 59, 400)),
    ("the standard support has ended", Code::CUT101, Severity::Warning, |_, to| support(to, -1, 364)),
    ("the standard support ends, and the extended one follows", Code::CUT101, Severity::Info, |_, to| {
        description(to).standard_support = false;
        support(to, 10, 375);
    }),
    ("the extended support ends in a week", Code::CUT101, Severity::Warning, |_, to| {
        description(to).standard_support = false;
        support(to, -358, 7);
    }),
    ("an add-on is degraded", Code::CUT104, Severity::Warning, |_, to| {
        addon(to, "vpc-cni").status = "DEGRADED".to_owned();
    }),
    ("an add-on has an issue", Code::CUT104, Severity::Warning, |_, to| {
        addon(to, "coredns").issues = vec!["InsufficientNumberOfReplicas: no node".to_owned()];
    }),
    ("an add-on is too old for the version", Code::CUT105, Severity::Warning, |_, to| {
        addon(to, "vpc-cni").version = "v0.9.0-eksbuild.1".to_owned();
    }),
    ("an add-on is missing", Code::CUT106, Severity::Warning, |_, to| {
        of(to).addon_names = Ok(["coredns", "vpc-cni"].map(str::to_owned).into());
    }),
    ("a client calls an API that is gone", Code::CUT112, Severity::Error, |from, _| {
        deprecated(from, "1.32", &["flux/v2", "kubectl/v1.29"]);
    }),
    ("a client calls an API that is gone later", Code::CUT112, Severity::Info, |from, _| {
        deprecated(from, "1.35", &["flux/v2"]);
    }),
    ("admission refuses the workload", Code::CUT113, Severity::Warning, |_, to| {
        dry_run(to, Ok(DryRun::Refused("policy: no latest tag".to_owned())));
    }),
    ("a field is unknown", Code::CUT114, Severity::Warning, |_, to| {
        dry_run(to, Ok(DryRun::UnknownFields(vec!["spec.template.spec.x".to_owned()])));
    }),
    ("the role trusts only the old cluster", Code::CUT150, Severity::Error, |_, to| trust(to, Some(policy(&["a"])))),
    ("the role does not exist", Code::CUT150, Severity::Error, |_, to| trust(to, None)),
    ("the role has an unknown condition", Code::CUT190, Severity::Info, |_, to| {
        let mut policy = policy(&["b"]);
        policy["Statement"][0]["Condition"]["IpAddress"] = json!({"aws:SourceIp": "10.0.0.0/8"});
        trust(to, Some(policy));
    }),
    ("the annotation is missing", Code::CUT151, Severity::Error, |_, to| without_annotation(to)),
    ("the Pod Identity association is missing", Code::CUT151, Severity::Error, |from, to| {
        without_annotation(from);
        without_annotation(to);
        associate(from);
    }),
    ("the subnets have too few addresses", Code::CUT161, Severity::Error, |_, to| needs_two_pods(to, [1, 0])),
    ("a zone has too few addresses", Code::CUT161, Severity::Warning, |_, to| needs_two_pods(to, [5, 0])),
];

fn found(change: Change) -> Vec<Finding> {
    let (mut from, mut to) = (eks("a"), eks("b"));
    change(&mut from, &mut to);
    compare(&plan(), &from, &to)
}

#[test]
fn equal_eks_clusters_have_no_finding() {
    assert_eq!(found(|_, _| {}), []);
}

#[test]
fn each_difference_of_the_platform_has_exactly_its_finding() {
    for (what, code, severity, change) in DIFFERENCES {
        let findings = found(*change);
        let codes: Vec<_> = findings.iter().map(|finding| (finding.code, finding.severity)).collect();
        assert_eq!(codes, [(*code, *severity)], "{what}: {findings:#?}");
        assert!(findings[0].help.is_some() && !findings[0].message.is_empty(), "{what}");
    }
}

#[test]
fn what_is_fine_in_another_way_is_no_difference() {
    let fine: [(&str, Change); 8] = [
        ("an add-on that Helm installed instead of EKS", |_, to| {
            of(to).addon_names = Ok(["coredns", "vpc-cni"].map(str::to_owned).into());
            image(to, "coredns", "registry.example/coredns:v1.11.4");
            let mut driver = to.one(Kind::Deployment, "kube-system", "coredns").unwrap().body.clone();
            driver["metadata"]["name"] = "ebs".into();
            driver["spec"]["template"]["spec"]["containers"][0]["image"] = "x.example/aws-ebs-csi-driver:v1".into();
            to.objects.get_mut(&Kind::Deployment).unwrap().as_mut().unwrap().extend(Object::new(driver));
        }),
        ("an add-on that is part of Auto Mode", |_, to| {
            description(to).auto_mode = true;
            of(to).addon_names = Ok(["coredns", "vpc-cni"].map(str::to_owned).into());
            remove(to, Kind::Deployment, "coredns");
            remove(to, Kind::Deployment, "aws-load-balancer-controller");
        }),
        ("an add-on whose versions EKS does not list", |_, to| {
            of(to).addon_versions.as_mut().unwrap().insert("vpc-cni".to_owned(), [].into());
            addon(to, "vpc-cni").version = "v9".to_owned();
        }),
        ("a deprecated API that nobody calls", |from, _| deprecated(from, "1.32", &[])),
        ("an association instead of the annotation", |_, to| {
            without_annotation(to);
            associate(to);
        }),
        ("the annotation instead of an association", |from, _| {
            without_annotation(from);
            associate(from);
        }),
        ("free addresses for the pods to come", |_, to| needs_two_pods(to, [1, 1])),
        ("an accepted dry-run", |_, to| dry_run(to, Ok(DryRun::Accepted))),
    ];
    for (what, change) in fine {
        assert_eq!(found(change), [], "{what}");
    }
}

/// A cluster that is not in EKS has no facts of AWS, so no rule about AWS has a finding.
#[test]
fn cluster_outside_of_eks_has_no_finding_of_aws() {
    assert_eq!(found(|_, to| to.platform = None), []);
    assert_eq!(found(|from, _| from.platform = None), []);
}

#[test]
fn message_of_a_dry_run_has_no_value_of_a_variable() {
    let refusal = "policy: the variable MODE must not be live".to_owned();
    let (mut to, from) = (eks("b"), eks("a"));
    dry_run(&mut to, Ok(DryRun::Refused(refusal)));
    let findings = compare(&plan(), &from, &to);
    assert!(findings[0].message.ends_with("MODE must not be …"), "{}", findings[0].message);
}

#[test]
fn candidate_has_nothing_that_a_server_sets() {
    let (mut from, to) = (cluster("a"), cluster("b"));
    edit(&mut from, Kind::Deployment, NAME, |body| {
        let metadata = body["metadata"].as_object_mut().unwrap();
        metadata.insert("uid".to_owned(), json!("1"));
        metadata.insert("resourceVersion".to_owned(), json!("7"));
        metadata.insert("managedFields".to_owned(), json!([{"manager": "helm"}]));
        metadata.insert("ownerReferences".to_owned(), json!([{"uid": "2"}]));
        metadata.insert("labels".to_owned(), json!({"app": NAME}));
        let own = json!({"deployment.kubernetes.io/revision": "4", "team": "shop"});
        metadata.insert("annotations".to_owned(), own);
        body["status"] = json!({"replicas": 2});
    });
    let sent = candidates(&plan(), &from, &to);
    let [Candidate { kind: Kind::Deployment, body, .. }] = &sent[..] else { panic!("{sent:?}") };
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(body), ["apiVersion", "kind", "metadata", "spec"]);
    let metadata =
        json!({"name": NAME, "namespace": NAMESPACE, "labels": {"app": NAME}, "annotations": {"team": "shop"}});
    assert_eq!(body["metadata"], metadata);
    assert_eq!(body["apiVersion"], "apps/v1");
}

/// Makes a fact of the platform unreadable.
type Refuse = fn(&mut PlatformFacts, Unread);

/// A fact that cannot be read is unknown, with its action, and never a difference.
#[test]
fn each_unreadable_fact_of_the_platform_is_unknown() {
    let unread = |action: &'static str| Unread { action, why: Unreadable::Denied("no".to_owned()) };
    let facts: [(&'static str, Refuse); 9] = [
        ("eks:DescribeCluster", |facts, why| facts.cluster = Err(why)),
        ("eks:ListAddons", |facts, why| facts.addon_names = Err(why)),
        ("eks:DescribeAddon", |facts, why| facts.addons = Err(why)),
        ("eks:DescribeAddonVersions", |facts, why| facts.addon_versions = Err(why)),
        ("eks:DescribeInsight", |facts, why| facts.deprecations = Err(why)),
        ("eks:DescribeClusterVersions", |facts, why| facts.support = Err(why)),
        ("eks:ListPodIdentityAssociations", |facts, why| facts.pod_identities = Err(why)),
        ("iam:GetRole", |facts, why| drop(facts.roles.insert(ROLE.to_owned(), Err(why)))),
        ("ec2:DescribeSubnets", |facts, why| facts.subnets = Err(why)),
    ];
    for (action, change) in facts {
        for other in [false, true] {
            let (mut from, mut to) = (eks("a"), eks("b"));
            change(of(if other { &mut from } else { &mut to }), unread(action));
            let findings = compare(&plan(), &from, &to);
            let messages: Vec<_> = findings.iter().map(|f| (f.code, f.message.as_str())).collect();
            let cluster = if other { "a" } else { "b" };
            assert_eq!(messages, [(Code::CUT190, format!("{cluster}: {action}: the permission is missing").as_str())]);
        }
    }
    let findings = found(|_, to| dry_run(to, Err(Unreadable::Denied("no".to_owned()))));
    assert_eq!(findings[0].message, "b: create deployments.apps (a dry-run): the permission is missing");
    assert_eq!(findings.len(), 1);
}
