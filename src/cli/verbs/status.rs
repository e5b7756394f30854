//! `cutover status`: a run, or a load balancer without any plan.

use std::time::Duration;

use crate::cli::args::{Global, Output, Status};
use crate::cli::exit::{Exit, Failure};
use crate::cli::find::Found;
use crate::cli::render::live;
use crate::cli::render::status::{json, text};
use crate::cli::render::style::Style;
use crate::cli::render::view::View;
use crate::cli::verbs::steer::state;
use crate::cli::{find, term, world};
use crate::domain::event::Event;
use crate::domain::live::Live;
use crate::domain::watch::Watch;
use crate::engine::{Ports, Subject, look};
use crate::plan::selector;

/// How often `--watch` looks.
const WATCH: Duration = Duration::from_secs(2);

/// Runs the verb.
pub async fn run(global: &Global, args: &Status) -> Result<Exit, Failure> {
    let style = term::style(global.color);
    let mut screen = Screen { watch: args.watch && term::stdout() && global.output == Output::Text };
    loop {
        let shown = match &args.load_balancer {
            Some(load_balancer) => of_load_balancer(global, load_balancer, &style).await?,
            None => of_run(global, args.target.as_deref(), &style).await?,
        };
        screen.show(&shown);
        if !args.watch {
            return Ok(Exit::Done);
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Done),
        }
    }
}

struct Screen {
    watch: bool,
}

impl Screen {
    fn show(&mut self, text: &str) {
        if self.watch {
            let _ = console::Term::stdout().clear_screen();
        }
        let _ = term::print(text.trim_end());
    }
}

async fn of_load_balancer(global: &Global, load_balancer: &str, style: &Style) -> Result<String, Failure> {
    let selector = selector(load_balancer).map_err(|e| Failure::new(Exit::Usage, format!("--load-balancer: {e}")))?;
    let balancer = world::patient(&world::aws(None).await);
    let live =
        crate::engine::live::look(&selector, &balancer, jiff::Timestamp::now()).await.map_err(|e| Failure::new(Exit::Internal, e))?;
    Ok(rendered(global, &live, style))
}

fn rendered(global: &Global, live: &Live, style: &Style) -> String {
    if global.output == Output::Json { live::json(live) } else { live::text(live, style) }
}

async fn of_run(global: &Global, target: Option<&str>, style: &Style) -> Result<String, Failure> {
    let store = world::store(global.state_dir.as_ref())?;
    let found = find::run(&*store, target, style.color)?;
    let ports = world::ports(&found.plan, store).await;
    let view = view(&found, &ports).await?;
    Ok(if global.output == Output::Json { json(&view).to_string() } else { text(&view, style) })
}

/// The run as its journal and one look at the world tell it.
async fn view(found: &Found, ports: &Ports) -> Result<View, Failure> {
    let state = state(found)?;
    let subject = Subject::of(&found.plan, &state);
    let mut watch = Watch::new(ports.clock.now(), Duration::from_secs(5), Duration::from_mins(1));
    let seen = look::whole(&subject, &*ports.balancer, &ports.clusters, &*ports.clock).await;
    let now = ports.clock.now();
    watch.absorb(now, seen, true);
    // What was waited for before the last thing that was done is waited for no longer.
    let waits = found.records.iter().rev().find_map(|r| match &r.event {
        Event::Waiting { waits } => Some(waits.clone()),
        Event::Settled { .. } | Event::StepStarted { .. } | Event::StepDone { .. } | Event::Finished { .. } => Some(Vec::new()),
        _ => None,
    });
    let look = ports.store.look(&found.run.id);
    let alive = ports.store.holder(&found.run.id).is_some();
    let look = look.map(|l| crate::adapter::store::Look { watching: l.watching && alive, ..l });
    Ok(View::of(&found.plan, &state, Some(&watch), &waits.unwrap_or_default(), now).seen_by(look.as_ref()))
}
