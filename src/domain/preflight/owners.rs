//! Reports other tools that write to the plan's resources (controllers, Terraform, CloudFormation), according to tags.

use std::collections::BTreeMap;

use super::context::{Context, finding};
use crate::base::finding::{Code, Finding};
use crate::base::text::list;
use crate::domain::decide::drift_cause::IGNORE_CHANGES;
use crate::domain::elb::owners_from_tags;
use crate::domain::traffic::{OwnerTool, Tags};

/// The name of a resource and the tags of the resource.
type Tagged<'a> = (String, &'a Tags);

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let resources = tagged_resources(context);
    report_controllers(&resources, findings);
    report_infrastructure(&resources, Code::CUT061, OwnerTool::Terraform, &terraform_help(), findings);
    report_infrastructure(&resources, Code::CUT062, OwnerTool::CloudFormation, CLOUDFORMATION_HELP, findings);
}

/// Returns the plan's load balancers, listeners and routes with their tags.
fn tagged_resources<'a>(context: &Context<'a>) -> Vec<Tagged<'a>> {
    let selection = &context.facts.selection;
    let mut all: Vec<Tagged<'a>> = Vec::new();
    for (arn, load_balancer) in &selection.load_balancers {
        all.push((format!("load balancer {}", load_balancer.name), &load_balancer.tags));
        let Some(Ok(listeners)) = context.facts.live.listeners.get(arn) else { continue };
        for (listener, _) in
            listeners.iter().filter(|(l, _)| selection.routes.iter().any(|r| r.route.listener == l.arn))
        {
            all.push((format!("listener {}", listener.port), &listener.tags));
        }
    }
    let rules = selection.routes.iter().filter(|r| r.route.priority.is_some());
    all.extend(rules.map(|r| (r.route.label(), &r.route.tags)));
    all
}

fn report_controllers(resources: &[Tagged<'_>], findings: &mut Vec<Finding>) {
    let mut by_tag: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (what, tags) in resources {
        if let Some(tag) = tag_of(OwnerTool::Controller, tags) {
            by_tag.entry(tag).or_default().push(what);
        }
    }
    for (tag, owned) in by_tag {
        let message = format!("a load balancer controller owns {} (tag {tag})", list(&owned));
        let help = "the controller restores its own weights and deletes rules that it does not know, at its next resync at the \
            latest. Use a load balancer that no Ingress, Service or Gateway owns, with TargetGroupBindings; or remove \
            the tag if it is left over from a deleted owner";
        findings.push(finding(Code::CUT060, owned[0], message, help));
    }
}

const CLOUDFORMATION_HELP: &str = "an update of the stack that changes a listener or rule restores the weights of the \
    template. Block updates of the stack until the cutover is finished (for example, with a stack policy that denies \
    Update:Modify on them), write the new weights into the template at the end, and accept this finding in the plan";

fn terraform_help() -> String {
    format!(
        "the next `terraform apply` restores the weights in the code. Before the cutover, apply:\n{IGNORE_CHANGES}\n\
         Then accept this finding in the plan, and write the new weights into the code at the end"
    )
}

fn report_infrastructure(
    resources: &[Tagged<'_>],
    code: Code,
    tool: OwnerTool,
    help: &str,
    findings: &mut Vec<Finding>,
) {
    let owned: Vec<(&str, String)> =
        resources.iter().filter_map(|(what, tags)| Some((what.as_str(), tag_of(tool, tags)?))).collect();
    let Some((first, tag)) = owned.first() else { return };
    let names: Vec<&str> = owned.iter().map(|(what, _)| *what).collect();
    let message = format!("{} manages {} (tag {tag})", tool.name(), list(&names));
    findings.push(finding(code, first, message, help));
}

fn tag_of(tool: OwnerTool, tags: &Tags) -> Option<String> {
    owners_from_tags(tags).into_iter().find(|owner| owner.tool == tool).map(|owner| owner.tag)
}
