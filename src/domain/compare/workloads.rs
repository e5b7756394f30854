//! Rules about the objects that create the pods: images, replicas, autoscalers, and the fields of the pod template.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::context::Context;
use super::facts::{ClusterFacts, Kind};
use super::normal::{base_name, by_name, is_sidecar, normal, without_own_names};
use super::object::{Object, at, list, matches_expression, selects, text};
use super::pair::{Pair, PodIndex, autoscaler, containers, replicas};
use crate::base::finding::{Code, Finding};

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, pairs, .. } = context;
    for (kind, object) in &pairs.missing {
        let message = format!("{kind:?} {} exists in {}, but not in {}", object.full_name(), from.name, to.name);
        findings.push(
            Finding::new(Code::CUT134, object.full_name(), message)
                .help(format!("deploy it in {}; without it, the Service has fewer pods or none", to.name)),
        );
    }
    for pair in &pairs.workloads {
        images(context, pair, findings);
        scale(context, pair, findings);
        for part in TEMPLATE_PARTS {
            template(context, pair, part, findings);
        }
        placement(context, pair, findings);
        disruption_budget(context, pair, findings);
    }
}

/// Returns `; it was last changed in CLUSTER at TIME`, if known.
fn last_change(context: &Context<'_>, pair: &Pair<'_>) -> String {
    let of = |cluster: &ClusterFacts, object: &Object| Some((object.changed_at()?.to_owned(), cluster.name.clone()));
    let newest = [of(context.from, pair.from), of(context.to, pair.to)].into_iter().flatten().max();
    newest.map(|(time, cluster)| format!("; last change: {time} in {cluster}")).unwrap_or_default()
}

// --- images ---

/// Returns the digests of the images that the pods of an object run, by container and architecture.
fn digests(
    cluster: &ClusterFacts,
    pods: &PodIndex<'_>,
    owner: &Object,
) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for pod in pods.of(owner) {
        let node = pod.text("/spec/nodeName").and_then(|node| cluster.one(Kind::Node, "", node));
        let Some(architecture) = node.and_then(|node| node.text("/status/nodeInfo/architecture")) else { continue };
        for status in pod.list("/status/containerStatuses") {
            let digest = text(status, "/imageID").and_then(|image| Some(image.rsplit_once('@')?.1));
            let (Some(name), Some(digest)) = (text(status, "/name"), digest) else { continue };
            found.entry((name.to_owned(), architecture.to_owned())).or_default().insert(digest.to_owned());
        }
    }
    found
}

fn images(context: &Context<'_>, pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, from_pods, to_pods, .. } = context;
    let (old_digests, new_digests) = (digests(from, from_pods, pair.from), digests(to, to_pods, pair.to));
    for container in containers(pair.from) {
        let Some(name) = text(container, "/name").filter(|name| !is_sidecar(name)) else { continue };
        let Some(other) = containers(pair.to).find(|other| text(other, "/name") == Some(name)) else {
            findings.push(other_image(
                context,
                pair,
                name,
                text(container, "/image").unwrap_or("?"),
                "no such container",
            ));
            continue;
        };
        let both = old_digests.iter().filter(|((container, _), _)| container == name);
        let both: Vec<_> = both.filter_map(|(key, old)| Some((old, new_digests.get(key)?))).collect();
        let joined = |digests: &BTreeSet<String>| digests.iter().map(String::as_str).collect::<Vec<_>>().join(" and ");
        if let Some((old, new)) = both.iter().find(|(old, new)| old != new) {
            let image =
                |container, digests| format!("{} ({})", text(container, "/image").unwrap_or("?"), joined(digests));
            findings.push(other_image(context, pair, name, &image(container, old), &image(other, new)));
        } else if both.is_empty() && text(container, "/image") != text(other, "/image") {
            let image = |container| text(container, "/image").unwrap_or("?");
            findings.push(other_image(context, pair, name, image(container), image(other)));
        }
    }
}

fn other_image(context: &Context<'_>, pair: &Pair<'_>, container: &str, old: &str, new: &str) -> Finding {
    let Context { from, to, .. } = context;
    let message = format!(
        "{:?} {}, container {container}: {} runs {old}, {} runs {new}{}",
        pair.kind,
        pair.from.full_name(),
        from.name,
        to.name,
        last_change(context, pair)
    );
    Finding::new(Code::CUT120, pair.from.full_name(), message)
        .help("clients get other software from the new cluster: deploy the same image in both clusters")
}

// --- replicas and autoscalers ---

fn scale(context: &Context<'_>, pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, .. } = context;
    let name = pair.from.full_name();
    match (autoscaler(from, pair.kind, pair.from), autoscaler(to, pair.kind, pair.to)) {
        (None, None) if from.knows(Kind::HorizontalPodAutoscaler) && to.knows(Kind::HorizontalPodAutoscaler) => {
            let (Some(old), Some(new)) = (replicas(pair.from), replicas(pair.to)) else { return };
            if old != new && pair.kind != Kind::DaemonSet {
                let message = format!(
                    "{:?} {name} has {old} replicas in {}, {new} in {}{}",
                    pair.kind,
                    from.name,
                    to.name,
                    last_change(context, pair)
                );
                let help =
                    "no autoscaler changes the number of pods: set `replicas` to the number that the traffic will need";
                findings.push(Finding::new(Code::CUT121, name, message).help(help));
            }
        }
        (Some(old), Some(new)) => {
            let bounds = |object: &Object| {
                let number = |hpa: &str, keda: &str| object.number(hpa).or_else(|| object.number(keda));
                (
                    number("/spec/minReplicas", "/spec/minReplicaCount"),
                    number("/spec/maxReplicas", "/spec/maxReplicaCount"),
                )
            };
            let ((old_min, old_max), (new_min, new_max)) = (bounds(old), bounds(new));
            let shown = |min: Option<i64>, max: Option<i64>| {
                let number = |n: Option<i64>| n.map_or_else(|| "the default".to_owned(), |n| n.to_string());
                format!("{} to {}", number(min), number(max))
            };
            let metrics = |cluster, object: &Object| normal(object.at("/spec/metrics"), cluster);
            let what = if (old_min, old_max) != (new_min, new_max) {
                format!(
                    "{} replicas in {}, {} in {}",
                    shown(old_min, old_max),
                    from.name,
                    shown(new_min, new_max),
                    to.name
                )
            } else if metrics(from, old) != metrics(to, new) {
                "other metrics in the two clusters".to_owned()
            } else {
                return;
            };
            let message = format!("the autoscaler of {:?} {name} has {what}", pair.kind);
            let help = "with other limits, the new cluster scales to another capacity: make them equal";
            findings.push(Finding::new(Code::CUT122, name, message).help(help));
        }
        (Some(_), None) if to.knows(Kind::HorizontalPodAutoscaler) => {
            let message = format!("{:?} {name} has an autoscaler in {}, none in {}", pair.kind, from.name, to.name);
            let help = format!("without it, {} does not follow the traffic: create the autoscaler", to.name);
            findings.push(Finding::new(Code::CUT122, name, message).help(help));
        }
        _ => {}
    }
}

// --- the pod template ---

/// A part of the pod template that is compared as a whole.
struct TemplatePart {
    code: Code,
    /// The name of the part in messages.
    what: &'static str,
    /// The fields of each container.
    container: &'static [&'static str],
    /// The fields of the pod.
    pod: &'static [&'static str],
    help: &'static str,
}

const TEMPLATE_PARTS: &[TemplatePart] = &[
    TemplatePart {
        code: Code::CUT123,
        what: "resources",
        container: &["resources"],
        pod: &[],
        help: "with other requests or limits, a pod carries another load: make them equal",
    },
    TemplatePart {
        code: Code::CUT124,
        what: "probes",
        container: &["readinessProbe", "livenessProbe", "startupProbe"],
        pod: &["readinessGates"],
        help: "with other probes, a pod counts as ready at another time: make them equal",
    },
    TemplatePart {
        code: Code::CUT125,
        what: "environment",
        container: &["env", "envFrom"],
        pod: &[],
        help: "set the same environment variables in both clusters, or accept the difference if it is intended",
    },
    TemplatePart {
        code: Code::CUT126,
        what: "command and arguments",
        container: &["command", "args", "workingDir"],
        pod: &[],
        help: "make them equal, or accept the difference if it is intended",
    },
    TemplatePart {
        code: Code::CUT127,
        what: "volumes",
        container: &["volumeMounts", "volumeDevices"],
        pod: &["volumes"],
        help: "the pods may read or write other data: make the volumes equal",
    },
    TemplatePart {
        code: Code::CUT128,
        what: "security context",
        container: &["securityContext"],
        pod: &["securityContext", "hostNetwork", "hostPID", "hostIPC"],
        help: "the pods may lack a right in one of the clusters: make the security context equal",
    },
    TemplatePart {
        code: Code::CUT129,
        what: "priority class",
        container: &[],
        pod: &["priorityClassName"],
        help: "when nodes are full, the pods are evicted in another order: use the same priority class",
    },
];

fn template(context: &Context<'_>, pair: &Pair<'_>, part: &TemplatePart, findings: &mut Vec<Finding>) {
    let Context { from, to, .. } = context;
    let (old, new) = (values(from, pair.from, part), values(to, pair.to, part));
    let mut differences: Vec<String> = Vec::new();
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for key in keys {
        match (old.get(key), new.get(key)) {
            (Some(a), Some(b)) if a == b => {}
            // A container that one side lacks is a separate finding.
            _ if !key.0.is_empty() && lacks_container(pair, &key.0) => {}
            (a, b) => differences.push(difference(key, a, b, from, to)),
        }
    }
    if differences.is_empty() {
        return;
    }
    let name = pair.from.full_name();
    let message = format!(
        "{:?} {name} has another {}: {}{}",
        pair.kind,
        part.what,
        differences.join("; "),
        last_change(context, pair)
    );
    findings.push(Finding::new(part.code, name, message).help(part.help));
}

fn lacks_container(pair: &Pair<'_>, name: &str) -> bool {
    let has = |object| containers(object).any(|container| text(container, "/name") == Some(name));
    !has(pair.from) || !has(pair.to)
}

/// Returns the compared fields of a template, by container (empty: the pod) and field. Each entry of a named list is a
/// separate field.
fn values(cluster: &ClusterFacts, owner: &Object, part: &TemplatePart) -> BTreeMap<(String, String), Value> {
    let mut found = BTreeMap::new();
    let own = containers(owner).filter(|c| !text(c, "/name").is_some_and(is_sidecar));
    let containers = own.map(|c| (text(c, "/name").unwrap_or_default().to_owned(), c, part.container));
    let pod = (String::new(), owner.at("/spec/template/spec"), part.pod);
    for (name, value, fields) in containers.chain([pod]) {
        for field in fields {
            let value = &value[*field];
            let entries = value.as_array().filter(|list| list.iter().all(|entry| entry.get("name").is_some()));
            match entries {
                Some(entries) if *field != "volumeMounts" => {
                    for entry in entries {
                        let entry_name = base_name(text(entry, "/name").unwrap_or_default()).to_owned();
                        insert(
                            &mut found,
                            (name.clone(), format!("{field} {entry_name}")),
                            normal_entry(entry, cluster),
                        );
                    }
                }
                Some(entries) => {
                    let sorted = Value::Array(by_name(entries, "mountPath"));
                    insert(&mut found, (name.clone(), (*field).to_owned()), normal_entry(&sorted, cluster));
                }
                None => insert(&mut found, (name.clone(), (*field).to_owned()), normal_entry(value, cluster)),
            }
        }
    }
    found
}

fn insert(found: &mut BTreeMap<(String, String), Value>, key: (String, String), value: Value) {
    let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    if !empty && value.as_array().is_none_or(|list| !list.is_empty()) {
        found.insert(key, value);
    }
}

/// Returns a normal value whose names of generated objects lack the hash, and whose service account tokens are removed:
/// the API server adds them.
fn normal_entry(value: &Value, cluster: &ClusterFacts) -> Value {
    let mut value = normal(value, cluster);
    strip_hashes(&mut value);
    value
}

fn strip_hashes(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value {
                    Value::String(text) if matches!(key.as_str(), "name" | "secretName" | "claimName") => {
                        *text = base_name(text).to_owned();
                    }
                    other => strip_hashes(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strip_hashes),
        _ => {}
    }
}

/// Describes a difference. The values of environment variables are not shown, because they may be credentials.
fn difference(
    (container, field): &(String, String),
    old: Option<&Value>,
    new: Option<&Value>,
    from: &ClusterFacts,
    to: &ClusterFacts,
) -> String {
    let place = if container.is_empty() { field.clone() } else { format!("{container}: {field}") };
    match (old, new) {
        (Some(_), None) => format!("{place} is only in {}", from.name),
        (None, Some(_)) => format!("{place} is only in {}", to.name),
        (Some(old), Some(new)) if !field.starts_with("env") && !matches!(field.as_str(), "command" | "args") => {
            let (old, new) = (short(old), short(new));
            format!("{place} is {old} in {}, {new} in {}", from.name, to.name)
        }
        _ => format!("{place} differs"),
    }
}

/// Returns a value as JSON, at most 80 characters.
fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 80 { text } else { format!("{}…", text.chars().take(79).collect::<String>()) }
}

// --- placement ---

/// Returns whether a node has the labels that a template requires.
pub fn fits(node: &Object, template: &Value) -> bool {
    let label = |key: &str| if key == "metadata.name" { Some(node.name.as_str()) } else { node.label(key) };
    let selector = at(template, "/nodeSelector").as_object();
    let selected = selector.is_none_or(|pairs| pairs.iter().all(|(key, value)| label(key) == value.as_str()));
    let path = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let terms = list(template, path);
    let fulfils = |term: &Value| {
        let expressions = list(term, "/matchExpressions").iter().chain(list(term, "/matchFields"));
        expressions.into_iter().all(|expression| matches_expression(expression, &label))
    };
    selected && (terms.is_empty() || terms.iter().any(fulfils))
}

/// Returns whether pods of a template tolerate the taints of a node.
pub fn tolerates(node: &Object, template: &Value) -> bool {
    let blocking = node.list("/spec/taints").iter().filter(|taint| text(taint, "/effect") != Some("PreferNoSchedule"));
    let tolerated = |taint: &Value| {
        list(template, "/tolerations").iter().any(|toleration| {
            let same = |field| text(toleration, field) == text(taint, field);
            let key = text(toleration, "/key").is_none_or(str::is_empty) || same("/key");
            let value = text(toleration, "/operator") == Some("Exists") || same("/value");
            key && value && (text(toleration, "/effect").is_none_or(str::is_empty) || same("/effect"))
        })
    };
    node.at("/spec/unschedulable") != true && blocking.into_iter().all(tolerated)
}

fn placement(context: &Context<'_>, pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let to = context.to;
    let nodes = to.all(Kind::Node);
    if nodes.is_empty() {
        return;
    }
    let template = pair.to.at("/spec/template/spec");
    let name = pair.to.full_name();
    let old_architectures: BTreeSet<_> = architectures(context.from, Some((&context.from_pods, pair.from)));
    let new_architectures: BTreeSet<_> = architectures(to, None);
    if !old_architectures.is_empty() && old_architectures.is_disjoint(&new_architectures) {
        let join = |all: &BTreeSet<String>| all.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let message = format!(
            "{:?} {name} runs on {} in {}; the nodes of {} are {}",
            pair.kind,
            join(&old_architectures),
            context.from.name,
            to.name,
            join(&new_architectures)
        );
        let help = "build the image for the architecture of the new nodes, or add nodes of the old architecture";
        findings.push(Finding::new(Code::CUT103, name.clone(), message).help(help));
    }
    if !nodes.iter().any(|node| fits(node, template) && tolerates(node, template)) {
        let message = format!(
            "{:?} {name} asks for nodes that {} does not have: no node fulfils its node selector, affinity and taints",
            pair.kind, to.name
        );
        let help = format!("add such nodes to {}, or change the selector; the pods stay pending", to.name);
        findings.push(Finding::new(Code::CUT130, name, message).help(help));
    }
}

/// Returns the operating systems and architectures of the nodes, such as `linux/arm64`; with an object, only of the
/// nodes that run its pods.
fn architectures(cluster: &ClusterFacts, owner: Option<(&PodIndex<'_>, &Object)>) -> BTreeSet<String> {
    let of = |node: &Object| {
        let field = |path| node.text(path).map(str::to_owned);
        Some(format!("{}/{}", field("/status/nodeInfo/operatingSystem")?, field("/status/nodeInfo/architecture")?))
    };
    match owner {
        None => cluster.all(Kind::Node).iter().filter_map(of).collect(),
        Some((pods, owner)) => {
            let names = pods.of(owner).filter_map(|pod| pod.text("/spec/nodeName"));
            names.filter_map(|name| of(cluster.one(Kind::Node, "", name)?)).collect()
        }
    }
}

// --- disruption budgets ---

fn disruption_budget(context: &Context<'_>, pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, .. } = context;
    let covers = |cluster: &ClusterFacts, owner: &Object| {
        let labels = owner.at("/spec/template/metadata/labels");
        let mut budgets = cluster.within(Kind::PodDisruptionBudget, &owner.namespace);
        budgets.find(|budget| selects(budget.at("/spec/selector"), labels)).map(Object::full_name)
    };
    if !to.knows(Kind::PodDisruptionBudget) {
        return;
    }
    if let (Some(budget), None) = (covers(from, pair.from), covers(to, pair.to)) {
        let name = pair.from.full_name();
        let message = format!(
            "PodDisruptionBudget {} protects {:?} {name} in {}; {} has none for it",
            without_own_names(&budget, from),
            pair.kind,
            from.name,
            to.name
        );
        let help = "a drain of nodes can stop all of its pods at once: create the PodDisruptionBudget";
        findings.push(Finding::new(Code::CUT131, name, message).help(help));
    }
}
