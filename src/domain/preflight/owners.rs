//! Who else writes here: controllers, Terraform, CloudFormation, as far as tags tell.

use std::collections::BTreeMap;

use super::{Context, finding, listed};
use crate::domain::alb::Tags;
use crate::domain::finding::{Code, Finding};

/// Something with tags: what it is, and its tags.
type Tagged<'a> = (String, &'a Tags);

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let things = tagged(context);
    controllers(&things, findings);
    infrastructure(&things, Code::CUT061, terraform, TERRAFORM, findings);
    infrastructure(&things, Code::CUT062, cloudformation, CLOUDFORMATION, findings);
}

/// The plan's load balancers, the listeners of its routes, and those routes.
fn tagged<'a>(context: &Context<'a>) -> Vec<Tagged<'a>> {
    let selection = &context.facts.selection;
    let mut all: Vec<Tagged<'a>> = Vec::new();
    for (arn, load_balancer) in &selection.load_balancers {
        all.push((format!("load balancer {}", load_balancer.name), &load_balancer.tags));
        let Some(Ok(listeners)) = context.facts.live.listeners.get(arn) else { continue };
        for (listener, _) in listeners.iter().filter(|(l, _)| selection.routes.iter().any(|r| r.route.listener == l.arn)) {
            all.push((format!("listener {}", listener.port), &listener.tags));
        }
    }
    let rules = selection.routes.iter().filter(|r| r.route.priority.is_some());
    all.extend(rules.map(|r| (r.route.label(), &r.route.tags)));
    all
}

/// The cluster or stack that a controller's tags name.
pub(super) fn controller(tags: &Tags) -> Option<String> {
    let owner = tags.iter().find(|(key, _)| {
        *key == "elbv2.k8s.aws/cluster"
            || *key == "eks:eks-cluster-name"
            || [
                "ingress.k8s.aws/",
                "service.k8s.aws/",
                "gateway.k8s.aws.alb/",
                "gateway.k8s.aws/",
                "service.eks.amazonaws.com/",
                "ingress.eks.amazonaws.com/",
            ]
            .iter()
            .any(|p| key.starts_with(p))
    });
    owner.map(|(key, value)| format!("{key}={value}"))
}

fn controllers(things: &[Tagged<'_>], findings: &mut Vec<Finding>) {
    let mut by_tag: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (what, tags) in things {
        if let Some(owner) = controller(tags) {
            by_tag.entry(owner).or_default().push(what);
        }
    }
    for (tag, owned) in by_tag {
        let message = format!("a load balancer controller owns {} (tag {tag})", listed(&owned));
        let help = "it puts its own weights back and deletes rules that it does not know, at the latest at its next resync. Move the traffic on a load \
                    balancer that no Ingress, Service or Gateway owns, with TargetGroupBindings; or remove the tag if it is left over from a deleted one";
        findings.push(finding(Code::CUT060, owned[0], message, help));
    }
}

const TERRAFORM: &str = "its next apply puts the weights of the code back. Before the cutover, apply:\n\
    resource \"aws_lb_listener\" \"…\" {\n  lifecycle { ignore_changes = [default_action] }\n}\n\
    resource \"aws_lb_listener_rule\" \"…\" {\n  lifecycle { ignore_changes = [action] }\n}\n\
    provider \"aws\" {\n  ignore_tags { key_prefixes = [\"cutover\"] }\n}\n\
    Then accept this finding in the plan, and write the new weights into the code at the end";

const CLOUDFORMATION: &str = "an update of that stack that touches a listener or rule puts the template's weights back. Hold its updates until the \
    cutover is over (a stack policy that denies Update:Modify on them does it), write the new weights into the template at the end, and accept this \
    finding in the plan";

fn infrastructure(things: &[Tagged<'_>], code: Code, owner: fn(&Tags) -> Option<String>, help: &str, findings: &mut Vec<Finding>) {
    let owned: Vec<(&str, String)> = things.iter().filter_map(|(what, tags)| Some((what.as_str(), owner(tags)?))).collect();
    let Some((first, tag)) = owned.first() else { return };
    let names: Vec<&str> = owned.iter().map(|(what, _)| *what).collect();
    let tool = if code == Code::CUT061 { "Terraform" } else { "CloudFormation" };
    let message = format!("{tool} manages {} (tag {tag})", listed(&names));
    findings.push(finding(code, first, message, help));
}

/// Terraform leaves no tag of its own; these are what teams write.
pub(super) fn terraform(tags: &Tags) -> Option<String> {
    let says = |text: &str| ["terraform", "opentofu", "terragrunt"].iter().any(|t| text.to_lowercase().contains(t));
    let found = tags.iter().find(|(key, value)| {
        (says(key) && !value.eq_ignore_ascii_case("false")) || (says(value) && !key.starts_with("aws:") && *key != "Name")
    });
    found.map(|(key, value)| format!("{key}={value}"))
}

pub(super) fn cloudformation(tags: &Tags) -> Option<String> {
    tags.get("aws:cloudformation:stack-name").map(|stack| format!("aws:cloudformation:stack-name={stack}"))
}

/// Every owner that a resource's tags name, for views.
pub fn named(tags: &Tags) -> Vec<String> {
    [controller(tags), terraform(tags), cloudformation(tags)].into_iter().flatten().collect()
}
