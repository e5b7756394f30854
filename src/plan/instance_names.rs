//! Replaces the names of HAProxy's instances (`dns://NAME:PORT`) in the text of a plan by their addresses. The journal
//! of a run has the text, so the run keeps these addresses. Do not resolve names here.

use std::fmt::Write as _;

/// The beginning of a name of instances.
const SCHEME: &str = "dns://";

/// Returns the text with every `dns://NAME:PORT` of a list replaced by the addresses that `resolve` returns for
/// `NAME:PORT`, each as one item of the list. A comment at the end of the line has the name.
///
/// # Errors
/// Returns the first error of `resolve`.
pub fn with_addresses<E>(text: &str, mut resolve: impl FnMut(&str) -> Result<Vec<String>, E>) -> Result<String, E> {
    let mut all = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches(['\n', '\r']);
        let (mut rest, mut replaced) = (body, Vec::new());
        while let Some((before, name, after)) = next_name(rest, replaced.is_empty()) {
            let items: Vec<_> = resolve(name)?.iter().map(|address| format!("\"{address}\"")).collect();
            let is_block = before.trim() == "-";
            all.push_str(before);
            all.push_str(&items.join(&if is_block { format!("\n{before}") } else { ", ".to_owned() }));
            replaced.push(name);
            rest = after;
        }
        all.push_str(rest);
        if !replaced.is_empty() {
            let _ = write!(all, " # {SCHEME}{}", replaced.join(&format!(", {SCHEME}")));
        }
        all.push_str(&line[body.len()..]);
    }
    Ok(all)
}

/// Returns the text before the next name, the name with its port, and the text after it. Quotes belong to the name. Only
/// an item of a list is a name. `is_first` says that the text is the beginning of a line.
fn next_name(text: &str, is_first: bool) -> Option<(&str, &str, &str)> {
    let at = text.find(SCHEME)?;
    let (before, found) = (&text[..at], &text[at + SCHEME.len()..]);
    let end = found.find(|c: char| !c.is_ascii_alphanumeric() && !".-_:".contains(c)).unwrap_or(found.len());
    let (name, after) = found.split_at(end);
    let quote = before.chars().last().filter(|c| "\"'".contains(*c));
    let (before, after) = match quote {
        Some(quote) => (&before[..before.len() - 1], after.strip_prefix(quote)?),
        None => (before, after),
    };
    let begins = before.trim_end().ends_with(['[', ',']) || before.trim() == "-" || (!is_first && before.is_empty());
    let ends = after.trim_start().is_empty() || after.trim_start().starts_with([',', ']', '#']);
    let has_port = name.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    (begins && ends && has_port && !before.contains('#')).then_some((before, name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> String {
        let of = |name: &str| match name {
            "edge.internal:9999" => Ok(vec!["tcp://10.0.1.10:9999".to_owned(), "tcp://10.0.1.20:9999".to_owned()]),
            "one:1" => Ok(vec!["tcp://[fd00::1]:1".to_owned()]),
            other => Err(other.to_owned()),
        };
        with_addresses(text, of).unwrap()
    }

    #[test]
    fn each_address_is_an_item_of_the_list() {
        let both = "\"tcp://10.0.1.10:9999\", \"tcp://10.0.1.20:9999\"";
        for (text, wanted) in [
            ("instances: [\"dns://edge.internal:9999\"]", format!("instances: [{both}] # dns://edge.internal:9999")),
            (
                "instances: [dns://edge.internal:9999, 'dns://one:1'] # edge\n",
                format!("instances: [{both}, \"tcp://[fd00::1]:1\"] # edge # dns://edge.internal:9999, dns://one:1\n"),
            ),
            (
                "instances:\n  - dns://edge.internal:9999\n  - unix:/run/a\n",
                "instances:\n  - \"tcp://10.0.1.10:9999\"\n  - \"tcp://10.0.1.20:9999\" # dns://edge.internal:9999\n  \
                 - unix:/run/a\n"
                    .to_owned(),
            ),
        ] {
            assert_eq!(resolved(text), wanted);
        }
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in [
            "# instances: [\"dns://edge.internal:9999\"]\n",
            "- pause: {approval: see dns://edge.internal:9999}\n",
            "instances: [\"dns://edge.internal\"]\n",
            "instances: [\"tcp://10.0.1.10:9999\"]\r\n",
        ] {
            assert_eq!(resolved(text), text);
        }
        let failed = with_addresses("instances: [dns://a:1]", |name| Err::<Vec<String>, _>(name.to_owned()));
        assert_eq!(failed, Err("a:1".to_owned()));
    }
}
