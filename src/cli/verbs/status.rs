//! `cutover status`: shows a run, or a load balancer without a plan. Changes nothing.

use std::time::Duration;

use clap::Args;

use crate::app::exit::{Exit, Failure};
use crate::app::find::StoredRun;
use crate::app::view::RunView;
use crate::app::waves::WaveRuns;
use crate::app::{break_glass, connect, elsewhere, find, state_store};
use crate::cli::args::{Global, Output, ReadOptions};
use crate::cli::reading::with_progress;
use crate::cli::render::fit::cropped;
use crate::cli::render::load_balancer;
use crate::cli::render::status::{json, text, watched};
use crate::cli::render::style::Style;
use crate::cli::signals::Signals;
use crate::cli::term;
use crate::cli::verbs::rollback::{NO_REGION, remedy};
use crate::domain::run::observation::Observed;
use crate::domain::view::load_balancer::LoadBalancerView;
use crate::engine::inventory::read_balancer::{BalancerReadError, read_for_status};
use crate::engine::{Ports, WatchList, observation as world_look};
use crate::plan::selector;

/// The arguments of `cutover status`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover status                                       the only unfinished run
  cutover status --load-balancer alpha-webapp --watch  no plan needed")]
pub struct Status {
    /// Run id, plan name or plan file [default: the only unfinished run, else the newest]
    #[arg(value_name = "RUN|PLAN", conflicts_with = "load_balancer")]
    pub target: Option<String>,
    /// Load balancer to show without a plan: name, ARN, or `tag:KEY=VALUE`
    #[arg(long, value_name = "LB")]
    pub load_balancer: Option<String>,
    /// Repeat every two seconds until ^C
    #[arg(long, short)]
    pub watch: bool,
    /// Options for reads.
    #[command(flatten)]
    pub reads: ReadOptions,
}

/// Interval of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Runs `cutover status`.
pub async fn run(global: &Global, args: &Status) -> Result<Exit, Failure> {
    let style = term::style(global.color);
    if !args.watch {
        let (shown, _) = Box::pin(read_status(global, args, args.target.as_deref(), &style)).await?;
        let _ = term::print(shown.trim_end());
        return Ok(Exit::Done);
    }
    // Show the same run all the time, even if another run starts meanwhile.
    let target = match &args.load_balancer {
        Some(_) => None,
        None => Some(
            find::run_to_show(
                &*state_store::open_for_target(&global.state_options(), args.target.as_deref()).await?,
                args.target.as_deref(),
                style.color,
            )
            .await?
            .run
            .id,
        ),
    };
    let mut signals = Signals::listen().map_err(|e| Failure::new(Exit::Internal, e))?;
    loop {
        let is_final = match Box::pin(read_status(global, args, target.as_deref(), &style)).await {
            Ok((shown, is_final)) => {
                show(global, &shown);
                is_final
            }
            // Repeat a failed read after two seconds.
            Err(failure) => {
                show(global, "");
                term::print_error(&format!("{failure}\ntrying again; to stop, type ^C"));
                false
            }
        };
        if is_final {
            return Ok(Exit::Done);
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH_INTERVAL) => {}
            () = signals.next() => return Ok(Exit::Done),
        }
    }
}

/// Returns the current status as text, and whether this status is final.
async fn read_status(
    global: &Global,
    args: &Status,
    target: Option<&str>,
    style: &Style,
) -> Result<(String, bool), Failure> {
    match &args.load_balancer {
        Some(load_balancer) => {
            let shown = status_of_load_balancer(global, load_balancer, style).await?;
            Ok((if is_redrawn(global, args) { cropped(&shown, term::screen()) } else { shown }, false))
        }
        None => Box::pin(status_of_run(global, args, target, style)).await,
    }
}

/// Whether each status replaces the one before it on the terminal, and so must fit on the screen.
fn is_redrawn(global: &Global, args: &Status) -> bool {
    args.watch && global.output == Output::Text && term::can_show_dashboard()
}

/// Prints the status. On a terminal, replaces the previous status without flicker.
fn show(global: &Global, text: &str) {
    let text = text.trim_end();
    if global.output == Output::Text && term::can_show_dashboard() {
        let lines: Vec<_> = text.lines().map(|line| line.to_owned() + "\x1b[K").collect();
        let _ = term::print(&format!("\x1b[H{}\n\x1b[J", lines.join("\n")));
    } else if !text.is_empty() {
        let _ = term::print(text);
    }
}

async fn status_of_load_balancer(global: &Global, load_balancer: &str, style: &Style) -> Result<String, Failure> {
    let selector = selector(load_balancer).map_err(|e| Failure::new(Exit::Usage, format!("--load-balancer: {e}")))?;
    let config = connect::aws_config_for(&selector).await;
    if config.region().is_none() {
        return Err(Failure::new(Exit::Usage, NO_REGION));
    }
    let balancer = connect::balancer(&config);
    let live = read_for_status(&selector, &balancer, jiff::Timestamp::now());
    let live = with_progress(0, live).await.map_err(|e| match e {
        BalancerReadError::NotOne { .. } => Failure::new(Exit::Usage, e)
            .next("to list them: aws elbv2 describe-load-balancers --query 'LoadBalancers[].LoadBalancerName'"),
        BalancerReadError::Unreadable { ref why, .. } => {
            let fix = remedy(why);
            fix.into_iter().fold(Failure::new(Exit::Internal, e), Failure::next)
        }
    })?;
    Ok(render_view(global, &live, style))
}

fn render_view(global: &Global, live: &LoadBalancerView, style: &Style) -> String {
    if global.output == Output::Json { load_balancer::json(live) } else { load_balancer::text(live, style) }
}

async fn status_of_run(
    global: &Global,
    args: &Status,
    target: Option<&str>,
    style: &Style,
) -> Result<(String, bool), Failure> {
    let store = state_store::open_for_target(&global.state_options(), target).await?;
    let found = find::run_to_show(&*store, target, style.color).await.map_err(with_load_balancer);
    let found = elsewhere::or_say_where(found, target.unwrap_or_default()).await?;
    let ports = connect::ports(&found.plan, store).await;
    let view = view(&found, &ports).await?;
    let shown = match global.output {
        Output::Json => json(&view).to_string(),
        _ if is_redrawn(global, args) && view.outcome.is_none() => watched(&view, term::screen(), style),
        _ => text(&view, style),
    };
    Ok((shown, view.outcome.is_some()))
}

/// Adds the command that needs no run to the failure of a run that was not found.
fn with_load_balancer(failure: Failure) -> Failure {
    failure.next("to see what is live without a run: cutover status --load-balancer NAME")
}

/// Returns the view of a run from its journal and one observation.
async fn view(found: &StoredRun, ports: &Ports) -> Result<RunView, Failure> {
    let state = found.state()?;
    let watch_list = WatchList::of(&found.plan, &state);
    let mut watch = Observed::new(ports.clock.now(), Duration::from_secs(5), Duration::from_mins(1));
    let observation = world_look::observe_all(&watch_list, &ports.balancer, &ports.clusters, &*ports.clock);
    let observation = with_progress(watch_list.calls(), observation).await;
    let now = ports.clock.now();
    watch.add(now, observation, true);
    let waits = found.waits(&state, now);
    let heartbeat = ports.store.heartbeat(&found.run.id).await;
    let has_driver = ports.store.lock_owner(&found.run.id).await.is_some();
    let heartbeat = heartbeat.map(|l| crate::port::store::Heartbeat { guarding: l.guarding && has_driver, ..l });
    let script = break_glass::used(&*ports.balancer.tags, &found.run.id, &found.run.load_balancers).await;
    let waves = WaveRuns::read(&*ports.store, &found.plan).await?;
    let view = RunView::of(&found.plan, &state, Some(&watch), &waits, now);
    let view = view.with_heartbeat(heartbeat.as_ref()).with_script_use(script.as_ref());
    Ok(RunView { waves: waves.migration(&found.plan, false).views(), ..view })
}
