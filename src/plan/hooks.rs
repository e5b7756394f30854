//! The fields of commands and hooks: what a plan has done outside of itself.

use schemars::json_schema;

use super::decode::{At, Decode, record};
use super::diagnostic::Diagnostic;
use super::file::Header;
use super::scalar::{Period, Query, StepName, Url, one_of, word};
use super::yaml::Node;
use crate::base::finding::Code;

word! {
    /// What a hook comes before or after.
    HookOccasion CUT039 { Bind "bind", Shift "shift", Rollback "rollback", Finish "finish" }
    /// What a failed hook does.
    HookReaction CUT005 { Fail "fail", Ignore "ignore" }
}

record! {
    /// A command or a request before or after something that a run does.
    Hook as "a hook" {
        /// What it is called, in the journal and in scenarios.
        name "name": optional StepName,
        /// Before each `bind` or `shift` step begins (its gates come after it), while a `rollback` is under way, or before the `finish`.
        before "before": optional HookOccasion,
        /// After each `bind` or `shift` step has settled, once a `rollback` has everything back, or after the `finish`.
        after "after": optional HookOccasion,
        /// A command.
        exec "exec": optional HookCommand,
        /// A request.
        http "http": optional HookRequest,
        /// What its failure does: `fail` is as a failed guard (`strategy.onFailure`), and the default before `bind`, `shift` and `finish`; elsewhere it is always `ignore`.
        on_failure "onFailure": optional HookReaction,
    }; exactly CUT039 ["before", "after"]

    /// A command. Exit code 0 is well; `message` of a JSON object on stdout is journalled, and nothing else of what it prints. What it is about is on stdin, as JSON.
    HookCommand as "`exec`" {
        /// Program and arguments; there is no shell unless you name one.
        command "command": required Vec<At<Query>>,
        /// After this it is killed.
        timeout "timeout": optional Period = "1m",
    }

    /// A POST of JSON that says what it is about; any answer of 2xx is well.
    HookRequest as "`http`" {
        /// Where to.
        url "url": required Url,
        /// Headers of the request.
        headers "headers": optional Vec<At<Header>> = [],
        /// How long the answer may take.
        timeout "timeout": optional Period = "10s",
    }

    /// A command as a step. It may be run more than once: again after a crash in its middle.
    ExecStep as "`exec`" {
        /// Program and arguments; there is no shell unless you name one.
        command "command": required Vec<At<Query>>,
        /// What takes it back, in a rollback; in the reverse order of the steps, and once the traffic is back.
        undo "undo": optional Vec<At<Query>>,
        /// After this each of them is killed, and has failed.
        timeout "timeout": optional Period = "10m",
    }
}
