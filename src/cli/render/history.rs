//! Renders `cutover history`: one line for each run, or one line for each event of a run.

use jiff::Timestamp;

use super::events::EventLines;
use super::style::{Style, Tone};
use super::wrap::hang;
use crate::app::names::{balancer, outcome_text};
use crate::base::duration::format_elapsed;
use crate::domain::run::event::{Record, RunOutcome};
use crate::port::store::RunSummary;

/// The place of the result in a row.
const RESULT: usize = 3;

/// Returns a table of the runs, without a last newline.
pub fn list(runs: &[RunSummary], style: &Style) -> String {
    let rows: Vec<_> = runs.iter().map(|run| row(run, style)).collect();
    let started = format!("STARTED ({})", style.zone_name());
    let head = ["RUN", &started, "DURATION", "RESULT", "LOAD BALANCERS"].map(str::to_owned);
    let width = |column: usize| {
        rows.iter().map(|(r, _)| r[column].chars().count()).chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    // On a narrow terminal, the load balancers of a run are below it, and on a narrower one also its result.
    let fits = |cells: usize| {
        style.width.is_none_or(|columns| widths[..cells].iter().sum::<usize>() + 2 * (cells - 1) <= columns)
    };
    let beside = (RESULT..=head.len()).rev().find(|cells| fits(*cells)).unwrap_or(RESULT);
    let line = |cells: &[String], tone: Tone| {
        let padded = cells.iter().zip(&widths).enumerate().take(beside).map(|(n, (cell, width))| {
            let cell = if n + 1 < beside { format!("{cell:<width$}") } else { cell.clone() };
            if n == RESULT { style.paint(tone, &cell) } else { cell }
        });
        let row = padded.collect::<Vec<_>>().join("  ").trim_end().to_owned();
        let below = cells[beside..].iter().filter(|cell| !cell.is_empty()).cloned().collect::<Vec<_>>().join(", ");
        if below.is_empty() { row } else { format!("{row}\n{}", hang("  ", 4, &below, style.width)) }
    };
    let head = style.paint(Tone::Faint, &line(&head, Tone::Plain));
    std::iter::once(head).chain(rows.iter().map(|(cells, tone)| line(cells, *tone))).collect::<Vec<_>>().join("\n")
}

fn row(run: &RunSummary, style: &Style) -> ([String; 5], Tone) {
    let began = |at: Timestamp| at.to_zoned(style.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string();
    let took =
        run.started.zip(run.last).map_or_else(String::new, |(began, last)| format_elapsed(last.duration_since(began)));
    let (ended, tone) = match (&run.damaged, run.finished) {
        (Some(_), _) => ("damaged journal", Tone::Bad),
        (None, Some(RunOutcome::RolledBack | RunOutcome::Aborted)) if run.aborted_to.is_some() => {
            ("aborted to the shares of an earlier step", Tone::Bad)
        }
        (None, Some(RunOutcome::RolledBack | RunOutcome::Aborted)) if run.completed => {
            ("completed, then rolled back", Tone::Warn)
        }
        (None, Some(RunOutcome::Completed)) => (outcome_text(run.finished), Tone::Good),
        (None, Some(RunOutcome::RolledBack | RunOutcome::Aborted)) => (outcome_text(run.finished), Tone::Warn),
        (None, None) => (outcome_text(run.finished), Tone::Strong),
    };
    let ended = run.wave.as_ref().map_or_else(|| ended.to_owned(), |wave| format!("wave {}: {ended}", wave.name));
    let balancers: Vec<_> = run.load_balancers.iter().map(|arn| balancer(arn)).collect();
    ([run.id.clone(), run.started.map_or_else(String::new, began), took, ended, balancers.join(", ")], tone)
}

/// Returns one JSON object per line, for each run.
pub fn json(runs: &[RunSummary]) -> String {
    runs.iter().filter_map(|run| serde_json::to_string(run).ok()).collect::<Vec<_>>().join("\n")
}

/// Returns the lines of a run's records as the terminal showed them, with the date before each day.
pub fn run_events(records: &[Record], style: &Style) -> String {
    let mut lines = EventLines::new(style.clone());
    let mut day = None;
    let mut all = Vec::new();
    for record in records {
        let shown = lines.lines_for(record);
        let date = record.time.to_zoned(style.zone.clone()).date();
        if !shown.is_empty() && day.replace(date) != Some(date) {
            all.push(style.paint(Tone::Faint, &date.to_string()));
        }
        all.extend(shown);
    }
    all.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::fixture::{records, screen, until_bake};

    #[test]
    fn a_rollback_after_the_end_keeps_that_the_run_was_completed() {
        let run = |outcome, completed| RunSummary {
            finished: Some(outcome),
            completed,
            ..RunSummary::of("alpha-20260301-140200-k3f9", &[])
        };
        let runs = [run(RunOutcome::Aborted, true), run(RunOutcome::Aborted, false), run(RunOutcome::Completed, true)];
        let lines: Vec<_> = list(&runs, &Style::plain()).lines().map(str::to_owned).collect();
        assert!(lines[1].ends_with("completed, then rolled back"), "{lines:?}");
        assert!(lines[2].ends_with("  rolled back on request") && lines[3].ends_with("  completed"), "{lines:?}");
    }

    /// Regression test: the table broke in the middle of a word.
    #[test]
    fn a_narrow_terminal_has_the_load_balancers_below_the_run() {
        let mut run = RunSummary::of("boxoffice-20260301-140200-k3f9", &records(until_bake()));
        run.load_balancers = vec![crate::domain::fixture::LB.to_owned()];
        let wide = list(std::slice::from_ref(&run), &Style::plain());
        assert_eq!(wide.lines().count(), 2, "{wide}");
        let narrow = list(&[run], &screen(80));
        assert_eq!(narrow.lines().count(), 4, "{narrow}");
        assert!(narrow.lines().all(|line| console::measure_text_width(line) <= 80), "{narrow}");
        assert!(narrow.contains("\n  LOAD BALANCERS\n") && narrow.ends_with("\n  alpha"), "{narrow}");
    }

    /// Regression test: at 80 columns the result broke in the middle of a word, and no time had a zone.
    #[test]
    fn a_result_that_does_not_fit_is_below_its_run() {
        let records = records(until_bake());
        let run = RunSummary {
            finished: Some(RunOutcome::Aborted),
            aborted_to: Some(2),
            load_balancers: vec![crate::domain::fixture::LB.to_owned()],
            ..RunSummary::of("boxoffice-production-20260301-140200-k3f9", &records)
        };
        let narrow = list(&[run], &screen(80));
        let lines: Vec<_> = narrow.lines().collect();
        assert!(lines.iter().all(|line| console::measure_text_width(line) <= 80), "{narrow}");
        assert!(lines[0].contains("STARTED (UTC)") && lines[1] == "  RESULT, LOAD BALANCERS", "{narrow}");
        assert_eq!(lines[3], "  aborted to the shares of an earlier step, alpha", "{narrow}");
    }
}
