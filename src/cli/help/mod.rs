//! The topics of `cutover help`: Markdown files in this folder, compiled into the program, because the person at 3 a.m.
//! has the program and not the repository.
//!
//! This module finds a topic by its name. It must not know how a topic is shown: that is `render::markdown`. A new file
//! belongs into [`TOPICS`]; a test finds one that is missing there. `tests/pure/pages` holds the text of the topics to
//! the code.

/// One page of reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// What a person types after `cutover help`.
    pub name: &'static str,
    /// The page, as Markdown. Its first line is the title: `# NAME: what the page is about`.
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
    "steps"
    "gates"
    "hooks"
    "hours"
    "schedulers"
    "state"
    "notifications"
    "telemetry"
    "lab"
    "finalize"
    "network"
    "permissions"
    "exit-codes"
    "findings"
}

impl Topic {
    /// The topic of this name; letters of either case.
    pub fn find(name: &str) -> Option<Self> {
        TOPICS.iter().copied().find(|topic| topic.name.eq_ignore_ascii_case(name))
    }

    /// What the page is about, from its title.
    pub fn about(self) -> &'static str {
        let title = self.markdown.lines().next().unwrap_or_default();
        title.split_once(": ").map_or("", |(_, about)| about)
    }

    /// Topics whose text contains a word, of either case.
    pub fn that_mention(word: &str) -> Vec<&'static str> {
        let word = word.to_lowercase();
        let mention = |topic: &&Self| topic.markdown.to_lowercase().contains(&word);
        TOPICS.iter().filter(mention).map(|topic| topic.name).collect()
    }
}

/// The names among `all` that a misspelled one may mean, the most similar first; at most three.
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
    fn every_file_of_the_folder_is_a_topic_with_a_title() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/help");
        let names = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").file_name());
        let names = names.filter_map(|name| name.to_str().and_then(|name| name.strip_suffix(".md")).map(str::to_owned));
        let mut found: Vec<_> = names.collect();
        let mut listed: Vec<_> = TOPICS.iter().map(|topic| topic.name.to_owned()).collect();
        found.sort();
        listed.sort();
        assert_eq!(listed, found, "src/cli/help/mod.rs lists the files of its folder");
        for topic in TOPICS {
            assert!(topic.markdown.starts_with(&format!("# {}: ", topic.name)), "the title of {}.md", topic.name);
            assert_eq!(clean(topic.markdown), topic.markdown, "nothing in it looks like a credential");
        }
    }

    #[test]
    fn a_misspelled_name_is_found() {
        assert_eq!(similar("glosary", TOPICS.iter().map(|topic| topic.name)), ["glossary"]);
        assert!(similar("xyz", TOPICS.iter().map(|topic| topic.name)).is_empty());
        assert_eq!(Topic::find("Emergency").map(|topic| topic.name), Some("emergency"));
    }
}
