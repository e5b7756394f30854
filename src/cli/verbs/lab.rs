//! `cutover lab`: serves the embedded world until `^C`, and prints what to export to reach it.

use crate::adapter::clock::Scaled;
use crate::cli::args::{Global, Lab, Output};
use crate::cli::exit::{Exit, Failure};
use crate::cli::verbs::rehearse::scenario;
use crate::cli::{find, term};
use crate::lab::live;
use crate::lab::model::World;

/// Runs the verb.
pub async fn run(global: &Global, args: &Lab) -> Result<Exit, Failure> {
    let color = term::style_err(global.color).color;
    let plan = find::plan(&args.plan, color)?;
    let scenario = scenario(args.scenario.as_deref(), color)?;
    let clock = Scaled::new(jiff::Timestamp::now(), args.speed);
    let start = jiff::Timestamp::now();
    let world = World::new(&plan, &scenario, args.seed, start).map_err(|e| Failure::new(Exit::Usage, e))?;
    let lab = live::Lab::start(world, clock).await.map_err(|e| Failure::new(Exit::Internal, e))?;
    let text = match global.output {
        Output::Json => serde_json::json!({"event": "lab", "environment": lab.environment().iter().cloned().collect::<std::collections::BTreeMap<_, _>>()}).to_string(),
        _ => lab.environment().iter().map(|(name, value)| format!("export {name}={value}")).collect::<Vec<_>>().join("\n"),
    };
    let _ = term::print(&text);
    term::complain("the lab is up; paste these lines into another terminal, and end it here with ^C");
    let ended = ended().await;
    lab.stop().await;
    ended.map(|()| Exit::Done).map_err(|e| Failure::new(Exit::Internal, e))
}

/// `^C`, or a polite end from whoever started it.
async fn ended() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
    }
}
