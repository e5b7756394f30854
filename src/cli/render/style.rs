//! Styles of text: colors if the terminal supports them, ASCII if it supports nothing else, and times of day in one
//! time zone. Color must never be the only sign: a word or a mark must say the same.

use clap::ValueEnum;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The value of `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Colors on a terminal that supports them, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Colors also in a pipe or file.
    Always,
    /// No colors.
    Never,
}

/// What the output can show: colors, Unicode characters, and the time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// Whether to use colors, bold and dim text.
    pub color: bool,
    /// Whether to use characters beyond ASCII.
    pub unicode: bool,
    /// The time zone in which times are shown.
    pub zone: TimeZone,
    /// Columns of the terminal; `None` if the output is not a terminal, so that no line is wrapped.
    pub width: Option<usize>,
}

/// The meaning of a text, which determines its color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A text without emphasis.
    Plain,
    /// Something that is done or healthy.
    Good,
    /// Something that needs attention.
    Warn,
    /// Something that failed, or that is not as it should be.
    Bad,
    /// The current item of a list, or a heading.
    Strong,
    /// Something less important.
    Faint,
}

impl Style {
    /// Returns a style without colors, with all characters and in UTC.
    pub fn plain() -> Self {
        Self { color: false, unicode: true, zone: TimeZone::UTC, width: None }
    }

    /// Returns the style for the user's choice, for a terminal or not, with or without `NO_COLOR`, and for this `TERM`.
    /// The time zone is UTC.
    pub fn of(choice: Color, terminal: bool, no_color: bool, term: Option<&str>) -> Self {
        let dumb = term == Some("dumb");
        let color = match choice {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color && !dumb,
        };
        Self { color, unicode: !(terminal && dumb), zone: TimeZone::UTC, width: None }
    }

    /// Returns the text in the color of a tone; without colors, the text itself.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let style = console::Style::new().force_styling(self.color);
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => style.green(),
            Tone::Warn => style.yellow(),
            Tone::Bad => style.red().bold(),
            Tone::Strong => style.bold(),
            Tone::Faint => style.dim(),
        };
        style.apply_to(text).to_string()
    }

    /// Formats a time of day, such as `14:02:11`.
    pub fn time(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }

    /// Formats a time of day with its zone, such as `14:02:11 UTC`, for a text that stands alone.
    pub fn time_in_zone(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%H:%M:%S %Z").to_string()
    }

    /// Returns the name of the time zone, such as `UTC` or `Europe/Berlin`.
    pub fn zone_name(&self) -> &str {
        match self.zone.iana_name() {
            None | Some("Etc/UTC") => "UTC",
            Some(name) => name,
        }
    }

    /// Formats a time as `14:02 UTC` on the same day, otherwise as `2026-03-01 14:02 UTC`.
    pub fn since(&self, at: Timestamp, now: Timestamp) -> String {
        let (at, now) = (at.to_zoned(self.zone.clone()), now.to_zoned(self.zone.clone()));
        at.strftime(if at.date() == now.date() { "%H:%M %Z" } else { "%Y-%m-%d %H:%M %Z" }).to_string()
    }

    /// Returns a character, or its ASCII replacement if only ASCII can be shown.
    pub fn mark(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }

    /// Returns a bar of `width` cells between two edges, filled to `percent`.
    pub fn bar(&self, percent: f64, width: usize) -> String {
        let (left, full, rest, right) = if self.unicode { ("▕", "█", "░", "▏") } else { ("[", "#", ".", "]") };
        let filled_cells = filled_cells(percent, width);
        format!("{left}{}{}{right}", full.repeat(filled_cells), rest.repeat(width - filled_cells))
    }
}

/// Returns the number of filled cells of a bar. Only 0 % is empty and only 100 % is full: a bar must not show that all
/// traffic has moved when it has not.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // a few cells
fn filled_cells(percent: f64, width: usize) -> usize {
    let filled_cells = (percent.clamp(0.0, 100.0) / 100.0 * width as f64).round() as usize;
    match percent {
        p if p <= 0.0 => 0,
        p if p >= 100.0 => width,
        _ => filled_cells.clamp(1, width.saturating_sub(1).max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn color_is_used_on_request_or_on_a_capable_terminal() {
        let color = |choice, terminal, no_color, term| Style::of(choice, terminal, no_color, term).color;
        assert!(color(Color::Auto, true, false, Some("xterm")));
        assert!(!color(Color::Auto, false, false, Some("xterm")));
        assert!(!color(Color::Auto, true, true, Some("xterm")));
        assert!(!color(Color::Auto, true, false, Some("dumb")));
        assert!(color(Color::Always, false, true, Some("dumb")));
        assert!(!color(Color::Never, true, false, Some("xterm")));
        assert_eq!(Style::plain().paint(Tone::Bad, "x"), "x");
        assert_eq!(Style { color: true, ..Style::plain() }.paint(Tone::Good, "x"), "\u{1b}[32mx\u{1b}[0m");
    }

    #[test]
    fn bar_is_empty_only_at_0_and_full_only_at_100_percent() {
        let style = Style { unicode: false, ..Style::plain() };
        assert_eq!(style.bar(0.0, 8), "[........]");
        assert_eq!(style.bar(0.5, 8), "[#.......]");
        assert_eq!(style.bar(50.0, 8), "[####....]");
        assert_eq!(style.bar(99.9, 8), "[#######.]");
        assert_eq!(style.bar(100.0, 8), "[########]");
    }
}
