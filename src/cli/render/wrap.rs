//! Wraps text at spaces for a terminal, with a hanging indent. Words are never broken. A command to copy is broken only
//! if it is wider than the terminal, with the backslash that a shell needs.

use console::measure_text_width;

/// Programs whose command lines a person copies.
const PROGRAMS: [&str; 5] = ["cutover", "kubectl", "aws", "export", "sh"];

/// Returns the lines of a text, each with at most `width` columns. With `None`, the lines are not changed. A line that
/// begins with a space (a snippet) is not wrapped. A command (a line, or a text after a colon or two spaces) that fits
/// on a line is not wrapped either, except that its comment may move to the next line. Text between backticks is not
/// wrapped.
pub fn wrap(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width else { return text.lines().map(str::to_owned).collect() };
    text.lines()
        .flat_map(|line| if is_snippet(line) { without_comment(line, width) } else { wrapped(line, 0, width.max(20)) })
        .collect()
}

/// Wraps like [`wrap`], but indents further lines to the start of their text, and also wraps lines that begin with
/// spaces. For messages without snippets.
pub fn wrap_below(text: &str, width: Option<usize>) -> Vec<String> {
    let below = |line: &str| {
        let words = line.trim_start();
        let indent = line.len() - words.len();
        hang(&" ".repeat(indent), indent + 2, words, width)
    };
    text.lines().map(below).collect()
}

/// Returns a text after a head, such as a time or a code. Further lines are indented.
pub fn hang(head: &str, indent: usize, text: &str, width: Option<usize>) -> String {
    let room = width.map(|columns| columns.saturating_sub(indent));
    let (first, more) = text.split_once('\n').map_or((text, None), |(first, more)| (first, Some(more)));
    let mut lines = match room {
        Some(room) => wrapped(first, measure_text_width(head).saturating_sub(indent), room.max(20)),
        None => vec![first.to_owned()],
    };
    lines.extend(more.iter().flat_map(|more| wrap(more, room)));
    format!("{head}{}", lines.join(&format!("\n{}", " ".repeat(indent))))
}

fn is_snippet(line: &str) -> bool {
    let plain = console::strip_ansi_codes(line);
    plain.starts_with(' ') || PROGRAMS.iter().any(|program| plain.split(' ').next() == Some(program))
}

/// Returns the lines of a command. If the command and its comment are too wide, the comment is on the next line.
pub(super) fn without_comment(line: &str, width: usize) -> Vec<String> {
    match line.split_once("   # ") {
        Some((command, comment)) if measure_text_width(line) > width => {
            command_lines(command, width).into_iter().chain([format!("  # {comment}")]).collect()
        }
        _ => command_lines(line, width),
    }
}

/// Breaks a command that is wider than `width` into lines that a shell joins again. Breaks only at spaces outside of
/// quotes, so a line with a long name may still be wider. The comment of the command must be on the next line: the rest
/// of a broken comment would be part of the command.
fn command_lines(command: &str, width: usize) -> Vec<String> {
    let is_command = PROGRAMS.iter().any(|program| command.split(' ').next() == Some(program));
    if measure_text_width(command) <= width || !is_command || command.contains("<<") {
        return vec![command.to_owned()];
    }
    if let Some((command, comment)) = command.split_once(" # ") {
        let mut lines = command_lines(command.trim_end(), width);
        lines.push(format!("{COMMAND_INDENT}# {comment}"));
        return lines;
    }
    let mut lines = vec![String::new()];
    for word in shell_words(command) {
        let first = lines.len() == 1;
        let Some(last) = lines.last_mut() else { continue };
        let indent = if first { 0 } else { COMMAND_INDENT.len() };
        if last.is_empty() {
            last.push_str(word);
        } else if indent + measure_text_width(last) + measure_text_width(word) + " ".len() + " \\".len() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    let end = lines.len() - 1;
    let line = |(at, line): (usize, &String)| {
        let (indent, more) = (if at == 0 { "" } else { COMMAND_INDENT }, if at < end { " \\" } else { "" });
        format!("{indent}{line}{more}")
    };
    lines.iter().enumerate().map(line).collect()
}

/// The further lines of a command.
const COMMAND_INDENT: &str = "  ";

/// Returns the words of a command. A word with quotes may contain spaces.
fn shell_words(command: &str) -> Vec<&str> {
    let (mut words, mut begin, mut quote) = (Vec::new(), 0, None);
    for (at, c) in command.char_indices() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (' ', None) => {
                words.push(&command[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    words.push(&command[begin..]);
    words.retain(|word| !word.is_empty());
    words
}

/// Wraps one line. The first `taken` columns of the first line are already used.
fn wrapped(line: &str, taken: usize, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (space, part) in parts(line) {
        let before = if lines.len() == 1 { taken } else { 0 };
        let used = before + lines.last().map_or(0, |l| measure_text_width(l));
        match lines.last_mut() {
            Some(last) if last.is_empty() => last.push_str(part),
            Some(last) if used + space.len() + measure_text_width(part) <= width => {
                last.push_str(space);
                last.push_str(part);
            }
            _ => lines.push(part.to_owned()),
        }
    }
    lines.iter().flat_map(|line| command_lines(line, width)).collect()
}

/// Returns the words of a line, each with the spaces before it. A command after a colon or two spaces counts as one
/// word, up to a semicolon. Text between backticks also counts as one word.
fn parts(line: &str) -> Vec<(&str, &str)> {
    let mut all = Vec::new();
    let (mut rest, mut after_colon) = (line, false);
    loop {
        let word = rest.trim_start_matches(' ');
        let space = &rest[..rest.len() - word.len()];
        if word.is_empty() {
            return all;
        }
        let begins = after_colon || space.len() > 1;
        let command = begins && PROGRAMS.iter().any(|p| word.strip_prefix(p).is_some_and(|w| w.starts_with(' ')));
        let end = if command { word.find(';').map(|at| at + 1) } else { end_of_word(word) };
        let (part, more) = word.split_at(end.unwrap_or(word.len()));
        after_colon = part.ends_with(':');
        all.push((space, part));
        rest = more;
    }
}

/// Returns the end of the first word: a space that is neither between backticks nor before a percent sign.
fn end_of_word(text: &str) -> Option<usize> {
    let mut quoted = false;
    let closed = text.matches('`').count().is_multiple_of(2);
    text.char_indices().find_map(|(at, c)| {
        quoted ^= c == '`' && closed;
        (c == ' ' && !quoted && !text[at..].starts_with(" %")).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a shell, a line after a backslash and a line break belongs to the command.
    #[test]
    fn a_comment_of_a_command_is_never_broken() {
        let text = "to end that now: cutover rollback alpha-webapp-20260105-080000-xtj4 --stickiness break # also clients with a cookie";
        let lines = wrap(text, Some(80));
        assert_eq!(
            lines,
            [
                "to end that now:",
                "cutover rollback alpha-webapp-20260105-080000-xtj4 --stickiness break",
                "  # also clients with a cookie"
            ]
        );
    }

    #[test]
    fn words_are_whole_and_further_lines_hang_below_the_first() {
        let text = "frozen, no share is raised: 443 rule 20 was changed by someone else";
        let shown = hang("14:02:11  ⏸ ", 12, text, Some(40));
        assert_eq!(
            shown,
            "14:02:11  ⏸ frozen, no share is raised:\n            443 rule 20 was changed by\n            someone else"
        );
        assert_eq!(hang("x ", 2, text, None), format!("x {text}"), "a pipe gets one line");
    }

    #[test]
    fn a_percent_sign_stays_with_its_number() {
        assert_eq!(
            wrap("someone changed a from 80 %, b 20 % to 31 %", Some(24)),
            ["someone changed a from", "80 %, b 20 % to 31 %"]
        );
    }

    #[test]
    fn a_command_is_copied_in_one_piece() {
        let text =
            "someone created a rule; to move it: cutover resume alpha-20260301-140200-k3f9 --include-new; or not";
        assert_eq!(
            wrap(text, Some(40)),
            [
                "someone created a rule; to move it:",
                "cutover resume \\",
                "  alpha-20260301-140200-k3f9 \\",
                "  --include-new;",
                "or not"
            ]
        );
        let command = "kubectl --context arn:aws:eks:eu-central-1:123456789012:cluster/b -n shop get pods";
        assert_eq!(
            wrap(command, Some(40)),
            ["kubectl --context \\", "  arn:aws:eks:eu-central-1:123456789012:cluster/b \\", "  -n shop get pods"]
        );
        let quoted = "kubectl patch hpa webapp -p '{\"spec\": {\"minReplicas\": 10, \"maxReplicas\": 12}}'";
        assert_eq!(
            wrap(quoted, Some(40)),
            ["kubectl patch hpa webapp -p \\", "  '{\"spec\": {\"minReplicas\": 10, \"maxReplicas\": 12}}'"]
        );
        let commented = "cutover promote alpha-20260301-140200-k3f9   # end this pause early";
        assert_eq!(
            wrap(commented, Some(60)),
            ["cutover promote alpha-20260301-140200-k3f9", "  # end this pause early"]
        );
        assert_eq!(wrap("ready: `cutover run x`, then `cutover run y z`", Some(40)).len(), 2);
        assert_eq!(
            wrap("approval: read   cutover approve alpha-1", Some(30)),
            ["approval: read", "cutover approve alpha-1"]
        );
        assert_eq!(wrap("by cutover: it was not healthy", Some(20)), ["by cutover: it was", "not healthy"]);
    }
}
