//! One line about an event.

use crate::cli::render::style::{Style, Tone};
use crate::cli::render::wrap::hang;
use crate::domain::run::event::Record;

/// Columns of the time and the mark.
const INDENT: usize = 12;

/// The text of a line, before time and colors are added.
#[derive(Debug)]
pub(super) struct EventText {
    tone: Tone,
    mark: &'static str,
    pub(super) message: String,
}

impl EventText {
    pub(super) fn new(tone: Tone, mark: &'static str, message: impl Into<String>) -> Self {
        Self { tone, mark, message: message.into() }
    }

    /// Returns the text about a process that begins to drive the run. This text also names the time zone of all lines.
    pub(super) fn driver(owner: &str, pid: u32, tool: &str, style: &Style) -> Self {
        let zone = style.zone_name();
        let text = format!("{owner} is driving the run (process {pid}, cutover {tool}); times are in {zone}");
        Self::new(Tone::Faint, "·", text)
    }

    pub(super) fn line(&self, record: &Record, style: &Style) -> String {
        let mark = if style.unicode { self.mark } else { ascii(self.mark) };
        let time = style.paint(Tone::Faint, &style.time(record.time));
        let message = hang(&format!("{mark} "), INDENT, self.message.trim_end(), style.width);
        format!("{time}  {}", style.paint(self.tone, &message))
    }
}

fn ascii(mark: &str) -> &'static str {
    match mark {
        "▸" => ">",
        "✓" => "+",
        "✗" => "x",
        "⏸" => "=",
        "↩" => "<",
        "·" => ".",
        _ => "!",
    }
}
