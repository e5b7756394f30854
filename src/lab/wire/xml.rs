//! Answers of the awsQuery protocol: a tree as XML, where lists are `<member>` elements and maps `<entry>` elements.

use std::fmt::Write;

use serde_json::Value;

/// The answer to a call that succeeded. `namespace` is the API's.
pub(crate) fn answer(action: &str, namespace: &str, result: &Value, request_id: &str) -> String {
    let mut out = String::with_capacity(1024);
    let _ = write!(out, "<{action}Response xmlns=\"{namespace}\"><{action}Result>");
    children(&mut out, result);
    let _ = write!(out, "</{action}Result><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>");
    out
}

/// The answer to a call that failed.
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
    // A map's entries stand side by side.
    if let ("entry", Value::Array(entries)) = (name, value) {
        return entries.iter().for_each(|e| element(out, name, e));
    }
    let _ = write!(out, "<{name}>");
    children(out, value);
    let _ = write!(out, "</{name}>");
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            c if c < ' ' && c != '\n' && c != '\t' => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_members_and_text_is_escaped() {
        let xml = answer("DescribeTags", "urn:x", &json!({"A": ["x<y", {"B": 1}], "C": null, "D": true}), "id");
        assert!(xml.contains("<A><member>x&lt;y</member><member><B>1</B></member></A><D>true</D></DescribeTagsResult>"), "{xml}");
    }
}
