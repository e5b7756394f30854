//! `cutover help`: the list of topics, a topic, or the options of a command.

use clap::Args;
use serde_json::{Value, json};

use crate::app::exit::{Exit, Failure};
use crate::base::finding::{Code, Severity, Source};
use crate::cli::args::{Global, Output};
use crate::cli::help::{TOPICS, Topic, similar};
use crate::cli::render::markdown;
use crate::cli::render::style::{Style, Tone};
use crate::cli::{pager, term};
use crate::domain::preflight::ACCEPTABLE_ERRORS;

/// The arguments of `cutover help`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover help                                        list the topics
  cutover help emergency                              put traffic back
  cutover help gates | less                           a topic, as plain text
  cutover help run                                    the options of a command")]
pub struct Help {
    /// A topic, a command, or the code of a finding [default: the list of topics]
    #[arg(value_name = "TOPIC|COMMAND")]
    pub subject: Option<String>,
}

/// Shows the list of topics, a topic, a finding, or the options of a command.
///
/// # Errors
/// Returns a failure if nothing has this name (exit 2), or if standard output cannot be written.
pub fn run(global: &Global, args: &Help, mut definition: clap::Command) -> Result<Exit, Failure> {
    let style = term::style(global.color);
    definition.build();
    let (text, json) = match args.subject.as_deref() {
        None => (list(&style), json!({"topics": TOPICS.iter().map(summary).collect::<Vec<_>>()})),
        Some(name) => explain(name, &style, &definition)?,
    };
    let shown = match (global.output, args.subject.as_deref().and_then(Topic::find)) {
        (Output::Json, _) => term::print(&json.to_string()),
        (Output::Markdown, Some(topic)) => term::print(topic.markdown.trim_end()),
        _ => pager::show(text.trim_end()),
    };
    shown.map_err(|e| Failure::new(Exit::Internal, e))?;
    Ok(Exit::Done)
}

/// Returns a topic, a finding or the help of a command: as text, and as JSON for programs.
fn explain(name: &str, style: &Style, definition: &clap::Command) -> Result<(String, Value), Failure> {
    if let Some(topic) = Topic::find(name) {
        return Ok((page(topic, style, definition), json!({"topic": topic.name, "markdown": topic.markdown})));
    }
    if let Some(code) = Code::ALL.iter().find(|code| code.name().eq_ignore_ascii_case(name)) {
        return Ok((finding(*code, style), json!({"finding": code.name(), "title": code.title()})));
    }
    let command = definition.find_subcommand(name).cloned();
    let help = command.ok_or_else(|| unknown(name, definition))?.render_long_help();
    let text = if style.color { help.ansi().to_string() } else { help.to_string() };
    Ok((text, json!({"command": name, "help": help.to_string()})))
}

/// Returns the title of a finding, and what its severity means for a run.
fn finding(code: Code, style: &Style) -> String {
    let lint = code.source() == Source::Lint;
    let meaning = match code.severity() {
        Severity::Error if lint => "An error in the text of the plan: exit 2. It cannot be accepted.",
        Severity::Error if ACCEPTABLE_ERRORS.contains(&code) => {
            "An error: the run does not start (exit 3), unless the plan accepts it."
        }
        Severity::Error if code.source() == Source::Compare => {
            "An error: `cutover compare` exits with 3, and the compare gate holds raises, unless the plan accepts it."
        }
        Severity::Error => "An error: the run does not start (exit 3). It cannot be accepted.",
        Severity::Warning => "A warning: the run starts. The plan can accept it.",
        Severity::Info => "A note: the run starts.",
    };
    let title = style.paint(Tone::Strong, &format!("{}: {}", code.name(), code.title()));
    format!(
        "{title}\n\n  {meaning}\n  `cutover check PLAN` shows this finding with names and numbers, and what to do.\n  \
         See `cutover help findings`."
    )
}

fn summary(topic: &Topic) -> Value {
    json!({"topic": topic.name, "about": topic.about()})
}

/// Returns the list of topics, one per line.
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

/// Returns the text of a topic. If a command has the same name, adds a pointer to the options of the command.
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
    let mention = Topic::find_by_word(name);
    if !mention.is_empty() {
        failure = failure.next(format!("`{name}` is mentioned in: {}", mention.join(", ")));
    }
    failure.next("to list the topics: cutover help. To list the commands: cutover --help")
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
    fn list_names_every_topic_with_its_description() {
        let list = list(&Style::plain());
        for topic in TOPICS {
            assert!(!topic.about().is_empty() && list.contains(topic.about()), "{}", topic.name);
        }
        assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
    }

    #[test]
    fn every_finding_code_has_an_explanation() {
        for code in Code::ALL {
            let (text, _) = explain(&code.name().to_lowercase(), &Style::plain(), &definition())
                .expect("every code should be explained");
            assert!(text.contains(code.title()), "{text}");
        }
    }

    #[test]
    fn unknown_name_gets_similar_names_and_the_topics_that_contain_it() {
        let message = unknown("emergancy", &definition()).to_string();
        assert!(message.contains("similar: emergency"), "{message}");
        let message = unknown("break-glass", &definition()).to_string();
        assert!(message.contains("`break-glass` is mentioned in: emergency"), "{message}");
    }
}
