//! Declares the fields of a `setHeaderRoute` step.

use schemars::json_schema;

use super::decode::{Decode, Placed, clip, note, record};
use super::diagnostic::Diagnostic;
use super::scalar::scalar;
use super::yaml::Node;
use crate::base::finding::Code;

/// The longest name of a header in a condition of a rule
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_HttpHeaderConditionConfig.html>).
const MAX_NAME_LENGTH: usize = 40;
/// The longest value of a header in a condition of a rule (the same page).
const MAX_VALUE_LENGTH: usize = 128;

record! {
    /// Sends the requests with these headers to `to`, whatever the shares are. Application Load Balancers only.
    HeaderRoute as "`setHeaderRoute`" {
        /// The headers that a request must have, all of them. An empty list ends the header route.
        headers "match": required Vec<Placed<HeaderMatch>>,
    }

    /// A header that a request must have.
    HeaderMatch as "an entry of `match`" {
        /// The name of the header; upper and lower case are the same.
        name "headerName": required RoutedHeader,
        /// The value of the header.
        value "headerValue": required HeaderValue,
    }

    /// The value that a header must have.
    HeaderValue as "`headerValue`" {
        /// The whole value; upper and lower case are the same.
        exact "exact": required ExactValue,
    }
}

scalar! {
    /// The name of a header that a rule can match.
    RoutedHeader(String) = { "type": "string", "pattern": "^[-!#$%&'+.^_`|~0-9A-Za-z]{1,40}$" }, decode_name;
    /// The value of a header, without wildcards.
    ExactValue(String) = { "type": "string", "pattern": "^[ -)+->@-\\[\\]-~]{1,128}$" }, decode_value;
}

fn decode_name(node: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let text = node.text("the name of a header", out)?;
    let valid = http::HeaderName::from_bytes(text.as_bytes()).is_ok() && !text.contains('*');
    if !valid || text.len() > MAX_NAME_LENGTH {
        let message = format!("`{}` is not the name of a header that a rule can match", clip(text));
        note(out, Code::CUT230, node.place, message)
            .help(format!("at most {MAX_NAME_LENGTH} letters, digits and `-`, such as `X-Canary`"));
    } else if text.eq_ignore_ascii_case("host") {
        note(out, Code::CUT230, node.place, "a rule matches the header `Host` with a host condition only")
            .help("choose a header that only your testers send, such as `X-Canary`");
    }
    Some(text.to_owned())
}

fn decode_value(node: &Node, out: &mut Vec<Diagnostic>) -> Option<String> {
    let text = node.text("the value of a header", out)?;
    let plain = |c: char| (c == ' ' || c.is_ascii_graphic()) && !matches!(c, '*' | '?' | '\\');
    if text.is_empty() || text.len() > MAX_VALUE_LENGTH || !text.chars().all(plain) {
        let message = format!("`{}` is not a value that a rule can match exactly", clip(text));
        note(out, Code::CUT230, node.place, message).help(format!(
            "1 to {MAX_VALUE_LENGTH} printable ASCII characters. `*` and `?` are wildcards in a rule, and `\\` escapes \
             them, so `exact` cannot have them"
        ));
    }
    Some(text.to_owned())
}
