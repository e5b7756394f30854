//! Tables: columns that share the width, cells that wrap.

use super::words::{Word, width, wrap};
use crate::cli::render::style::{Style, Tone};

/// Columns between two columns of a table.
const BETWEEN: usize = 2;

/// A table as it comes, its first row the head.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<Vec<Word>>>,
    row: Vec<Vec<Word>>,
}

impl Table {
    /// Adds a cell to the row.
    pub fn cell(&mut self, words: Vec<Word>) {
        self.row.push(words);
    }

    /// Ends the row.
    pub fn row(&mut self) {
        self.rows.push(std::mem::take(&mut self.row));
    }

    /// The lines of the table, in so many columns.
    pub fn lines(mut self, room: usize, style: &Style) -> Vec<String> {
        if let Some(head) = self.rows.first_mut() {
            head.iter_mut().flatten().flatten().for_each(|(tone, _)| *tone = Tone::Strong);
        }
        let widths = self.widths(room);
        let mut lines = Vec::new();
        for (n, row) in self.rows.iter().enumerate() {
            lines.extend(line_up(row, &widths, style));
            if n == 0 {
                let rule = style.mark("─", "-");
                let rules: Vec<_> = widths.iter().map(|columns| rule.repeat(*columns)).collect();
                lines.push(style.paint(Tone::Faint, &rules.join(&" ".repeat(BETWEEN))));
            }
        }
        lines
    }

    /// The width of each column: as its longest cell needs, or less, taken from the widest ones, down to their longest word.
    fn widths(&self, room: usize) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cells = |n: usize| self.rows.iter().filter_map(move |row| row.get(n));
        let whole = |cell: &Vec<Word>| cell.iter().map(|word| width(word) + 1).sum::<usize>().saturating_sub(1);
        let least = |n| cells(n).flatten().map(width).max().unwrap_or(0).clamp(1, 24);
        let mut widths: Vec<_> = (0..columns).map(|n| cells(n).map(whole).max().unwrap_or(0).max(1)).collect();
        let room = room.saturating_sub(BETWEEN * columns.saturating_sub(1));
        while widths.iter().sum::<usize>() > room {
            let shrinkable = (0..columns).filter(|n| widths[*n] > least(*n));
            let Some(widest) = shrinkable.max_by_key(|n| widths[*n]) else { break };
            widths[widest] -= 1;
        }
        widths
    }
}

/// A row, its cells wrapped side by side.
fn line_up(row: &[Vec<Word>], widths: &[usize], style: &Style) -> Vec<String> {
    let cells: Vec<_> = row.iter().zip(widths).map(|(cell, columns)| wrap(cell, *columns, style)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let line = |n: usize| {
        let mut line = String::new();
        for (cell, columns) in cells.iter().zip(widths) {
            let text = cell.get(n).map_or("", String::as_str);
            let pad = columns.saturating_sub(console::measure_text_width(text)) + BETWEEN;
            line.push_str(text);
            line.push_str(&" ".repeat(pad));
        }
        line.trim_end().to_owned()
    };
    (0..height).map(line).collect()
}
