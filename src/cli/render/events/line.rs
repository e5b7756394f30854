//! One line about an event.

use crate::cli::render::style::{Style, Tone};
use crate::domain::run::event::Record;

/// A line before it gets its time and colors.
#[derive(Debug)]
pub(super) struct EventText {
    tone: Tone,
    mark: &'static str,
    pub(super) words: String,
}

impl EventText {
    pub(super) fn new(tone: Tone, mark: &'static str, words: impl Into<String>) -> Self {
        Self { tone, mark, words: words.into() }
    }

    pub(super) fn line(&self, record: &Record, style: &Style) -> String {
        let mark = if style.unicode { self.mark } else { ascii(self.mark) };
        let words = self.words.trim_end().replace('\n', "\n            ");
        let time = style.paint(Tone::Faint, &style.time(record.time));
        format!("{time}  {}", style.paint(self.tone, &format!("{mark} {words}")))
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
