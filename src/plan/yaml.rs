//! Parses YAML into a tree of nodes with their places in the text, within fixed limits of depth and size.
//!
//! The tree exists so that all errors can be reported at once. A deserializer stops at the first error.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Spanned, options::MergeKeyPolicy};

use super::diagnostic::{Diagnostic, Place};
use crate::base::finding::Code;

/// Maximum size of a plan in bytes. A plan with a thousand routes has about 270 KB.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
const MAX_DEPTH: usize = 32;
/// Maximum number of values. A plan with a thousand routes has about 20,000.
const MAX_NODES: usize = 320_000;

/// A value of the plan file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// The key of the value, if the value is in a mapping.
    pub key: Option<(String, Place)>,
    /// The place of the value in the text.
    pub place: Place,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    /// A number in a format that versions of YAML read differently, such as octal, hexadecimal or with leading zeros.
    AmbiguousNumber(String),
    /// Text. `plain` says whether it was written without quotes.
    Text {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// The entries of a mapping, in the order of the file, with unique keys.
    Map(Vec<Node>),
}

impl Value {
    /// Returns the type of the value, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::AmbiguousNumber(_) => "a number that is not plain decimal",
            Self::Text { .. } => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Parses a text into a tree.
pub(crate) fn read(text: &str) -> Result<Node, Diagnostic> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 3 * MAX_NODES,
            max_anchors: 0,
            max_aliases: 0,
            max_merge_keys: 0,
            max_documents: 1,
            max_total_scalar_bytes: MAX_BYTES,
        },
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let raw: Spanned<Raw> =
        serde_saphyr::from_str_with_options(text, options).map_err(|e| explain_parser_error(text, &e))?;
    Ok(to_node(text, None, raw))
}

/// Converts a parser error to a diagnostic, with an explanation in the terms of a plan.
fn explain_parser_error(text: &str, error: &serde_saphyr::Error) -> Diagnostic {
    use serde_saphyr::Error as E;
    use serde_saphyr::budget::BudgetBreach as B;
    let error = error.without_snippet();
    let place = error.location().map_or_else(|| Place::at(text, 1, 1, 1), |l| place(text, l));
    if let E::DuplicateMappingKey { key, .. } = error {
        let key = key.as_deref().unwrap_or("this key");
        return Diagnostic::new(Code::CUT002, place, format!("`{key}` occurs twice in one mapping"))
            .help("keep one of the two entries");
    }
    let error_text = error.to_string();
    let end = error_text.find(" at line ").unwrap_or(error_text.len());
    let message = error_text[..end].trim_end_matches([',', ':', ' ']).to_owned();
    let found = |message: &str| Diagnostic::new(Code::CUT001, place, format!("the plan cannot be parsed: {message}"));
    let plain = "write the fields out: a plan has no anchors, aliases or merge keys";
    match error {
        E::Budget { breach: B::Anchors { .. }, .. } => found("it has an anchor (`&name`)").help(plain),
        E::Budget { breach: B::Aliases { .. }, .. } | E::UnknownAnchor { .. } => {
            found("it has an alias (`*name`)").help(plain)
        }
        E::MergeKeyNotAllowed { .. } | E::Budget { breach: B::MergeKeys { .. }, .. } => {
            found("it has a merge key (`<<`)").help(plain)
        }
        E::MultipleDocuments { .. } | E::Budget { breach: B::Documents { .. }, .. } => {
            found("it has more than one document").help("a file has one plan: remove everything after `---`")
        }
        E::Budget { breach: B::Depth { .. }, .. } => {
            found(&format!("it is nested in more than {MAX_DEPTH} levels, which is the limit"))
                .help("is this the right file?")
        }
        E::Budget { .. } => {
            found(&format!("it has more than {MAX_NODES} values, which is the limit")).help("is this the right file?")
        }
        _ => found(&message).help("check the quotes, brackets and indentation here and on the line before"),
    }
}

fn place(text: &str, location: serde_saphyr::Location) -> Place {
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let span = location.span();
    // The byte offsets of the parser avoid a search from the beginning of the text for every value.
    if let (Some(offset), Some(len)) = (span.byte_offset().map(at), span.byte_len().map(at))
        && let Some(found) = text.get(offset..offset.saturating_add(len).min(text.len()))
    {
        let first = found.split('\n').next().unwrap_or("").trim_end_matches('\r');
        let len = if first.is_empty() {
            text[offset..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8)
        } else {
            first.len()
        };
        return Place { line: at(location.line()).max(1), column: at(location.column()).max(1), offset, len };
    }
    Place::at(text, at(location.line()), at(location.column()), at(location.span().len()))
}

/// A value from the parser.
enum Raw {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn to_node(text: &str, key: Option<(String, Place)>, raw: Spanned<Raw>) -> Node {
    let place = place(text, raw.referenced);
    let written = text.get(place.offset..place.offset + place.len).unwrap_or("");
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(b) => Value::Bool(b),
        Raw::Int(_) | Raw::Float(_) if !is_plain_decimal(written) => Value::AmbiguousNumber(written.to_owned()),
        Raw::Int(n) => Value::Int(n),
        Raw::Float(n) => Value::Float(n),
        Raw::Text(s) => Value::Text { text: s, plain: !written.starts_with(['"', '\'', '|', '>']) },
        Raw::List(items) => Value::List(items.into_iter().map(|item| to_node(text, None, item)).collect()),
        Raw::Map(entries) => {
            let entry = |(key, value): (Spanned<String>, Spanned<Raw>)| {
                let at = self::place(text, key.referenced);
                to_node(text, Some((key.value, at)), value)
            };
            Value::Map(entries.into_iter().map(entry).collect())
        }
    };
    Node { key, place, value }
}

/// Whether all versions of YAML and JSON read the same value from this number: `12`, `-3`, `0.5`.
fn is_plain_decimal(written: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let unsigned = written.strip_prefix('-').unwrap_or(written);
    let (whole, fraction) = unsigned.split_once('.').map_or((unsigned, None), |(w, f)| (w, Some(f)));
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E: de::Error>(self, v: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(v))
    }

    fn visit_i64<E: de::Error>(self, v: i64) -> Result<Raw, E> {
        Ok(Raw::Int(v.into()))
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Raw, E> {
        Ok(Raw::Int(v.into()))
    }

    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Raw, E> {
        Ok(Raw::Float(v))
    }

    fn visit_str<E: de::Error>(self, v: &str) -> Result<Raw, E> {
        Ok(Raw::Text(v.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_their_places_in_the_text() {
        let text = "a: 1\nüb:\n  - x: \"y\"\n    z: 010\n  - no\n";
        let root = read(text).unwrap();
        let Value::Map(entries) = &root.value else { panic!() };
        assert_eq!((entries[0].place.line, entries[0].place.column, entries[0].place.offset), (1, 4, 3));
        let (key, at) = entries[1].key.clone().unwrap();
        assert_eq!((key.as_str(), at.line, at.column), ("üb", 2, 1));
        let Value::List(items) = &entries[1].value else { panic!() };
        let Value::Map(inner) = &items[0].value else { panic!() };
        let value = &text[inner[0].place.offset..inner[0].place.offset + inner[0].place.len];
        assert_eq!(value, "\"y\"");
        assert_eq!(inner[0].value, Value::Text { text: "y".into(), plain: false });
        assert_eq!(inner[1].value, Value::AmbiguousNumber("010".into()));
        assert_eq!(items[1].value, Value::Text { text: "no".into(), plain: true });
    }
}
