//! How text is dressed: colour, sparingly, where it can be shown; bars of letters where it cannot; times of day in one zone.

use clap::ValueEnum;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal that can, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Even into a pipe.
    Always,
    /// Never.
    Never,
}

/// What the reader's end can show.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// Colour, bold, dim.
    pub color: bool,
    /// More than ASCII.
    pub unicode: bool,
    /// The zone of the times shown.
    pub zone: TimeZone,
}

/// What a text means, from which its colour follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Done, healthy.
    Good,
    /// Someone should look.
    Warn,
    /// Failed, or not where it should be.
    Bad,
    /// Here and now.
    Strong,
    /// Beside the point.
    Faint,
}

impl Style {
    /// No colour, all letters, UTC.
    pub fn plain() -> Self {
        Self { color: false, unicode: true, zone: TimeZone::UTC }
    }

    /// By what the user asked for, whether a terminal reads, whether `NO_COLOR` is set, and `TERM`. UTC.
    pub fn of(choice: Color, terminal: bool, no_color: bool, term: Option<&str>) -> Self {
        let dumb = term == Some("dumb");
        let color = match choice {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color && !dumb,
        };
        Self { color, unicode: !(terminal && dumb), zone: TimeZone::UTC }
    }

    /// Dresses a text; without colour it stays as it is.
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

    /// `14:02:11`.
    pub fn time(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }

    /// `14:02` of the same day, else `2026-03-01 14:02`.
    pub fn since(&self, at: Timestamp, now: Timestamp) -> String {
        let (at, now) = (at.to_zoned(self.zone.clone()), now.to_zoned(self.zone.clone()));
        at.strftime(if at.date() == now.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" }).to_string()
    }

    /// A character, or what stands for it where only ASCII can be shown.
    pub fn mark(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }

    /// A bar of `width` cells between two edges, filled to `percent`.
    pub fn bar(&self, percent: f64, width: usize) -> String {
        let (left, full, rest, right) = if self.unicode { ("▕", "█", "░", "▏") } else { ("[", "#", ".", "]") };
        let cells = cells(percent, width);
        format!("{left}{}{}{right}", full.repeat(cells), rest.repeat(width - cells))
    }
}

/// Only 0 is empty and only 100 is full: a bar must not say that all has moved when it has not.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // a few cells
fn cells(percent: f64, width: usize) -> usize {
    let cells = (percent.clamp(0.0, 100.0) / 100.0 * width as f64).round() as usize;
    match percent {
        p if p <= 0.0 => 0,
        p if p >= 100.0 => width,
        _ => cells.clamp(1, width.saturating_sub(1).max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_asked_for_or_can_be_shown() {
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
    fn a_bar_is_empty_or_full_only_where_the_share_is() {
        let style = Style { unicode: false, ..Style::plain() };
        assert_eq!(style.bar(0.0, 8), "[........]");
        assert_eq!(style.bar(0.5, 8), "[#.......]");
        assert_eq!(style.bar(50.0, 8), "[####....]");
        assert_eq!(style.bar(99.9, 8), "[#######.]");
        assert_eq!(style.bar(100.0, 8), "[########]");
    }
}
