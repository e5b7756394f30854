//! Fits a dashboard or a repeated status to the screen: fewer steps first, then fewer lines of the longest sections.
//! The state, the way back, the guard, the commands and each gate that does not pass always stay: an operator needs
//! them to decide.

use super::sections::{Section, lay_out, wrap_line};
use super::style::{Style, Tone};
use super::wrap::without_comment;
use crate::app::view::RunView;
use crate::base::number::count;

/// The maximum number of steps that are shown. For a longer plan, the steps around the current step are shown.
const STEPS: usize = 9;
/// The minimum number of steps that are shown, if the other sections leave room.
const FEW_STEPS: usize = 3;
/// Rows above the dashboard for the last events.
const EVENTS: usize = 5;
/// Columns of the headings.
const HEADINGS: usize = 12;
/// Sections that are never shortened.
const WHOLE: [&str; 7] = ["run", "state", "step", "way back", "guard", "continue", "roll back"];
/// The section that a screen without room leaves out, because it says nothing about the traffic.
const NEEDLESS: &str = "notifies";

/// Columns and rows of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// A heading and its entries, each of one or more lines.
struct ScreenPart {
    heading: &'static str,
    entries: Vec<Vec<String>>,
    /// How many entries are shown.
    shown: usize,
    /// The minimum number of entries. Gates that do not pass come first and always stay.
    least: usize,
}

impl ScreenPart {
    fn height(&self) -> usize {
        self.height_with(self.shown)
    }

    fn height_with(&self, shown: usize) -> usize {
        let lines: usize = self.entries.iter().take(shown).map(Vec::len).sum();
        lines + usize::from(shown < self.entries.len())
    }

    /// Returns the maximum number of entries that need fewer lines than now; `None` if hiding entries saves no line.
    fn fewer(&self) -> Option<usize> {
        (self.least..self.shown).rev().find(|shown| self.height_with(*shown) < self.height())
    }

    /// Removes the last line of the longest entry. Returns `false` if each entry has only one line.
    fn clip(&mut self, dots: &str) -> bool {
        let longest = self.entries.iter_mut().take(self.shown).filter(|lines| lines.len() > 1);
        let Some(longest) = longest.max_by_key(|lines| lines.len()) else { return false };
        longest.pop();
        if let Some(last) = longest.last_mut() {
            last.push_str(dots);
        }
        true
    }

    /// Returns the section. If entries are hidden, the last line says how many.
    fn section(&self, style: &Style) -> Section {
        let more = self.entries.len() - self.shown;
        let more = (more > 0).then(|| style.paint(Tone::Faint, &format!("and {more} more")));
        (self.heading, self.entries.iter().take(self.shown).flatten().cloned().chain(more).collect())
    }
}

/// The parts of a dashboard.
pub(super) struct Parts<'a> {
    head: Vec<String>,
    below: Vec<ScreenPart>,
    rows: usize,
    style: &'a Style,
}

impl<'a> Parts<'a> {
    /// Creates the layout from the lines above the steps and the sections below the steps. Wraps the sections to the
    /// screen.
    pub(super) fn new(head: Vec<String>, below: &[Section], view: &RunView, screen: Screen, style: &'a Style) -> Self {
        let width = screen.width.saturating_sub(HEADINGS);
        let open = view.gates.iter().filter(|gate| gate.is_open()).count();
        let part = |(heading, lines): &Section| {
            let entries: Vec<_> = lines.iter().map(|line| wrap_entry(heading, line, width)).collect();
            let least = if *heading == "gates" { open.max(1) } else { 1 };
            ScreenPart { heading, shown: entries.len(), entries, least }
        };
        Self { head, below: below.iter().map(part).collect(), rows: screen.height.saturating_sub(1), style }
    }

    /// Returns all lines, with as many steps as there is room for.
    pub(super) fn lay_out(mut self, steps: impl Fn(usize) -> Vec<String>) -> Vec<String> {
        let fits = |most: usize, rows: usize, parts: &Self| parts.height() + steps(most).len() <= rows;
        let calm = (FEW_STEPS..=STEPS).rev().find(|most| fits(*most, self.rows.saturating_sub(EVENTS), &self));
        let most = calm.or_else(|| (1..=FEW_STEPS).rev().find(|most| fits(*most, self.rows, &self))).unwrap_or(1);
        while !fits(most, self.rows, &self) && (self.shorten() || self.omit() || self.clip()) {}
        let sections: Vec<_> = self.below.iter().map(|part| part.section(self.style)).collect();
        self.head.iter().cloned().chain(steps(most)).chain(lay_out(&sections, self.style)).collect()
    }

    fn height(&self) -> usize {
        self.head.len() + self.below.iter().map(ScreenPart::height).sum::<usize>()
    }

    /// Hides entries of the longest section, and of the waits only if no other section can be shortened. Returns
    /// `false` if that saves no line.
    fn shorten(&mut self) -> bool {
        let can = self.below.iter_mut().filter(|part| !WHOLE.contains(&part.heading));
        let can = can.filter_map(|part| Some((part.fewer()?, part)));
        let longest = can.max_by_key(|(_, part)| (part.heading != "waits", part.height()));
        longest.map(|(fewer, part)| part.shown = fewer).is_some()
    }

    /// Removes the section [`NEEDLESS`]. Returns `false` if it is not there.
    fn omit(&mut self) -> bool {
        let before = self.below.len();
        self.below.retain(|part| part.heading != NEEDLESS);
        self.below.len() < before
    }

    /// Removes a line from the longest entry of the section with the most lines. Returns `false` if every entry has
    /// only one line.
    fn clip(&mut self) -> bool {
        let dots = self.style.mark(" …", " ...");
        let mut can: Vec<_> = self.below.iter_mut().filter(|part| !WHOLE.contains(&part.heading)).collect();
        can.sort_by_key(|part| std::cmp::Reverse((part.heading != "waits", part.height())));
        can.into_iter().any(|part| part.clip(dots))
    }
}

/// Returns the lines of all sections. No line is wider than the screen. The lines fit into the rows of the screen, if
/// the sections that always stay fit.
pub(super) fn fitted(below: &[Section], view: &RunView, screen: Screen, style: &Style) -> Vec<String> {
    truncated(Parts::new(Vec::new(), below, view, screen, style).lay_out(|_| Vec::new()), screen, style)
}

/// Returns a text with at most as many lines as fit on the screen. If lines are missing, the last line says how many.
pub fn cropped(text: &str, screen: Screen) -> String {
    let rows = screen.height.saturating_sub(1);
    let lines: Vec<_> = text.trim_end().lines().collect();
    let taken = |line: &&str| console::measure_text_width(line).div_ceil(screen.width).max(1);
    if lines.iter().map(taken).sum::<usize>() <= rows {
        return lines.join("\n");
    }
    let mut used = 1;
    let shown = lines.iter().take_while(|line| {
        used += taken(line);
        used <= rows
    });
    let shown: Vec<_> = shown.copied().collect();
    let more = count(lines.len() - shown.len(), "more line");
    format!("{}\nand {more}; without --watch all are shown", shown.join("\n"))
}

/// Truncates lines that cannot be wrapped, such as a long name, at the edge of the screen.
pub(super) fn truncated(lines: Vec<String>, screen: Screen, style: &Style) -> Vec<String> {
    let dots = style.mark("…", "...");
    lines.iter().map(|line| console::truncate_str(line, screen.width, dots).into_owned()).collect()
}

/// Wraps a line that is wider than the screen.
fn wrap_entry(heading: &str, line: &str, width: usize) -> Vec<String> {
    if line.contains("   # ") { without_comment(line, width) } else { wrap_line(heading, line, Some(width)) }
}
