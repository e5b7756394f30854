//! `cutover permissions`: prints the IAM policy and the roles that a plan needs, or asks the API servers for them.
//! Changes nothing.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::app::access::{self, ClusterAccessReport};
use crate::app::exit::{Exit, Failure};
use crate::app::names::plan_argument;
use crate::app::{connect, find};
use crate::base::number::count;
use crate::cli::args::{Global, Output, help_text};
use crate::cli::render::permissions as render;
use crate::cli::render::style::{Style, Tone};
use crate::cli::render::wrap::hang;
use crate::cli::term;
use crate::domain::elb::select::selector_text;
use crate::domain::view::permissions::{Permissions, Purpose, of};
use crate::plan::model::{BalancerKind, Plan, Selector};
use crate::port::Detail;

/// The arguments of `cutover permissions`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help_text("Examples:
  cutover permissions plan.yaml                            everything, as YAML
  cutover permissions plan.yaml --part aws --format json > policy.json
  cutover permissions plan.yaml --part b | kubectl --context b apply -f -
  cutover permissions plan.yaml --for run,rollback,compare --format terraform
  cutover permissions plan.yaml --check                    what do I lack?",
    &[Exit::Done, Exit::Internal, Exit::Usage, Exit::Refused]))]
pub struct PermissionsArgs {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// Commands that the permissions are for, separated by commas
    #[arg(long = "for", value_enum, value_delimiter = ',', value_name = "COMMANDS", default_values_t = [For::Run, For::Rollback])]
    pub purposes: Vec<For>,
    /// Form of the output
    #[arg(long, value_enum, hide_possible_values = true, value_name = "yaml|json|terraform")]
    pub format: Option<Format>,
    /// Print only this part: `aws`, or a cluster of the plan
    #[arg(long, value_name = "aws|CLUSTER")]
    pub part: Option<String>,
    /// Group of the roles' bindings
    #[arg(long, value_name = "GROUP", default_value = "cutover-operators")]
    pub group: String,
    /// Look up the load balancers, to name them by their ARNs
    #[arg(long)]
    pub live: bool,
    /// Ask the API servers of the clusters which permissions you lack
    #[arg(long, conflicts_with_all = ["format", "part", "live"])]
    pub check: bool,
}

/// A value of `--for`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum For {
    /// check, status, rehearse, runbook: reads only
    Check,
    /// run, step, resume and the commands that steer a run
    Run,
    /// rollback
    Rollback,
    /// compare
    Compare,
    /// the dry-run of compare, which needs the permission to create workloads
    CompareDryRun,
    /// finalize --detach
    Finalize,
    /// finalize --detach --bindings
    FinalizeBindings,
    /// run --detach
    Detach,
}

impl From<For> for Purpose {
    fn from(value: For) -> Self {
        match value {
            For::Check => Self::Check,
            For::Run => Self::Run,
            For::Rollback => Self::Rollback,
            For::Compare => Self::Compare,
            For::CompareDryRun => Self::CompareDryRun,
            For::Finalize => Self::Finalize,
            For::FinalizeBindings => Self::FinalizeBindings,
            For::Detach => Self::Detach,
        }
    }
}

/// A value of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Documents of YAML.
    Yaml,
    /// One JSON object.
    Json,
    /// Terraform configuration.
    Terraform,
}

/// Runs `cutover permissions`.
pub async fn run(global: &Global, args: &PermissionsArgs) -> Result<Exit, Failure> {
    let plan = find::linted_plan(&args.plan, term::style_err(global.color).color)?;
    let purposes: Vec<Purpose> = args.purposes.iter().map(|purpose| (*purpose).into()).collect();
    let found = if args.live { look_up(&plan).await? } else { BTreeMap::new() };
    let permissions = of(&plan, &purposes, &found);
    if args.check {
        return Ok(check(global, &plan, &permissions).await);
    }
    let permissions = part(&plan, permissions, args.part.as_deref())?;
    let format = match (args.format, global.output) {
        (Some(format), _) => format,
        (None, Output::Json) => Format::Json,
        (None, Output::Text | Output::Markdown) => Format::Yaml,
    };
    let text = match (format, args.part.as_deref()) {
        (Format::Terraform, _) => render::terraform(&permissions, &plan.name, &args.group),
        (Format::Yaml, None) => render::yaml(&permissions, &plan_argument(&plan), &args.group),
        (Format::Json, None) => pretty(&render::json(&permissions, &args.group)),
        (Format::Yaml, Some(_)) => render::documents(&objects(&permissions, &args.group)),
        (Format::Json, Some("aws")) => pretty(&render::policy(&permissions.aws)),
        (Format::Json, Some(_)) => pretty(&render::list(&objects(&permissions, &args.group))),
    };
    if !args.live && args.part.as_deref().is_none_or(|part| part == "aws") {
        warn_about_tags(&plan);
    }
    if permissions.aws.is_empty() && permissions.clusters.is_empty() {
        term::print_error("these commands need no permissions of AWS or Kubernetes for this plan");
    }
    term::print(text.trim_end()).map_err(|e| Failure::new(Exit::Internal, e))?;
    Ok(Exit::Done)
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}")
}

/// Returns the objects of the only part that is left.
fn objects(permissions: &Permissions, group: &str) -> Vec<serde_json::Value> {
    match permissions.clusters.first() {
        Some(cluster) => render::cluster_objects(cluster, group),
        None => vec![render::policy(&permissions.aws)],
    }
}

/// Returns one part of the permissions.
fn part(plan: &Plan, all: Permissions, part: Option<&str>) -> Result<Permissions, Failure> {
    let Some(part) = part else { return Ok(all) };
    let nothing = |what: &str| {
        let mut parts: Vec<_> = all.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        parts.extend((!all.aws.is_empty()).then_some("aws"));
        Failure::new(Exit::Usage, format!("the plan {} needs no permissions in {what}", plan.name))
            .next(format!("its parts are: {}", parts.join(", ")))
    };
    if part == "aws" {
        return if all.aws.is_empty() { Err(nothing("AWS")) } else { Ok(Permissions { clusters: Vec::new(), ..all }) };
    }
    match all.clusters.iter().find(|cluster| cluster.name == part) {
        Some(cluster) => Ok(Permissions { aws: Vec::new(), clusters: vec![cluster.clone()] }),
        None => Err(nothing(&format!("a cluster `{part}`"))),
    }
}

/// Says that a policy is wider than necessary, because the plan selects load balancers by tags.
fn warn_about_tags(plan: &Plan) {
    let selectors = plan.workloads.iter().flat_map(|workload| &workload.routes).map(|entry| &entry.load_balancer);
    let mut tagged: Vec<_> =
        selectors.filter(|selector| matches!(selector, Selector::Tags(_))).map(selector_text).collect();
    tagged.dedup();
    if !tagged.is_empty() {
        term::print_error(&format!(
            "the plan selects load balancers by {}: the policy covers all load balancers of the account and region; to \
             name them by their ARNs: --live",
            tagged.join(" and ")
        ));
    }
}

/// Looks up the load balancers of a plan.
async fn look_up(plan: &Plan) -> Result<BTreeMap<Selector, String>, Failure> {
    let balancer = connect::balancer_of(plan).await;
    let entries = plan.workloads.iter().flat_map(|workload| &workload.routes);
    let mut found = BTreeMap::new();
    for selector in entries.filter(|entry| entry.kind != BalancerKind::Haproxy).map(|entry| &entry.load_balancer) {
        if found.contains_key(selector) || matches!(selector, Selector::Arn(_)) {
            continue;
        }
        let text = selector_text(selector);
        let all = connect::reads().read(0, balancer.inventory.load_balancers(selector, Detail::Listed)).await;
        let all =
            all.map_err(|why| Failure::new(Exit::Refused, format!("the load balancer {text} cannot be read: {why}")))?;
        let [one] = all.as_slice() else {
            let message = format!("{text} matches {}, and must match one", count(all.len(), "load balancer"));
            return Err(Failure::new(Exit::Refused, message));
        };
        found.insert(selector.clone(), one.arn.clone());
    }
    Ok(found)
}

/// Asks the API servers, and prints what the caller lacks.
async fn check(global: &Global, plan: &Plan, permissions: &Permissions) -> Exit {
    let config = connect::aws_config_of(plan).await;
    let reports = access::review(&permissions.clusters, &config).await;
    let style = term::style(global.color);
    let lines: Vec<_> = match global.output {
        Output::Json => vec![json(plan, &reports)],
        Output::Text | Output::Markdown => reports.iter().map(|report| text(report, &style)).collect(),
    };
    let _ = term::print(lines.join("\n").trim_end());
    if !permissions.aws.is_empty() && global.output != Output::Json {
        term::print_error("AWS was not asked: it has no such question for the caller itself");
    }
    let lacking = |report: &ClusterAccessReport| !matches!(&report.missing, Ok(missing) if missing.is_empty());
    if reports.iter().any(lacking) { Exit::Refused } else { Exit::Done }
}

fn text(report: &ClusterAccessReport, style: &Style) -> String {
    let ClusterAccessReport { cluster, needed, missing } = report;
    let (tone, mark, sum) = match missing {
        Ok(missing) if missing.is_empty() => {
            (Tone::Good, "✓", format!("{cluster}: all {} are there", count(*needed, "permission")))
        }
        Ok(missing) => {
            let sum = format!("{cluster}: {} of {} missing", missing.len(), count(*needed, "permission"));
            (Tone::Bad, "✗", sum)
        }
        Err(why) => (Tone::Warn, "?", format!("{cluster}: the API server could not be asked: {why}")),
    };
    let head = hang(&format!("{} ", style.paint(tone, mark)), 2, &sum, style.width);
    let lines = missing.iter().flatten().map(|grant| hang("  ", 4, &grant.to_string(), style.width));
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
}

fn json(plan: &Plan, reports: &[ClusterAccessReport]) -> String {
    let cluster = |report: &ClusterAccessReport| {
        let missing: Vec<_> = report.missing.iter().flatten().map(ToString::to_string).collect();
        let unknown = report.missing.as_ref().err().map(ToString::to_string);
        json!({"cluster": report.cluster, "needed": report.needed, "missing": missing, "unknown": unknown})
    };
    json!({"plan": plan.name, "clusters": reports.iter().map(cluster).collect::<Vec<_>>()}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::traffic::Unreadable;
    use crate::domain::view::permissions::Grant;

    #[test]
    fn missing_permissions_are_named() {
        let grant = Grant {
            namespace: Some("shop".to_owned()),
            group: "apps".to_owned(),
            resource: "deployments".to_owned(),
            name: None,
            verb: "list".to_owned(),
        };
        let report = |missing| ClusterAccessReport { cluster: "b".to_owned(), needed: 12, missing };
        let shown = |missing| text(&report(missing), &Style::plain());
        assert_eq!(shown(Ok([].into())), "✓ b: all 12 permissions are there");
        assert_eq!(
            shown(Ok([grant].into())),
            "✗ b: 1 of 12 permissions missing\n  list deployments.apps in namespace shop"
        );
        let unknown = shown(Err(Unreadable::Unavailable("no response".to_owned())));
        assert!(unknown.starts_with("? b: the API server could not be asked: "), "{unknown}");
    }
}
