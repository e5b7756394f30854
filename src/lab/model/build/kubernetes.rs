//! Builds the clusters and their objects: for each workload a Service and a Deployment, also bindings, HPAs, and pods
//! that already serve.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::settings::{Settings, WorkloadSettings};
use super::{RouteEntryGroups, platform};
use crate::base::partition;
use crate::lab::model::cluster::{Cluster, DeploymentBehaviour};
use crate::lab::model::controller::AUTO_MODE_TAG;
use crate::lab::model::group::LabTargetState;
use crate::lab::model::platform::Platform;
use crate::lab::model::pod::{Phase, Pod, PodFaults};
use crate::lab::model::{Bucket, World};
use crate::lab::objects::{Kind, Objects};
use crate::lab::scenario::ScenarioError;
use crate::lab::scenario::model::GitOps;
use crate::plan::model::{BalancerKind, ClusterAccess, PortRef, Workload};

impl World {
    pub(super) fn build_clusters(&mut self, settings: &Settings<'_>, seed: u64) {
        for (number, planned) in (0_u8..).zip(&settings.plan.clusters) {
            let (version, auto_mode) = settings.version(&planned.name);
            let eks = match &planned.access {
                ClusterAccess::Eks(name) => name.clone(),
                _ => planned.name.clone(),
            };
            let own_seed = seed.wrapping_mul(31).wrapping_add(u64::from(number) + 1);
            let mut objects = Objects::new(own_seed, auto_mode, self.now);
            objects.set_missing_binding_fields(settings.missing_binding_fields(&planned.name));
            let mut nodes = Vec::new();
            for n in 0..3_u8 {
                let id = format!("i-{:08x}{:09x}", self.random.u32(..), u64::from(n) + 1);
                let ip = Ipv4Addr::new(10, 100 + number, 0, n + 10);
                let zone = format!("{}{}", settings.plan.region, if n % 2 == 0 { "a" } else { "c" });
                objects.put(Kind::Node, node(&id, ip, &zone, &version), self.now);
                nodes.push((id, ip));
            }
            self.clusters.push(Cluster {
                name: planned.name.as_str().into(),
                endpoint: format!("https://{eks}.lab.invalid"),
                platform: Platform::new(
                    &eks,
                    number,
                    &settings.plan.region,
                    partition::of_region(&settings.plan.region).domain,
                ),
                eks,
                version,
                ca: String::new(),
                objects,
                reconciled_revision: 0,
                reconcile_scheduled: false,
                cron_ticks: BTreeMap::new(),
                index: crate::lab::model::controller::ControllerIndex::default(),
                number,
                addresses: 0,
                deployments: BTreeMap::new(),
                bindings: BTreeMap::new(),
                nodes,
            });
        }
    }

    /// Builds the initial workloads. Their creation does not use the account's token bucket, and appears neither in the
    /// call log nor in the change log of a cluster.
    pub(super) fn build_workloads(
        &mut self,
        settings: &Settings<'_>,
        entries: &[RouteEntryGroups<'_>],
    ) -> Result<(), ScenarioError> {
        let bucket = std::mem::replace(&mut self.buckets.register, Bucket::unlimited(self.now));
        self.clusters.iter_mut().for_each(|c| c.objects.set_recording(false));
        for cluster in 0..self.clusters.len() {
            let name = Arc::clone(&self.clusters[cluster].name);
            for workload in &settings.plan.workloads {
                let workload_settings = settings.workload(&name, &workload.name);
                if workload_settings.exists {
                    let mut own = entries.iter().filter(|entry| entry.workload.name == workload.name);
                    let nodes = own.any(|entry| self.has_nodes(entry, &name));
                    self.build_workload(cluster, workload, &workload_settings, nodes);
                }
            }
            self.build_platform(cluster, &settings.plan.strategy.from);
            self.build_items(cluster, settings.plan);
            self.warm_deployments(cluster);
            for entry in entries {
                let workload_settings = settings.workload(&name, &entry.workload.name);
                let Some(position) = entry.entry.target_groups.iter().position(|(c, _)| **c == *name) else { continue };
                let bound = workload_settings.bound && entry.entry.kind != BalancerKind::Haproxy;
                if workload_settings.exists && bound {
                    let group = self.bound_group(settings, &workload_settings, entry.groups[position].0)?;
                    self.build_binding(cluster, entry.workload, &workload_settings, group);
                }
            }
            self.reconcile(cluster);
            self.build_servers(settings, cluster, entries);
        }
        for address in self.runtime_addresses() {
            self.apply_weights(&address);
        }
        for group in 0..self.groups.len() {
            self.warm_targets(group);
        }
        self.buckets.register = bucket;
        self.calls.clear();
        self.clusters.iter_mut().for_each(|c| c.objects.set_recording(true));
        Ok(())
    }

    /// Builds the objects around the workloads. `active` is the cluster that runs the objects which must run in only
    /// one cluster.
    fn build_platform(&mut self, cluster: usize, active: &str) {
        let now = self.now;
        let Cluster { name, objects, deployments, .. } = &mut self.clusters[cluster];
        objects.without_randomness(|objects| {
            platform::add_platform(objects, name, now);
            let mut namespaces: Vec<&str> = Vec::new();
            for (namespace, workload) in deployments.keys() {
                platform::add_references(objects, name, namespace, workload, now);
                if !namespaces.contains(&namespace.as_str()) {
                    namespaces.push(namespace);
                    platform::add_single(objects, namespace, **name == *active, now);
                }
            }
        });
    }

    fn bound_group(
        &self,
        settings: &Settings<'_>,
        workload_settings: &WorkloadSettings,
        planned: usize,
    ) -> Result<usize, ScenarioError> {
        let Some(name) = &workload_settings.target_group else { return Ok(planned) };
        let found = self.groups.iter().position(|g| g.name == *name || *g.arn == **name);
        found.ok_or_else(|| settings.scenario.entry("spec.clusters", format!("no target group `{name}`")))
    }

    /// Whether the targets of an entry's group in a cluster are nodes.
    fn has_nodes(&self, entry: &RouteEntryGroups<'_>, cluster: &str) -> bool {
        let position = entry.entry.target_groups.iter().position(|(name, _)| name == cluster);
        position.is_some_and(|at| self.groups[entry.groups[at].0].target_type == "instance")
    }

    /// Builds a workload. With `nodes`, the Service has type `NodePort`, because its targets are nodes.
    fn build_workload(
        &mut self,
        cluster: usize,
        workload: &Workload,
        workload_settings: &WorkloadSettings,
        nodes: bool,
    ) {
        let now = self.now;
        let (namespace, name, port) = service_ref(workload, &self.clusters[cluster].name);
        let cluster_state = &mut self.clusters[cluster];
        let api_group = if cluster_state.objects.auto_mode() { "eks.amazonaws.com" } else { "elbv2.k8s.aws" };
        if !cluster_state.objects.has(Kind::Namespace, "", &namespace) {
            let label = workload_settings
                .readiness_gates
                .then(|| json!({format!("{api_group}/pod-readiness-gate-inject"): "enabled"}));
            cluster_state.objects.put(Kind::Namespace, json!({"metadata": {"name": namespace, "labels": label}}), now);
        }
        let labels = json!({"app": name});
        let (owner_labels, annotations) = owner(workload_settings.owner, &name);
        let own = merged(&labels, &owner_labels);
        let gates: Vec<Value> = if workload_settings.readiness_gates {
            vec![json!({"conditionType": format!("target-health.{api_group}/{name}")})]
        } else {
            Vec::new()
        };
        let (port_name, number) = match &port {
            PortRef::Name(name) => (name.clone(), 80),
            PortRef::Number(number) => ("http".to_owned(), *number),
        };
        let service = json!({
            "metadata": {"name": name, "namespace": namespace, "labels": own, "annotations": annotations},
            "spec": {
                "type": if nodes { "NodePort" } else { "ClusterIP" },
                "clusterIP": format!("172.20.{}.{}", cluster, cluster_state.deployments.len() + 10),
                "selector": labels,
                "ports": [{"name": port_name, "port": number, "targetPort": workload_settings.port, "protocol": "TCP",
                    "nodePort": 30000 + u32::from(number) % 2000}],
            },
        });
        cluster_state.objects.put(Kind::Service, service, now);
        let container = json!({
            "name": "app", "image": format!("registry.example.com/{name}:1"),
            "ports": [{"containerPort": workload_settings.port}],
        });
        let mut template = json!({
            "metadata": {"labels": labels,
                "annotations": {"lab.cutover.dev/health-status": workload_settings.health_status.to_string()}},
            "spec": {"containers": [container], "readinessGates": gates,
                "terminationGracePeriodSeconds": workload_settings.pre_stop.as_secs() + 15},
        });
        platform::complete_template(&mut template["spec"], &name);
        let deployment = json!({
            "metadata": {"name": name, "namespace": namespace, "labels": own, "annotations": annotations},
            "spec": {"replicas": workload_settings.replicas, "selector": {"matchLabels": labels}, "template": template},
        });
        cluster_state.objects.put(Kind::Deployment, deployment, now);
        let wants = workload_settings.hpa.as_ref().and_then(|h| h.wants);
        let behaviour = DeploymentBehaviour {
            workload: workload.name.clone(),
            startup: workload_settings.startup,
            pre_stop: workload_settings.pre_stop,
            full_replicas: workload_settings.replicas,
            desired_replicas: wants,
            surplus_since: None,
        };
        cluster_state.deployments.insert((namespace.clone(), name.clone()), behaviour);
        if let Some(hpa) = &workload_settings.hpa {
            let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name});
            let metric = json!({
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
            });
            let spec =
                json!({"scaleTargetRef": target, "minReplicas": hpa.min, "maxReplicas": hpa.max, "metrics": [metric]});
            let status =
                json!({"currentReplicas": workload_settings.replicas, "desiredReplicas": workload_settings.replicas});
            cluster_state.objects.put(
                Kind::HorizontalPodAutoscaler,
                json!({
                    "metadata": {"name": name, "namespace": namespace, "labels": own}, "spec": spec, "status": status,
                }),
                now,
            );
        }
    }

    fn build_binding(
        &mut self,
        cluster: usize,
        workload: &Workload,
        workload_settings: &WorkloadSettings,
        group: usize,
    ) {
        let now = self.now;
        let (namespace, name, port) = service_ref(workload, &self.clusters[cluster].name);
        if self.clusters[cluster].objects.auto_mode() {
            // The binding has worked before the start, so the group has the tag.
            let eks = self.clusters[cluster].eks.clone();
            self.groups[group].tags.entry(AUTO_MODE_TAG.to_owned()).or_insert(eks);
        }
        let group = &self.groups[group];
        let (labels, annotations) = owner(workload_settings.owner, &name);
        let mut spec = Map::new();
        spec.insert("serviceRef".into(), json!({"name": name, "port": port}));
        spec.insert("targetGroupARN".into(), json!(&*group.arn));
        spec.insert("targetType".into(), json!(group.target_type));
        spec.insert("ipAddressType".into(), json!("ipv4"));
        spec.insert("vpcID".into(), json!(group.vpc));
        if workload_settings.multi_cluster {
            spec.insert("multiClusterTargetGroup".into(), true.into());
        }
        spec.extend(workload.binding.extra.clone());
        let metadata = json!({
            "name": group.name.to_ascii_lowercase(), "namespace": namespace, "labels": labels,
            "annotations": annotations,
        });
        self.clusters[cluster].objects.put(Kind::TargetGroupBinding, json!({"metadata": metadata, "spec": spec}), now);
    }

    /// Adds two servers outside every cluster and registers them in a third-party group.
    pub(super) fn add_external_servers(&mut self, group: usize) {
        for _ in 0..2 {
            let id = crate::lab::model::PodId(u32::try_from(self.pods.len()).unwrap_or(u32::MAX));
            let [high, low] = (u16::try_from(self.pods.len()).unwrap_or(0) + 256).to_be_bytes();
            let ip = Ipv4Addr::new(10, 200, high, low);
            self.pods.push(Pod {
                cluster: None,
                namespace: String::new(),
                name: format!("{}-{low}", self.groups[group].name).into(),
                deployment: String::new(),
                template: String::new(),
                labels: BTreeMap::new(),
                ip,
                port: 8080,
                phase: Phase::Running,
                serving: true,
                gates: Vec::new(),
                gates_passed: true,
                health_status: 200,
                faults: PodFaults::default(),
            });
            self.pod_by_ip.insert(ip, id);
            self.register(group, &ip.to_string(), 8080, Some(id));
        }
    }

    /// Sets the initial targets to the state that they would have reached after a long time.
    fn warm_targets(&mut self, group: usize) {
        let used = !self.groups[group].attached.is_empty();
        let pods = &self.pods;
        let mut checked = Vec::new();
        for ((id, port), target) in &mut self.groups[group].targets {
            let healthy = target.pod.is_some_and(|p| pods[p.0 as usize].health_status == 200);
            target.state = match (used, healthy) {
                (false, _) => LabTargetState::Unused,
                (true, true) => LabTargetState::Healthy,
                (true, false) => LabTargetState::Unhealthy("Target.ResponseCodeMismatch"),
            };
            checked.push((Arc::clone(id), *port, target.registration));
        }
        self.groups[group].routable = None;
        let interval = self.groups[group].check.interval;
        for (id, port, registration) in checked.into_iter().filter(|_| used) {
            let delay = interval.mul_f64(self.random.f64());
            let target = crate::lab::model::TargetRef { group, id, port, registration };
            self.schedule_in(delay, super::LabEvent::Probe(target));
        }
    }
}

/// Returns namespace, name and port of a workload's Service in a cluster. If the plan names no Service, the lab chooses
/// a Service.
pub(in crate::lab::model) fn service_ref(workload: &Workload, cluster: &str) -> (String, String, PortRef) {
    match workload.service(cluster) {
        Some(service) => (service.namespace.clone(), service.name.clone(), service.port.clone()),
        None => ("default".into(), workload.name.clone(), PortRef::Number(80)),
    }
}

fn node(id: &str, ip: Ipv4Addr, zone: &str, version: &str) -> Value {
    let region = &zone[..zone.len() - 1];
    let mut node = json!({
        "metadata": {"name": id,
            "labels": {"topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": region}},
        "spec": {"providerID": format!("aws:///{zone}/{id}")},
        "status": {"addresses": [{"type": "InternalIP", "address": ip.to_string()}],
            "conditions": [{"type": "Ready", "status": "True"}]},
    });
    for (field, value) in platform::node_status(version).as_object().into_iter().flatten() {
        node["status"][field] = value.clone();
    }
    node
}

/// Returns the labels and annotations that a GitOps tool sets on the objects it manages.
fn owner(owner: GitOps, name: &str) -> (Value, Value) {
    match owner {
        GitOps::None => (json!({}), json!({})),
        GitOps::ArgoCd => (json!({}), json!({"argocd.argoproj.io/tracking-id": format!("{name}:/{name}")})),
        GitOps::Helm => (json!({"app.kubernetes.io/managed-by": "Helm"}), json!({"meta.helm.sh/release-name": name})),
        GitOps::Flux => (json!({"kustomize.toolkit.fluxcd.io/name": name}), json!({})),
    }
}

fn merged(a: &Value, b: &Value) -> Value {
    let both = a.as_object().into_iter().chain(b.as_object()).flatten();
    Value::Object(both.map(|(k, v)| (k.clone(), v.clone())).collect())
}
