//! Represents findings of the plan's checks and of the preflight, with stable codes. This module has the only table of
//! codes; the documentation is generated from this table.

use serde::Serialize;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Information only.
    Info,
    /// The finding is shown, but the run may start.
    Warning,
    /// The run is refused, unless the plan accepts the finding. The [`Source`] of the finding determines the exit code.
    Error,
}

/// The origin of a finding. The origin determines the exit code of a refused run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The plan file itself. An error has exit code 2 and cannot be accepted.
    Lint,
    /// The live resources. An error has exit code 3.
    Preflight,
    /// The comparison of two clusters. An error has exit code 3.
    Compare,
}

impl Source {
    /// Returns the name that is also used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lint => "lint",
            Self::Preflight => "preflight",
            Self::Compare => "compare",
        }
    }
}

macro_rules! codes {
    ($($source:ident { $($code:ident $severity:ident $title:literal;)* })*) => {
        /// A finding's stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Code { $($(#[doc = $title] $code,)*)* }

        impl Code {
            /// All codes, in the order of their numbers within each source.
            pub const ALL: &[Self] = &[$($(Self::$code,)*)*];

            /// Returns the code as text, such as `CUT001`.
            pub fn name(self) -> &'static str {
                match self { $($(Self::$code => stringify!($code),)*)* }
            }

            /// Returns a short description of the problem, without names of resources.
            pub fn title(self) -> &'static str {
                match self { $($(Self::$code => $title,)*)* }
            }

            /// Returns the severity of findings with this code, unless a rule lowers it.
            pub fn severity(self) -> Severity {
                match self { $($(Self::$code => Severity::$severity,)*)* }
            }

            /// Returns the origin of findings with this code.
            pub fn source(self) -> Source {
                match self { $($(Self::$code => Source::$source,)*)* }
            }
        }
    };
}

// A code is never reused. New codes: compare CUT100–CUT199, lint CUT200–CUT299, preflight CUT300–CUT399.
codes! {
    Lint {
        CUT001 Error "the plan cannot be parsed: size, encoding or YAML syntax";
        CUT002 Error "a key occurs twice";
        CUT003 Error "an unknown field";
        CUT004 Error "a field is missing";
        CUT005 Error "a value has the wrong type";
        CUT006 Error "the file is not a cutover plan, or has a different version";
        CUT007 Error "a name is not a DNS label";
        CUT008 Error "a name is used twice";
        CUT009 Error "an account ID or region is not valid";
        CUT010 Error "too few or too many clusters";
        CUT011 Error "a cluster has two kinds of access";
        CUT012 Error "an unknown cluster";
        CUT013 Error "`from` and `to` are the same cluster";
        CUT014 Error "a duration is not valid";
        CUT015 Error "a number is out of range";
        CUT016 Error "an ARN, resource name or tag selector is not valid";
        CUT017 Error "a route has no target group for a cluster";
        CUT018 Error "one target group is used twice";
        CUT019 Error "a listener or rule is not valid or listed twice";
        CUT020 Error "a step has no action, or more than one";
        CUT021 Error "the shares are not possible";
        CUT022 Error "no step moves a share";
        CUT023 Error "`setWeight` while another cluster carries traffic";
        CUT024 Error "the binding has a field that cutover sets itself";
        CUT025 Error "`accept` lists a code that does not exist";
        CUT026 Error "`accept` lists an error of the plan itself";
        CUT027 Error "a workload has a Service in a cluster that the plan gives no access to";
        CUT028 Error "a text is empty or too long";
        CUT029 Error "gates contradict each other";
        CUT030 Error "a metric gate needs exactly one source and one condition";
        CUT031 Error "a metric gate needs values that its source does not provide";
        CUT032 Error "an address or a header is not valid";
        CUT034 Error "a time, day, window or time zone is not valid";
        CUT035 Error "a step and its pause do not fit into any window";
        CUT036 Error "a step has a time-out but nothing that can time out";
        CUT037 Error "a text has an unknown placeholder";
        CUT038 Error "a notification has no target, more than one, or no events";
        CUT039 Error "a hook or a command lacks a field, or has too many";
        CUT200 Error "a workload has both `service` and `services`";
        CUT201 Error "a route has no load balancer, or more than one";
        CUT210 Error "a workload is in no wave, in two, or does not exist";
        CUT211 Error "`after` of a wave names no wave, or waves wait for each other";
        CUT212 Error "`strategy.waves` without waves";
        CUT230 Error "a header of `setHeaderRoute` is not one that a rule can match";
        CUT231 Error "`setHeaderRoute` with a load balancer that cannot match headers";
        CUT232 Error "`setHeaderRoute` in the wrong place";
        CUT240 Error "an item of a hand-over has no name and no selector, or both";
        CUT241 Error "a hand-over moves nothing, or something twice";
    }
    Preflight {
        CUT040 Error "a selector does not match exactly one load balancer";
        CUT041 Error "a selector does not match exactly one target group";
        CUT042 Warning "with group stickiness, clients stay on their target group after weights change";
        CUT043 Error "a listener of the plan does not exist";
        CUT044 Error "a rule of the plan does not exist";
        CUT045 Error "a rule of the plan does not carry the traffic that should move";
        CUT046 Error "the number of selected routes is not what the plan expects";
        CUT047 Error "a route is selected twice";
        CUT048 Error "the old cluster carries no traffic";
        CUT049 Error "the live shares are not the start shares of the plan";
        CUT050 Error "a target group is not attached, and no step attaches it";
        CUT051 Error "one target group is used for two clusters or workloads";
        CUT052 Error "a resource that the checks need cannot be read";
        CUT053 Error "an action has an element that this build cannot represent";
        CUT054 Error "the credentials belong to another account";
        CUT055 Error "a resource is in another region";
        CUT056 Warning "the credentials expire before the plan can end";
        CUT057 Error "two clusters of the plan are the same cluster";
        CUT058 Error "a cluster cannot be reached";
        CUT059 Error "the load balancer is of another type than in the plan, or not active";
        CUT060 Error "a controller owns the load balancer, a listener, a rule or a target group";
        CUT061 Warning "Terraform manages the resource; its next apply would restore the old weights";
        CUT062 Warning "CloudFormation manages the resource; its next update would restore the old weights";
        CUT063 Error "an action would have more than five target groups";
        CUT064 Error "the load balancer would have more than a hundred target groups";
        CUT065 Warning "DNS failover can remove a zone because of one small target group";
        CUT066 Warning "the load balancer's target quota may be reached";
        CUT067 Error "a target group is attached to another load balancer";
        CUT068 Error "a target group has the wrong network or type";
        CUT069 Warning "the two target groups have different settings";
        CUT070 Error "target stickiness needs group stickiness";
        CUT071 Error "one target group is bound from two clusters";
        CUT072 Error "a target group has targets that the controller would deregister";
        CUT073 Error "a binding differs from the plan";
        CUT074 Warning "a GitOps tool owns a binding that the plan creates";
        CUT075 Error "the cluster refuses the binding";
        CUT076 Error "a Service does not exist";
        CUT077 Error "a Service has no such port";
        CUT078 Info "the cluster uses the binding API of EKS Auto Mode";
        CUT079 Error "the cluster has no TargetGroupBinding API";
        CUT080 Warning "health checks time out: a security group may block them";
        CUT081 Info "pods lack the readiness gate of their binding";
        CUT082 Warning "the new cluster cannot scale to what a step needs";
        CUT083 Warning "the old cluster may scale in below what a rollback needs";
        CUT084 Warning "the last pause is shorter than the stickiness duration";
        CUT085 Error "health checks are off";
        CUT086 Warning "other rules forward to the old cluster, but the plan does not move them";
        CUT087 Error "a share cannot be expressed in the balancer's weights";
        CUT088 Warning "no marker tag on the load balancer tells other runs to keep off";
        CUT089 Error "`accept` lists a finding that cannot be accepted";
        CUT090 Info "`accept` lists a finding that this check does not have";
        CUT091 Error "a binding that another tool should create does not exist";
        CUT092 Warning "nothing will register targets in the new cluster's target group";
        CUT093 Error "the old cluster has no healthy target";
        CUT094 Warning "a metric gate's source cannot be read";
        CUT300 Warning "targets are in zones that the load balancer has not enabled";
        CUT301 Info "the cluster's TargetGroupBinding API lacks a field that is left out";
        CUT302 Warning "EKS Auto Mode may not register targets: the target group lacks the cluster's tag";
        CUT303 Info "a duration is 0s: nothing is waited for";
        CUT304 Warning "the old targets cannot be counted, so the capacity gate asks for nothing";
        CUT305 Error "a command of the plan does not exist or cannot be executed";
        CUT306 Error "a step with all selected routes does not fit into any window";
        CUT307 Error "targets are nodes, but the Service has no node port";
        CUT308 Error "a run of the plan is unfinished";
        CUT309 Warning "a break-glass script put the traffic back";
        CUT310 Info "a gate that compares the clusters guards nothing while the new one has all traffic";
        CUT311 Info "a step lowers the share of the new cluster";
        CUT312 Error "the plan is done: its newest run has completed";
        CUT313 Info "a wave has changed in the plan since it was done";
        CUT314 Warning "a plan of many hours stores its state on one machine";
        CUT315 Error "another run owns a load balancer of the plan";
        CUT316 Info "the plan has changed since the newest run of its waves";
        CUT320 Info "the clusters are not compared, because the plan has no compare gate";
        CUT330 Error "a Network Load Balancer's action would have target groups that do not fit together";
        CUT331 Error "a target group does not fit the protocol of a listener";
        CUT332 Error "a TLS listener of a Network Load Balancer cannot have stickiness";
        CUT333 Info "the quota of target groups per action on Network Load Balancers is unknown";
        CUT334 Info "only new connections follow the weights of a Network Load Balancer";
        CUT335 Info "the settle of a Network Load Balancer is short";
        CUT340 Error "a socket of HAProxy lacks the level admin";
        CUT341 Error "the balancing algorithm takes only shares of 0 and 100 %";
        CUT342 Error "the weights of a set of servers do not have the configured ratios";
        CUT343 Warning "a cookie keeps clients on their server";
        CUT344 Warning "HAProxy has no marker, and the state is on this machine only";
        CUT345 Error "a backup server belongs to a cluster";
        CUT350 Error "a header route does not fit above a route";
        CUT351 Error "header routes need more rules than the load balancer may have";
        CUT352 Warning "a route gets no header route";
        CUT353 Info "the plan makes header routes";
        CUT354 Warning "a header route of another run is still there";
        CUT355 Info "the quota of rules of a load balancer is unknown";
        CUT360 Error "an item of a hand-over is active in both clusters";
        CUT361 Error "an item of a hand-over is not in both clusters, or cannot be read";
        CUT362 Error "another tool may undo a hand-over";
        CUT363 Error "a missed schedule of a CronJob would start";
        CUT364 Info "what a hand-over moves";
    }
    Compare {
        CUT100 Info "the cutover skips versions of Kubernetes";
        CUT101 Warning "EKS stops to support the Kubernetes version of the new cluster";
        CUT102 Warning "kubelets do not fit the API server";
        CUT103 Error "no node has the architecture of an image";
        CUT104 Warning "an EKS add-on of the new cluster is not healthy";
        CUT105 Warning "an EKS add-on does not fit the Kubernetes version of the new cluster";
        CUT106 Warning "a part of the platform is missing in the new cluster";
        CUT107 Warning "a part of the platform has a different version";
        CUT108 Warning "the AWS Load Balancer Controller has a different version";
        CUT109 Warning "the service mesh differs";
        CUT110 Warning "an autoscaler has no source of metrics in the new cluster";
        CUT111 Error "a client uses an API version that the new cluster does not serve";
        CUT112 Error "clients still call an API that the new cluster does not serve";
        CUT113 Warning "the new cluster refuses a workload of the old one in a dry-run";
        CUT114 Warning "the new cluster would drop fields of a workload of the old one";
        CUT115 Warning "an admission webhook exists in only one cluster";
        CUT120 Error "the clusters run different images";
        CUT121 Warning "the number of replicas differs";
        CUT122 Warning "the autoscaler differs";
        CUT123 Warning "requests or limits differ";
        CUT124 Warning "probes differ";
        CUT125 Warning "environment variables differ";
        CUT126 Warning "commands or arguments differ";
        CUT127 Warning "volumes differ";
        CUT128 Warning "security contexts differ";
        CUT129 Warning "priority classes differ";
        CUT130 Warning "no node of the new cluster fits the pods";
        CUT131 Warning "a PodDisruptionBudget is missing in the new cluster";
        CUT132 Warning "a Service differs";
        CUT133 Warning "NetworkPolicies differ";
        CUT134 Error "a workload is missing in the new cluster";
        CUT140 Warning "the content of a ConfigMap differs";
        CUT141 Error "a ConfigMap is missing in the new cluster";
        CUT142 Error "a Secret is missing in the new cluster, or has a different number of keys";
        CUT143 Warning "a StorageClass is missing or differs";
        CUT144 Error "one volume is used in two clusters";
        CUT145 Warning "an IngressClass is missing in the new cluster";
        CUT146 Warning "a custom resource or its version is missing in the new cluster";
        CUT147 Error "a Secret for pulling images is missing in the new cluster";
        CUT148 Error "a service account is missing in the new cluster";
        CUT149 Error "a PriorityClass is missing in the new cluster";
        CUT150 Error "an IAM role does not exist, or does not trust the new cluster";
        CUT151 Error "a service account has no IAM role in the new cluster";
        CUT160 Error "the new cluster has no room for the shares to come";
        CUT161 Error "the subnets of the new cluster have too few free addresses";
        CUT162 Warning "pods are pending in the new cluster";
        CUT163 Warning "a ResourceQuota is too small for the shares to come";
        CUT164 Warning "LimitRanges differ";
        CUT170 Error "a CronJob is active in both clusters";
        CUT171 Error "a Job runs in both clusters";
        CUT172 Error "a StatefulSet runs in both clusters";
        CUT173 Error "a Deployment without a Service runs in both clusters";
        CUT174 Error "an object of KEDA is active in both clusters";
        CUT175 Error "a Lease has a holder in both clusters";
        CUT176 Error "external-dns has one owner ID in both clusters";
        CUT190 Info "a fact is unknown";
    }
}

/// One result of the plan's checks or the preflight.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The stable code.
    pub code: Code,
    /// The severity of the code, unless the rule that found the problem lowered it.
    pub severity: Severity,
    /// The description of the problem, with names and numbers.
    pub message: String,
    /// A text that says what to do. It may have several lines (a snippet to paste).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The affected object (a route's label, a group's name or a cluster's name); empty for the whole plan.
    pub subject: String,
    /// The plan's reason for accepting the finding; `None` if the plan does not accept it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

impl Finding {
    /// Returns a finding with the severity of its code.
    pub fn new(code: Code, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            help: None,
            subject: subject.into(),
            accepted: None,
        }
    }

    /// Adds a text that says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a place in the plan to the message: `plan.yaml, line 12`.
    #[must_use]
    pub fn at(mut self, place: Option<String>) -> Self {
        self.message.extend(place.map(|place| format!(" ({place})")));
        self
    }

    /// Sets a lower severity than that of the code.
    #[must_use]
    pub fn lowered(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Whether the run is refused: the finding is an error that the plan does not accept.
    pub fn refuses(&self) -> bool {
        self.severity == Severity::Error && self.accepted.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_number_is_in_the_range_of_the_source() {
        for code in Code::ALL {
            let number: u32 = code.name()[3..].parse().unwrap();
            let source = match number {
                1..=39 | 200..=299 => Source::Lint,
                40..=99 | 300..=399 => Source::Preflight,
                100..=199 => Source::Compare,
                _ => panic!("{} has a number outside of all ranges", code.name()),
            };
            assert_eq!(code.source(), source, "{}", code.name());
        }
    }
}
