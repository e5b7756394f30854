//! Rules about the AWS identity of the plan's workloads: the roles of service accounts, and Pod Identity.

use std::collections::BTreeSet;

use super::context::Context;
use super::facts::{ClusterFacts, Kind};
use super::object::Object;
use super::pair::owners;
use super::trust::{Identity, Trust, trusts};
use crate::base::finding::{Code, Finding};
use crate::plan::model::Plan;

/// The annotation of a service account that names its role.
const ROLE: &str = "eks.amazonaws.com/role-arn";
/// The annotation of a service account that names the audience of its tokens.
const AUDIENCE: &str = "eks.amazonaws.com/audience";
/// The audience of tokens without the annotation.
/// Source: <https://github.com/aws/amazon-eks-pod-identity-webhook>.
const DEFAULT_AUDIENCE: &str = "sts.amazonaws.com";

/// Returns the name of the service account of an object's pods.
fn account_name(owner: &Object) -> &str {
    owner.text("/spec/template/spec/serviceAccountName").unwrap_or("default")
}

fn role(account: &Object) -> Option<&str> {
    account.annotation(ROLE).filter(|role| !role.is_empty())
}

/// Returns the ARNs of the roles that the service accounts of the plan's workloads name in a cluster.
pub fn role_names(plan: &Plan, cluster: &ClusterFacts) -> BTreeSet<String> {
    let accounts = owners(plan, cluster).into_iter();
    let accounts = accounts.filter_map(|o| cluster.one(Kind::ServiceAccount, &o.namespace, account_name(o)));
    accounts.filter_map(role).map(str::to_owned).collect()
}

/// A service account with a role, whose trust policy this build cannot judge.
pub struct Unjudged {
    /// The ARN of the role.
    pub role: String,
    /// The condition that is not known here.
    pub condition: String,
}

/// A service account of a workload, in both clusters.
struct Account<'a> {
    /// The service account in the cluster that loses traffic.
    old: &'a Object,
    /// The service account in the cluster that gets traffic.
    new: &'a Object,
}

fn accounts<'a>(context: &Context<'a>) -> Vec<Account<'a>> {
    let mut found: Vec<Account<'a>> = Vec::new();
    for pair in &context.pairs.workloads {
        let account = |cluster: &'a ClusterFacts, owner: &'a Object| {
            cluster.one(Kind::ServiceAccount, &owner.namespace, account_name(owner))
        };
        let (Some(old), Some(new)) = (account(context.from, pair.from), account(context.to, pair.to)) else { continue };
        if !found.iter().any(|known| std::ptr::eq(known.new, new)) {
            found.push(Account { old, new });
        }
    }
    found
}

/// Judges whether the role of a service account in the new cluster can be assumed; `None` if this is unknown.
fn judge(to: &ClusterFacts, account: &Object) -> Option<(String, Option<Trust>)> {
    let (role, platform) = (role(account)?, to.platform.as_ref()?);
    let policy = platform.roles.get(role)?.as_ref().ok()?;
    let issuer = platform.cluster.as_ref().ok()?.issuer.as_deref()?;
    let subject = format!("system:serviceaccount:{}:{}", account.namespace, account.name);
    let audience = account.annotation(AUDIENCE).unwrap_or(DEFAULT_AUDIENCE);
    let identity = Identity { issuer: issuer.trim_start_matches("https://"), subject: &subject, audience };
    Some((role.to_owned(), policy.as_ref().map(|policy| trusts(policy, &identity))))
}

/// Returns the trust policies that this build cannot judge.
pub fn unjudged(context: &Context<'_>) -> Vec<Unjudged> {
    let judged = accounts(context).into_iter().filter_map(|account| judge(context.to, account.new));
    let unclear = judged.filter_map(|(role, trust)| match trust {
        Some(Trust::Unclear(condition)) => Some(Unjudged { role, condition }),
        _ => None,
    });
    unclear.collect()
}

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, .. } = context;
    for account in accounts(context) {
        let name = account.new.full_name();
        match judge(to, account.new) {
            Some((role, None)) => {
                let message =
                    format!("service account {name} of {} has the role {role}, which does not exist", to.name);
                let help = "its pods get no AWS credentials: create the role, or correct the annotation";
                findings.push(Finding::new(Code::CUT150, name.clone(), message).help(help));
            }
            Some((role, Some(Trust::Refuses(why)))) => {
                let message = format!("the role {role} does not trust service account {name} of {}: {why}", to.name);
                let help = "its pods get no AWS credentials, which health checks may not show: add the OIDC provider of \
                            the new cluster to the role's trust policy";
                findings.push(Finding::new(Code::CUT150, name.clone(), message).help(help));
            }
            _ => {}
        }
        if role(account.new).is_none() {
            without_role(from, to, &account, findings);
        }
    }
}

/// Reports a service account that has a role in the old cluster and none in the new one, by annotation or association.
fn without_role(from: &ClusterFacts, to: &ClusterFacts, account: &Account<'_>, findings: &mut Vec<Finding>) {
    let (Some(old), Some(new)) = (&from.platform, &to.platform) else { return };
    let key = |account: &Object| (account.namespace.clone(), account.name.clone());
    let Ok(associated) = &new.pod_identities else { return };
    if associated.contains(&key(account.new)) {
        return;
    }
    let name = account.new.full_name();
    let had = match (role(account.old), &old.pod_identities) {
        (Some(role), _) => format!("has the role {role} by its annotation in {}", from.name),
        (None, Ok(associated)) if associated.contains(&key(account.old)) => {
            format!("has a Pod Identity association in {}", from.name)
        }
        _ => return,
    };
    let message =
        format!("service account {name} {had}; in {} it has neither an annotation nor an association", to.name);
    let help = format!(
        "its pods get no AWS credentials, or those of their node: create the association (`aws eks \
         create-pod-identity-association`) or set the annotation {ROLE}"
    );
    findings.push(Finding::new(Code::CUT151, name, message).help(help));
}
