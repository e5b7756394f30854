//! `cutover report`: writes a report of a run as a page or as Markdown, for people who did not follow the run.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::app::exit::{Exit, Failure};
use crate::app::find::{self, NO_REHEARSALS, StoredRun};
use crate::app::state_store;
use crate::base::redact;
use crate::cli::args::{Global, Output};
use crate::cli::render::report::{ClientResults, ReportInput, html, html_of_runs, markdown};
use crate::cli::render::style::Style;
use crate::cli::term;
use crate::domain::run::event::Record;
use crate::domain::run::journal;
use crate::domain::view::history::History;
use crate::plan::model::Plan;
use crate::port::store::RunSummary;

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
    if runs.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("no runs in {}", store.location())).next(NO_REHEARSALS));
    }
    let mut all = Vec::new();
    for run in runs_of_report(runs, target) {
        all.push(find::open(&*store, run).await?);
    }
    match global.output {
        Output::Json => {
            let records = all.iter().flat_map(|found| found.records.iter());
            let records: Vec<_> = records.map(|r| journal::to_json(r).to_string()).collect();
            write_or_print(&records.join("\n"), args.file.as_deref())?;
        }
        Output::Markdown => {
            let text = |found: &StoredRun| render_report(&found.plan, &found.records, &style, |input| markdown(&input));
            let texts = all.iter().map(text).collect::<Result<Vec<_>, _>>()?;
            write_or_print(texts.join("\n").trim_end(), args.file.as_deref())?;
        }
        Output::Text => {
            let histories =
                all.iter().map(|found| history(&found.plan, &found.records)).collect::<Result<Vec<_>, _>>()?;
            let pairs = all.iter().zip(&histories);
            let inputs = pairs.map(|(found, history)| ReportInput::new(&found.plan, &found.records, history, &style));
            let inputs: Vec<_> = inputs.collect();
            if let Some(file) = write_html(&html_of_runs(&inputs), &all[0].run.id, args.file.as_deref())? {
                let _ = term::print(&file.display().to_string());
            }
        }
    }
    Ok(Exit::Done)
}

/// Returns the runs of the report: the newest run, or all runs of its migration if it moves a wave, in order. A run that
/// the command line names by its id is alone in its report.
fn runs_of_report(mut runs: Vec<RunSummary>, target: Option<&str>) -> Vec<RunSummary> {
    let migration = runs[0].wave.as_ref().map(|wave| wave.migration.clone());
    if migration.is_none() || target == Some(runs[0].id.as_str()) {
        runs.truncate(1);
    }
    let of_migration = |run: &RunSummary| run.wave.as_ref().map(|wave| &wave.migration) == migration.as_ref();
    runs.into_iter().rev().filter(of_migration).collect()
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
    write_html(&text, records.first().map_or("", |r| r.run.as_str()), file)
}

/// Writes a page, and returns its file, which by default has the name of a run; `None` for standard output.
fn write_html(text: &str, run: &str, file: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
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
    let history = history(plan, records)?;
    Ok(render(ReportInput::new(plan, records, &history, style)))
}

fn history(plan: &Plan, records: &[Record]) -> Result<History, Failure> {
    let history = History::of(plan, records).map_err(|e| Failure::new(Exit::Internal, e))?;
    history.ok_or_else(|| Failure::new(Exit::Usage, "the journal of the run is empty"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::waves::WaveOfRun;

    /// One page is about all waves of a migration, in the order of their runs.
    #[test]
    fn the_report_of_a_plan_has_all_runs_of_its_migration() {
        let run = |id: &str, migration: Option<&str>| RunSummary {
            wave: migration.map(|migration| WaveOfRun {
                migration: migration.to_owned(),
                name: id.to_owned(),
                workloads: Vec::new(),
                from: "a".to_owned(),
                to: "b".to_owned(),
                retired: false,
            }),
            ..RunSummary::of(id, &[])
        };
        let ids = |runs: &[RunSummary], target| {
            let runs = runs_of_report(runs.to_vec(), target);
            runs.into_iter().map(|run| run.id).collect::<Vec<_>>().join(" ")
        };
        let waves = [run("r4", Some("r3")), run("r3", Some("r3")), run("r2", Some("r1")), run("r1", Some("r1"))];
        assert_eq!(ids(&waves, Some("shop")), "r3 r4");
        assert_eq!(ids(&waves, None), "r3 r4");
        assert_eq!(ids(&waves[..1], Some("r4")), "r4");
        assert_eq!(ids(&[run("r2", None), run("r1", None)], Some("shop")), "r2");
    }

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
