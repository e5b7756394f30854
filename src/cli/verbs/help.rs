//! `cutover help`: the list of topics, a topic, or the options of a command.

use clap::Args;
use serde_json::json;

use crate::app::exit::{Exit, Failure};
use crate::cli::args::{Global, Output};
use crate::cli::help::{TOPICS, Topic, similar};
use crate::cli::render::markdown;
use crate::cli::render::style::{Style, Tone};
use crate::cli::{pager, term};

/// `help`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover help                                        list the topics
  cutover help emergency                              put traffic back
  cutover help gates | less                           a topic, as plain text
  cutover help run                                    the options of a command")]
pub struct Help {
    /// A topic or a command [default: the list of topics]
    #[arg(value_name = "TOPIC|COMMAND")]
    pub subject: Option<String>,
}

/// Shows the list, the topic, or the command's options.
///
/// # Errors
/// No topic and no command has this name (exit 2); standard output cannot be written.
pub fn run(global: &Global, args: &Help, mut definition: clap::Command) -> Result<Exit, Failure> {
    let style = term::style(global.color);
    definition.build();
    let (text, json) = match args.subject.as_deref() {
        None => (list(&style), json!({"topics": TOPICS.iter().map(summary).collect::<Vec<_>>()})),
        Some(name) => match Topic::find(name) {
            Some(topic) => (page(topic, &style, &definition), json!({"topic": topic.name, "markdown": topic.markdown})),
            None => {
                let command = definition.find_subcommand(name).cloned();
                let help = command.ok_or_else(|| unknown(name, &definition))?.render_long_help();
                let text = if style.color { help.ansi().to_string() } else { help.to_string() };
                (text, json!({"command": name, "help": help.to_string()}))
            }
        },
    };
    let shown = match (global.output, args.subject.as_deref().and_then(Topic::find)) {
        (Output::Json, _) => term::print(&json.to_string()),
        (Output::Markdown, Some(topic)) => term::print(topic.markdown.trim_end()),
        _ => pager::show(text.trim_end()),
    };
    shown.map_err(|e| Failure::new(Exit::Internal, e))?;
    Ok(Exit::Done)
}

fn summary(topic: &Topic) -> serde_json::Value {
    json!({"topic": topic.name, "about": topic.about()})
}

/// The topics, a line each.
fn list(style: &Style) -> String {
    let widest = TOPICS.iter().map(|topic| topic.name.len()).max().unwrap_or(0);
    let line = |topic: &Topic| {
        let pad = " ".repeat(widest + 2 - topic.name.len());
        format!("  {}{pad}{}", style.paint(Tone::Strong, topic.name), topic.about())
    };
    let topics: Vec<_> = TOPICS.iter().map(line).collect();
    format!(
        "Topics of `cutover help TOPIC`:\n\n{}\n\n`cutover help COMMAND` shows the options of a command.\n\
         `cutover help WORD` names the topics that mention a word, a code or a field.\n\
         `cutover --help` lists the commands.",
        topics.join("\n")
    )
}

/// A topic; where a command has the same name, with a pointer to the command's options.
fn page(topic: Topic, style: &Style, definition: &clap::Command) -> String {
    let text = markdown::text(topic.markdown, term::columns(), style);
    match definition.find_subcommand(topic.name) {
        Some(_) => format!("{}\n\n  The options: cutover {} --help", text.trim_end(), topic.name),
        None => text,
    }
}

fn unknown(name: &str, definition: &clap::Command) -> Failure {
    let verbs = definition.get_subcommands().map(clap::Command::get_name);
    let near = similar(name, TOPICS.iter().map(|topic| topic.name).chain(verbs));
    let mut failure = Failure::new(Exit::Usage, format!("no topic and no command has the name `{name}`"));
    if !near.is_empty() {
        failure = failure.next(format!("similar: {}", near.join(", ")));
    }
    let mention = Topic::that_mention(name);
    if !mention.is_empty() {
        failure = failure.next(format!("`{name}` is mentioned in: {}", mention.join(", ")));
    }
    failure.next("cutover help lists the topics, cutover --help the commands")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::Cutover;

    fn definition() -> clap::Command {
        let mut definition = Cutover::definition("cutover".as_ref());
        definition.build();
        definition
    }

    #[test]
    fn the_list_names_every_topic_and_what_it_is_about() {
        let list = list(&Style::plain());
        for topic in TOPICS {
            assert!(!topic.about().is_empty() && list.contains(topic.about()), "{}", topic.name);
        }
        assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
    }

    #[test]
    fn an_unknown_name_is_answered_with_similar_ones_and_with_the_topics_that_mention_it() {
        let said = unknown("emergancy", &definition()).to_string();
        assert!(said.contains("similar: emergency"), "{said}");
        let said = unknown("break-glass", &definition()).to_string();
        assert!(said.contains("`break-glass` is mentioned in: emergency"), "{said}");
    }
}
