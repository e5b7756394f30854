//! Declares the scalar values of the plan file: format, decoder and JSON Schema.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::json_schema;

use super::decode::{Decode, clip, note};
use super::diagnostic::Diagnostic;
use super::haproxy_names::{decode_map_file, decode_proxy_name, decode_runtime_address, decode_server_glob};
use super::model::notify::Kind as NotificationEvent;
use super::model::{ListenerRef, PortRef, Selector};
use super::suggest::closest;
use super::yaml::{Node, Value};
use crate::base::arn;
use crate::base::duration;
use crate::base::finding::Code;

/// Declares a scalar with its decoder and its schema.
macro_rules! scalar {
    ($($(#[doc = $doc:literal])+ $name:ident($inner:ty) = $schema:tt, $read:expr;)+) => { $(
        $(#[doc = $doc])+
        #[derive(Debug, Clone)]
        pub(crate) struct $name(pub $inner);

        impl Decode for $name {
            fn decode(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Self> {
                let read: fn(&Node, &mut Vec<Diagnostic>) -> Option<$inner> = $read;
                read(node, out).map(Self)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                json_schema!($schema)
            }
        }
    )+ };
}

/// Declares a scalar whose value is one of a few words.
macro_rules! word {
    ($($(#[doc = $doc:literal])+ $name:ident $code:ident { $($variant:ident $word:literal),+ })+) => { $(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $(#[doc = $word] $variant),+ }

        impl Decode for $name {
            fn decode(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Self> {
                match one_of(node, Code::$code, &[$($word),+], out)? {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                json_schema!({ "type": "string", "enum": [$($word),+] })
            }
        }
    )+ };
}

pub(super) fn one_of<'a>(
    node: &'a Node,
    code: Code,
    words: &[&'static str],
    out: &mut Vec<Diagnostic>,
) -> Option<&'a str> {
    let choices = words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(" or ");
    let text = node.text(&choices, out)?;
    if words.contains(&text) {
        return Some(text);
    }
    let noted = note(out, code, node.place, format!("{} must be {choices}, not `{}`", node.name(), clip(text)));
    match closest(text, words.iter().copied()) {
        Some(meant) => noted.help(format!("did you mean `{meant}`?")).without_value(),
        None => noted.without_value(),
    }
}

word! {
    /// The value of `apiVersion`.
    ApiVersion CUT006 { V1Alpha1 "cutover.dev/v1alpha1" }
    /// The value of `kind`.
    Kind CUT006 { Cutover "Cutover" }
    /// The value of `binding.mode`.
    Mode CUT005 { Create "create", Verify "verify" }
    /// The value of `binding.targetType`.
    TargetKind CUT005 { Ip "ip", Instance "instance" }
    /// The reaction of the run to a failure: the value of `onFailure` and `onTimeout`.
    Reaction CUT005 { Rollback "rollback", Pause "pause" }
    /// The value of `rollback.stickiness`.
    Stickiness CUT005 { Break "break", Keep "keep" }
    /// The value of `noData`.
    Missing CUT005 { Pass "pass", Hold "hold", Fail "fail" }
    /// The value of `reload`.
    OnReload CUT005 { Freeze "freeze", Reassert "reassert" }
    /// The value of `marker`.
    MarkerKind CUT005 { Tag "tag", None "none" }
}

/// Whether a text is a DNS-1123 label.
fn is_label(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inside) && !text.starts_with('-') && !text.ends_with('-')
}

fn decode_label(node: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let text = node.text("a name", out)?;
    if !is_label(text) {
        note(out, Code::CUT007, node.place, format!("`{}` is not a valid name", clip(text)))
            .help("a name has 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends");
    }
    Some(text.to_owned())
}

/// Decodes a step's name: a label that cannot be confused with a step's number.
fn decode_step_name(node: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let name = decode_label(node, out)?;
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
        note(out, Code::CUT007, node.place, format!("`{name}` looks like the number of a step"))
            .help("add a letter to the name");
    }
    Some(name)
}

fn decode_account(node: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let text = node.text("an AWS account ID in quotes", out)?;
    if text.len() != 12 || !text.bytes().all(|b| b.is_ascii_digit()) {
        note(out, Code::CUT009, node.place, format!("`{}` is not a valid AWS account ID", clip(text)))
            .help("write the twelve digits of the account ID in quotes, without hyphens: \"123456789012\"");
    }
    Some(text.to_owned())
}

fn decode_region(node: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let text = node.text("an AWS region", out)?;
    let parts: Vec<&str> = text.split('-').collect();
    let letters = |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase());
    let number = |p: &str| (1..=2).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit());
    if let [words @ .., last] = &parts[..]
        && words.len() >= 2
        && words.iter().all(letters)
        && number(last)
    {
        return Some(text.to_owned());
    }
    let noted = note(out, Code::CUT009, node.place, format!("`{}` is not a valid AWS region", clip(text)));
    let zone =
        text.strip_suffix(|c: char| c.is_ascii_lowercase()).filter(|t| t.ends_with(|c: char| c.is_ascii_digit()));
    noted.help(zone.map_or("a region looks like `ap-northeast-2`".to_owned(), |r| {
        format!("`{}` is an availability zone; the region is `{r}`", clip(text))
    }));
    Some(text.to_owned())
}

/// Decodes a duration that is longer than zero.
fn decode_period(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Duration> {
    decode_duration(node, duration::parse, out)
}

/// Decodes a duration that may be zero.
fn decode_period_or_zero(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Duration> {
    decode_duration(node, duration::parse_or_zero, out)
}

fn decode_duration(
    node: &Node,
    parse: fn(&str) -> Result<Duration, &'static str>,
    out: &mut Vec<Diagnostic>,
) -> Option<Duration> {
    let help = "write hours, minutes and seconds like `90s`, `10m` or `1h30m`, at most 720h";
    let text = match &node.value {
        Value::Int(n) => {
            let message = format!("{n} has no unit");
            return note(out, Code::CUT014, node.place, message)
                .help(format!("write `{n}s`, `{n}m` or `{n}h`"))
                .without_value();
        }
        Value::Text { text, .. } => text,
        _ => return node.wrong_type("a duration", out).help(help).without_value(),
    };
    let read = duration::read(text).ok();
    if let Err(why) = parse(text) {
        let noted = note(out, Code::CUT014, node.place, format!("`{}` {why}", clip(text))).help(help);
        if read.is_none() {
            return noted.without_value();
        }
    }
    read
}

fn decode_number(node: &Node, low: f64, high: f64, out: &mut Vec<Diagnostic>) -> Option<f64> {
    let limits = format!("write a number from {low} to {high}");
    #[allow(clippy::cast_precision_loss)] // compared with small limits only
    let found = match &node.value {
        Value::Int(n) => *n as f64,
        Value::Float(n) => *n,
        _ => return node.wrong_type("a number", out).help(limits).without_value(),
    };
    if !(low..=high).contains(&found) {
        note(out, Code::CUT015, node.place, format!("{} of {found} is out of range", node.name())).help(limits);
    }
    Some(found)
}

/// Decodes a text for people, which is not empty and has at most `most` characters.
fn decode_line(node: &Node, most: usize, out: &mut Vec<Diagnostic>) -> Option<String> {
    let text = node.text("text", out)?.trim();
    match text.chars().count() {
        0 => drop(note(out, Code::CUT028, node.place, format!("{} is empty", node.name())).help("write a short text")),
        n if n > most => {
            note(out, Code::CUT028, node.place, format!("{} has {n} characters", node.name()))
                .help(format!("write at most {most}"));
        }
        _ => {}
    }
    Some(text.to_owned())
}

fn decode_eks(node: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let text = node.text("the name of an EKS cluster", out)?;
    let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !(1..=100).contains(&text.len()) || !text.bytes().all(inside) || text.starts_with(['-', '_']) {
        let noted =
            note(out, Code::CUT016, node.place, format!("`{}` is not a valid name of an EKS cluster", clip(text)));
        noted.help("write the name of the cluster, not the ARN: letters, digits, hyphens and underscores");
    }
    Some(text.to_owned())
}

fn decode_port(node: &Node, out: &mut Vec<Diagnostic>) -> Option<PortRef> {
    let help = "write the number of the port (1 to 65535), or its name in the Service";
    match &node.value {
        Value::Int(_) => node.whole("port", 1..=65535, out).and_then(|n| u16::try_from(n).ok()).map(PortRef::Number),
        Value::Text { text, .. } => {
            let named = text.len() <= 15 && is_label(text) && text.bytes().any(|b| b.is_ascii_lowercase());
            let quoted = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            match (named, quoted) {
                (true, _) => {}
                (_, true) => {
                    note(out, Code::CUT005, node.place, format!("\"{text}\" in quotes is a name, not a number"))
                        .help(format!("write {text} without quotes"));
                }
                _ => drop(
                    note(out, Code::CUT005, node.place, format!("`{}` is not a valid port", clip(text))).help(help),
                ),
            }
            Some(PortRef::Name(text.clone()))
        }
        Value::AmbiguousNumber(_) => node.whole("port", 1..=65535, out).and(None),
        _ => node.wrong_type("a port", out).help(help).without_value(),
    }
}

fn decode_listener(node: &Node, out: &mut Vec<Diagnostic>) -> Option<ListenerRef> {
    match &node.value {
        Value::Int(_) | Value::AmbiguousNumber(_) => {
            node.whole("port of a listener", 1..=65535, out).and_then(|n| u16::try_from(n).ok()).map(ListenerRef::Port)
        }
        _ => {
            let text = node.text("a port or an ARN", out)?;
            if arn::begins(text) {
                return Some(ListenerRef::Arn(text.to_owned()));
            }
            let message = format!("`{}` is neither a port nor an ARN", clip(text));
            note(out, Code::CUT019, node.place, message)
                .help("write the number of the port without quotes, or the ARN of the listener")
                .without_value()
        }
    }
}

/// Parses the part after `tag:` of a selector `tag:KEY=VALUE,…`. The error says what is wrong.
fn tags(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut tags = BTreeMap::new();
    for pair in text.split(',') {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(format!("`{}` is not KEY=VALUE", clip(pair)));
        };
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(format!(
                "`{}` is not a valid tag: a key has 1 to 128 characters, a value at most 256",
                clip(pair)
            ));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("the tag key `{}` occurs twice", clip(key)));
        }
    }
    Ok(tags)
}

fn decode_selector(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Selector> {
    let help = "write a name (at most 32 letters, digits and hyphens), an ARN, or `tag:KEY=VALUE` (several tags: \
        `tag:A=1,B=2`)";
    let text = node.text("a name, an ARN or a tag selector", out)?;
    match parse_selector(text) {
        Ok(selector) => Some(selector),
        Err(why) if text.starts_with("tag:") => note(out, Code::CUT016, node.place, why).help(help).without_value(),
        Err(why) => {
            note(out, Code::CUT016, node.place, why).help(help);
            Some(Selector::Name(text.to_owned()))
        }
    }
}

/// Parses a selector of a load balancer or target group (name, ARN or tags), as written in plans and on the command
/// line. The error says what is wrong.
pub fn parse_selector(text: &str) -> Result<Selector, String> {
    if let Some(pairs) = text.strip_prefix("tag:") {
        return tags(pairs).map(Selector::Tags);
    }
    if arn::begins(text) {
        return Ok(Selector::Arn(text.to_owned()));
    }
    let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if (1..=32).contains(&text.len()) && text.bytes().all(inside) && !text.starts_with('-') && !text.ends_with('-') {
        return Ok(Selector::Name(text.to_owned()));
    }
    Err(format!("`{}` is not a valid name of a load balancer or target group", clip(text)))
}

fn decode_flag(node: &Node, out: &mut Vec<Diagnostic>) -> Option<bool> {
    match &node.value {
        Value::Bool(flag) => Some(*flag),
        _ => node.wrong_type("`true` or `false`", out).without_value(),
    }
}

fn decode_url(node: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let text = node.text("a URL", out)?.trim();
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let host = rest.map(|r| r.split(['/', '?', '#']).next().unwrap_or_default());
    match host {
        Some(host) if host.contains('@') => {
            note(
                out,
                Code::CUT032,
                node.place,
                "the URL contains a user or a password, which would be stored with \
                the run",
            )
            .help("put credentials into a header with `fromEnv` or `fromFile`");
        }
        Some(host) if !host.is_empty() && text.len() <= 2000 && !text.contains(char::is_whitespace) => {}
        _ => {
            note(out, Code::CUT032, node.place, format!("`{}` is not a valid URL", clip(text)))
                .help("a URL begins with `http://` or `https://`");
        }
    }
    Some(text.to_owned())
}

fn decode_header_name(node: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let text = node.text("the name of a header", out)?;
    if http::HeaderName::from_bytes(text.as_bytes()).is_err() {
        note(out, Code::CUT032, node.place, format!("`{}` is not a valid header name", clip(text)));
    }
    Some(text.to_owned())
}

fn decode_arn(node: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let text = node.text("an ARN", out)?;
    if !arn::begins(text) {
        note(out, Code::CUT016, node.place, format!("`{}` is not a valid ARN", clip(text)))
            .help("an ARN begins with `arn:aws:`");
    }
    Some(text.to_owned())
}

scalar! {
    /// A DNS-1123 label.
    Name(String) = { "type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63 }, decode_label;
    /// A step's name: a label that is not a number.
    StepName(String) = {
        "type": "string",
        "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "not": { "pattern": "^[0-9]+$" },
        "maxLength": 63
    }, decode_step_name;
    /// The ID of an AWS account: twelve digits.
    Account(String) = { "type": "string", "pattern": "^[0-9]{12}$" }, decode_account;
    /// An AWS region.
    Region(String) = { "type": "string", "pattern": "^[a-z]+(-[a-z]+)+-[0-9]{1,2}$" }, decode_region;
    /// An EKS cluster's name.
    EksName(String) = { "type": "string", "pattern": "^[0-9A-Za-z][0-9A-Za-z_-]*$", "maxLength": 100 }, decode_eks;
    /// A short text, such as a reason for people or a name.
    Line(String) = { "type": "string", "minLength": 1, "maxLength": 500 }, |n, out| decode_line(n, 500, out);
    /// The name of a cluster of the plan.
    ClusterRef(String) = { "type": "string", "minLength": 1, "maxLength": 63 },
        |n, out| n.text("the name of a cluster", out).map(str::to_owned);
    /// A duration.
    Period(Duration) = {
        "type": "string",
        "pattern": (duration::PATTERN),
        "minLength": 2,
        "examples": ["90s", "10m", "1h30m"]
    }, decode_period;
    /// A duration, or `0s`.
    Delay(Duration) = {
        "type": "string",
        "pattern": (duration::PATTERN),
        "minLength": 2,
        "examples": ["0s", "90s", "10m"]
    }, decode_period_or_zero;
    /// A whole percentage.
    Percent(u32) = { "type": "integer", "minimum": 0, "maximum": 100 }, |n, out| n.whole("percentage", 0..=100, out);
    /// A percentage that may have a fraction.
    Ratio(f64) = { "type": "number", "minimum": 0, "maximum": 100 }, |n, out| decode_number(n, 0.0, 100.0, out);
    /// A factor on the required capacity.
    Factor(f64) = { "type": "number", "minimum": 0, "maximum": 10 }, |n, out| decode_number(n, 0.0, 10.0, out);
    /// A number of calls per second.
    CallRate(f64) = { "type": "number", "minimum": 0.1, "maximum": 1000 }, |n, out| decode_number(n, 0.1, 1000.0, out);
    /// A number of targets; a target group holds at most a thousand.
    Targets(u32) = { "type": "integer", "minimum": 1, "maximum": 1000 },
        |n, out| n.limited("number of targets", 1..=1000, out);
    /// A number of routes.
    Actions(u32) = { "type": "integer", "minimum": 1, "maximum": 10000 },
        |n, out| n.limited("number of routes", 1..=10_000, out);
    /// A rule's priority.
    Priority(u32) = { "type": "integer", "minimum": 1, "maximum": 50000 },
        |n, out| n.limited("priority of a rule", 1..=50_000, out);
    /// A Service's port.
    Port(PortRef) = {
        "oneOf": [
            { "type": "integer", "minimum": 1, "maximum": 65535 },
            { "type": "string", "pattern": "^[-a-z0-9]*[a-z][-a-z0-9]*$", "maxLength": 15 }
        ]
    }, decode_port;
    /// A listener, by port or ARN.
    ListenerName(ListenerRef) = {
        "oneOf": [{ "type": "integer", "minimum": 1, "maximum": 65535 }, { "type": "string", "pattern": "^arn:" }]
    }, decode_listener;
    /// A load balancer or target group: name, ARN, or `tag:KEY=VALUE,…`.
    Resource(Selector) = {
        "type": "string",
        "pattern": "^(arn:.+|tag:[^=,]+=[^,]*(,[^=,]+=[^,]*)*|[0-9A-Za-z]([-0-9A-Za-z]{0,30}[0-9A-Za-z])?)$"
    }, decode_selector;
    /// The address of a runtime API of HAProxy: `tcp://HOST:PORT`, `unix:PATH`, or `dns://NAME:PORT`.
    RuntimeAddress(String) = { "type": "string", "pattern": "^((tcp|dns)://[^\\s/]+:[0-9]+|unix:/\\S+)$" }, decode_runtime_address;
    /// The name of a backend of HAProxy.
    ProxyName(String) = { "type": "string", "pattern": "^[-_.:0-9A-Za-z]+$" }, decode_proxy_name;
    /// The path of the file of a map of HAProxy.
    MapFile(String) = { "type": "string", "pattern": "^/[^\\s;]+$" }, decode_map_file;
    /// A glob of the names of HAProxy's servers.
    ServerGlob(String) = { "type": "string", "pattern": "^[-_.:*?0-9A-Za-z]+$" }, decode_server_glob;
    /// An ARN.
    Arn(String) = { "type": "string", "pattern": "^arn:" }, decode_arn;
    /// A boolean.
    Flag(bool) = { "type": "boolean" }, decode_flag;
    /// An HTTP URL without credentials.
    Url(String) = { "type": "string", "pattern": "^https?://[^/?#@\\s]+([/?#]\\S*)?$", "maxLength": 2000 }, decode_url;
    /// The name of an HTTP header.
    HeaderName(String) = { "type": "string", "pattern": "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$" }, decode_header_name;
    /// A query, or a word of a command.
    Query(String) = { "type": "string", "minLength": 1, "maxLength": 4000 }, |n, out| decode_line(n, 4000, out);
    /// A factor of at least 1.
    Times(f64) = { "type": "number", "minimum": 1, "maximum": 100 }, |n, out| decode_number(n, 1.0, 100.0, out);
    /// A probability.
    Chance(f64) = { "type": "number", "minimum": 0.0001, "maximum": 0.5 }, |n, out| decode_number(n, 0.0001, 0.5, out);
    /// A number, which may be negative.
    Amount(f64) = { "type": "number", "minimum": -1e15, "maximum": 1e15 }, |n, out| decode_number(n, -1e15, 1e15, out);
    /// A number of requests.
    Requests(u32) = { "type": "integer", "minimum": 1, "maximum": 1_000_000_000 },
        |n, out| n.limited("number of requests", 1..=1_000_000_000, out);
    /// A number of failures.
    Failures(u32) = { "type": "integer", "minimum": 0, "maximum": 10000 },
        |n, out| n.limited("number", 0..=10_000, out);
    /// An HTTP status.
    Status(u32) = { "type": "integer", "minimum": 100, "maximum": 599 },
        |n, out| n.whole("HTTP status", 100..=599, out);
    /// A text that may have several lines.
    Prose(String) = { "type": "string", "minLength": 1, "maxLength": 4000 }, |n, out| decode_line(n, 4000, out);
    /// The event of a notification.
    KindName(NotificationEvent) = { "type": "string", "enum": (NotificationEvent::WORDS) }, |n, out| {
        let word = one_of(n, Code::CUT005, NotificationEvent::WORDS, out)?;
        NotificationEvent::ALL.iter().copied().find(|kind| kind.word() == word)
    };
    /// A finding's code.
    CodeName(String) = { "type": "string", "pattern": "^CUT[0-9]{3}$" },
        |n, out| n.text("the code of a finding", out).map(str::to_owned);
}

pub(super) use {scalar, word};
