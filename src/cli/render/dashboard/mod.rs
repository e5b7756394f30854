//! The dashboard that a terminal shows during a run: its text as a pure function, and a thin wrapper that keeps the
//! text at the bottom of the screen.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::sections::{WAITS_HEADING, lay_out, sections, state_line};
use super::status::continue_commands;
use super::style::{Style, Tone};
use crate::app::view::RunView;
use crate::domain::run::state::Phase;

/// Maximum number of steps that are shown; of longer plans, the steps around the current one.
const SHOWN_STEPS: usize = 9;

/// Returns the lines of the dashboard, none wider than `width` columns.
pub fn dashboard_lines(view: &RunView, width: usize, style: &Style) -> Vec<String> {
    let (step, of) = view.step_of();
    let (tone, state_text) = state_line(view, style);
    let mut lines = vec![format!("{}  step {step} of {of}", style.paint(Tone::Strong, &view.run))];
    lines.extend(
        wrap(&state_text, width.saturating_sub(2)).into_iter().map(|line| format!("  {}", style.paint(tone, &line))),
    );
    lines.extend(steps(view, style));
    let mut below = sections(view, style, false);
    // Wait reasons are wrapped and not cut off.
    for (_, lines) in below.iter_mut().filter(|(heading, _)| *heading == WAITS_HEADING) {
        *lines = lines.iter().flat_map(|line| wrap(line, width.saturating_sub(12))).collect();
    }
    // Show the command if only an operator can end the wait.
    if view.reachable && (view.phase == Phase::AwaitingApproval || view.frozen.is_some() || view.paused.is_some()) {
        below.push(("continue", continue_commands(view)));
    }
    lines.extend(lay_out(&below, style));
    let dots = style.mark("…", "...");
    lines.iter().map(|l| console::truncate_str(l, width, dots).into_owned()).collect()
}

/// Wraps a text at spaces into lines of at most `width` columns. A longer word is not broken.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |l| console::measure_text_width(l));
        match lines.last_mut() {
            Some(last) if line == 0 => last.push_str(word),
            Some(last) if line + 1 + console::measure_text_width(word) <= width => *last = format!("{last} {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn steps(view: &RunView, style: &Style) -> Vec<String> {
    let (step, of) = view.step_of();
    let first = step.saturating_sub(4).min(of.saturating_sub(SHOWN_STEPS));
    let ended = view.outcome.is_some();
    let shown = view.steps.iter().enumerate().skip(first).take(SHOWN_STEPS).map(|(i, label)| {
        let number = i + 1;
        let (tone, mark) = match number.cmp(&view.step) {
            std::cmp::Ordering::Less => (Tone::Faint, style.mark("✓", "+")),
            std::cmp::Ordering::Equal if !ended => (Tone::Strong, style.mark("▸", ">")),
            _ => (Tone::Plain, " "),
        };
        style.paint(tone, &format!("  {mark} {number:>2}  {label}"))
    });
    let more = of.saturating_sub(first + SHOWN_STEPS);
    let more = (more > 0).then(|| style.paint(Tone::Faint, &format!("        and {more} more")));
    shown.chain(more).collect()
}

/// The dashboard at the bottom of the terminal; nothing without a terminal. The dashboard is one progress bar of
/// several lines, so that all lines are drawn at once.
#[derive(Debug)]
pub struct Dashboard {
    bars: MultiProgress,
    bar: Option<ProgressBar>,
}

impl Dashboard {
    /// Creates a dashboard in these bars (`cli::term::bars`, or hidden bars). Text above the dashboard must be printed
    /// with `cli::term::print`.
    pub fn new(bars: MultiProgress) -> Self {
        Self { bars, bar: None }
    }

    /// Replaces the lines of the dashboard; removes the dashboard if `lines` is empty.
    pub fn show(&mut self, lines: &[String]) {
        if lines.is_empty() {
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
                self.bars.remove(&bar);
            }
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            self.bars.add(ProgressBar::new_spinner().with_style(style))
        });
        bar.set_message(lines.join("\n"));
        bar.force_draw();
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.show(&[]);
    }
}

#[cfg(test)]
mod tests;
