//! Findings: what the plan's checks and the preflight say, with stable codes. This table is the only one; documentation is made from it.

use serde::Serialize;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Shown; the run goes on.
    Warning,
    /// Refuses, unless it is accepted; the exit status follows the [`Source`].
    Error,
}

/// Where a finding comes from; the exit status of a refusal follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The plan file itself; errors are exit 2 and cannot be accepted.
    Lint,
    /// What is live; errors are exit 3.
    Preflight,
    /// What two clusters run; errors are exit 3.
    Compare,
}

impl Source {
    /// In one word, as it is serialised.
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
            /// Every code, in order.
            pub const ALL: &[Self] = &[$($(Self::$code,)*)*];

            /// `CUT001`.
            pub fn name(self) -> &'static str {
                match self { $($(Self::$code => stringify!($code),)*)* }
            }

            /// What it is about, in a few words.
            pub fn title(self) -> &'static str {
                match self { $($(Self::$code => $title,)*)* }
            }

            /// Its severity.
            pub fn severity(self) -> Severity {
                match self { $($(Self::$code => Severity::$severity,)*)* }
            }

            /// Where it comes from.
            pub fn source(self) -> Source {
                match self { $($(Self::$code => Source::$source,)*)* }
            }
        }
    };
}

// A code is never reused. New ones: compare CUT100–CUT199, lint CUT200–CUT299, preflight CUT300–CUT399.
codes! {
    Lint {
        CUT001 Error "the plan is not readable: size, encoding or YAML syntax";
        CUT002 Error "a key is given twice";
        CUT003 Error "an unknown field";
        CUT004 Error "a field is missing";
        CUT005 Error "a value is of the wrong kind";
        CUT006 Error "the file is no cutover plan, or of another version";
        CUT007 Error "a name that is not a DNS label";
        CUT008 Error "two things have one name";
        CUT009 Error "an account ID or region that cannot be one";
        CUT010 Error "too few or too many clusters";
        CUT011 Error "a cluster is reached in two ways";
        CUT012 Error "an unknown cluster";
        CUT013 Error "`from` and `to` are one cluster";
        CUT014 Error "a bad duration";
        CUT015 Error "a number is out of range";
        CUT016 Error "a bad ARN, resource name or tag selector";
        CUT017 Error "a route has no target group for a cluster";
        CUT018 Error "one target group stands in two places";
        CUT019 Error "a listener or rule is named wrongly or twice";
        CUT020 Error "a step says nothing, or more than one thing";
        CUT021 Error "impossible shares";
        CUT022 Error "no step moves a share";
        CUT023 Error "`setWeight` while another cluster carries traffic";
        CUT024 Error "a field of the binding that this tool sets itself";
        CUT025 Error "`accept` names a code that does not exist";
        CUT026 Error "`accept` names an error of the plan itself";
        CUT027 Error "a workload has a Service in a cluster that cannot be reached";
        CUT028 Error "a text for people is empty or too long";
        CUT029 Error "gates that cannot work together";
        CUT030 Error "a metric gate has no source or judgement, or more than one";
        CUT031 Error "a metric gate is judged by what its source does not tell";
        CUT032 Error "an address or a header is wrong";
        CUT034 Error "a bad time, day, window or time zone";
        CUT035 Error "a step and its pause fit into no window";
        CUT036 Error "a time-out where nothing can time out";
        CUT037 Error "a text has a placeholder that stands for nothing";
        CUT038 Error "a notification has no destination, more than one, or nothing to tell";
        CUT039 Error "a hook or a command that says too little, or too much";
    }
    Preflight {
        CUT040 Error "a load balancer is not found, or is not exactly one";
        CUT041 Error "a target group is not found, or is not exactly one";
        CUT042 Warning "group stickiness keeps clients where they are after weights change";
        CUT043 Error "a listener of the plan does not exist";
        CUT044 Error "a rule of the plan does not exist";
        CUT045 Error "a rule of the plan does not carry the traffic that is to move";
        CUT046 Error "the number of actions is not what the plan expects";
        CUT047 Error "an action is selected twice";
        CUT048 Error "the cluster that is to give traffic away carries none";
        CUT049 Error "the live shares are not those that the plan starts from";
        CUT050 Error "a target group is not attached, and no step attaches it";
        CUT051 Error "one target group stands for two clusters or workloads";
        CUT052 Error "something that the checks need cannot be read";
        CUT053 Error "an action has an element that this build cannot represent";
        CUT054 Error "the credentials are of another account";
        CUT055 Error "a resource is in another region";
        CUT056 Warning "the credentials end before the plan can";
        CUT057 Error "two clusters of the plan are one and the same";
        CUT058 Error "a cluster cannot be reached";
        CUT059 Error "the load balancer is not an active Application Load Balancer";
        CUT060 Error "a cluster's controller owns the load balancer, a listener or a rule";
        CUT061 Warning "Terraform manages it, and its next apply would put the old weights back";
        CUT062 Warning "CloudFormation manages it, and its next update would put the old weights back";
        CUT063 Error "an action would have more than five target groups";
        CUT064 Error "the load balancer would have more than a hundred target groups";
        CUT065 Warning "DNS failover can take a zone out for the sake of a small group";
        CUT066 Warning "the load balancer's target quota may be reached";
        CUT067 Error "a target group is attached to another load balancer";
        CUT068 Error "target groups differ in network, or cannot be attached";
        CUT069 Warning "the two target groups are set up differently";
        CUT070 Error "target stickiness needs group stickiness";
        CUT071 Error "one target group is bound from two clusters";
        CUT072 Error "a target group has targets that our binding's controller would deregister";
        CUT073 Error "a binding says otherwise";
        CUT074 Warning "GitOps owns what the plan creates";
        CUT075 Error "the cluster refuses the binding";
        CUT076 Error "a Service does not exist";
        CUT077 Error "a Service has no such port";
        CUT078 Info "the cluster binds by EKS Auto Mode's API";
        CUT079 Error "the cluster serves no TargetGroupBinding API";
        CUT080 Warning "targets time out: a security group may be closed";
        CUT081 Warning "pods have no readiness gate of their binding";
        CUT082 Warning "the new cluster cannot scale to what a step needs";
        CUT083 Warning "the old cluster may shrink below what the way back needs";
        CUT084 Warning "the last pause is shorter than stickiness";
        CUT085 Error "health checks are off";
        CUT086 Warning "other rules forward to the old cluster, and the plan does not move them";
        CUT087 Error "a share cannot be spelled in weights";
        CUT088 Warning "no marker tag protects the load balancer";
        CUT089 Error "a finding that cannot be accepted is in `accept`";
        CUT090 Info "`accept` names a finding that is not there";
        CUT091 Error "a binding that someone else is to make does not exist";
        CUT092 Warning "nothing will fill the new cluster's target group";
        CUT093 Error "the old cluster has no healthy target";
        CUT094 Warning "a metric gate's source cannot be read";
    }
    Compare {}
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Its code.
    pub code: Code,
    /// Its severity (the code's own, unless the rule lowered it).
    pub severity: Severity,
    /// What is wrong, with the names and numbers.
    pub message: String,
    /// What to do; may span lines (a snippet to paste).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What it is about: a route's label, a group's name, a cluster; empty for the whole plan.
    pub subject: String,
    /// The reason with which the plan accepts it, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

impl Finding {
    /// A finding of the code's own severity.
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

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Lowers its severity.
    #[must_use]
    pub fn lowered(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Whether it refuses a run: an error that the plan does not accept.
    pub fn refuses(&self) -> bool {
        self.severity == Severity::Error && self.accepted.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_in_the_range_of_its_source() {
        for code in Code::ALL {
            let number: u32 = code.name()[3..].parse().unwrap();
            let source = match number {
                1..=39 | 200..=299 => Source::Lint,
                40..=99 | 300..=399 => Source::Preflight,
                100..=199 => Source::Compare,
                _ => panic!("{}", code.name()),
            };
            assert_eq!(code.source(), source, "{}", code.name());
        }
    }
}
