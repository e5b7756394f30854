//! Errors in a plan's text: the code, the place, what is wrong and what would be correct.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::base::finding::Code;

/// A place in a plan's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The beginning of the place, in bytes from the start of the text.
    pub offset: usize,
    /// The length of the place in bytes; at least 1 except at the end of the text. A place never spans lines.
    pub len: usize,
}

impl Place {
    /// Returns the place of `len` characters from a line and column (from 1). A place beyond the text is moved to its
    /// end.
    pub fn at(text: &str, line: usize, column: usize, len: usize) -> Self {
        let line = line.max(1);
        let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let rest = text.get(start..).unwrap_or("");
        let line_text = rest.lines().next().unwrap_or("");
        let before: usize = line_text.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum();
        let inside: usize = line_text.get(before..).unwrap_or("").chars().take(len.max(1)).map(char::len_utf8).sum();
        Self { line, column: column.max(1), offset: start + before, len: inside }
    }
}

/// One error in the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The code of the error (CUT001–CUT039, CUT200–CUT299).
    pub code: Code,
    /// The text of the error, with names and numbers, without a full stop at the end.
    pub message: String,
    /// A text that says what would be correct.
    pub help: Option<String>,
    /// The place of the error.
    pub place: Place,
    /// Whether this build does not know the value, or cannot compute with it. If `false`, the value breaks a rule.
    pub unknown: bool,
}

impl Diagnostic {
    /// Returns an error without help.
    pub fn new(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None, place, unknown: false }
    }

    /// Adds a text that says what would be correct.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape<'a> {
            code: Code,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            help: Option<&'a str>,
            line: usize,
            column: usize,
        }
        let Self { code, message, help, place, .. } = self;
        Shape { code: *code, message, help: help.as_deref(), line: place.line, column: place.column }
            .serialize(serializer)
    }
}

/// All errors in a plan, in the order of the text; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostics {
    /// The file that the text was read from (`-` for standard input).
    pub source: String,
    /// The plan's text, which the places refer to; empty if the file was too large to be read.
    #[serde(skip)]
    pub text: String,
    /// The first [`MAX_ERRORS`] errors.
    pub errors: Vec<Diagnostic>,
    /// The number of errors that are not in `errors`.
    pub more: usize,
}

/// Maximum number of errors that are reported at once.
pub const MAX_ERRORS: usize = 100;

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            let Diagnostic { code, message, place, .. } = error;
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{}:{}:{}: {}: {message}", self.source, place.line, place.column, code.name())?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
