//! Declares the fields of hooks and `exec` steps: commands and HTTP requests of a plan.

use schemars::json_schema;

use super::decode::{Decode, Placed, record};
use super::diagnostic::Diagnostic;
use super::gate_fields::Header;
use super::scalar::{Period, Query, StepName, Url, one_of, word};
use super::yaml::Node;
use crate::base::finding::Code;

word! {
    /// The event of a hook.
    HookOccasion CUT039 { Bind "bind", Shift "shift", Rollback "rollback", Finish "finish" }
    /// What happens when a hook fails.
    HookReaction CUT005 { Fail "fail", Ignore "ignore" }
}

record! {
    /// A command or an HTTP request before or after an event of the run.
    Hook as "a hook" {
        /// The name of the hook in the journal and in scenarios.
        name "name": optional StepName,
        /// Runs before each `bind` or `shift` step begins (before its gates), while a `rollback` is in progress, or
        /// before the `finish` of the run.
        before "before": optional HookOccasion,
        /// Runs after each `bind` or `shift` step has settled, after a `rollback` has restored the traffic, or after
        /// the `finish` of the run.
        after "after": optional HookOccasion,
        /// Runs a command.
        exec "exec": optional HookCommand,
        /// Sends an HTTP request.
        http "http": optional HookRequest,
        /// What happens when the hook fails: `fail` has the effect of a failed guard (`strategy.onFailure`) and is the
        /// default before `bind`, `shift` and `finish`; elsewhere a failure is always ignored (`ignore`).
        on_failure "onFailure": optional HookReaction,
    }; exactly CUT039 ["before", "after"]

    /// A command. It receives a JSON object about the event on standard input. Exit code 0 means success. If standard
    /// output is a JSON object, its field `message` is written to the journal; all other output is discarded.
    HookCommand as "`exec`" {
        /// Program and arguments. No shell is involved unless you call one.
        command "command": required Vec<Placed<Query>>,
        /// The command is killed after this time.
        timeout "timeout": optional Period = "1m",
    }

    /// A POST request with a JSON object about the event. A 2xx status means success.
    HookRequest as "`http`" {
        /// The URL of the request.
        url "url": required Url,
        /// Headers of the request.
        headers "headers": optional Vec<Placed<Header>> = [],
        /// Maximum time until the response is complete.
        timeout "timeout": optional Period = "10s",
    }

    /// A command as a step. After a crash it may run a second time.
    ExecStep as "`exec`" {
        /// Program and arguments. No shell is involved unless you call one.
        command "command": required Vec<Placed<Query>>,
        /// The command that reverses the step in a rollback. Undo commands run in the reverse order of the steps, after
        /// the traffic is restored.
        undo "undo": optional Vec<Placed<Query>>,
        /// Each command is killed after this time, which counts as a failure.
        timeout "timeout": optional Period = "10m",
    }
}
