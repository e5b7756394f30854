//! The topics of `cutover help`: Markdown files in this folder, compiled into the program, because the person at 3 a.m.
//! has the program and not the repository.
//!
//! This module finds a topic by name. Rendering must not be added here; it belongs to `render::markdown`. A new file
//! must be listed in [`TOPICS`], which a test checks. `tests/pure/pages` checks that the text of the topics matches the
//! code.

/// A topic of `cutover help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// The name that a person types after `cutover help`.
    pub name: &'static str,
    /// The text of the topic, as Markdown. The first line is the title: `# NAME: what the topic is about`.
    pub markdown: &'static str,
}

macro_rules! topics {
    ($($name:literal)*) => {
        /// Every topic, in the order in which they are listed.
        pub const TOPICS: &[Topic] = &[$(Topic { name: $name, markdown: include_str!(concat!($name, ".md")) },)*];
    };
}

topics! {
    "emergency"
    "troubleshooting"
    "glossary"
    "commands"
    "plan"
    "nlb"
    "steps"
    "gates"
    "hooks"
    "hours"
    "stickiness"
    "haproxy"
    "schedulers"
    "state"
    "notifications"
    "telemetry"
    "lab"
    "finalize"
    "runbook"
    "network"
    "permissions"
    "exit-codes"
    "findings"
    "compare"
    "waves"
}

impl Topic {
    /// Returns the topic with this name, in upper or lower case.
    pub fn find(name: &str) -> Option<Self> {
        TOPICS.iter().copied().find(|topic| topic.name.eq_ignore_ascii_case(name))
    }

    /// Returns what the topic is about, from its title.
    pub fn about(self) -> &'static str {
        let title = self.markdown.lines().next().unwrap_or_default();
        title.split_once(": ").map_or("", |(_, about)| about)
    }

    /// Returns the topics whose text contains a word, in upper or lower case.
    pub fn find_by_word(word: &str) -> Vec<&'static str> {
        let word = word.to_lowercase();
        let mention = |topic: &&Self| topic.markdown.to_lowercase().contains(&word);
        TOPICS.iter().filter(mention).map(|topic| topic.name).collect()
    }
}

/// Returns the names in `all` that are similar to a misspelled word, the most similar first; at most three.
pub fn similar<'a>(word: &str, all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let mut near: Vec<_> =
        all.map(|name| (strsim::jaro_winkler(&word, name), name)).filter(|(n, _)| *n > 0.8).collect();
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::redact::clean;

    #[test]
    fn every_markdown_file_is_a_listed_topic_with_a_title() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/help");
        let names = std::fs::read_dir(folder)
            .expect("the folder of the topics should be readable")
            .map(|entry| entry.expect("every entry should be readable").file_name());
        let names = names.filter_map(|name| name.to_str().and_then(|name| name.strip_suffix(".md")).map(str::to_owned));
        let mut found: Vec<_> = names.collect();
        let mut listed: Vec<_> = TOPICS.iter().map(|topic| topic.name.to_owned()).collect();
        found.sort();
        listed.sort();
        assert_eq!(listed, found, "TOPICS in src/cli/help/mod.rs must list exactly the Markdown files of this folder");
        for topic in TOPICS {
            assert!(
                topic.markdown.starts_with(&format!("# {}: ", topic.name)),
                "{}.md must begin with its title",
                topic.name
            );
            assert_eq!(
                clean(topic.markdown),
                topic.markdown,
                "{}.md contains text that looks like a credential",
                topic.name
            );
        }
    }

    #[test]
    fn misspelled_topic_name_is_found() {
        assert_eq!(similar("glosary", TOPICS.iter().map(|topic| topic.name)), ["glossary"]);
        assert!(similar("xyz", TOPICS.iter().map(|topic| topic.name)).is_empty());
        assert_eq!(Topic::find("Emergency").map(|topic| topic.name), Some("emergency"));
    }
}
