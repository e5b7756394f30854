//! `cutover runbook`: writes the runbook of a plan for the people on the call. Changes nothing.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::civil::{DateTime, Time};
use jiff::{Timestamp, ToSpan, Zoned};
use serde_json::json;

use crate::adapter::store::memory::MemoryStore;
use crate::app::exit::{Exit, Failure};
use crate::app::names::plan_argument;
use crate::app::prepare::{Preparation, prepare};
use crate::app::{connect, find, waves};
use crate::cli::args::{Global, Output, help_text};
use crate::cli::reading::shown;
use crate::cli::term;
use crate::domain::emergency::script::script;
use crate::domain::view::runbook::{LiveFacts, RunbookInput, markdown};
use crate::plan::model::{MarkerMode, Plan};

/// The maximum time to read what is live. Without it, the document is written from the plan alone.
const READ_TIMEOUT: Duration = Duration::from_mins(5);

/// The arguments of `cutover runbook`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help_text("The document is Markdown. Its times are those of this machine's time zone (TZ).

Examples:
  cutover runbook plan.yaml > runbook.md
  cutover runbook plan.yaml --at 14:00              with times of the clock
  cutover runbook plan.yaml --at 2027-03-01T09:30   on another day
  cutover runbook plan.yaml --offline               without AWS",
    &[Exit::Done, Exit::Internal, Exit::Usage]))]
pub struct Runbook {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// Planned start: HH:MM (the next one), or a date with a time [default: times count from the start]
    #[arg(long, value_name = "TIME", value_parser = planned_start)]
    pub at: Option<PlannedStart>,
    /// Only this wave of the plan [default: one document with all waves; --at is the start of the first one]
    #[arg(long, value_name = "NAME")]
    pub wave: Option<String>,
    /// Use the plan alone; do not read AWS and the clusters
    #[arg(long)]
    pub offline: bool,
}

/// The value of `--at`: when the run is planned to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlannedStart {
    /// The next time at which the clock shows this.
    Next(Time),
    /// On this day at this time.
    At(DateTime),
}

fn planned_start(text: &str) -> Result<PlannedStart, String> {
    let time = || text.parse::<Time>().ok().filter(|_| text.contains(':') && !text.contains(['T', ' ']));
    let date_time = || text.parse::<DateTime>().ok().filter(|_| text.contains(':'));
    time()
        .map(PlannedStart::Next)
        .or_else(|| date_time().map(PlannedStart::At))
        .ok_or_else(|| "write a time such as 14:00, or a date with a time such as 2027-03-01T09:30".to_owned())
}

impl PlannedStart {
    /// Returns the planned start, in the time zone of `now`.
    ///
    /// # Errors
    /// The time cannot be represented.
    fn after(self, now: &Zoned) -> Result<Zoned, jiff::Error> {
        let zone = now.time_zone().clone();
        match self {
            Self::At(at) => at.to_zoned(zone),
            Self::Next(time) => {
                let today = now.date().to_datetime(time).to_zoned(zone.clone())?;
                let tomorrow = || now.date().checked_add(1.day())?.to_datetime(time).to_zoned(zone);
                if today < *now { tomorrow() } else { Ok(today) }
            }
        }
    }
}

/// Runs `cutover runbook`.
pub async fn run(global: &Global, args: &Runbook) -> Result<Exit, Failure> {
    let plan = find::linted_plan(&args.plan, term::style_err(global.color).color)?;
    let start = args.at.map(|at| at.after(&Zoned::now())).transpose();
    let start = start.map_err(|e| Failure::new(Exit::Usage, format!("--at: {e}")))?;
    waves::check_name(&plan, args.wave.as_deref())?;
    let of_wave = |run: &Plan| args.wave.as_deref().is_none_or(|wave| run.wave_name() == Some(wave));
    let (mut texts, mut read) = (Vec::new(), true);
    for (number, run) in plan.runs().into_iter().filter(of_wave).enumerate() {
        let live = if args.offline { LiveFacts::Offline } else { self::read(&run).await };
        if let LiveFacts::Unreadable(reasons) = &live {
            let why = reasons.first().map_or("", String::as_str);
            term::print_error(&format!(
                "AWS could not be read, so the runbook is written from the plan alone: {why}\nto leave out this attempt: --offline"
            ));
        }
        read &= matches!(live, LiveFacts::Read { .. });
        // A later wave begins when the wave before it is done.
        let start = start.clone().filter(|_| number == 0);
        texts.push(markdown(&RunbookInput { plan: &run, file: plan_argument(&run), start, live }));
    }
    let text = texts.join("\n---\n\n");
    let text = match global.output {
        Output::Json => json!({"plan": plan.name, "start": start, "live": read, "markdown": text}).to_string(),
        Output::Text | Output::Markdown => text,
    };
    term::print(text.trim_end()).map_err(|e| Failure::new(Exit::Internal, e))?;
    Ok(Exit::Done)
}

/// Reads what is live, as `cutover check` does.
async fn read(plan: &Plan) -> LiveFacts {
    let ports = connect::ports(plan, Arc::new(MemoryStore::new())).await;
    match tokio::time::timeout(READ_TIMEOUT, shown(prepare(plan, &ports, 1))).await {
        Ok(prepared) => live(plan, prepared),
        Err(_) => LiveFacts::Unreadable(vec!["AWS did not answer within five minutes".to_owned()]),
    }
}

fn live(plan: &Plan, prepared: Preparation) -> LiveFacts {
    if prepared.report.routes.is_empty() {
        let refusing = prepared.report.findings.iter().filter(|finding| finding.refuses());
        return LiveFacts::Unreadable(refusing.map(|finding| finding.message.clone()).collect());
    }
    let at = prepared.report.at.unwrap_or_else(Timestamp::now);
    let script = if prepared.report.is_refused() {
        // During a run, what is live is not what was there before the run.
        Err("a run would be refused now, so that the live shares may not be those to go back to".to_owned())
    } else {
        let started = prepared.started_event(plan, "", 1, None).map_err(|why| why.error.to_string());
        // The script of the document belongs to no run, so that it must not touch the tags of runs.
        started.map(|started| script(&plan.name, &started, MarkerMode::None, at))
    };
    LiveFacts::Read { at, report: Box::new(prepared.report), script }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-12-01T13:30:00+01:00[Europe/Berlin]".parse().expect("a time")
    }

    fn start(text: &str) -> String {
        let start = planned_start(text).expect("a start").after(&now()).expect("a time");
        start.strftime("%F %H:%M %z").to_string()
    }

    #[test]
    fn a_time_of_day_is_the_next_one() {
        assert_eq!(start("14:00"), "2026-12-01 14:00 +0100");
        assert_eq!(start("13:30"), "2026-12-01 13:30 +0100");
        assert_eq!(start("09:15"), "2026-12-02 09:15 +0100");
        assert_eq!(start("2027-07-01T09:30"), "2027-07-01 09:30 +0200");
        assert_eq!(start("2027-07-01 09:30"), "2027-07-01 09:30 +0200");
    }

    #[test]
    fn another_text_is_refused_with_an_example() {
        for wrong in ["tomorrow", "14", "2027-03-01", "25:00"] {
            let error = planned_start(wrong).expect_err(wrong);
            assert!(error.contains("14:00"), "{error}");
        }
    }
}
