//! Renders Markdown for a terminal: headings, paragraphs, lists, tables and code, wrapped to a width. Pure: other
//! modules decide which text is shown, and whether in a pager. Only the Markdown of `src/cli/help` is supported: no
//! images and no HTML.

mod table;
mod words;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::style::{Style, Tone};
use table::Table;
use words::{Words, wrap};

/// Maximum width of text, in columns, because longer lines are hard to read.
const MAX_WIDTH: usize = 100;

/// Indentation of text below its heading, in columns.
const INDENT: usize = 2;

/// Renders Markdown as lines of at most `width` columns. Lines of code and longer words are not broken.
///
/// A link to another topic (`gates.md`) is replaced by the command that shows the topic.
pub fn text(markdown: &str, width: usize, style: &Style) -> String {
    let mut page = Page { width: width.clamp(40, MAX_WIDTH), style, lines: Vec::new(), lists: Vec::new() };
    let mut words = Words::default();
    let mut table = Table::default();
    let mut code = None;
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => code = Some((language(&kind), String::new())),
            Event::End(TagEnd::CodeBlock) => page.code(code.take()),
            Event::Text(part) => match &mut code {
                Some((_, block)) => block.push_str(&part),
                None => words.text(&part),
            },
            Event::Start(Tag::Item) => page.item(),
            Event::End(TagEnd::Item) => {
                page.paragraph(&words.take());
                page.end_item();
            }
            Event::Start(Tag::List(first)) => {
                page.paragraph(&words.take());
                page.list(first);
            }
            Event::End(TagEnd::List(_)) => page.end_list(),
            Event::End(TagEnd::Paragraph) => page.paragraph(&words.take()),
            Event::Start(Tag::Heading { .. }) => words.tone(Tone::Strong),
            Event::End(TagEnd::Heading(level)) => page.heading(&words.take(), level as usize),
            Event::End(TagEnd::TableCell) => table.cell(words.take()),
            Event::End(TagEnd::TableHead | TagEnd::TableRow) => table.row(),
            Event::End(TagEnd::Table) => page.block(std::mem::take(&mut table).lines(page.room(), style)),
            inline => words.inline(inline),
        }
    }
    page.lines.join("\n")
}

fn language(kind: &CodeBlockKind) -> String {
    match kind {
        CodeBlockKind::Fenced(language) => language.to_string(),
        CodeBlockKind::Indented => String::new(),
    }
}

/// A list whose end has not been reached.
struct List {
    /// The number of the next item; `None` for a list with bullets.
    next: Option<u64>,
    /// The bullet or number before the first line of the current item; empty after this line is written.
    bullet: String,
    /// Indentation of the text of the items, in columns.
    indent: usize,
}

/// The lines of the page that are finished, and the open lists.
struct Page<'a> {
    width: usize,
    style: &'a Style,
    lines: Vec<String>,
    lists: Vec<List>,
}

impl Page<'_> {
    fn indent(&self) -> usize {
        INDENT + self.lists.iter().map(|list| list.indent).sum::<usize>()
    }

    /// Returns the number of columns for text.
    fn room(&self) -> usize {
        self.width.saturating_sub(self.indent()).max(20)
    }

    /// Adds an empty line, unless the last line is empty or the page is empty.
    fn gap(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(String::new());
        }
    }

    fn heading(&mut self, words: &[words::Word], level: usize) {
        self.gap();
        let indent = if level < 3 { 0 } else { INDENT };
        let lines = wrap(words, self.width - indent, self.style);
        self.lines.extend(lines.into_iter().map(|line| format!("{:indent$}{line}", "")));
        self.gap();
    }

    fn paragraph(&mut self, words: &[words::Word]) {
        if words.is_empty() {
            return;
        }
        let mut lines = wrap(words, self.room(), self.style);
        let bullet = self.lists.last_mut().map(|list| std::mem::take(&mut list.bullet)).filter(|b| !b.is_empty());
        let indent = self.indent();
        match bullet {
            Some(bullet) => {
                let first = lines.remove(0);
                let before = indent.saturating_sub(console::measure_text_width(&bullet));
                self.lines.push(format!("{:before$}{bullet}{first}", ""));
            }
            None if self.lists.is_empty() => self.gap(),
            None => {}
        }
        self.lines.extend(lines.into_iter().map(|line| format!("{:indent$}{line}", "")));
        if self.lists.is_empty() {
            self.gap();
        }
    }

    fn block(&mut self, lines: Vec<String>) {
        let indent = self.indent();
        self.gap();
        self.lines.extend(lines.into_iter().map(|line| format!("{:indent$}{line}", "")));
        self.gap();
    }

    fn code(&mut self, code: Option<(String, String)>) {
        let Some((_, text)) = code else { return };
        self.block(text.lines().map(|line| format!("  {line}")).collect());
    }

    fn list(&mut self, first: Option<u64>) {
        if self.lists.is_empty() {
            self.gap();
        }
        self.lists.push(List { next: first, bullet: String::new(), indent: if first.is_some() { 3 } else { 2 } });
    }

    fn item(&mut self) {
        let bullet = self.style.mark("•", "*");
        let Some(list) = self.lists.last_mut() else { return };
        list.bullet = match &mut list.next {
            None => format!("{bullet} "),
            Some(number) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
        };
    }

    fn end_item(&mut self) {
        if let Some(list) = self.lists.last_mut() {
            list.bullet.clear();
        }
    }

    fn end_list(&mut self) {
        self.lists.pop();
        if self.lists.is_empty() {
            self.gap();
        }
    }
}

#[cfg(test)]
mod tests;
