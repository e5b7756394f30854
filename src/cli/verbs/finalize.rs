//! `cutover finalize`: checks whether the old cluster can be retired, and with `--detach` retires it. The conditions
//! are in `domain::decide::finalize`.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::app::exit::{Exit, Failure};
use crate::app::find::Found;
use crate::app::{drive, find, identity, owner, place, world};
use crate::cli::args::{Global, Output, help, value};
use crate::cli::render::style::{Style, Tone};
use crate::cli::term;
use crate::domain::decide::finalize::{Item, Stands, judge, unfit, worst};
use crate::domain::run::state::{Phase, State};
use crate::engine::{Ports, finalize, hold, inventory};
use crate::port::store::Request;

/// `finalize`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help("Without --detach it changes nothing and exits with 0 if the old cluster can be
retired, 8 if not yet, 3 if not, 7 on drift.
After --detach the run cannot be rolled back any more.

Examples:
  cutover finalize alpha-webapp                      check only
  cutover finalize alpha-webapp --detach             detach its target groups
  cutover finalize alpha-webapp --detach --bindings  also delete its bindings",
    &[
        Exit::Done,
        Exit::Internal,
        Exit::Usage,
        Exit::Refused,
        Exit::Stuck,
        Exit::Locked,
        Exit::Drift,
        Exit::Waiting,
        Exit::Interrupted,
    ]))]
pub struct Finalize {
    /// Run id, plan name or plan file (its newest run)
    #[arg(value_name = "RUN|PLAN")]
    pub target: String,
    /// Retire the old cluster: detach its target groups from the routes
    #[arg(long)]
    pub detach: bool,
    /// Also delete the old cluster's bindings that only cutover created and changed
    #[arg(long, requires = "detach")]
    pub bindings: bool,
    /// How long the old target groups must have had no requests
    #[arg(long, value_parser = value::duration, default_value = "15m", value_name = "TIME")]
    pub quiet_for: Duration,
    /// Also if a condition is unknown
    #[arg(long, requires = "detach")]
    pub force: bool,
    /// Do not ask
    #[arg(long, short, requires = "detach")]
    pub yes: bool,
}

/// Runs the command.
pub async fn run(global: &Global, args: &Finalize) -> Result<Exit, Failure> {
    let store = place::named(&global.kept(), Some(&args.target)).await?;
    let found = find::run(&*store, Some(&args.target), term::style_err(global.color).color).await?;
    let state = found.state()?;
    let begun = state.phase == Phase::Detaching;
    let ports = world::ports(&found.plan, store).await;
    identity::account(&found.plan, &ports).await?;
    let items = if begun { vec![under_way(&state)] } else { look(args, &found, &state, &ports).await };
    if !args.detach {
        show(global, &found, &items);
        return Ok(exit(worst(&items)));
    }
    term::complain(&text(&found, &items, &term::style_err(global.color)));
    if !begun && let Some(refusal) = refusal(&items, args.force) {
        return Err(refusal);
    }
    if !args.yes && !term::confirm(&question(args, &found, &state)).map_err(|e| Failure::new(Exit::Usage, e))? {
        return Err(Failure::new(Exit::Usage, "the old cluster is not retired; nothing was touched"));
    }
    let settings = drive::settings(&found.plan, &state);
    let hold = hold::take(&ports, &settings, found.plan.marker, &found.run.id, &found.run.load_balancers, false).await;
    let (by, _) = owner::owner();
    let request = (!begun).then_some(Request::Detach { by, bindings: args.bindings });
    drive::Drive {
        request: request.as_ref(),
        ..drive::Drive::new(&found.plan, ports, settings, hold.map_err(drive::held)?)
    }
    .run(global)
    .await
}

async fn look(args: &Finalize, found: &Found, state: &State, ports: &Ports) -> Vec<Item> {
    if let Some(unfit) = unfit(&found.plan, state) {
        return vec![unfit];
    }
    let patient = inventory::patient(&ports.balancer, &ports.clock);
    let facts = finalize::look(&found.plan, state, ports, &patient, args.quiet_for).await;
    judge(&found.plan, state, &found.records, &facts, args.quiet_for, ports.clock.now())
}

fn under_way(state: &State) -> Item {
    let message =
        format!("retiring the old cluster has started and is not finished: cutover finalize {} --detach", state.run);
    Item { what: "run", stands: Stands::Wait, message, until: None }
}

fn show(global: &Global, found: &Found, items: &[Item]) {
    let shown = match global.output {
        Output::Json => {
            let last = worst(items);
            json!({
                "run": found.run.id,
                "plan": found.plan.name,
                "cluster": found.plan.strategy.from,
                "canGo": last == Stands::Yes,
                "items": items,
            })
            .to_string()
        }
        _ => text(found, items, &term::style(global.color)),
    };
    let _ = term::print(&shown);
}

fn text(found: &Found, items: &[Item], style: &Style) -> String {
    let line = |item: &Item| {
        let (tone, mark) = match item.stands {
            Stands::Yes => (Tone::Good, "✓"),
            Stands::Unknown => (Tone::Warn, "?"),
            Stands::Wait => (Tone::Warn, "·"),
            Stands::No | Stands::Drift => (Tone::Bad, "✗"),
        };
        let until = item.until.map_or(String::new(), |until| format!(", until {}", until.strftime("%F %T UTC")));
        format!("{} {}{until}", style.paint(tone, mark), item.message)
    };
    let from = &found.plan.strategy.from;
    let sum = match worst(items) {
        Stands::Yes => format!("cluster {from} can be retired"),
        Stands::Unknown => format!("unknown whether cluster {from} can be retired"),
        Stands::Wait => format!("cluster {from} cannot be retired yet"),
        Stands::No | Stands::Drift => format!("cluster {from} cannot be retired"),
    };
    items.iter().map(line).chain([sum]).collect::<Vec<_>>().join("\n")
}

fn exit(worst: Stands) -> Exit {
    match worst {
        Stands::Yes => Exit::Done,
        Stands::Wait => Exit::Waiting,
        Stands::Unknown | Stands::No => Exit::Refused,
        Stands::Drift => Exit::Drift,
    }
}

fn refusal(items: &[Item], force: bool) -> Option<Failure> {
    let worst = worst(items);
    if worst == Stands::Yes || (force && worst == Stands::Unknown) {
        return None;
    }
    let failure = Failure::new(exit(worst), "the old cluster is not retired; nothing was touched");
    Some(if worst == Stands::Unknown {
        failure.next("if you know that the unknown conditions hold: add --force")
    } else {
        failure
    })
}

fn question(args: &Finalize, found: &Found, state: &State) -> String {
    let (from, routes) = (&found.plan.strategy.from, state.routes.len());
    let also = if args.bindings { ", and delete its bindings" } else { "" };
    format!("Detach the target groups of {from} from {routes} routes{also}? A rollback is not possible after that.")
}
