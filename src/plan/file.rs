//! Declares the fields of the plan file. The types, the decoders and the JSON Schema are generated from these
//! declarations. The module `check` checks whether values are consistent with each other. If a required field is
//! missing, the help shows the first line of the field's doc comment, so this line must be understandable alone.

use super::binding_fields::Binding;
use super::decode::{Placed, Table, record};
use super::gate_fields::{Exec, Header, MetricGate};
use super::hand_over_fields::HandOverStep;
use super::header_route::HeaderRoute;
use super::hooks::{ExecStep, Hook};
use super::scalar::{
    Account, Actions, ApiVersion, Arn, CallRate, ClusterRef, CodeName, Delay, EksName, Factor, Kind, KindName, Line,
    ListenerName, MapFile, MarkerKind, Name, OnReload, Percent, Period, Port, Priority, Prose, ProxyName, Ratio,
    Reaction, Region, Resource, RuntimeAddress, ServerGlob, StepName, Stickiness, Targets, Url,
};
use super::time::{ApprovalReaction, Clock, Day, Moment, Zone};

record! {
    /// A plan that moves traffic from one Kubernetes cluster to another at Application and Network Load Balancers of AWS,
    /// and at HAProxy.
    Document as "a plan" {
        /// The version of the file format: `cutover.dev/v1alpha1`.
        api_version "apiVersion": required ApiVersion,
        /// The kind of the document: `Cutover`.
        kind "kind": required Kind,
        /// The name of the plan.
        metadata "metadata": required Metadata,
        /// What to move, and how.
        spec "spec": required Spec,
    }

    /// The name of the plan.
    Metadata as "`metadata`" {
        /// The plan's name: lower-case letters, digits and hyphens.
        name "name": required Name,
    }

    /// What to move, and how.
    Spec as "`spec`" {
        /// The AWS account and region of the load balancers.
        /// Only a plan whose routes are all on HAProxy may omit it.
        aws "aws": optional Aws,
        /// The clusters, two to five. Every route has one target group per cluster.
        clusters "clusters": required Vec<Placed<Cluster>>,
        /// The workloads to move: one Service in each cluster, and the routes to it.
        workloads "workloads": required Vec<Placed<Workload>>,
        /// Waves: groups of workloads that move one after the other. Omitted: all workloads move together.
        waves "waves": optional Vec<Placed<Wave>>,
        /// How the traffic moves: from which cluster to which, in which steps, and with which gates.
        strategy "strategy": required Strategy,
        /// Findings of `check` that this plan accepts.
        accept "accept": optional Vec<Placed<Accept>> = [],
        /// Whether a marker tag on the load balancer protects a run against a second operator.
        /// With `none` there is no marker; use it only if your permissions do not allow the tag.
        marker "marker": optional MarkerKind = "tag",
        /// Where runs and locks are stored. The default is the machine that drives the run.
        state "state": optional State,
        /// Notification targets.
        notifications "notifications": optional Vec<Placed<Notification>> = [],
    }

    /// A notification target. Delivery is tried a few times; a failure is logged and never blocks the run.
    Notification as "a notification" {
        /// Sends to an incoming webhook of Slack.
        slack "slack": optional Slack,
        /// Sends a POST request with JSON.
        webhook "webhook": optional Webhook,
        /// Runs a command with the JSON on its standard input.
        exec "exec": optional Exec,
        /// The events to send. By default, all events except `stepStarted`, `stepDone`, `approved` and `notice` are
        /// sent.
        on "on": optional Vec<Placed<KindName>>,
        /// The text of the message. The default is `cutover {{plan}}: {{message}}`.
        /// Placeholders: `{{plan}}`, `{{run}}`, `{{event}}`, `{{message}}`, `{{time}}`, `{{step}}`, `{{steps}}`,
        /// `{{label}}`, `{{owner}}`.
        template "template": optional Prose,
    }; exactly CUT038 ["slack", "webhook", "exec"]

    /// An incoming webhook of Slack.
    Slack as "`slack`" {
        /// Where the URL of the webhook is stored. The URL is a secret.
        url_from "urlFrom": required UrlFrom,
    }

    /// A POST request with JSON.
    Webhook as "`webhook`" {
        /// The URL, if it is not a secret.
        url "url": optional Url,
        /// Where the URL is stored, if it is a secret.
        url_from "urlFrom": optional UrlFrom,
        /// Headers of the request.
        headers "headers": optional Vec<Placed<Header>> = [],
    }; exactly CUT038 ["url", "urlFrom"]

    /// Where a secret URL is stored. The URL itself is never written to the journal or to logs.
    UrlFrom as "`urlFrom`" {
        /// The environment variable that contains the URL.
        env "env": optional Line,
        /// The file that contains the URL. The file is read again for each notification.
        file "file": optional Line,
    }; exactly CUT038 ["env", "file"]

    /// Where runs and locks are stored, for machines that do not share a disk.
    State as "`state`" {
        /// A namespace of a cluster, preferably of a cluster that is neither the old nor the new one.
        kubernetes "kubernetes": required StateCluster,
    }

    /// A namespace of a cluster: Leases are the locks, ConfigMaps contain the runs.
    /// While the cluster cannot be reached, no share is raised. A local lock is never used instead.
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
        /// The account's twelve digits, in quotes.
        /// Credentials of any other account are refused before the first write.
        account_id "accountId": required Account,
        /// The region of the load balancers, such as `ap-northeast-2`.
        region "region": required Region,
        /// Describe calls per second that observations may use. The default is 10.
        /// Other controllers in the account share this rate limit. Observations are as frequent as the budget allows.
        api_budget "apiBudget": optional CallRate,
    }

    /// A cluster. Its name has no meaning outside of the plan.
    Cluster as "a cluster" {
        /// The name of the cluster in this plan.
        name "name": required Name,
        /// Name of an EKS cluster. Endpoint, CA and bearer token come from AWS; no kubeconfig is needed.
        eks "eks": optional EksName,
        /// A context of the kubeconfig.
        kube_context "kubeContext": optional Line,
    }; at_most CUT011 ["eks", "kubeContext"]

    /// A workload: a Service in all or some clusters, or only target groups.
    Workload as "a workload" {
        /// The name of the workload in this plan.
        name "name": required Name,
        /// The Service, if it is the same in every cluster.
        /// Without `service` and `services`, the `bind` step only attaches target groups.
        service "service": optional Service,
        /// The Service in each cluster, if they differ. A cluster that is not named here has no Kubernetes side:
        /// its targets are registered by other means, such as ECS.
        services "services": optional Table<Service>,
        /// How the TargetGroupBindings of the workload are managed.
        binding "binding": optional Binding,
        /// The load balancers that route traffic to the workload, one entry for each.
        routes "routes": required Vec<Placed<Route>>,
        /// Metric gates of this workload, which measure only the target groups of this workload.
        gates "gates": optional Vec<Placed<MetricGate>> = [],
    }; at_most CUT200 ["service", "services"]

    /// Workloads that move together. Each wave is a run of its own.
    Wave as "a wave" {
        /// The name of the wave; unique in the plan.
        name "name": required Name,
        /// The names of the workloads that move in this wave. Every workload of the plan is in exactly one wave.
        workloads "workloads": required Vec<Placed<Name>>,
        /// The names of the waves that must be done before this wave. The default is the wave before this wave.
        after "after": optional Vec<Placed<Name>>,
        /// The steps of this wave. The default is the steps of the strategy.
        steps "steps": optional Vec<Placed<Step>>,
    }

    /// A Service.
    Service as "`service`" {
        /// The namespace of the Service.
        namespace "namespace": required Name,
        /// The name of the Service.
        name "name": required Name,
        /// The number or the name of the Service's port.
        port "port": required Port,
    }

    /// A load balancer of one kind.
    Route as "a route" {
        /// An AWS Application Load Balancer.
        alb "alb": optional Alb,
        /// An AWS Network Load Balancer.
        nlb "nlb": optional Nlb,
        /// HAProxy.
        haproxy "haproxy": optional Haproxy,
    }; exactly CUT201 ["alb", "nlb", "haproxy"]

    /// An Application Load Balancer, and one target group per cluster.
    Alb as "`alb`" {
        /// Selects the load balancer: name, ARN, or `tag:KEY=VALUE,…` that matches exactly one.
        load_balancer "loadBalancer": required Resource,
        /// Ports or ARNs of the listeners. The default is all listeners.
        listeners "listeners": optional Vec<Placed<ListenerName>> = [],
        /// One target group per cluster: name, ARN or `tag:…`.
        target_groups "targetGroups": required Table<Resource>,
        /// The default actions and rules. By default, all in which the target group of `from` has weight are selected.
        rules "rules": optional Vec<Placed<Rule>> = [],
        /// The number of routes that must be selected; with any other number the run is refused.
        expect "expect": optional Actions,
    }

    /// A Network Load Balancer, and one target group per cluster. Only new connections follow the weights; existing
    /// connections stay with their target until they close.
    Nlb as "`nlb`" {
        /// Selects the load balancer: name, ARN, or `tag:KEY=VALUE,…` that matches exactly one.
        load_balancer "loadBalancer": required Resource,
        /// Ports or ARNs of the listeners. The default is all listeners.
        listeners "listeners": optional Vec<Placed<ListenerName>> = [],
        /// One target group per cluster: name, ARN or `tag:…`.
        target_groups "targetGroups": required Table<Resource>,
        /// The default actions and rules. By default, all in which the target group of `from` has weight are selected.
        rules "rules": optional Vec<Placed<Rule>> = [],
        /// The number of routes that must be selected; with any other number the run is refused.
        expect "expect": optional Actions,
        /// Time to wait after new weights were read back, until new connections follow the weights. It replaces
        /// `strategy.settle` for these routes. Guards do not wait for it.
        settle "settle": optional Delay = "10m",
    }

    /// A backend of HAProxy on one or more instances, and one set of servers per cluster. Weights are written through the
    /// runtime API.
    Haproxy as "`haproxy`" {
        /// The addresses of the runtime API, one for each instance: `tcp://HOST:PORT` or `unix:PATH`. With
        /// `dns://NAME:PORT`, each address that the name has at the start of a run is an instance.
        /// All instances move as one step.
        instances "instances": required Vec<Placed<RuntimeAddress>>,
        /// The backend with the servers, and the servers of each cluster.
        backend "backend": optional ProxyName,
        /// The names of the servers of each cluster in `backend`, as a glob: `{a: "a-*", b: "b-*"}`.
        /// The ratios of the configured weights of these servers are kept.
        servers "servers": optional Table<ServerGlob>,
        /// A map whose slots name the backends, in place of `backend` and `servers`.
        map "map": optional Slots,
        /// What happens after a reload that forgot the weights: `freeze` (the run waits for a person), or `reassert` (the
        /// run writes the shares of its step again by itself, after the gates for a raise).
        reload "reload": optional OnReload = "freeze",
    }; exactly CUT201 ["backend", "map"]

    /// A map of HAProxy with 100 or 1,000 slots, which each name a backend: `use_backend %[rand(100),map(FILE)]`.
    Slots as "`map`" {
        /// The path of the map's file, as in haproxy.cfg.
        file "file": required MapFile,
        /// The backend of each cluster: `{a: webapp-a, b: webapp-b}`. Other backends of the map keep their slots.
        backends "backends": required Table<ProxyName>,
    }

    /// A default action or a rule.
    Rule as "a rule" {
        /// The listener's default action: `{default: {}}`.
        default "default": optional Empty,
        /// The priority of the rule.
        priority "priority": optional Priority,
        /// The ARN of the rule, or of the listener whose default action you mean.
        arn "arn": optional Arn,
    }; exactly CUT019 ["default", "priority", "arn"]

    /// No fields: `{}`.
    Empty as "`{}`" {}

    /// How the traffic moves: from which cluster to which, in which steps, and with which gates.
    Strategy as "`strategy`" {
        /// The cluster that has the traffic at the start.
        from "from": required ClusterRef,
        /// The cluster that has the traffic at the end.
        to "to": required ClusterRef,
        /// Time to wait after new weights were read back, until the traffic follows the weights; `0s` means no wait.
        settle "settle": optional Delay = "15s",
        /// What happens when a guard fails: `rollback`, or `pause` (freeze, continue to guard, notify).
        on_failure "onFailure": optional Reaction = "rollback",
        /// Maximum time between two observations that a pause counts. The default is three polls.
        /// Set it if a scheduler calls `cutover step`.
        observe_every "observeEvery": optional Period,
        /// No step begins before this time. RFC 3339 with an offset, such as `2026-12-01T09:00:00+01:00`.
        not_before "notBefore": optional Moment,
        /// A step that raises a share begins only if it and the pauses after it can end within one of these windows.
        /// Without windows, the step may begin at any time.
        windows "windows": optional Vec<Placed<Window>> = [],
        /// Periods without raises. A step that raises a share, and the pauses after it, must end before the next
        /// blackout.
        blackouts "blackouts": optional Vec<Placed<Blackout>> = [],
        /// How a rollback treats sticky clients.
        rollback "rollback": optional Rollback = {},
        /// The conditions that must be met before a share is raised, and while a cluster has traffic.
        gates "gates": optional Gates = {},
        /// Commands and HTTP requests before and after events of the run.
        hooks "hooks": optional Vec<Placed<Hook>> = [],
        /// The steps, in order.
        steps "steps": required Vec<Placed<Step>>,
        /// How the waves of the plan follow each other.
        waves "waves": optional StrategyWaves,
    }

    /// How the waves of the plan follow each other.
    StrategyWaves as "`strategy.waves`" {
        /// The last pause of each wave that has a later wave: `{duration: 30m}` or `{approval: TEXT}`. The guard is on.
        between "between": optional Pause,
    }

    /// A weekly period by the wall clock of its time zone. Rollbacks and guards do not wait for it.
    Window as "a window" {
        /// The days on which the window opens: `mon` to `sun`. The default is every day.
        days "days": optional Vec<Placed<Day>> = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
        /// The time at which the window opens, such as `09:00`.
        from "from": required Clock,
        /// The time at which the window closes, such as `17:00`; at the latest `24:00`.
        /// If `to` is not later than `from`, the window closes on the next day.
        to "to": required Clock,
        /// The time zone of the window: an IANA name such as `Europe/Berlin`.
        zone "zone": required Zone,
    }

    /// A period without raises.
    Blackout as "a blackout" {
        /// The beginning: RFC 3339 such as `2026-12-24T12:00:00+01:00`, or `2026-12-24T12:00` or `2026-12-24` with
        /// `zone`.
        from "from": required Moment,
        /// The end, in the same format as `from`.
        to "to": required Moment,
        /// The time zone of `from` and `to`, if they have no offset.
        zone "zone": optional Zone,
        /// The reason, which is shown while the run waits.
        reason "reason": optional Line,
    }

    /// How a rollback treats sticky clients.
    Rollback as "`rollback`" {
        /// What a rollback does on routes with group stickiness.
        /// `keep` leaves the new target group attached at weight 0.
        /// `break` detaches it from these routes, so that its cookies lose their effect.
        stickiness "stickiness": optional Stickiness = "break",
    }

    /// The conditions that must be met before a share is raised, and while a cluster has traffic.
    Gates as "`gates`" {
        /// Gates on the health of targets.
        target_health "targetHealth": optional TargetHealth = {},
        /// Gates on metrics, probes and commands.
        metrics "metrics": optional Vec<Placed<MetricGate>> = [],
        /// The comparison of both clusters before a raise; `{}` has the defaults. Omitted: the clusters are not compared.
        compare "compare": optional CompareGate,
    }

    /// A comparison of both clusters. No share of the new cluster rises while the comparison has an error.
    CompareGate as "`compare`" {
        /// Maximum age of the facts about the clusters; at least 1m. Older facts are read again before a raise.
        every "every": optional Period = "10m",
        /// Findings of the comparison that hold no raise.
        ignore "ignore": optional Vec<Placed<Accept>> = [],
    }

    /// Gates on the health of targets.
    TargetHealth as "`targetHealth`" {
        /// Checked before the share of a target group is raised.
        raise "raise": optional Raise = {},
        /// Checked while a target group has traffic.
        guard "guard": optional Guard = {},
        /// Maximum time that the increase of a share may wait for its gate.
        timeout "timeout": optional Period = "20m",
        /// What happens after `timeout`: `pause` or `rollback`.
        on_timeout "onTimeout": optional Reaction = "pause",
    }

    /// Checked before the share of a target group is raised.
    Raise as "`raise`" {
        /// Minimum number of healthy targets.
        min_healthy "minHealthy": optional Targets = 1,
        /// Minimum percentage of the group's registered targets that must be healthy.
        min_healthy_percent "minHealthyPercent": optional Ratio = 95,
        /// The required healthy targets are this factor × the target group's next share × the old cluster's targets
        /// (at the start or now, whichever is more). With 1.0, the new cluster needs as many targets as the old one.
        capacity "capacity": optional Factor = 1.0,
        /// How long these conditions must be met without interruption; `0s` means at two readings in a row.
        /// The default is three health check intervals of the group.
        stable_for "stableFor": optional Delay,
    }

    /// Checked while a target group has traffic.
    Guard as "`guard`" {
        /// Minimum percentage of the group's targets that must be healthy.
        min_healthy_percent "minHealthyPercent": optional Ratio = 70,
        /// How long the group may be below `minHealthyPercent`.
        for_ "for": optional Period = "90s",
    }

    /// One step of the strategy.
    Step as "a step" {
        /// The name of the step, for options such as `--to-step`.
        name "name": optional StepName,
        /// `bind: {}` attaches the target groups of `to` at weight 0, creates bindings, and waits for the raise gate.
        bind "bind": optional Empty,
        /// The share of `to`, in percent of the managed part. `from` gets the rest.
        set_weight "setWeight": optional Percent,
        /// The shares of all clusters, in percent of the managed part. Their sum is 100.
        set_shares "setShares": optional Table<Percent>,
        /// Waits for a duration or for an approval. The guard is on.
        pause "pause": optional Pause,
        /// Runs a command; `undo` is the command that reverses it.
        exec "exec": optional ExecStep,
        /// Sends the requests with these headers to `to`, whatever the shares are; an empty `match` ends it.
        set_header_route "setHeaderRoute": optional HeaderRoute,
        /// Hands over what must not run in two clusters at once: CronJobs and workers.
        hand_over "handOver": optional HandOverStep,
        /// Metric gates of this step: before its writes, or before its pause ends. As guards they stay active until the
        /// shares change.
        gates "gates": optional Vec<Placed<MetricGate>> = [],
    }; exactly CUT020 ["bind", "setWeight", "setShares", "pause", "exec", "setHeaderRoute", "handOver"]

    /// Waits for a duration, `{duration: 10m}`, or for an approval, `{}` or `{approval: TEXT}`. The guard is on.
    Pause as "`pause`" {
        /// How long to bake.
        duration "duration": optional Period,
        /// A text that tells the approver what to check.
        approval "approval": optional Line,
        /// Maximum time to wait for an approval. The default is no limit.
        timeout "timeout": optional Period,
        /// What happens after `timeout`: `rollback`, `pause` (the run continues after an approval and a resume), or
        /// `proceed`.
        on_timeout "onTimeout": optional ApprovalReaction,
    }; at_most CUT020 ["duration", "approval"]

    /// A finding that this plan accepts.
    Accept as "an entry of `accept` or `ignore`" {
        /// The code of the finding, such as `CUT042`.
        code "code": required CodeName,
        /// The object of the finding, for a finding of `compare`, such as `shop/checkout`. The default is every object.
        object "object": optional Line,
        /// Why this plan accepts the finding.
        reason "reason": required Line,
    }
}
