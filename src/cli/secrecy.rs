//! Keeps credentials out of what a crashed process leaves behind: no core dump, and no panic message that may contain
//! one.

use std::any::Any;
use std::panic::{self, PanicHookInfo};

/// Must be called once, before any credential is read. Best effort: unsupported calls are ignored.
pub fn keep() {
    no_core_dump();
    panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info.location().map_or_else(|| "an unknown place".into(), ToString::to_string);
        super::term::complain(&message(&place, info.payload()));
    }));
}

/// Disables core dumps of this process and its children; on Linux also those that a collector reads through a pipe, and
/// access of other processes of this user to its memory.
fn no_core_dump() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// The panic message. A constant text is repeated; a formatted text is left out, because it may quote a credential.
fn message(place: &str, payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&'static str>().copied();
    let why = text.unwrap_or("(the message is left out: it may hold a credential)");
    format!(
        "internal error at {place}: {why}\n\
         The journal is intact. Show the run: cutover status. Continue: cutover resume. Roll back: cutover rollback."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_says_where_and_repeats_only_what_is_fixed() {
        let fixed = panic::catch_unwind(|| panic!("a fixed text")).expect_err("a panic");
        let composed = panic::catch_unwind(|| panic!("{}", "wJalrXUtnFEMI".to_owned())).expect_err("a panic");
        assert!(message("src/x.rs:1:2", &*fixed).starts_with("internal error at src/x.rs:1:2: a fixed text\n"));
        let told = message("src/x.rs:1:2", &*composed);
        assert!(
            told.contains("src/x.rs:1:2") && told.contains("cutover rollback") && !told.contains("wJalrXUtnFEMI"),
            "{told}"
        );
    }
}
