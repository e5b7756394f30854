//! The command line, with one small file for each command. Rendering is pure. Code that another surface would need
//! belongs to `app`.

pub mod args;
pub mod ask;
pub mod command;
pub mod crash_safety;
pub mod help;
pub mod live_dashboard;
pub mod log;
pub mod moves;
pub mod pager;
pub mod reading;
pub mod render;
mod signals;
pub mod state_option;
pub mod subscriber;
pub mod term;
pub mod verbs;

use std::ffi::OsString;

use command::{Cutover, Verb};
use tokio::runtime::Runtime;

use crate::app::connect;
use crate::app::exit::{Exit, Failure};

/// Parses the command line, runs the command, and prints a failure on standard error.
pub fn run(argv: impl IntoIterator<Item = OsString>) -> Exit {
    let argv: Vec<_> = argv.into_iter().collect();
    let args = match Cutover::read(argv.iter().cloned()) {
        Ok(args) => args,
        Err(error) => {
            // clap returns help and version as errors. A closed pipe is not a failure.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let style = term::style_err(args.global.color);
    state_option::remember(&args.global, &argv);
    crash_safety::protect();
    log::start(args.global.log_level, style.color);
    if let Some(limit) = args.global.max_read_time {
        connect::reads().set_limit(limit);
    }
    match dispatch(&args) {
        Ok(exit) => exit,
        Err(failure) => {
            term::print_error(&render::wrap::wrap_below(&failure.to_string(), style.width).join("\n"));
            failure.exit
        }
    }
}

fn dispatch(args: &Cutover) -> Result<Exit, Failure> {
    match &args.verb {
        Verb::Completions(args) => verbs::completions::run(args, Cutover::definition("cutover".as_ref())),
        Verb::Man(args) => verbs::man::run(args, Cutover::definition("cutover".as_ref())),
        Verb::Help(help) => verbs::help::run(&args.global, help, Cutover::definition("cutover".as_ref())),
        Verb::Schema => verbs::schema::run(),
        Verb::Check(check) if check.offline => verbs::check::offline(&args.global, check),
        Verb::Rehearse(rehearse) if rehearse.virtual_time => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
            block_on(runtime, verbs::rehearse::run(&args.global, rehearse))
        }
        _ => block_on(tokio::runtime::Builder::new_multi_thread().enable_all().build(), dispatch_async(args)),
    }
}

fn block_on(
    runtime: std::io::Result<Runtime>,
    verb: impl Future<Output = Result<Exit, Failure>>,
) -> Result<Exit, Failure> {
    let runtime = runtime.map_err(|e| Failure::new(Exit::Internal, e))?;
    let result = runtime.block_on(verb);
    // A blocked read of standard input or a blocked name resolution must not delay the exit.
    runtime.shutdown_background();
    result
}

async fn dispatch_async(args: &Cutover) -> Result<Exit, Failure> {
    let global = &args.global;
    match &args.verb {
        Verb::Init(args) => verbs::init::run(global, args).await,
        Verb::Status(args) => Box::pin(verbs::status::run(global, args)).await,
        Verb::Compare(args) => Box::pin(verbs::compare::run(global, args)).await,
        Verb::Check(args) => Box::pin(verbs::check::run(global, args)).await,
        Verb::Rehearse(args) => Box::pin(verbs::rehearse::run(global, args)).await,
        Verb::Lab(args) => verbs::lab::run(global, args).await,
        Verb::Run(args) => Box::pin(verbs::run::run(global, args)).await,
        Verb::Step(args) => Box::pin(verbs::step::run(global, args)).await,
        Verb::Promote(args) => Box::pin(verbs::steer::promote(global, args)).await,
        Verb::Pause(args) => Box::pin(verbs::steer::pause(global, args)).await,
        Verb::Resume(args) => Box::pin(verbs::steer::resume(global, args)).await,
        Verb::Approve(args) => Box::pin(verbs::steer::approve(global, args)).await,
        Verb::Abort(args) => Box::pin(verbs::steer::abort(global, args)).await,
        Verb::Rollback(args) => Box::pin(verbs::rollback::run(global, args)).await,
        Verb::Evacuate(args) => Box::pin(verbs::evacuate::run(global, args)).await,
        Verb::Finalize(args) => Box::pin(verbs::finalize::run(global, args)).await,
        Verb::Permissions(args) => Box::pin(verbs::permissions::run(global, args)).await,
        Verb::Runbook(args) => Box::pin(verbs::runbook::run(global, args)).await,
        Verb::History(args) => verbs::history::run(global, args).await,
        Verb::Report(args) => verbs::report::run(global, args).await,
        Verb::Help(_) | Verb::Schema | Verb::Completions(_) | Verb::Man(_) => Ok(Exit::Internal),
    }
}
