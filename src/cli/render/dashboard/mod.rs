//! The dashboard that a terminal shows during a run: its text as a pure function, and a thin wrapper that keeps the
//! text at the bottom of the screen.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::fit::{Parts, Screen, truncated};
use super::sections::{sections, state_line};
use super::status::{continue_commands, rollback_commands};
use super::style::{Style, Tone};
use super::wrap::wrap;
use crate::app::view::RunView;

/// Returns the lines of the dashboard: none wider than the screen, and no more than it has rows.
pub fn dashboard_lines(view: &RunView, screen: Screen, style: &Style) -> Vec<String> {
    let (step, of) = view.step_of();
    let (tone, words) = state_line(view, style);
    let mut head = vec![format!("{}  step {step} of {of}", style.paint(Tone::Strong, &view.run))];
    let state = wrap(&words, Some(screen.width.saturating_sub(2)));
    head.extend(state.into_iter().map(|line| format!("  {}", style.paint(tone, &line))));
    let mut below = sections(view, style, false);
    let commands = if view.reachable { continue_commands(view) } else { Vec::new() };
    let back = if view.reachable && view.frozen.is_some() { rollback_commands(view) } else { Vec::new() };
    let is_new = |command: &String| !commands.iter().any(|other| other.starts_with(command.as_str()));
    let back: Vec<_> = back.into_iter().filter(is_new).collect();
    below.extend([("continue", commands), ("roll back", back)].into_iter().filter(|(_, lines)| !lines.is_empty()));
    truncated(Parts::new(head, &below, view, screen, style).lay_out(|most| steps(view, most, style)), screen, style)
}

/// Returns at most `most` steps: those around the current one, and the number of those after them.
fn steps(view: &RunView, most: usize, style: &Style) -> Vec<String> {
    let (step, of) = view.step_of();
    let first = step.saturating_sub(1 + most / 3).min(of.saturating_sub(most));
    let ended = view.outcome.is_some();
    let shown = view.steps.iter().enumerate().skip(first).take(most).map(|(i, label)| {
        let number = i + 1;
        let (tone, mark) = match number.cmp(&view.step) {
            std::cmp::Ordering::Less if number < view.from_step => (Tone::Faint, "-"),
            std::cmp::Ordering::Less => (Tone::Faint, style.mark("✓", "+")),
            std::cmp::Ordering::Equal if !ended => (Tone::Strong, style.mark("▸", ">")),
            _ => (Tone::Plain, " "),
        };
        style.paint(tone, &format!("  {mark} {number:>2}  {label}"))
    });
    let more = of.saturating_sub(first + most);
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
