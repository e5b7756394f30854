//! Renders the errors in a plan for people: file, line, column, source line, what is wrong, and what would be correct.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan};

use super::diagnostic::{Diagnostics, Place};
use crate::base::number;

/// Renders all errors, one after the other, followed by the number of errors. With `color`, uses the colors and line
/// drawings of a terminal; otherwise plain characters.
pub fn render(diagnostics: &Diagnostics, color: bool) -> String {
    let text = crop(&diagnostics.text);
    let source = NamedSource::new(clean(&diagnostics.source), text.clone());
    let theme = || if color { GraphicalTheme::unicode() } else { GraphicalTheme::none() };
    let handler = GraphicalReportHandler::new_themed(theme()).with_links(false).with_width(120).with_context_lines(1);
    let mut out = String::new();
    for error in &diagnostics.errors {
        let Place { line, column, offset, len } = error.place;
        let chars = diagnostics.text.get(offset..offset + len).map_or(1, |s| s.chars().count());
        let report = Report {
            message: clean(&error.message),
            help: error.help.as_deref().map(clean),
            code: error.code.name(),
            place: Place::at(&text, line, column, chars),
            source: (!text.is_empty()).then_some(&source),
        };
        // If the report cannot be rendered, the error is written as plain text.
        if text.is_empty() || handler.render_report(&mut out, &report).is_err() {
            let help = report.help.map(|h| format!("\n  help: {h}")).unwrap_or_default();
            let plain = format!(
                "{}\n\n  {}:{line}:{column}: {}{help}\n",
                report.code,
                clean(&diagnostics.source),
                report.message
            );
            out.push_str(&plain);
        }
        out.push('\n');
    }
    let count = diagnostics.errors.len() + diagnostics.more;
    if diagnostics.more > 0 {
        out.push_str("(only the first errors are shown)\n");
    }
    out + &format!("{}: {}; nothing was changed\n", diagnostics.source, number::count(count, "error"))
}

/// Maximum number of characters of a source line that are shown.
const MAX_LINE: usize = 300;

/// Cuts long lines of the text, so that no line fills the terminal. Lines and columns of places stay valid.
fn crop(text: &str) -> String {
    let cut = |line: &str| clean(&line.chars().take(MAX_LINE).collect::<String>());
    text.split('\n').map(cut).collect::<Vec<_>>().join("\n")
}

/// Replaces characters that control a terminal, because the file may come from an untrusted source.
fn clean(text: &str) -> String {
    let harmless = |c: char| match c {
        '\r' => ' ',
        '\n' | '\t' => c,
        c if c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c) => {
            '\u{fffd}'
        }
        c => c,
    };
    text.chars().map(harmless).collect()
}

/// A diagnostic with its source text.
struct Report<'a> {
    message: String,
    help: Option<String>,
    code: &'static str,
    place: Place,
    source: Option<&'a NamedSource<String>>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(self.code))
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = SourceSpan::new(self.place.offset.into(), self.place.len);
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, span))))
    }
}
