use std::collections::{BTreeMap, BTreeSet};

use super::{Condition, Grant, Permissions, Purpose, of};
use crate::domain::fixture;
use crate::plan::model::{
    BalancerKind, BindingMode, ClusterAccess, MarkerMode, Plan, RuleRef, Selector, StateLocation,
};

fn permissions(plan: &Plan, purposes: &[Purpose]) -> Permissions {
    of(plan, purposes, &BTreeMap::new())
}

/// Returns the fixture's plan with clusters in EKS.
fn plan() -> Plan {
    let mut plan = fixture::plan();
    for cluster in &mut plan.clusters {
        cluster.access = ClusterAccess::Eks(format!("eks-{}", cluster.name));
    }
    plan
}

fn actions(permissions: &Permissions) -> BTreeSet<&'static str> {
    permissions.aws.iter().flat_map(|statement| statement.actions.clone()).collect()
}

fn resources<'a>(permissions: &'a Permissions, sid: &str) -> Vec<&'a str> {
    let statement = permissions.aws.iter().find(|statement| statement.sid == sid);
    statement.map(|statement| statement.resources.iter().map(String::as_str).collect()).unwrap_or_default()
}

fn grants(permissions: &Permissions, cluster: &str) -> BTreeSet<String> {
    let cluster = permissions.clusters.iter().find(|one| one.name == cluster);
    cluster.map(|cluster| cluster.grants.iter().map(Grant::to_string).collect()).unwrap_or_default()
}

#[test]
fn a_check_needs_no_permission_to_write_in_aws() {
    let permissions = permissions(&plan(), &[Purpose::Check]);
    let reads = |action: &&str| action.contains(":Describe") || *action == "eks:ListClusters";
    assert!(actions(&permissions).iter().all(reads), "{permissions:?}");
}

#[test]
fn actions_of_a_service_are_there_only_if_the_plan_uses_the_service() {
    let mut plan = plan();
    let run = |plan: &Plan| actions(&permissions(plan, &[Purpose::Run]));
    assert!(run(&plan).contains("eks:DescribeCluster"));
    assert!(!run(&plan).iter().any(|action| action.starts_with("cloudwatch:") || action.contains("AccountLimits")));
    plan.workloads[0].routes[0].kind = BalancerKind::Nlb;
    assert!(run(&plan).contains("elasticloadbalancing:DescribeAccountLimits"));
    for cluster in &mut plan.clusters {
        cluster.access = ClusterAccess::KubeContext("one".to_owned());
    }
    plan.marker = MarkerMode::None;
    let less = run(&plan);
    assert!(
        !less.iter().any(|action| action.starts_with("eks:") || action.ends_with("Tags") && !action.contains("Desc"))
    );
    let finalize = actions(&permissions(&plan, &[Purpose::Finalize]));
    assert!(finalize.contains("cloudwatch:GetMetricData"), "{finalize:?}");
    plan.region = String::new();
    assert!(permissions(&plan, &[Purpose::Run]).aws.is_empty(), "nothing of the plan is in AWS");
}

#[test]
fn writes_are_limited_to_the_routes_of_the_plan() {
    let mut plan = plan();
    let place = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012";
    plan.workloads[0].routes[0].load_balancer = Selector::Name("edge".to_owned());
    let named = permissions(&plan, &[Purpose::Rollback]);
    assert_eq!(resources(&named, "WriteDefaultActions"), [format!("{place}:listener/app/edge/*")]);
    assert_eq!(resources(&named, "WriteRules"), [format!("{place}:listener-rule/app/edge/*")]);
    let looked_up = [(Selector::Name("edge".to_owned()), format!("{place}:loadbalancer/app/edge/50dc6c495c0c9188"))];
    let live = of(&plan, &[Purpose::Rollback], &looked_up.into());
    assert_eq!(resources(&live, "WriteRules"), [format!("{place}:listener-rule/app/edge/50dc6c495c0c9188/*")]);
    let tags = format!("{place}:loadbalancer/app/edge/50dc6c495c0c9188");
    assert_eq!(resources(&live, "WriteOwnTags")[0], tags);
    plan.workloads[0].routes[0].rules = Some(vec![RuleRef::Priority(10)]);
    assert!(!actions(&permissions(&plan, &[Purpose::Run])).contains("elasticloadbalancing:ModifyListener"));
    plan.workloads[0].routes[0].rules = Some(vec![RuleRef::Default]);
    assert!(!actions(&permissions(&plan, &[Purpose::Run])).contains("elasticloadbalancing:ModifyRule"));
    plan.region = "cn-north-1".to_owned();
    let china = permissions(&plan, &[Purpose::Run]);
    assert!(resources(&china, "WriteDefaultActions")[0].starts_with("arn:aws-cn:"), "{china:?}");
    assert_eq!(china.aws[0].condition, Some(Condition::Region("cn-north-1".to_owned())));
}

#[test]
fn bindings_are_created_only_where_the_plan_creates_them() {
    let mut plan = plan();
    let create = "create targetgroupbindings.elbv2.k8s.aws in namespace webapp";
    let run = |plan: &Plan| grants(&permissions(plan, &[Purpose::Run]), "b");
    assert!(run(&plan).contains(create), "{:?}", run(&plan));
    plan.workloads[0].binding.mode = BindingMode::Verify;
    assert!(!run(&plan).contains(create));
    plan.workloads[0].binding.mode = BindingMode::Create;
    let delete = "delete targetgroupbindings.elbv2.k8s.aws in namespace webapp";
    let finalize = permissions(&plan, &[Purpose::FinalizeBindings]);
    assert!(grants(&finalize, "a").contains(delete) && !grants(&finalize, "b").contains(delete));
    assert!(permissions(&plan, &[Purpose::Rollback]).clusters.is_empty(), "a rollback reads no cluster");
}

#[test]
fn a_cluster_that_stores_the_runs_has_a_part_of_its_own() {
    let mut plan = plan();
    let access = ClusterAccess::Eks("tools".to_owned());
    plan.state = StateLocation::Kubernetes { access: access.clone(), namespace: "cutover".to_owned() };
    let all = permissions(&plan, &[Purpose::Rollback]);
    assert_eq!(all.clusters.len(), 1);
    let update = "update leases.coordination.k8s.io in namespace cutover".to_owned();
    assert!(grants(&all, "state").contains(&update), "{all:?}");
    assert!(resources(&all, "DescribeClusters")[0].ends_with(":cluster/tools"));
    let job = "create jobs.batch in namespace cutover".to_owned();
    assert!(!grants(&all, "state").contains(&job));
    assert!(grants(&permissions(&plan, &[Purpose::Detach]), "state").contains(&job));
    plan.clusters[1].access = access;
    assert!(grants(&permissions(&plan, &[Purpose::Run]), "b").contains(&update), "the same cluster");
}

#[test]
fn only_the_dry_run_may_create_workloads_and_only_in_the_new_cluster() {
    let create = "create deployments.apps in namespace webapp".to_owned();
    let compare = permissions(&plan(), &[Purpose::Compare]);
    assert!(!grants(&compare, "b").contains(&create));
    let dry_run = permissions(&plan(), &[Purpose::CompareDryRun]);
    assert!(grants(&dry_run, "b").contains(&create) && !grants(&dry_run, "a").contains(&create));
}
