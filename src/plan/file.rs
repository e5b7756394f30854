//! The fields of the plan file. What is declared here is read, checked for shape and described in the JSON Schema; what the values mean together is
//! checked elsewhere. The first line of a field's text is what a person is told who left it out.

use super::decode::{At, Table, record};
use super::extra::Binding;
use super::hooks::{ExecStep, Hook};
use super::scalar::{
    Account, Actions, Amount, ApiVersion, Arn, CallRate, Chance, ClusterRef, CodeName, EksName, Factor, Failures, Flag,
    HeaderName, Kind, KindName, Line, ListenerName, MarkerKind, Missing, Name, Percent, Period, Port, Priority, Prose,
    Query, Ratio, Reaction, Region, Requests, Resource, Status, StepName, Stickiness, Targets, Times, Url,
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
        /// Who is told what happens in a run.
        notifications "notifications": optional Vec<At<Notification>> = [],
    }

    /// Somebody who is told. What cannot be delivered holds up no run: it is tried a few times, and becomes a line in the log.
    Notification as "a notification" {
        /// To an incoming webhook of Slack.
        slack "slack": optional Slack,
        /// By a POST of JSON.
        webhook "webhook": optional Webhook,
        /// To a command, on its standard input.
        exec "exec": optional Exec,
        /// Of what; omitted: all but `stepStarted`, `stepDone`, `approved` and `notice`.
        on "on": optional Vec<At<KindName>>,
        /// The text, with `{{plan}}`, `{{run}}`, `{{event}}`, `{{message}}`, `{{time}}`, `{{step}}`, `{{steps}}`, `{{label}}` and `{{owner}}`; omitted: `cutover {{plan}}: {{message}}`.
        template "template": optional Prose,
    }; exactly CUT038 ["slack", "webhook", "exec"]

    /// An incoming webhook of Slack.
    Slack as "`slack`" {
        /// Where its URL is, which is the secret.
        url_from "urlFrom": required UrlFrom,
    }

    /// A POST of JSON.
    Webhook as "`webhook`" {
        /// Where it goes, where that is no secret.
        url "url": optional Url,
        /// Where the URL is, where it is a secret.
        url_from "urlFrom": optional UrlFrom,
        /// Headers of the request.
        headers "headers": optional Vec<At<Header>> = [],
    }; exactly CUT038 ["url", "urlFrom"]

    /// Where a URL is that must be written nowhere.
    UrlFrom as "`urlFrom`" {
        /// The environment variable that holds it.
        env "env": optional Line,
        /// The file that holds it, read again for each notification.
        file "file": optional Line,
    }; exactly CUT038 ["env", "file"]

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
        /// Metric gates of this workload, over its own target groups.
        gates "gates": optional Vec<At<MetricGate>> = [],
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
        /// Commands and requests before and after what a run does.
        hooks "hooks": optional Vec<At<Hook>> = [],
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
        /// What metrics, probes and commands say.
        metrics "metrics": optional Vec<At<MetricGate>> = [],
    }

    /// A metric gate: a source of numbers, and how they are judged. Measurements begin anew with each share.
    MetricGate as "a gate" {
        /// What it is called; unique within the plan.
        name "name": required Name,
        /// Whether it must pass before traffic moves.
        raise "raise": optional Flag = true,
        /// Whether the traffic goes back when it fails.
        guard "guard": optional Flag = true,
        /// The time between two measurements; sides are compared over windows of this length.
        interval "interval": optional Period = "1m",
        /// Between the settling of the shares and the first measurement; omitted: none.
        initial_delay "initialDelay": optional Period,
        /// How far back a measurement looks; omitted: one interval.
        window "window": optional Period,
        /// How late the data is complete; omitted: 3m for `cloudWatch`, else none.
        delay "delay": optional Period,
        /// What no data means: `hold` (nothing is raised), `fail`, or `pass`.
        no_data "noData": optional Missing = "hold",
        /// Requests of the new cluster before sides that are compared pass.
        min_requests "minRequests": optional Requests = 100,
        /// How many measurements may fail while the same shares stand.
        failure_limit "failureLimit": optional Failures = 0,
        /// `true`: what it says is recorded, and nothing follows from it.
        dry_run "dryRun": optional Flag = false,
        /// Queries to a Prometheus.
        prometheus "prometheus": optional Prometheus,
        /// A probe with an expected answer.
        http "http": optional Http,
        /// A command.
        exec "exec": optional Exec,
        /// Names of CloudWatch alarms, each of which must be OK.
        cloud_watch_alarms "cloudWatchAlarms": optional Vec<At<Line>>,
        /// CloudWatch's metrics of the target groups, or one of your own.
        cloud_watch "cloudWatch": optional CloudWatch,
        /// The workload in the new cluster: rolled out, its pods ready.
        kubernetes "kubernetes": optional Kubernetes,
        /// Judged by error rates, old against new.
        error_rate "errorRate": optional ErrorRate,
        /// Judged by latencies, old against new.
        latency "latency": optional Latency,
        /// Judged by the share of requests that the new cluster got, against the share written.
        share "share": optional Share,
        /// Judged by a threshold.
        success_condition "successCondition": optional Condition,
    }; exactly CUT030 ["prometheus", "http", "exec", "cloudWatchAlarms", "cloudWatch", "kubernetes"]

    /// Queries to a Prometheus. In address and queries, `{{cluster}}` is the side that is asked about, `{{workload}}` the gate's workload, and `{{window}}` such as `60s`.
    Prometheus as "`prometheus`" {
        /// Such as `https://prometheus.example.com`, up to before `/api/v1`.
        address "address": required Url,
        /// Headers of every request.
        headers "headers": optional Vec<At<Header>> = [],
        /// How long an answer may take.
        timeout "timeout": optional Period = "10s",
        /// PromQL for one value, with `successCondition`.
        query "query": optional Query,
        /// PromQL for a side's requests within the window.
        requests "requests": optional Query,
        /// PromQL for a side's failed requests within the window.
        errors "errors": optional Query,
        /// PromQL for a quantile of a side's latency within the window, in seconds.
        latency "latency": optional Query,
    }

    /// A header of a request. Values from the environment or from files are never written anywhere.
    Header as "a header" {
        /// Its name.
        name "name": required HeaderName,
        /// Its value, where that is no secret.
        value "value": optional Line,
        /// The environment variable that holds its value.
        from_env "fromEnv": optional Line,
        /// The file that holds its value, read again for each request.
        from_file "fromFile": optional Line,
    }; exactly CUT032 ["value", "fromEnv", "fromFile"]

    /// A probe with an expected answer.
    Http as "`http`" {
        /// What is asked with GET; `{{cluster}}` is the new cluster.
        url "url": required Url,
        /// Headers of the request, such as `Host`, or one that a test rule of the load balancer matches.
        headers "headers": optional Vec<At<Header>> = [],
        /// The status that is expected.
        status "status": optional Status = 200,
        /// A text that the body must contain.
        body "body": optional Line,
        /// How long the answer may take.
        timeout "timeout": optional Period = "5s",
    }

    /// A command. Exit code 0 is well; a JSON object on stdout may say more: `message`, `value`, or `old` and `new` with `requests` and `errors`, or `latency`.
    Exec as "`exec`" {
        /// Program and arguments; there is no shell unless you name one.
        command "command": required Vec<At<Query>>,
        /// After this it is killed.
        timeout "timeout": optional Period = "30s",
    }

    /// CloudWatch's metrics of the plan's target groups; or with `namespace`, `metricName` and `statistic` one of your own, with `successCondition`.
    CloudWatch as "`cloudWatch`" {
        /// Such as `MyApp`.
        namespace "namespace": optional Line,
        /// Such as `CheckoutFailures`.
        metric_name "metricName": optional Line,
        /// All of the metric's dimensions.
        dimensions "dimensions": optional Vec<At<Dimension>> = [],
        /// Such as `Average`, `Sum` or `p99`; of the latency where sides are compared.
        statistic "statistic": optional Line = "p99",
    }

    /// A dimension of a CloudWatch metric.
    Dimension as "a dimension" {
        /// Its name.
        name "name": required Line,
        /// Its value.
        value "value": required Line,
    }

    /// The workload in the new cluster: every Deployment and StatefulSet behind its Service rolled out, every pod ready.
    Kubernetes as "`kubernetes`" {
        /// Container restarts within the window, at most; omitted: not looked at.
        max_restarts "maxRestarts": optional Failures,
    }

    /// Error rates, old against new, by a test that may be looked at at any time.
    ErrorRate as "`errorRate`" {
        /// How many times the old error rate the new one may be.
        ratio "ratio": optional Times = 1.5,
        /// The probability of a false alarm while the same shares stand.
        alpha "alpha": optional Chance = 0.01,
        /// Percentage points by which the new error rate may be above the old one, by its upper bound, for more traffic to be let in.
        max_difference "maxDifference": optional Ratio = 1,
        /// Compared time before more traffic is let in.
        min_bake "minBake": optional Period = "5m",
    }

    /// Latencies, old against new, by a rank test over ten windows and more.
    Latency as "`latency`" {
        /// How many times the old latency the new one may be.
        ratio "ratio": optional Times = 1.2,
        /// The probability of a false alarm while the same shares stand.
        alpha "alpha": optional Chance = 0.01,
    }

    /// The share of requests that the new cluster got.
    Share as "`share`" {
        /// Percentage points by which it may differ from the share written.
        tolerance "tolerance": optional Ratio = 2,
    }

    /// A threshold.
    Condition as "`successCondition`" {
        /// The value may be this or less.
        at_most "atMost": optional Amount,
        /// The value may be this or more.
        at_least "atLeast": optional Amount,
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
        /// Run a command, with another one that takes it back.
        exec "exec": optional ExecStep,
        /// Metric gates of this step: before its writes, or until its pause may end; as guards for as long as its shares stand.
        gates "gates": optional Vec<At<MetricGate>> = [],
    }; exactly CUT020 ["bind", "setWeight", "setShares", "pause", "exec"]

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
