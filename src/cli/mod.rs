//! The command line: one small file a verb; rendering is pure.

pub mod args;
pub mod exit;
pub mod log;
pub mod render;
pub mod term;
pub mod verbs;

use std::ffi::OsString;

use args::{Cutover, Verb};
use exit::{Exit, Failure};

/// Reads the command line, does what it says, and tells standard error what went wrong.
pub fn run(argv: impl IntoIterator<Item = OsString>) -> Exit {
    let args = match Cutover::read(argv) {
        Ok(args) => args,
        Err(error) => {
            // Help and version come this way too; a closed pipe is nobody's failure.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let style = term::style_err(args.global.color);
    log::start(args.global.log_level, style.color);
    match dispatch(&args) {
        Ok(exit) => exit,
        Err(failure) => {
            term::complain(&failure.to_string());
            failure.exit
        }
    }
}

fn dispatch(args: &Cutover) -> Result<Exit, Failure> {
    match &args.verb {
        Verb::Completions(args) => verbs::completions::run(args),
        Verb::Man(args) => verbs::man::run(args),
        _ => Err(Failure::new(Exit::Usage, "this build does not have that verb yet")),
    }
}
