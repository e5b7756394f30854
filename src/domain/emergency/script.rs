//! Generates the break-glass script, which restores every original action with `aws` CLI commands, in case this program
//! is not available.
//!
//! The script requires only a POSIX shell and the `aws` CLI. An operator can also type each command alone. The script
//! restores the complete actions that the run read at its start. The OIDC client secret is never read and stays
//! unchanged (`UseExistingClientSecret`).

use jiff::Timestamp;

use crate::base::arn;
use crate::domain::elb;
use crate::domain::run::event::{RouteStart, Started};
use crate::domain::traffic::RouteKind;

/// The name of the script in the run's folder.
pub const NAME: &str = "break-glass.sh";

/// Number of parallel commands. A CLI process needs half a second of processor time to start, and AWS accepts 20 writes
/// at once.
const PARALLEL_COMMANDS: usize = 8;

/// Generates the script of a run. Default actions come first.
pub fn script(run: &str, started: &Started, now: Timestamp) -> String {
    let first = started.routes.first().map_or("", |r| r.id.id());
    let (region, account) = (arn::region(first), arn::account(first));
    let mut routes: Vec<_> = started.routes.iter().collect();
    routes.sort_by_key(|r| r.id.kind());
    let commands: String = routes.iter().filter_map(|r| command(r)).map(|c| c + "\n").collect();
    let head = HEAD.replace("{run}", run).replace("{time}", &now.strftime("%F %T UTC").to_string());
    let head = head
        .replace("{account}", account)
        .replace("{region}", region)
        .replace("{parallel}", &PARALLEL_COMMANDS.to_string());
    format!("{head}\n{commands}{}", TAIL.replace("{all}", &routes.len().to_string()))
}

/// Returns the line of the script that restores a route; `None` if the route is not an ELBv2 route.
fn command(route: &RouteStart) -> Option<String> {
    Some(format!("restore {} {}", quote(&route.label), write_command(route)?))
}

/// Returns the command that restores a route; `None` if the route is not an ELBv2 route.
pub(super) fn write_command(route: &RouteStart) -> Option<String> {
    let [verb, resource, actions] = match route.id.kind() {
        RouteKind::Rule => ["modify-rule", "--rule-arn", "--actions"],
        RouteKind::Default => ["modify-listener", "--listener-arn", "--default-actions"],
    };
    let json = serde_json::to_string(&elb::actions(&route.content).ok()?).ok()?;
    let (id, region, json) = (quote(route.id.id()), arn::region(route.id.id()), quote(&json));
    Some(format!("aws elbv2 {verb} --region {region} {resource} {id} {actions} {json}"))
}

/// Returns the command that removes a tag from resources of one region.
pub fn untag(key: &str, arns: &[String]) -> String {
    let region = arns.first().map_or("", |arn| arn::region(arn));
    format!("aws elbv2 remove-tags --region {region} --tag-keys {key} --resource-arns {}", arns.join(" "))
}

/// Quotes a text as one word of a shell command.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

const HEAD: &str = r#"#!/bin/sh
# Break glass: restores every listener and rule to its state when the run {run} began ({time}); a route that joined
# later, to its state at that time.
# Needs a shell and the aws CLI, with credentials of account {account} that allow ModifyRule and ModifyListener.
# You can run it again, and you can type each line below alone. If the cutover program is available, `cutover rollback`
# is faster and checks more.
set -u
export AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=50 AWS_PAGER=

who=$(aws sts get-caller-identity --region {region} --query Account --output text) && [ "$who" != "{account}" ] && {
    echo "these credentials belong to account $who, not to {account}: nothing was changed" >&2
    exit 3
}

batch= failed=0
restore() {
    label=$1
    shift
    { try "$@" && echo "restored    $label" || { echo "NOT RESTORED $label" >&2; false; }; } &
    batch="$batch $!"
    set -- $batch
    [ $# -lt {parallel} ] || collect
}
# The CLI retries throttled calls, but not every malformed answer.
try() {
    "$@" >/dev/null || { sleep 1; "$@" >/dev/null; } || { sleep 3; "$@" >/dev/null; }
}
collect() {
    for job in $batch; do wait "$job" || failed=$((failed + 1)); done
    batch=
}
"#;

const TAIL: &str = r#"
collect
if [ "$failed" != 0 ]; then
    echo "$failed of {all} routes were not restored: run this script again" >&2
    exit 5
fi
echo "AWS accepted all {all} routes"
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;

    #[test]
    fn script_has_a_command_per_route_with_default_actions_first() {
        let started = fixture::started(10);
        let text = script("alpha-1", &started, Timestamp::UNIX_EPOCH);
        let commands: Vec<_> = text.lines().filter(|l| l.starts_with("restore '")).collect();
        assert_eq!(commands.len(), started.routes.len());
        let rules: Vec<_> = commands.iter().map(|c| c.contains("modify-rule")).collect();
        assert!(rules.is_sorted(), "{commands:#?}");
        assert!(text.starts_with("#!/bin/sh\n") && text.contains("8 ]") && text.contains("all 2 routes\""), "{text}");
    }

    #[test]
    fn quoted_text_is_one_word_of_the_shell() {
        assert_eq!(quote("it's; $(here) \"too\""), r#"'it'\''s; $(here) "too"'"#);
    }
}
