//! Finds and replaces placeholders `{{…}}` in the texts of metric gates and notifications.

/// A part of a text with placeholders.
#[derive(Debug, PartialEq)]
enum TemplatePart<'a> {
    Text(&'a str),
    /// The placeholder as written, and its name.
    Placeholder(&'a str, &'a str),
}

/// Splits a text into plain text and placeholders. A name between double braces is a placeholder; anything else between
/// braces, such as `{{.items}}` of other template languages, is text.
fn parts(mut rest: &str) -> Vec<TemplatePart<'_>> {
    let mut all = Vec::new();
    while let Some(start) = rest.find("{{") {
        let inner = rest[start + 2..].find("}}").map(|end| &rest[start + 2..start + 2 + end]);
        if let Some((inner, name)) = inner.map(|inner| (inner, inner.trim())).filter(|(_, name)| is_name(name)) {
            let end = start + inner.len() + 4;
            all.extend([TemplatePart::Text(&rest[..start]), TemplatePart::Placeholder(&rest[start..end], name)]);
            rest = &rest[end..];
        } else {
            // The next pair of braces may begin with the second of these braces.
            all.push(TemplatePart::Text(&rest[..=start]));
            rest = &rest[start + 1..];
        }
    }
    all.push(TemplatePart::Text(rest));
    all
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Returns the names of a text's placeholders, in order.
pub fn placeholder_names(text: &str) -> impl Iterator<Item = &str> {
    parts(text)
        .into_iter()
        .filter_map(|part| if let TemplatePart::Placeholder(_, name) = part { Some(name) } else { None })
}

/// Replaces every placeholder by its `value`; a placeholder without a value stays unchanged.
pub fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let filled = |part: TemplatePart<'_>| match part {
        TemplatePart::Text(text) => text.to_owned(),
        TemplatePart::Placeholder(whole, name) => value(name).unwrap_or_else(|| whole.to_owned()),
    };
    parts(text).into_iter().map(filled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_between_double_braces_are_placeholders() {
        let text = "a{x=\"{{cluster}}\"}[{{ window }}] {{.items}} {{range .x}} {{{cluster}}} {{other}} {{";
        assert_eq!(placeholder_names(text).collect::<Vec<_>>(), ["cluster", "window", "cluster", "other"]);
        let filled = fill(text, |name| match name {
            "cluster" => Some("blue {{window}}".into()),
            "window" => Some("60s".into()),
            _ => None,
        });
        assert_eq!(filled, "a{x=\"blue {{window}}\"}[60s] {{.items}} {{range .x}} {blue {{window}}} {{other}} {{");
    }
}
