//! The statements of the IAM policy. Which actions accept the ARN of a resource, and which conditions exist:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html>,
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelastickubernetesservice.html>.
//! Actions that describe load balancers accept no ARN.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Condition, Purpose, Statement};
use crate::base::arn::Arn;
use crate::domain::preflight::needed_quotas;
use crate::plan::model::metric::MetricSource;
use crate::plan::model::{
    BalancerKind, ClusterAccess, MarkerMode, Plan, RouteEntry, RuleRef, Selector, StateLocation, StepKind,
};

/// The actions of a rollback that describe load balancers.
const ROLLBACK_READS: [&str; 6] = [
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
];
/// The additional actions of a check that describe load balancers.
const CHECK_READS: [&str; 2] =
    ["elasticloadbalancing:DescribeLoadBalancerAttributes", "elasticloadbalancing:DescribeTargetGroupAttributes"];

/// Returns the statements; none if nothing of the plan is in AWS.
pub(super) fn statements(
    plan: &Plan,
    purposes: &BTreeSet<Purpose>,
    load_balancers: &BTreeMap<Selector, String>,
) -> Vec<Statement> {
    if plan.region.is_empty() {
        return Vec::new();
    }
    let needs = Needs { plan, purposes, load_balancers };
    let all = [
        needs.reads(),
        Some(needs.clusters()),
        needs.list_clusters(),
        Some(needs.metrics()),
        needs.write("WriteDefaultActions", "elasticloadbalancing:ModifyListener", "listener"),
        needs.write("WriteRules", "elasticloadbalancing:ModifyRule", "listener-rule"),
        needs.tags(),
        needs.make_header_rules(),
        needs.tag_header_rules(),
        needs.remove_header_rules(),
    ];
    let all = all.into_iter().flatten().chain(needs.compare());
    all.filter(|statement| !statement.actions.is_empty() && !statement.resources.is_empty()).collect()
}

struct Needs<'a> {
    plan: &'a Plan,
    purposes: &'a BTreeSet<Purpose>,
    load_balancers: &'a BTreeMap<Selector, String>,
}

impl Needs<'_> {
    fn is_for(&self, purpose: Purpose) -> bool {
        self.purposes.contains(&purpose)
    }

    fn moves_traffic(&self) -> bool {
        self.is_for(Purpose::Run) || self.is_for(Purpose::Rollback)
    }

    /// Returns the entries of load balancers in AWS.
    fn entries(&self) -> impl Iterator<Item = &RouteEntry> {
        let entries = self.plan.workloads.iter().flat_map(|workload| &workload.routes);
        entries.filter(|entry| entry.kind != BalancerKind::Haproxy)
    }

    fn everywhere(&self, sid: &'static str, actions: BTreeSet<&'static str>) -> Statement {
        let condition = Some(Condition::Region(self.plan.region.clone()));
        Statement { sid, actions, resources: vec!["*".to_owned()], condition }
    }

    fn reads(&self) -> Option<Statement> {
        self.entries().next()?;
        let mut actions = BTreeSet::new();
        if self.moves_traffic() || self.is_for(Purpose::Check) {
            actions.extend(ROLLBACK_READS);
        }
        if self.is_for(Purpose::Check) {
            actions.extend(CHECK_READS);
            if !needed_quotas(self.plan).is_empty() {
                actions.insert("elasticloadbalancing:DescribeAccountLimits");
            }
        }
        Some(self.everywhere("ReadLoadBalancers", actions))
    }

    /// Returns the EKS clusters that are connected: those of the plan, and the one that stores its runs. Those of a
    /// comparison have a statement of their own.
    fn eks_clusters(&self) -> BTreeSet<&str> {
        let mut all: BTreeSet<&str> = BTreeSet::new();
        if self.is_for(Purpose::Check) {
            all.extend(self.compared());
        }
        if let StateLocation::Kubernetes { access: ClusterAccess::Eks(name), .. } = &self.plan.state {
            all.insert(name);
        }
        all
    }

    /// Returns the EKS clusters of the plan.
    fn compared(&self) -> impl Iterator<Item = &str> {
        self.plan.clusters.iter().filter_map(|cluster| match &cluster.access {
            ClusterAccess::Eks(name) => Some(name.as_str()),
            ClusterAccess::KubeContext(_) | ClusterAccess::None => None,
        })
    }

    fn clusters(&self) -> Statement {
        let resources = self.eks_clusters().into_iter().map(|name| self.arn("eks", &format!("cluster/{name}")));
        let actions = ["eks:DescribeCluster"].into();
        Statement { sid: "DescribeClusters", actions, resources: resources.collect(), condition: None }
    }

    /// Returns the statement for the message about an EKS name that does not exist.
    fn list_clusters(&self) -> Option<Statement> {
        if self.eks_clusters().is_empty() {
            return None;
        }
        Some(self.everywhere("ListClusters", ["eks:ListClusters"].into()))
    }

    fn metrics(&self) -> Statement {
        let mut actions = BTreeSet::new();
        // The steps of a wave may have gates of their own.
        let runs = self.plan.runs();
        let gates = runs.iter().flat_map(|run| &run.strategy.metrics).filter(|_| self.is_for(Purpose::Check));
        for gate in gates {
            match &gate.source {
                MetricSource::CloudWatch(_) => _ = actions.insert("cloudwatch:GetMetricData"),
                MetricSource::CloudWatchAlarms(_) => _ = actions.insert("cloudwatch:DescribeAlarms"),
                _ => {}
            }
        }
        if self.is_for(Purpose::Finalize) && self.entries().next().is_some() {
            actions.insert("cloudwatch:GetMetricData");
        }
        self.everywhere("ReadMetrics", actions)
    }

    /// Returns the statement of a write of routes; without resources if the plan moves no route of this kind.
    fn write(&self, sid: &'static str, action: &'static str, kind: &str) -> Option<Statement> {
        if !self.moves_traffic() {
            return None;
        }
        let moved = |entry: &&RouteEntry| {
            let rules = entry.rules.iter().flatten();
            let defaults = |rule: &RuleRef| match rule {
                RuleRef::Default => true,
                RuleRef::Priority(_) => false,
                RuleRef::Arn(arn) => Arn::parse(arn).is_some_and(|arn| arn.kind() == "listener"),
            };
            entry.rules.is_none() || rules.into_iter().any(|rule| defaults(rule) == (kind == "listener"))
        };
        let resources = self.entries().filter(moved).map(|entry| self.resource(entry, kind));
        Some(Statement { sid, actions: [action].into(), resources: unique(resources), condition: None })
    }

    fn tags(&self) -> Option<Statement> {
        if !self.moves_traffic() || self.plan.marker == MarkerMode::None {
            return None;
        }
        let kinds = ["loadbalancer", "listener", "listener-rule"];
        let resources = kinds.iter().flat_map(|kind| self.entries().map(|entry| self.resource(entry, kind)));
        Some(Statement {
            sid: "WriteOwnTags",
            actions: ["elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"].into(),
            resources: unique(resources),
            condition: Some(Condition::OwnTags),
        })
    }

    fn has_header_route(&self) -> bool {
        let runs = self.plan.runs();
        let mut steps = runs.iter().flat_map(|run| &run.strategy.steps);
        steps.any(|step| matches!(step.kind, StepKind::HeaderRoute(_)))
    }

    fn header_rules(
        &self,
        (sid, action): (&'static str, &'static str),
        kind: &str,
        condition: Option<Condition>,
    ) -> Option<Statement> {
        let resources = self.entries().map(|entry| self.resource(entry, kind));
        let statement = Statement { sid, actions: [action].into(), resources: unique(resources), condition };
        self.has_header_route().then_some(statement)
    }

    fn make_header_rules(&self) -> Option<Statement> {
        let action = ("MakeHeaderRules", "elasticloadbalancing:CreateRule");
        self.header_rules(action, "listener", None).filter(|_| self.is_for(Purpose::Run))
    }

    /// Returns the statement for the tags of a new rule, if no other statement allows them.
    fn tag_header_rules(&self) -> Option<Statement> {
        let action = ("TagHeaderRules", "elasticloadbalancing:AddTags");
        let needed = self.is_for(Purpose::Run) && self.plan.marker == MarkerMode::None;
        self.header_rules(action, "listener-rule", Some(Condition::OwnTags)).filter(|_| needed)
    }

    fn remove_header_rules(&self) -> Option<Statement> {
        let action = ("RemoveHeaderRules", "elasticloadbalancing:DeleteRule");
        self.header_rules(action, "listener-rule", Some(Condition::HeaderRules)).filter(|_| self.moves_traffic())
    }

    /// Returns the statements of a comparison; none without an EKS cluster.
    fn compare(&self) -> Vec<Statement> {
        let names: BTreeSet<_> = self.compared().collect();
        if !self.is_for(Purpose::Compare) || names.is_empty() {
            return Vec::new();
        }
        let clusters = names.iter().map(|name| self.arn("eks", &format!("cluster/{name}")));
        let addons = names.iter().map(|name| self.arn("eks", &format!("addon/{name}/*")));
        let of_clusters = [
            "eks:DescribeAddon",
            "eks:DescribeCluster",
            "eks:DescribeInsight",
            "eks:ListAddons",
            "eks:ListInsights",
            "eks:ListPodIdentityAssociations",
        ];
        let everywhere = ["ec2:DescribeSubnets", "eks:DescribeAddonVersions", "eks:DescribeClusterVersions"];
        let (partition, account) = (partition(&self.plan.region), &self.plan.account_id);
        vec![
            Statement {
                sid: "ReadClusters",
                actions: of_clusters.into(),
                resources: clusters.chain(addons).collect(),
                condition: None,
            },
            self.everywhere("ReadVersionsAndSubnets", everywhere.into()),
            Statement {
                sid: "ReadRolesOfServiceAccounts",
                actions: ["iam:GetRole"].into(),
                resources: vec![format!("arn:{partition}:iam::{account}:role/*")],
                condition: None,
            },
        ]
    }

    /// Returns the ARN of a resource in the account and region of the plan.
    fn arn(&self, service: &str, resource: &str) -> String {
        let (region, account) = (&self.plan.region, &self.plan.account_id);
        format!("arn:{}:{service}:{region}:{account}:{resource}", partition(region))
    }

    /// Returns the load balancer of an entry, or its listeners or rules. The ARN of a listener has the name and the id of
    /// its load balancer.
    fn resource(&self, entry: &RouteEntry, kind: &str) -> String {
        let network = if entry.kind == BalancerKind::Nlb { "net" } else { "app" };
        let known = self.load_balancers.get(&entry.load_balancer).map(String::as_str);
        let arn = match &entry.load_balancer {
            Selector::Arn(arn) => Some(arn.as_str()),
            Selector::Name(_) | Selector::Tags(_) => known,
        };
        match (arn, &entry.load_balancer) {
            (Some(arn), _) if kind == "loadbalancer" => arn.to_owned(),
            (Some(arn), _) => format!("{}/*", arn.replacen(":loadbalancer/", &format!(":{kind}/"), 1)),
            (None, Selector::Name(name)) => self.arn("elasticloadbalancing", &format!("{kind}/{network}/{name}/*")),
            (None, _) => self.arn("elasticloadbalancing", &format!("{kind}/{network}/*")),
        }
    }
}

/// Returns the partition of a region: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>.
fn partition(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Returns the items without repetitions, in their order.
fn unique(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut all = Vec::new();
    for item in items {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    all
}
