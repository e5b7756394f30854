//! `cutover man`: a manual page. On a terminal, `man` shows the page; a file or a pipe gets the roff text.

use clap::Args;
use clap_mangen::Man as Page;

use crate::app::exit::{Exit, Failure};
use crate::cli::{pager, term};

/// The arguments of `cutover man`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover man                                         show the page of cutover
  cutover man rollback > cutover-rollback.1")]
pub struct Man {
    /// The page of this command [default: of `cutover`]
    pub verb: Option<String>,
}

/// Shows the manual page of `cutover` or of a command. Prints roff if standard output is not a terminal.
///
/// # Errors
/// Returns a failure if the command is unknown (exit 2), or if standard output cannot be written.
pub fn run(args: &Man, definition: clap::Command) -> Result<Exit, Failure> {
    let roff = page(args.verb.as_deref(), definition)?;
    if term::stdout() {
        if !pager::pipe(&["man", "-l", "-"], &roff) {
            term::print_error(
                "the `man` of this system cannot show the page; to write the page to a file: cutover man > cutover.1",
            );
        }
        return Ok(Exit::Done);
    }
    term::print(roff.trim_end()).map_err(|e| Failure::new(Exit::Internal, e))?;
    Ok(Exit::Done)
}

fn page(verb: Option<&str>, mut command: clap::Command) -> Result<String, Failure> {
    command.build();
    if let Some(verb) = verb {
        let verbs: Vec<_> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
        let unknown = || {
            Failure::new(Exit::Usage, format!("there is no command `{verb}`"))
                .next(format!("the commands are: {}", verbs.join(", ")))
        };
        command = command.find_subcommand(verb).cloned().ok_or_else(unknown)?;
    }
    let mut roff = Vec::new();
    Page::new(command).render(&mut roff).map_err(|e| Failure::new(Exit::Internal, e))?;
    Ok(String::from_utf8_lossy(&roff).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::Cutover;

    fn render_page(verb: Option<&str>) -> Result<String, Failure> {
        page(verb, Cutover::definition("cutover".as_ref()))
    }

    #[test]
    fn every_command_has_a_page_and_unknown_words_are_rejected() {
        let all = render_page(None).unwrap();
        for verb in ["init", "rehearse", "rollback"] {
            assert!(all.contains(verb));
            assert!(
                render_page(Some(verb)).unwrap().contains(&format!("cutover\\-{verb}")),
                "{}",
                render_page(Some(verb)).unwrap()
            );
        }
        assert_eq!(render_page(Some("rolback")).unwrap_err().exit, Exit::Usage);
    }
}
