//! `cutover check`: checks the plan and runs the preflight, and shows the weights of every route after every step.
//! Changes nothing.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::adapter::hook::HookRunner;
use crate::adapter::process::Folder;
use crate::adapter::store::memory::MemoryStore;
use crate::app::done::explain_completed_run;
use crate::app::exit::{Exit, Failure};
use crate::app::prepare::{Preparation, machine_facts, prepare};
use crate::app::start::{UnfinishedRun, unfinished};
use crate::app::waves::{WaveRuns, to_begin};
use crate::app::{connect, find, state_store, waves};
use crate::base::finding::{Code, Finding, Severity};
use crate::cli::args::{Global, Output, ReadOptions, StepRef, help_text, step_number};
use crate::cli::reading::shown;
use crate::cli::render::check;
use crate::cli::term;
use crate::domain::preflight;
use crate::domain::preflight::machine::machine_findings;
use crate::domain::view::check::CheckReport;
use crate::plan::model::Plan;
use crate::port::store::{RunSummary, Store};

/// The arguments of `cutover check`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help_text("Examples:
  cutover check plan.yaml
  cutover check plan.yaml --output markdown     for a pull request",
    &[Exit::Done, Exit::Internal, Exit::Usage, Exit::Refused]))]
pub struct Check {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// Check only the file: no AWS, no clusters
    #[arg(long)]
    pub offline: bool,
    /// List every route and every finding; without it, routes with equal shares and findings of one kind are grouped
    #[arg(long, short)]
    pub verbose: bool,
    /// Options for reads.
    #[command(flatten)]
    pub reads: ReadOptions,
}

/// Runs `check --offline`, which checks only the plan file.
pub fn offline(global: &Global, args: &Check) -> Result<Exit, Failure> {
    let whole = find::linted_plan(&args.plan, term::style_err(global.color).color)?;
    let mut exit = Exit::Done;
    let mut length = check_length(global, &whole);
    for plan in whole.runs() {
        let machine = machine_facts(&plan, &HookRunner::in_folder(Folder::of(&plan)));
        let mut findings = preflight::notes(&plan);
        let unusable = machine_findings(&plan, &machine).into_iter();
        // The check of a file may run on any machine, so a missing program is only a warning.
        findings.extend(unusable.map(|finding| finding.lowered(Severity::Warning)));
        findings.extend(length.take());
        let report = CheckReport::offline(&plan, findings).with_start(&plan, jiff::Timestamp::now());
        exit = worse(exit, print_report(global, &report, args.verbose));
    }
    Ok(exit)
}

/// Runs `cutover check`.
pub async fn run(global: &Global, args: &Check) -> Result<Exit, Failure> {
    let plan = find::linted_plan(&args.plan, term::style_err(global.color).color)?;
    if !plan.waves.is_empty() {
        return Box::pin(check_waves(global, &plan, args.verbose)).await;
    }
    let ports = connect::ports(&plan, Arc::new(MemoryStore::new())).await;
    let (prepared, runs) = futures::join!(shown(prepare(&plan, &ports, 1)), earlier_runs(global, &plan));
    Ok(print_report(global, &runs.explain(global, &plan, prepared).await, args.verbose))
}

/// Checks each wave of a plan that is not done, as a run of its own. The traffic of a wave that is done is on the new
/// cluster, so that its start is not checked.
async fn check_waves(global: &Global, plan: &Plan, verbose: bool) -> Result<Exit, Failure> {
    let EarlierRuns { store, all, unfinished } = earlier_runs(global, plan).await;
    let runs = WaveRuns::of(all.clone());
    let migration = runs.migration(plan, false);
    let mut notes: Vec<Finding> = unfinished.into_iter().chain(waves::changed(plan, &migration)).collect();
    if let Some(store) = &store {
        notes.extend(waves::edited(&**store, plan, &runs).await?);
    }
    notes.extend(check_length(global, plan));
    let (mut exit, mut checked) = (Exit::Done, 0);
    for wave in to_begin(plan, &migration) {
        let ports = connect::ports(&wave.plan, Arc::new(MemoryStore::new())).await;
        let prepared = shown(prepare(&wave.plan, &ports, 1)).await;
        notes.extend(prepared.other_owner(store.as_deref(), &all).await);
        let mut report = prepared.report;
        report.findings.splice(0..0, notes.drain(..));
        exit = worse(exit, print_report(global, &report, verbose));
        checked += 1;
    }
    if checked == 0 {
        term::print_error(&format!("every wave of the plan {} is done; nothing to check", plan.name));
    }
    Ok(exit)
}

/// Returns the exit code of several checks: that of the first check that refuses.
fn worse(first: Exit, second: Exit) -> Exit {
    if first == Exit::Done { second } else { first }
}

/// The maximum time to search for the runs of the plan.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(15);

/// The earlier runs of a plan that determine whether a run may start.
#[derive(Default)]
struct EarlierRuns {
    /// The store of the runs; `None` if it cannot be read.
    store: Option<Arc<dyn Store>>,
    all: Vec<RunSummary>,
    /// The finding about an unfinished run.
    unfinished: Option<Finding>,
}

impl EarlierRuns {
    async fn explain(self, global: &Global, plan: &Plan, prepared: Preparation) -> CheckReport {
        let owner = prepared.other_owner(self.store.as_deref(), &self.all).await;
        let mut report = prepared.report;
        explain_completed_run(&mut report, &self.all);
        report.findings.splice(0..0, self.unfinished.into_iter().chain(owner));
        report.findings.extend(check_length(global, plan));
        report
    }
}

fn check_length(global: &Global, plan: &Plan) -> Option<Finding> {
    state_store::check_length(&global.state_options(), plan, jiff::Timestamp::now())
}

/// Searches for the runs of the plan. If the store cannot be read, returns none, because `check` also runs on machines
/// without access to the store.
async fn earlier_runs(global: &Global, plan: &Plan) -> EarlierRuns {
    let search = async {
        let store = state_store::open_for_plan(&global.state_options(), plan).await.ok()?;
        let all = store.find(&plan.name).await.ok()?;
        let unfinished = unfinished(&*store, &all).await;
        let finding = |run: UnfinishedRun| Finding::new(Code::CUT308, "run", run.message).help(run.next.join("\n"));
        Some(EarlierRuns { unfinished: unfinished.map(finding), store: Some(store), all })
    };
    tokio::time::timeout(SEARCH_TIMEOUT, search).await.ok().flatten().unwrap_or_default()
}

/// Runs `cutover run --dry-run`: checks a run that would start with a step and stop after a step.
pub async fn dry_run(
    global: &Global,
    plan: &str,
    wave: Option<&str>,
    (from_step, until): (Option<&StepRef>, Option<&StepRef>),
    verbose: bool,
) -> Result<Exit, Failure> {
    let plan = find::linted_plan(plan, term::style_err(global.color).color)?;
    waves::check_name(&plan, wave)?;
    if !plan.waves.is_empty() && wave.is_none() {
        waves::check_one_wave(&plan, &[("--from-step", from_step.is_some()), ("--until", until.is_some())])?;
        return Box::pin(check_waves(global, &plan, verbose)).await;
    }
    let plan = wave.and_then(|wave| plan.narrowed(wave)).unwrap_or(plan);
    let (from_step, until) = (step_number(&plan, from_step)?.unwrap_or(1), step_number(&plan, until)?);
    let ports = connect::ports(&plan, Arc::new(MemoryStore::new())).await;
    let prepared = shown(prepare(&plan, &ports, from_step));
    let (prepared, runs) = futures::join!(prepared, earlier_runs(global, &plan));
    let exit = print_report(global, &runs.explain(global, &plan, prepared).await, verbose);
    if from_step > 1 {
        term::print_error(&format!("the run would start with step {from_step}; the steps before it would not run"));
    }
    if let Some(until) = until.filter(|until| *until < plan.strategy.steps.len()) {
        term::print_error(&format!("the run would stop after step {until}"));
    }
    Ok(exit)
}

fn print_report(global: &Global, report: &CheckReport, all: bool) -> Exit {
    let text = match global.output {
        Output::Text => check::text(report, all, &term::style(global.color)),
        Output::Markdown => check::markdown(report),
        Output::Json => check::json(report),
    };
    let _ = term::print(text.trim_end());
    report.findings.iter().find(|finding| finding.refuses()).map_or(Exit::Done, |finding| finding.code.source().into())
}
