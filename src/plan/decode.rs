//! Decodes YAML nodes into the types of the plan file. Errors are collected and decoding continues, so that all errors
//! are reported at once.
//!
//! If a value breaks a rule but can be decoded, an error is added, and the value is used. [`lint`](super::lint) refuses
//! a plan with any error. [`read`](super::read) considers only errors that are marked as
//! [unknown](Diagnostic::unknown): unknown fields, and values that could not be decoded at all
//! ([`Noted::without_value`]).
//!
//! [`record!`] declares the fields of a mapping once, and generates a type, a decoder and a JSON Schema from the
//! declaration.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::diagnostic::{Diagnostic, Place};
use super::suggest::closest;
use super::yaml::{Node, Value};
use crate::base::finding::Code;
use crate::base::text;

/// A value and its place in the file.
#[derive(Debug, Clone)]
pub(crate) struct Placed<T> {
    pub value: T,
    pub place: Place,
    /// The place of the key that leads to the value, or of the value itself if it has no key. Messages about missing
    /// fields point here.
    pub head: Place,
    /// Whether the value was decoded without an error.
    pub complete: bool,
}

/// Decodes a node. Errors are added to `out`. The result is `None` only if nothing useful could be decoded.
pub(crate) trait Decode: Sized {
    fn decode(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Self>;

    /// Returns a placeholder for a list item that cannot be decoded, if the other items must keep their numbers.
    fn unreadable_item() -> Option<Self> {
        None
    }
}

impl<T: Decode> Decode for Placed<T> {
    fn decode(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Self> {
        let before = out.len();
        let value = T::decode(node, out)?;
        Some(Self { value, place: node.place, head: node.head(), complete: out.len() == before })
    }
}

impl<T: Decode> Decode for Vec<Placed<T>> {
    fn decode(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Self> {
        match &node.value {
            Value::List(items) => {
                let blank = |item: &Node| {
                    Some(Placed { value: T::unreadable_item()?, place: item.place, head: item.head(), complete: false })
                };
                Some(items.iter().filter_map(|item| Placed::decode(item, out).or_else(|| blank(item))).collect())
            }
            _ => node
                .wrong_type("a list", out)
                .help("write a list: `[…]`, or a line with `- ` for each item")
                .without_value(),
        }
    }
}

/// A mapping from cluster names to values of one type, in the order of the file. A value is `None` if it could not be
/// decoded.
#[derive(Debug, Clone)]
pub(crate) struct Table<T>(pub Vec<(Placed<String>, Option<Placed<T>>)>);

impl<T: Decode> Decode for Table<T> {
    fn decode(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            return node.wrong_type("a mapping by cluster", out).help("for example `{a: …, b: …}`").without_value();
        };
        let entry = |n: &Node| {
            let (name, place) = n.key.clone()?;
            Some((Placed { value: name, place, head: place, complete: true }, Placed::decode(n, out)))
        };
        Some(Self(entries.iter().filter_map(entry).collect()))
    }
}

/// The diagnostic that was added last, to which help can be added.
pub(crate) struct Noted<'a>(&'a mut Vec<Diagnostic>);

impl Noted<'_> {
    pub fn help(self, help: impl Into<String>) -> Self {
        if let Some(last) = self.0.last_mut() {
            last.help = Some(help.into());
        }
        self
    }

    /// Marks the diagnostic as unknown: this build does not know the value, or cannot compute with it. The value breaks
    /// no rule.
    pub fn unknown(self) -> Self {
        if let Some(last) = self.0.last_mut() {
            last.unknown = true;
        }
        self
    }

    /// Marks the diagnostic as unknown, and returns `None` as the decoded value.
    pub fn without_value<T>(self) -> Option<T> {
        self.unknown();
        None
    }
}

/// Adds an error to `out`, and returns it so that help can be added.
pub(crate) fn note(out: &mut Vec<Diagnostic>, code: Code, place: Place, message: impl Into<String>) -> Noted<'_> {
    out.push(Diagnostic::new(code, place, message));
    Noted(out)
}

impl Node {
    /// Builds the node of a default value, with the place of the mapping that lacks the field.
    fn default_node(key: &str, value: &serde_json::Value, place: Place) -> Self {
        use serde_json::Value as Json;
        let value = match value {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => n.as_i64().map_or(Value::Float(n.as_f64().unwrap_or(0.0)), |i| Value::Int(i.into())),
            Json::String(s) => Value::Text { text: s.clone(), plain: true },
            Json::Array(items) => Value::List(items.iter().map(|v| Self::default_node(key, v, place)).collect()),
            Json::Object(map) => Value::Map(map.iter().map(|(k, v)| Self::default_node(k, v, place)).collect()),
        };
        Self { key: Some((key.to_owned(), place)), place, value }
    }

    /// Returns the place to which messages about the node as a whole point.
    pub fn head(&self) -> Place {
        self.key.as_ref().map_or(self.place, |(_, place)| *place)
    }

    /// Returns the node's key in backquotes, or `this` for a node without a key.
    pub fn name(&self) -> String {
        self.key.as_ref().map_or("this".to_owned(), |(key, _)| format!("`{key}`"))
    }

    /// Adds the error that the node's value has the wrong type.
    pub fn wrong_type<'a>(&self, expected: &str, out: &'a mut Vec<Diagnostic>) -> Noted<'a> {
        // An empty value has no place in the text.
        let place = if self.value == Value::Null { self.head() } else { self.place };
        note(out, Code::CUT005, place, format!("{} must be {expected}, not {}", self.name(), self.value.kind()))
    }

    /// Returns the node's text, or adds an error if the type is wrong. For numbers and similar values, the help asks
    /// for quotes.
    pub fn text<'a>(&'a self, expected: &str, out: &mut Vec<Diagnostic>) -> Option<&'a str> {
        match &self.value {
            Value::Text { text, .. } => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => self.wrong_type(expected, out).without_value(),
            _ => self
                .wrong_type(expected, out)
                .help("put the value in quotes, so that it is read as text")
                .without_value(),
        }
    }

    /// Returns the node's whole number. For a number outside of the range, an error is added, and the result is `None`.
    pub fn whole(
        &self,
        expected: &str,
        range: std::ops::RangeInclusive<u32>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<u32> {
        let limits = format!("write a whole number from {} to {}", range.start(), range.end());
        match &self.value {
            Value::Int(n) => match u32::try_from(*n).ok().filter(|n| range.contains(n)) {
                Some(n) => Some(n),
                None => note(out, Code::CUT015, self.place, format!("{n} is not a valid {expected}"))
                    .help(limits)
                    .without_value(),
            },
            Value::AmbiguousNumber(raw) => {
                note(out, Code::CUT005, self.place, format!("`{raw}` is read differently by different YAML parsers"))
                    .help("write the number in plain decimal digits")
                    .without_value()
            }
            Value::Float(n) => {
                note(out, Code::CUT015, self.place, format!("{n} is not a whole number")).help(limits).without_value()
            }
            _ => self.wrong_type(&format!("a {expected}"), out).help(limits).without_value(),
        }
    }

    /// Returns the node's whole number. For a number outside of the range, an error is added, and the number is still
    /// returned.
    pub fn limited(
        &self,
        expected: &str,
        range: std::ops::RangeInclusive<u32>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<u32> {
        let number = self.whole(expected, range, out);
        let Value::Int(n) = self.value else { return number };
        let beyond = || {
            let n = u32::try_from(n).ok()?;
            out.last_mut()?.unknown = false;
            Some(n)
        };
        number.or_else(beyond)
    }
}

/// The declaration of a field, for messages and for the JSON Schema.
pub(crate) struct Field {
    pub key: &'static str,
    pub required: bool,
    pub default: Option<fn() -> serde_json::Value>,
    pub doc: &'static [&'static str],
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// A rule that a mapping has exactly one, or at most one, of some fields.
pub(crate) struct Choice {
    pub exactly: bool,
    pub code: Code,
    pub of: &'static [&'static str],
}

/// Returns the entries of a mapping. Adds errors for fields that are unknown or missing, and for fields that must not
/// be present together.
pub(crate) fn entries<'a>(
    node: &'a Node,
    what: &str,
    fields: &[Field],
    choice: Option<&Choice>,
    out: &mut Vec<Diagnostic>,
) -> Option<&'a [Node]> {
    let Value::Map(entries) = &node.value else {
        let expected = format!("a mapping ({what})");
        let noted = node.wrong_type(&expected, out);
        let keys: Vec<&str> = fields.iter().map(|f| f.key).collect();
        return if keys.is_empty() {
            noted.help("write `{}`")
        } else {
            noted.help(format!("the fields of {what} are {}", list(&keys)))
        }
        .without_value();
    };
    let given: Vec<&str> = entries.iter().filter_map(|e| e.key.as_ref()).map(|(k, _)| k.as_str()).collect();
    // This list is computed once, because a hostile file can have a hundred thousand unknown fields.
    let free: Vec<&str> = fields.iter().map(|f| f.key).filter(|k| !given.contains(k)).collect();
    for (key, place) in entries.iter().filter_map(|e| e.key.as_ref()) {
        if !fields.iter().any(|f| f.key == key) {
            note_unknown(key, *place, what, fields, &free, out);
        }
    }
    for field in fields.iter().filter(|f| f.required && !given.contains(&f.key)) {
        let doc = field.doc.first().map_or("", |d| d.trim());
        note(out, Code::CUT004, node.head(), format!("{what} has no `{}`", field.key))
            .help(format!("add `{}`: {doc}", field.key))
            .unknown();
    }
    if let Some(choice) = choice {
        check_choice(node, what, (entries, fields), choice, out);
    }
    Some(entries)
}

/// The kinds of load balancers that people may expect in a route, but that a plan cannot have.
const OTHER_BALANCERS: &[&str] = &["gwlb"];

fn note_unknown(key: &str, place: Place, what: &str, fields: &[Field], free: &[&str], out: &mut Vec<Diagnostic>) {
    if OTHER_BALANCERS.contains(&key) {
        let message = format!(
            "`{key}`: this version of cutover moves traffic on Application Load Balancers (`alb`), Network Load \
             Balancers (`nlb`) and HAProxy (`haproxy`) only"
        );
        note(out, Code::CUT003, place, message).unknown().help(
            "cutover does not write the weights of other load balancers: move the traffic at an Application or Network \
             Load Balancer in front of it",
        );
        return;
    }
    if key == "handOver" {
        note(out, Code::CUT003, place, format!("`handOver` is a step; {what} cannot be a hand-over"))
            .unknown()
            .help("write `- handOver: {…}` among `steps`, for example those of a wave");
        return;
    }
    let noted = note(out, Code::CUT003, place, format!("{what} has no field `{}`", clip(key))).unknown();
    match closest(key, free.iter().copied()) {
        Some(meant) => noted.help(format!("did you mean `{meant}`?")),
        None if fields.is_empty() => noted.help(format!("remove it: {what} has no fields")),
        None => {
            noted.help(format!("the fields of {what} are {}", list(&fields.iter().map(|f| f.key).collect::<Vec<_>>())))
        }
    };
}

fn check_choice(
    node: &Node,
    what: &str,
    (entries, fields): (&[Node], &[Field]),
    choice: &Choice,
    out: &mut Vec<Diagnostic>,
) {
    let chosen: Vec<&Node> =
        entries.iter().filter(|e| e.key.as_ref().is_some_and(|(k, _)| choice.of.contains(&k.as_str()))).collect();
    let names: Vec<&str> = chosen.iter().filter_map(|e| e.key.as_ref()).map(|(k, _)| k.as_str()).collect();
    if let [_, second, ..] = &chosen[..] {
        note(out, choice.code, second.head(), format!("{what} has {} together", list(&names)))
            .help("keep only one of these fields")
            .unknown();
    } else if chosen.is_empty() && choice.exactly {
        // An error about an unknown field was already added. This field is most likely a misspelling of the missing
        // field.
        if entries.iter().all(|e| e.key.as_ref().is_some_and(|(k, _)| fields.iter().any(|f| f.key == k))) {
            note(out, choice.code, node.head(), format!("{what} is incomplete"))
                .help(format!("add exactly one of {}", list(choice.of)))
                .unknown();
        }
    }
}

/// Decodes a field's value. Returns the field's default if the file lacks the field or the value cannot be decoded.
pub(crate) fn field<T: Decode>(
    entries: &[Node],
    field: &Field,
    head: Place,
    out: &mut Vec<Diagnostic>,
) -> Option<Placed<T>> {
    let given = entries.iter().find(|e| e.key.as_ref().is_some_and(|(k, _)| k == field.key));
    let read = given.and_then(|node| Placed::decode(node, out));
    let default = |out| Placed::decode(&Node::default_node(field.key, &field.default?(), head), out);
    read.or_else(|| default(out).map(|at: Placed<T>| Placed { complete: given.is_none(), ..at }))
}

/// Joins words, each in backquotes, with commas and `and`, such as `` `a`, `b` and `c` ``.
pub(crate) fn list(words: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{}`", w.as_ref())).collect();
    match &quoted[..] {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

/// Shortens a text to 60 characters for a message.
pub(crate) fn clip(text: &str) -> String {
    text::clip(text, 60)
}

/// Builds the JSON Schema of a mapping.
pub(crate) fn schema(
    doc: &[&str],
    fields: &[Field],
    choice: Option<&Choice>,
    generator: &mut SchemaGenerator,
) -> Schema {
    use serde_json::{Map, Value as Json, json};
    let mut properties = Map::new();
    for field in fields {
        let mut property = (field.schema)(generator);
        property.insert("description".into(), join_doc_lines(field.doc).into());
        if let Some(default) = field.default {
            property.insert("default".into(), default());
        }
        properties.insert(field.key.into(), property.to_value());
    }
    let required: Vec<&str> = fields.iter().filter(|f| f.required).map(|f| f.key).collect();
    let mut schema = json_schema!({
        "type": "object",
        "description": join_doc_lines(doc),
        "properties": Json::Object(properties),
        "required": required,
        "additionalProperties": false
    });
    if let Some(Choice { exactly, of, .. }) = choice {
        let mut some: Vec<Json> = of.iter().map(|key| json!({ "required": [key] })).collect();
        if !exactly {
            some.push(json!({ "not": { "anyOf": some.clone() } }));
        }
        schema.insert("oneOf".into(), some.into());
    }
    schema
}

/// Joins doc lines to one text.
pub(crate) fn join_doc_lines(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Table<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}ByCluster", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() })
    }
}

/// Declares a mapping of the plan file. Each field is `key: required Type` or `key: optional Type = default`. A rule
/// may follow: `; exactly CODE [..]` or `; at_most CODE [..]` means that exactly one, or at most one, of the listed
/// fields may be present.
macro_rules! record {
    (@required required) => { true };
    (@required optional) => { false };
    (@exactly exactly) => { true };
    (@exactly at_most) => { false };
    ($($(#[doc = $doc:literal])+ $name:ident as $what:literal {
        $($(#[doc = $fdoc:literal])+ $field:ident $key:literal: $need:ident $ty:ty $(= $default:tt)?,)*
    } $(; $rule:ident $code:ident [$($verb:literal),*])?)+) => { $(
        $(#[doc = $doc])+
        #[derive(Debug, Clone)]
        pub(crate) struct $name { $($(#[doc = $fdoc])+ pub $field: Option<Placed<$ty>>,)* }

        impl $name {
            const FIELDS: &'static [$crate::plan::decode::Field] = &[$($crate::plan::decode::Field {
                key: $key,
                required: record!(@required $need),
                default: {
                    #[allow(unused_mut, unused_assignments)]
                    { let mut d: Option<fn() -> serde_json::Value> = None;
                    $(d = Some(|| serde_json::json!($default));)?
                    d }
                },
                doc: &[$($fdoc),+],
                schema: |generator| <$ty as schemars::JsonSchema>::json_schema(generator),
            },)*];
            const CHOICE: Option<$crate::plan::decode::Choice> = {
                #[allow(unused_mut, unused_assignments)]
                { let mut c: Option<$crate::plan::decode::Choice> = None;
                $(c = Some($crate::plan::decode::Choice {
                    exactly: record!(@exactly $rule),
                    code: $crate::base::finding::Code::$code,
                    of: &[$($verb),*],
                });)?
                c }
            };
        }

        impl $crate::plan::decode::Decode for $name {
            fn decode(
                node: &$crate::plan::yaml::Node,
                out: &mut Vec<$crate::plan::diagnostic::Diagnostic>,
            ) -> Option<Self> {
                #[allow(unused_variables)]
                let entries = $crate::plan::decode::entries(node, $what, Self::FIELDS, Self::CHOICE.as_ref(), out)?;
                #[allow(unused_mut, unused_variables)]
                let mut fields = Self::FIELDS.iter();
                Some(Self { $($field: $crate::plan::decode::field(entries, fields.next()?, node.head(), out),)* })
            }

            fn unreadable_item() -> Option<Self> {
                Some(Self { $($field: None,)* })
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::plan::decode::schema(&[$($doc),+], Self::FIELDS, Self::CHOICE.as_ref(), generator)
            }
        }
    )+ };
}
pub(crate) use record;
