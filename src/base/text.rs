//! Formats text for people: clipped text, lists, and bytes as hexadecimal digits.

use std::fmt::Write;

use serde::Serialize;

/// Returns the first `most` characters of a text, followed by `…` if it has more.
pub fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns a text on one line, with single spaces, clipped to `most` characters.
pub fn line(text: &str, most: usize) -> String {
    clip(&text.split_whitespace().collect::<Vec<_>>().join(" "), most)
}

/// Joins the first six items of a list with commas, and adds the number of the remaining items.
pub fn list<T: AsRef<str>>(all: &[T]) -> String {
    const SHOWN: usize = 6;
    let shown = all.iter().take(SHOWN).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if all.len() > SHOWN { format!("{shown} and {} more", all.len() - SHOWN) } else { shown }
}

/// Quotes a text as one word of a shell command, if it needs quotes.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Formats bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns the serialized name of an enum variant without fields, as used in journals, plans and messages.
pub fn word(variant: &impl Serialize) -> String {
    serde_json::to_value(variant).ok().and_then(|json| json.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_special_characters_are_quoted_for_the_shell() {
        assert_eq!(shell_word("http://127.0.0.1:80"), "http://127.0.0.1:80");
        assert_eq!(shell_word("/tmp/it's here"), r"'/tmp/it'\''s here'");
    }

    #[test]
    fn clipping_never_splits_a_character() {
        assert_eq!((clip("äöü", 3).as_str(), clip("äöü", 2).as_str(), clip("", 0).as_str()), ("äöü", "äö…", ""));
        assert_eq!(line(" a\n  b\tc ", 3), "a b…");
    }

    #[test]
    fn lists_and_bytes_are_formatted() {
        assert_eq!(list(&["a", "b"]), "a, b");
        assert_eq!(list(&["a"; 8]), "a, a, a, a, a, a and 2 more");
        assert_eq!(hex(&[0, 255, 16]), "00ff10");
    }
}
