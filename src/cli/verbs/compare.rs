//! `cutover compare`: reads both clusters and shows whether the new cluster is fit to take over. Changes nothing.

use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use crate::adapter::aws::SdkConfig;
use crate::app::exit::{Exit, Failure};
use crate::app::{connect, find};
use crate::base::finding::Finding;
use crate::cli::args::{Global, Output, help_text};
use crate::cli::render::compare as render;
use crate::cli::term;
use crate::domain::compare::compare;
use crate::domain::traffic::Unreadable;
use crate::engine::compare_platform::{Sources, read_both};
use crate::plan::model::{ClusterName, Plan};
use crate::port::{ClusterObjects, ClusterPlatform};

/// The arguments of `cutover compare`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help_text("Examples:
  cutover compare plan.yaml
  cutover compare plan.yaml --output markdown   for a pull request",
    &[Exit::Done, Exit::Internal, Exit::Usage, Exit::Refused]))]
pub struct Compare {
    /// Plan file, `-` for stdin
    pub plan: String,
}

/// Runs `cutover compare`.
pub async fn run(global: &Global, args: &Compare) -> Result<Exit, Failure> {
    let plan = find::linted_plan(&args.plan, term::style_err(global.color).color)?;
    let findings = Box::pin(findings(&plan)).await;
    let text = match global.output {
        Output::Text => render::text(&plan, &findings, &term::style(global.color)),
        Output::Markdown => render::markdown(&plan, &findings),
        Output::Json => render::json(&plan, &findings),
    };
    let _ = term::print(text.trim_end());
    Ok(findings.iter().find(|finding| finding.refuses()).map_or(Exit::Done, |finding| finding.code.source().into()))
}

async fn findings(plan: &Plan) -> Vec<Finding> {
    let config = connect::aws_config(Some(&plan.region)).await;
    let (from, to) = futures::join!(
        Connections::open(plan, &plan.strategy.from, &config),
        Connections::open(plan, &plan.strategy.to, &config),
    );
    let reads = read_both(plan, from.sources(), to.sources(), Timestamp::now());
    let (from, to) = connect::reads().read(0, reads).await;
    compare(plan, &from, &to)
}

/// The connections to one cluster.
struct Connections {
    objects: Result<Arc<dyn ClusterObjects>, Unreadable>,
    platform: Option<Arc<dyn ClusterPlatform>>,
}

impl Connections {
    async fn open(plan: &Plan, cluster: &ClusterName, config: &SdkConfig) -> Self {
        let access = plan.clusters.iter().find(|known| known.name == *cluster).map(|known| &known.access);
        let Some(access) = access else {
            let objects = Err(Unreadable::Setup("the plan has no such cluster".to_owned()));
            return Self { objects, platform: None };
        };
        let objects = connect::objects_of(access, config).await;
        let eks_name = objects.as_ref().ok().and_then(|objects| objects.eks_name());
        Self { platform: connect::platform_of(plan, access, eks_name, config), objects }
    }

    fn sources(&self) -> Sources<'_> {
        Sources { objects: self.objects.as_deref().map_err(Clone::clone), platform: self.platform.as_deref() }
    }
}
