//! The fields of the plan file. What is declared here is read, checked for shape and described in the JSON Schema; what the values mean together is
//! checked elsewhere. The first line of a field's text is what a person is told who left it out.

use super::decode::{At, Table, record};
use super::extra::Binding;
use super::scalar::{
    Account, Actions, ApiVersion, Arn, CallRate, ClusterRef, CodeName, EksName, Factor, Kind, Line, ListenerName, MarkerKind, Name,
    Percent, Period, Port, Priority, Ratio, Reaction, Region, Resource, StepName, Stickiness, Targets,
};
use super::time::{ApprovalReaction, Clock, Day, Moment, Zone};

record! {
    /// A plan that moves traffic from one Kubernetes cluster to another at an AWS Application Load Balancer.
    Document as "a plan" {
        /// `cutover.dev/v1alpha1`.
        api_version "apiVersion": required ApiVersion,
        /// `Cutover`.
        kind "kind": required Kind,
        /// What the plan is called.
        metadata "metadata": required Metadata,
        /// What moves, and how.
        spec "spec": required Spec,
    }

    /// What the plan is called.
    Metadata as "`metadata`" {
        /// The plan's name: lower-case letters, digits and hyphens.
        name "name": required Name,
    }

    /// What moves, and how.
    Spec as "`spec`" {
        /// The AWS account and region of the load balancers.
        aws "aws": required Aws,
        /// The clusters, two to five, one target group each on every route.
        clusters "clusters": required Vec<At<Cluster>>,
        /// What moves: one Service in each cluster, and the routes that lead to it.
        workloads "workloads": required Vec<At<Workload>>,
        /// From where, to where, in which steps, held to which gates.
        strategy "strategy": required Strategy,
        /// Findings of `check` that this plan lives with.
        accept "accept": optional Vec<At<Accept>> = [],
        /// Whether a tag on the load balancer marks a run in progress, so that a second operator is refused; `none` where permissions do not allow it.
        marker "marker": optional MarkerKind = "tag",
        /// Where runs are kept, and the lock with them; omitted: on the machine that runs them.
        state "state": optional State,
    }

    /// Where runs are kept, for machines that do not share a disk.
    State as "`state`" {
        /// In a namespace of a cluster, best of one that is neither side.
        kubernetes "kubernetes": required StateCluster,
    }

    /// A namespace of a cluster: Leases as locks, ConfigMaps for the rest. While it cannot be reached, nothing is raised; a local lock never stands in for it.
    StateCluster as "`kubernetes`" {
        /// Name of an EKS cluster in the plan's region.
        eks "eks": optional EksName,
        /// A context of the kubeconfig.
        kube_context "kubeContext": optional Line,
        /// The namespace, which must exist.
        namespace "namespace": required Name,
    }; at_most CUT011 ["eks", "kubeContext"]

    /// The AWS account and region of the load balancers.
    Aws as "`aws`" {
        /// The account's twelve digits, in quotes; credentials of any other account are refused before the first write.
        account_id "accountId": required Account,
        /// For example `ap-northeast-2`.
        region "region": required Region,
        /// Describe calls a second that looking may take of the account's, which its controllers live on too; what there is to look at is looked at as often as that allows. Omitted: 10.
        api_budget "apiBudget": optional CallRate,
    }

    /// A cluster. Its name means nothing outside the plan.
    Cluster as "a cluster" {
        /// What the plan calls it.
        name "name": required Name,
        /// Name of an EKS cluster: endpoint, CA and bearer token come from AWS; no kubeconfig is needed.
        eks "eks": optional EksName,
        /// A context of the kubeconfig.
        kube_context "kubeContext": optional Line,
    }; at_most CUT011 ["eks", "kubeContext"]

    /// One Service in each cluster, or no Kubernetes side at all.
    Workload as "a workload" {
        /// What the plan calls it.
        name "name": required Name,
        /// The Service, equal in every cluster; without it, `bind` only attaches target groups.
        service "service": optional Service,
        /// How its TargetGroupBindings come about.
        binding "binding": optional Binding,
        /// The load balancers that lead to it, an entry each.
        routes "routes": required Vec<At<Route>>,
    }

    /// A Service.
    Service as "`service`" {
        /// Its namespace.
        namespace "namespace": required Name,
        /// Its name.
        name "name": required Name,
        /// The number of its port, or the port's name.
        port "port": required Port,
    }

    /// A load balancer of one kind.
    Route as "a route" {
        /// An AWS Application Load Balancer.
        alb "alb": required Alb,
    }

    /// An Application Load Balancer, and one target group per cluster on it.
    Alb as "`alb`" {
        /// Name, ARN, or `tag:KEY=VALUE,…` that selects exactly one.
        load_balancer "loadBalancer": required Resource,
        /// Ports or ARNs of listeners; omitted: all.
        listeners "listeners": optional Vec<At<ListenerName>> = [],
        /// One target group for each cluster: name, ARN or `tag:…`.
        target_groups "targetGroups": required Table<Resource>,
        /// Which default actions and rules; omitted: all in which `from` has weight.
        rules "rules": optional Vec<At<Rule>> = [],
        /// How many actions that must be; another number is refused.
        expect "expect": optional Actions,
    }

    /// A default action or a rule.
    Rule as "a rule" {
        /// The listener's default action: `{default: {}}`.
        default "default": optional Empty,
        /// The rule of this priority.
        priority "priority": optional Priority,
        /// The rule, or the listener whose default action is meant.
        arn "arn": optional Arn,
    }; exactly CUT019 ["default", "priority", "arn"]

    /// Nothing more to say: `{}`.
    Empty as "`{}`" {}

    /// From where, to where, in which steps, held to which gates.
    Strategy as "`strategy`" {
        /// The cluster that carries the traffic at the start.
        from "from": required ClusterRef,
        /// The cluster that is to carry it.
        to "to": required ClusterRef,
        /// The time between a write that reads back right and believing that it carries traffic.
        settle "settle": optional Period = "15s",
        /// What a failed guard does: `rollback`, or `pause` (freeze, keep guarding, call a person).
        on_failure "onFailure": optional Reaction = "rollback",
        /// How far apart two looks may be for a pause to count the time between them, for a scheduler's `step`; omitted: three polls of one process.
        observe_every "observeEvery": optional Period,
        /// No step begins before this time: RFC 3339, with an offset, as `2026-12-01T09:00:00+01:00`.
        not_before "notBefore": optional Moment,
        /// A step that raises begins only if it, and the pauses after it, can end within one of these; omitted: at any time.
        windows "windows": optional Vec<At<Window>> = [],
        /// Times in which no step raises, and no pause after one is left over.
        blackouts "blackouts": optional Vec<At<Blackout>> = [],
        /// How traffic goes back.
        rollback "rollback": optional Rollback = {},
        /// What must be true before traffic moves, and while it flows.
        gates "gates": optional Gates = {},
        /// What is done, in order.
        steps "steps": required Vec<At<Step>>,
    }

    /// A time of the week: while the clock on the wall of its zone is in it. Rollbacks and guards do not wait for it.
    Window as "a window" {
        /// On which days it opens: `mon` to `sun`; omitted: every day.
        days "days": optional Vec<At<Day>> = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
        /// When it opens, such as `09:00`.
        from "from": required Clock,
        /// When it closes, such as `17:00`, at the latest `24:00`; on the next day where that is not later than `from`.
        to "to": required Clock,
        /// Whose clock: an IANA name such as `Europe/Berlin`.
        zone "zone": required Zone,
    }

    /// A time in which nothing is raised.
    Blackout as "a blackout" {
        /// Its beginning: RFC 3339 (`2026-12-24T12:00:00+01:00`), or without an offset (`2026-12-24`, `2026-12-24T12:00`), with `zone`.
        from "from": required Moment,
        /// Its end, in the same way.
        to "to": required Moment,
        /// Whose clock, where `from` or `to` has no offset.
        zone "zone": optional Zone,
        /// Why, for those who wait.
        reason "reason": optional Line,
    }

    /// How traffic goes back.
    Rollback as "`rollback`" {
        /// `break` drops the new group from actions with group stickiness, so that cookies stop working; `keep` leaves it at weight 0.
        stickiness "stickiness": optional Stickiness = "break",
    }

    /// What must be true before traffic moves, and while it flows.
    Gates as "`gates`" {
        /// Health of the targets.
        target_health "targetHealth": optional TargetHealth = {},
    }

    /// Health of the targets.
    TargetHealth as "`targetHealth`" {
        /// Before traffic moves to a group.
        raise "raise": optional Raise = {},
        /// While a group carries traffic.
        guard "guard": optional Guard = {},
        /// How long a raise gate may take.
        timeout "timeout": optional Period = "20m",
        /// What happens then.
        on_timeout "onTimeout": optional Reaction = "pause",
    }

    /// Before traffic moves to a group.
    Raise as "`raise`" {
        /// At least so many healthy targets.
        min_healthy "minHealthy": optional Targets = 1,
        /// Of the group's registered targets.
        min_healthy_percent "minHealthyPercent": optional Ratio = 95,
        /// Times the group's coming share of what the old cluster had at the start, or has today; 1.0 is parity.
        capacity "capacity": optional Factor = 1.0,
        /// How long it must hold; omitted: three health check intervals of the group.
        stable_for "stableFor": optional Period,
    }

    /// While a group carries traffic.
    Guard as "`guard`" {
        /// Of the group's targets.
        min_healthy_percent "minHealthyPercent": optional Ratio = 70,
        /// How long it may be below.
        for_ "for": optional Period = "90s",
    }

    /// One step.
    Step as "a step" {
        /// What it is called, for `--to-step` and the like.
        name "name": optional StepName,
        /// Attach the target groups of `to` at weight 0, bind, wait for the raise gate: `bind: {}`.
        bind "bind": optional Empty,
        /// So many percent of the managed part to `to`, the rest to `from`.
        set_weight "setWeight": optional Percent,
        /// Percentages by cluster: every cluster is named, and they sum to 100.
        set_shares "setShares": optional Table<Percent>,
        /// Wait under guard: for a duration, or until approved.
        pause "pause": optional Pause,
    }; exactly CUT020 ["bind", "setWeight", "setShares", "pause"]

    /// Wait under guard: `{duration: 10m}`, or until approved: `{}`, `{approval: TEXT}`.
    Pause as "`pause`" {
        /// Bake for so long.
        duration "duration": optional Period,
        /// What the person who approves has to know.
        approval "approval": optional Line,
        /// How long an approval is waited for; omitted: for ever.
        timeout "timeout": optional Period,
        /// What happens then: `rollback`, `pause` (go on only once a person has approved and resumed), or `proceed`.
        on_timeout "onTimeout": optional ApprovalReaction,
    }; at_most CUT020 ["duration", "approval"]

    /// A finding that this plan lives with.
    Accept as "an entry of `accept`" {
        /// The finding's code, such as `CUT042`.
        code "code": required CodeName,
        /// Why this plan lives with it.
        reason "reason": required Line,
    }
}
