//! `cutover report`: writes a report of a run as a page or as Markdown, for people who did not follow the run.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::app::exit::{Exit, Failure};
use crate::app::find::{self, NO_REHEARSALS};
use crate::app::state_store;
use crate::base::redact;
use crate::cli::args::{Global, Output};
use crate::cli::render::report::{ClientResults, ReportInput, html, markdown};
use crate::cli::render::style::Style;
use crate::cli::term;
use crate::domain::run::event::Record;
use crate::domain::run::journal;
use crate::domain::view::history::History;
use crate::plan::model::Plan;

/// The arguments of `cutover report`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover report                                 newest run, into a file
  cutover report alpha-webapp --file -           the page on standard output
  cutover report alpha-webapp --output markdown  for a ticket")]
pub struct Report {
    /// Run id, plan name or plan file (its newest run) [default: the newest run]
    #[arg(value_name = "RUN|PLAN")]
    pub target: Option<String>,
    /// File of the report, `-` for stdout [default: cutover-report-RUN.html; stdout for json and markdown]
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Runs `cutover report`.
pub async fn run(global: &Global, args: &Report) -> Result<Exit, Failure> {
    let style = term::style(global.color);
    let target = args.target.as_deref();
    let store = state_store::open_for_target(&global.state_options(), target).await?;
    let runs = find::runs_of(&*store, target, style.color).await?;
    let Some(run) = runs.into_iter().next() else {
        return Err(Failure::new(Exit::Usage, format!("no runs in {}", store.location())).next(NO_REHEARSALS));
    };
    let found = find::open(&*store, run).await?;
    match global.output {
        Output::Json => {
            let records: Vec<_> = found.records.iter().map(|r| journal::to_json(r).to_string()).collect();
            write_or_print(&records.join("\n"), args.file.as_deref())?;
        }
        Output::Markdown => {
            let text = render_report(&found.plan, &found.records, &style, |input| markdown(&input))?;
            write_or_print(text.trim_end(), args.file.as_deref())?;
        }
        Output::Text => {
            if let Some(file) = write_page(&found.plan, &found.records, None, &style, args.file.as_deref())? {
                let _ = term::print(&file.display().to_string());
            }
        }
    }
    Ok(Exit::Done)
}

/// Writes a text and a newline to a file, and prints the file's name; without a file, prints the text.
fn write_or_print(text: &str, file: Option<&Path>) -> Result<(), Failure> {
    let Some(file) = file.filter(|file| *file != Path::new("-")) else {
        let _ = term::print(text);
        return Ok(());
    };
    let written = std::fs::write(file, redact::clean(&format!("{text}\n")).as_bytes());
    written.map_err(|e| Failure::new(Exit::Usage, format!("{}: {e}", file.display())))?;
    let _ = term::print(&file.display().to_string());
    Ok(())
}

/// Checks that the folder of a file exists, before the work that the file is to show.
pub fn check_folder(file: &Path) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if file == Path::new("-") || folder.is_none_or(Path::is_dir) {
        return Ok(());
    }
    let folder = folder.unwrap_or(file).display();
    Err(Failure::new(Exit::Usage, format!("{}: there is no folder {folder}", file.display()))
        .next(format!("create it first: mkdir -p {folder}")))
}

/// Writes the page of a run, or of a rehearsal with its clients, and returns its file; `None` for standard output.
pub fn write_page(
    plan: &Plan,
    records: &[Record],
    clients: Option<ClientResults>,
    style: &Style,
    file: Option<&Path>,
) -> Result<Option<PathBuf>, Failure> {
    let text = render_report(plan, records, style, |input| html(&input.with_clients(clients)))?;
    let run = records.first().map_or("", |r| r.run.as_str());
    let file = file.map_or_else(|| PathBuf::from(format!("cutover-report-{run}.html")), Path::to_path_buf);
    if file == Path::new("-") {
        let _ = term::print(text.trim_end());
        return Ok(None);
    }
    std::fs::write(&file, text).map_err(|e| Failure::new(Exit::Usage, format!("{}: {e}", file.display())))?;
    Ok(Some(file))
}

/// Renders the report of a run with the function `render`.
pub fn render_report(
    plan: &Plan,
    records: &[Record],
    style: &Style,
    render: impl FnOnce(ReportInput) -> String,
) -> Result<String, Failure> {
    let history = History::of(plan, records).map_err(|e| Failure::new(Exit::Internal, e))?;
    let history = history.ok_or_else(|| Failure::new(Exit::Usage, "the journal of the run is empty"))?;
    Ok(render(ReportInput::new(plan, records, &history, style)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_of_the_report_is_written_to_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("r.md");
        write_or_print("## cutover", Some(&file)).expect("the file is written");
        assert_eq!(std::fs::read_to_string(&file).expect("the file"), "## cutover\n");
        let missing = folder.path().join("no/r.md");
        assert_eq!(write_or_print("", Some(&missing)).expect_err("no folder").exit, Exit::Usage);
        assert_eq!(check_folder(&missing).expect_err("no folder").exit, Exit::Usage);
        assert!(check_folder(&file).is_ok() && check_folder(Path::new("r.html")).is_ok());
    }
}
