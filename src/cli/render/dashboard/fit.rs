//! Fits the dashboard to the screen: fewer steps first, then fewer lines of the longest sections. The state, the way
//! back, the guard and the commands always stay: an operator needs them to decide.

use super::super::sections::{Section, lay_out};
use super::super::style::{Style, Tone};
use super::super::wrap::wrap;

/// The most steps that are shown; of longer plans those around the current step.
const STEPS: usize = 9;
/// The least steps, as long as the others leave room.
const FEW_STEPS: usize = 3;
/// Rows above the dashboard for the last events.
const EVENTS: usize = 5;
/// Columns of the headings.
const HEADINGS: usize = 12;
/// Sections that are never shortened.
const WHOLE: [&str; 3] = ["way back", "guard", "continue"];

/// Columns and rows of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// A heading and its entries, each of one or more lines.
struct Part {
    heading: &'static str,
    entries: Vec<Vec<String>>,
    /// How many entries are shown.
    shown: usize,
}

impl Part {
    fn height(&self) -> usize {
        self.height_with(self.shown)
    }

    fn height_with(&self, shown: usize) -> usize {
        let lines: usize = self.entries.iter().take(shown).map(Vec::len).sum();
        lines + usize::from(shown < self.entries.len())
    }

    /// Returns the most entries that need fewer lines than now; `None`: hiding entries saves no line.
    fn fewer(&self) -> Option<usize> {
        (1..self.shown).rev().find(|shown| self.height_with(*shown) < self.height())
    }

    /// Returns the section; the last line of a shortened one counts the entries that are missing.
    fn section(&self, style: &Style) -> Section {
        let more = self.entries.len() - self.shown;
        let more = (more > 0).then(|| style.paint(Tone::Faint, &format!("and {more} more")));
        (self.heading, self.entries.iter().take(self.shown).flatten().cloned().chain(more).collect())
    }
}

/// The parts of a dashboard.
pub(super) struct Parts<'a> {
    head: Vec<String>,
    below: Vec<Part>,
    rows: usize,
    style: &'a Style,
}

impl<'a> Parts<'a> {
    /// Takes the lines above the steps, and the sections below them, which it wraps to the screen.
    pub(super) fn new(head: Vec<String>, below: &[Section], screen: Screen, style: &'a Style) -> Self {
        let width = screen.width.saturating_sub(HEADINGS);
        let part = |(heading, lines): &Section| {
            let entries: Vec<_> = lines.iter().map(|line| wrap_entry(line, width)).collect();
            Part { heading, shown: entries.len(), entries }
        };
        Self { head, below: below.iter().map(part).collect(), rows: screen.height.saturating_sub(1), style }
    }

    /// Returns all lines, with as many steps as there is room for.
    pub(super) fn lay_out(mut self, steps: impl Fn(usize) -> Vec<String>) -> Vec<String> {
        let fits = |most: usize, rows: usize, parts: &Self| parts.height() + steps(most).len() <= rows;
        let calm = (FEW_STEPS..=STEPS).rev().find(|most| fits(*most, self.rows.saturating_sub(EVENTS), &self));
        let most = calm.or_else(|| (1..=FEW_STEPS).rev().find(|most| fits(*most, self.rows, &self))).unwrap_or(1);
        while !fits(most, self.rows, &self) && self.shorten() {}
        let sections: Vec<_> = self.below.iter().map(|part| part.section(self.style)).collect();
        self.head.iter().cloned().chain(steps(most)).chain(lay_out(&sections, self.style)).collect()
    }

    fn height(&self) -> usize {
        self.head.len() + self.below.iter().map(Part::height).sum::<usize>()
    }

    /// Takes entries from the longest section, from the waits last; `false` if that saves no line.
    fn shorten(&mut self) -> bool {
        let can = self.below.iter_mut().filter(|part| !WHOLE.contains(&part.heading));
        let can = can.filter_map(|part| Some((part.fewer()?, part)));
        let longest = can.max_by_key(|(_, part)| (part.heading != "waits", part.height()));
        longest.map(|(fewer, part)| part.shown = fewer).is_some()
    }
}

/// Wraps a line that is wider than the screen. The comment of a command gets a line of its own.
fn wrap_entry(line: &str, width: usize) -> Vec<String> {
    if console::measure_text_width(line) <= width {
        return vec![line.to_owned()];
    }
    match line.split_once("   # ") {
        Some((command, comment)) => vec![command.to_owned(), format!("  # {comment}")],
        None => wrap(line, Some(width)),
    }
}
