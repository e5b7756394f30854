//! Styles of text: colors if the terminal has them, ASCII if it has nothing else, times of day in one zone. A color
//! never is the only sign: a word or a mark says the same.

use clap::ValueEnum;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Colors on a capable terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Colors also into a pipe.
    Always,
    /// No colors.
    Never,
}

/// What the output can show.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// Colors, bold and dim text.
    pub color: bool,
    /// Characters beyond ASCII.
    pub unicode: bool,
    /// The time zone.
    pub zone: TimeZone,
}

/// The meaning of a text, which determines its color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Without emphasis.
    Plain,
    /// Done, healthy.
    Good,
    /// Needs attention.
    Warn,
    /// Failed, or not as it should be.
    Bad,
    /// The current item.
    Strong,
    /// Less important.
    Faint,
}

impl Style {
    /// No colors, all characters, UTC.
    pub fn plain() -> Self {
        Self { color: false, unicode: true, zone: TimeZone::UTC }
    }

    /// The style for the user's choice, whether the output is a terminal, whether `NO_COLOR` is set, and `TERM`. UTC.
    pub fn of(choice: Color, terminal: bool, no_color: bool, term: Option<&str>) -> Self {
        let dumb = term == Some("dumb");
        let color = match choice {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color && !dumb,
        };
        Self { color, unicode: !(terminal && dumb), zone: TimeZone::UTC }
    }

    /// Applies the color of a tone; without colors the text stays as it is.
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

    /// The time of day: `14:02:11`.
    pub fn time(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }

    /// `14:02` of the same day, else `2026-03-01 14:02`.
    pub fn since(&self, at: Timestamp, now: Timestamp) -> String {
        let (at, now) = (at.to_zoned(self.zone.clone()), now.to_zoned(self.zone.clone()));
        at.strftime(if at.date() == now.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" }).to_string()
    }

    /// A character, or its ASCII replacement if only ASCII can be shown.
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

/// The filled cells of a bar. Only 0 % is empty and only 100 % is full: a bar must not show that all traffic has moved
/// when it has not.
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
