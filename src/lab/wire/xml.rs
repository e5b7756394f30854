//! Responses of the awsQuery protocol: a tree as XML, with lists as `<member>` elements and maps as `<entry>` elements.

use std::fmt::Write;

use serde_json::Value;

/// Builds the response to a successful call. `namespace` is the XML namespace of the API.
pub(crate) fn answer(action: &str, namespace: &str, result: &Value, request_id: &str) -> String {
    let mut out = String::with_capacity(1024);
    let _ = write!(out, "<{action}Response xmlns=\"{namespace}\"><{action}Result>");
    children(&mut out, result);
    let _ = write!(
        out,
        "</{action}Result><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
    );
    out
}

/// Builds the response to a failed call.
pub(crate) fn error(code: &str, message: &str, namespace: &str, request_id: &str) -> String {
    let mut out = String::new();
    let _ = write!(out, "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>Sender</Type><Code>{code}</Code><Message>");
    escape(&mut out, message);
    let _ = write!(out, "</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>");
    out
}

fn children(out: &mut String, value: &Value) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| element(out, name, value)),
        Value::Array(items) => items.iter().for_each(|item| element(out, "member", item)),
        Value::String(text) => escape(out, text),
        Value::Null => {}
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

fn element(out: &mut String, name: &str, value: &Value) {
    if value.is_null() {
        return;
    }
    // The entries of a map are sibling elements.
    if let ("entry", Value::Array(entries)) = (name, value) {
        return entries.iter().for_each(|e| element(out, name, e));
    }
    for part in ["<", name, ">"] {
        out.push_str(part);
    }
    children(out, value);
    for part in ["</", name, ">"] {
        out.push_str(part);
    }
}

fn escape(out: &mut String, text: &str) {
    let mut rest = text;
    // All special characters are one byte long.
    while let Some(at) =
        rest.bytes().position(|b| matches!(b, b'<' | b'>' | b'&' | b'"') || (b < b' ' && b != b'\n' && b != b'\t'))
    {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'&' => "&amp;",
            b'"' => "&quot;",
            b'\r' => "&#13;",
            _ => "",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_members_and_text_is_escaped() {
        let xml = answer("DescribeTags", "urn:x", &json!({"A": ["x<y", {"B": 1}], "C": null, "D": true}), "id");
        assert!(
            xml.contains("<A><member>x&lt;y</member><member><B>1</B></member></A><D>true</D></DescribeTagsResult>"),
            "{xml}"
        );
    }
}
