//! Tables: columns share the width, and the text of cells wraps.

use super::words::{Word, width, wrap};
use crate::cli::render::style::{Style, Tone};

/// Number of columns of space between two table columns.
const COLUMN_GAP: usize = 2;

/// A table while it is read. The first row is the head.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<Vec<Word>>>,
    row: Vec<Vec<Word>>,
}

impl Table {
    /// Adds a cell to the current row.
    pub fn cell(&mut self, words: Vec<Word>) {
        self.row.push(words);
    }

    /// Ends the current row.
    pub fn row(&mut self) {
        self.rows.push(std::mem::take(&mut self.row));
    }

    /// Returns the lines of the table, which is at most `room` columns wide if the longest words permit.
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
                lines.push(style.paint(Tone::Faint, &rules.join(&" ".repeat(COLUMN_GAP))));
            }
        }
        lines
    }

    /// Returns the width of each column: the width of its longest cell, or less. Columns are narrowed in the way that
    /// adds the fewest lines, but not below their longest word.
    fn widths(&self, room: usize) -> Vec<usize> {
        let cells: Vec<Vec<Vec<usize>>> =
            self.rows.iter().map(|row| row.iter().map(|cell| cell.iter().map(width).collect()).collect()).collect();
        let columns = cells.iter().map(Vec::len).max().unwrap_or(0);
        let of = |n: usize| cells.iter().filter_map(move |row| row.get(n));
        let natural = |words: &Vec<usize>| (words.iter().sum::<usize>() + words.len()).saturating_sub(1);
        let min_widths: Vec<_> =
            (0..columns).map(|n| of(n).flatten().copied().max().unwrap_or(0).clamp(1, 36)).collect();
        let mut widths: Vec<_> = (0..columns).map(|n| of(n).map(natural).max().unwrap_or(0).max(1)).collect();
        let room = room.saturating_sub(COLUMN_GAP * columns.saturating_sub(1));
        let lines = |widths: &[usize]| -> usize {
            let tallest = |row: &Vec<Vec<usize>>| row.iter().zip(widths).map(|(cell, room)| height(cell, *room)).max();
            cells.iter().filter_map(tallest).sum()
        };
        while widths.iter().sum::<usize>() > room {
            let without = |n: usize| {
                let mut less = widths.clone();
                less[n] -= 1;
                (lines(&less), usize::MAX - widths[n])
            };
            let Some(n) = (0..columns).filter(|n| widths[*n] > min_widths[*n]).min_by_key(|n| without(*n)) else {
                break;
            };
            widths[n] -= 1;
        }
        widths
    }
}

/// Returns the number of lines for words of these widths in `room` columns.
fn height(words: &[usize], room: usize) -> usize {
    let mut lines = 1;
    let mut used = 0;
    for columns in words {
        if used > 0 && used + 1 + columns > room {
            lines += 1;
            used = 0;
        }
        used += columns + usize::from(used > 0);
    }
    lines
}

/// Formats a row, whose cells are wrapped side by side.
fn line_up(row: &[Vec<Word>], widths: &[usize], style: &Style) -> Vec<String> {
    let cells: Vec<_> = row.iter().zip(widths).map(|(cell, columns)| wrap(cell, *columns, style)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let line = |n: usize| {
        let mut line = String::new();
        for (cell, columns) in cells.iter().zip(widths) {
            let text = cell.get(n).map_or("", String::as_str);
            let pad = columns.saturating_sub(console::measure_text_width(text)) + COLUMN_GAP;
            line.push_str(text);
            line.push_str(&" ".repeat(pad));
        }
        line.trim_end().to_owned()
    };
    (0..height).map(line).collect()
}
