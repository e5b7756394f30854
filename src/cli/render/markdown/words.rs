//! Running text: words with a tone, and the lines into which words are broken.

use pulldown_cmark::{Event, Tag, TagEnd};

use crate::cli::help::Topic;
use crate::cli::render::style::{Style, Tone};

/// A word: the pieces of text between two spaces, each with its tone.
pub type Word = Vec<(Tone, String)>;

/// Collects running text as words.
#[derive(Debug, Default)]
pub struct Words {
    finished: Vec<Word>,
    /// Whether the next piece continues the last word.
    joined: bool,
    tones: Vec<Tone>,
    /// The target of the link that is open.
    link: Option<Link>,
}

#[derive(Debug)]
enum Link {
    /// A link to a topic of this program: the command is shown instead of the text.
    Topic,
    /// A link to another address: the address is shown after the text.
    Elsewhere(String),
}

impl Words {
    /// Returns the words so far, and starts a new text.
    pub fn take(&mut self) -> Vec<Word> {
        std::mem::take(self).finished
    }

    /// Sets the tone of the following text, until the text is taken.
    pub fn tone(&mut self, tone: Tone) {
        self.tones.push(tone);
    }

    /// Adds text in the current tone.
    pub fn text(&mut self, text: &str) {
        let tone = self.tones.last().copied().unwrap_or(Tone::Plain);
        if !matches!(self.link, Some(Link::Topic)) {
            self.add(tone, text);
        }
    }

    /// Adds an inline element: code, emphasis, a link or a break.
    pub fn inline(&mut self, event: Event) {
        match event {
            Event::Code(code) => self.code(&code),
            Event::SoftBreak | Event::HardBreak => self.joined = false,
            Event::Start(Tag::Strong | Tag::Emphasis) => self.tones.push(Tone::Strong),
            Event::End(TagEnd::Strong | TagEnd::Emphasis) => drop(self.tones.pop()),
            Event::Start(Tag::Link { dest_url, .. }) => {
                let topic = dest_url.strip_suffix(".md").and_then(Topic::find);
                self.link = Some(match topic {
                    Some(topic) => {
                        self.code(&format!("cutover help {}", topic.name));
                        Link::Topic
                    }
                    None => Link::Elsewhere(dest_url.to_string()),
                });
            }
            Event::End(TagEnd::Link) => {
                if let Some(Link::Elsewhere(address)) = self.link.take() {
                    self.add(Tone::Faint, &format!(" <{address}>"));
                }
            }
            _ => {}
        }
    }

    /// Adds code in back-quotes. Without colors, only the back-quotes show where code begins and ends.
    fn code(&mut self, code: &str) {
        if !matches!(self.link, Some(Link::Topic)) {
            self.add(Tone::Strong, &format!("`{code}`"));
        }
    }

    fn add(&mut self, tone: Tone, text: &str) {
        for (n, piece) in text.split(' ').enumerate() {
            self.joined &= n == 0;
            if piece.is_empty() {
                continue;
            }
            match self.finished.last_mut() {
                Some(word) if self.joined => word.push((tone, piece.to_owned())),
                _ => self.finished.push(vec![(tone, piece.to_owned())]),
            }
            self.joined = true;
        }
        if text.ends_with(' ') {
            self.joined = false;
        }
    }
}

/// Returns the number of columns of a word.
pub fn width(word: &Word) -> usize {
    word.iter().map(|(_, piece)| console::measure_text_width(piece)).sum()
}

/// Breaks words into lines of at most `room` columns. A longer word gets its own line.
pub fn wrap(words: &[Word], room: usize, style: &Style) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in words {
        let columns = width(word);
        if used > 0 && used + 1 + columns > room {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if used > 0 { " " } else { "" });
            for (tone, piece) in word {
                line.push_str(&style.paint(*tone, piece));
            }
        }
        used += columns + usize::from(used > 0);
    }
    lines
}
