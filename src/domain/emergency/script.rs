//! Generates the break-glass script, which restores every original action with `aws` CLI commands, in case this program
//! is not available.
//!
//! The script requires only a POSIX shell and the `aws` CLI. An operator can also type the command of each route. The script
//! restores the complete actions that the run read at its start. The OIDC client secret is never read and stays
//! unchanged (`UseExistingClientSecret`).

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{MARKER_KEY, route_tag};
use crate::base::arn;
use crate::domain::elb;
use crate::domain::haproxy::{self, Backend, is_haproxy};
use crate::domain::run::event::{RouteStart, Started};
use crate::domain::run::header_rule;
use crate::domain::run::script_use;
use crate::domain::traffic::RouteKind;
use crate::plan::model::MarkerMode;

/// The name of the script in the run's folder.
pub const NAME: &str = "break-glass.sh";

/// Number of parallel commands. A CLI process needs half a second of processor time to start, and AWS accepts 20 writes
/// at once.
const PARALLEL_COMMANDS: usize = 8;

/// Number of resources whose tags AWS removes in one call.
const RESOURCES_PER_CALL: usize = 20;

/// Generates the script of a run. Default actions come first; the tags of the run are removed when all routes are
/// restored. With `marker: none` in the plan, the script reads and writes no tags, as the run does.
pub fn script(run: &str, started: &Started, policy: MarkerMode, now: Timestamp) -> String {
    let (haproxy, aws): (Vec<_>, Vec<_>) = started.routes.iter().cloned().partition(|route| is_haproxy(route.id.id()));
    if haproxy.is_empty() {
        return aws_script(run, started, policy, now);
    }
    let backends = haproxy.iter().filter_map(|route| Some((Backend::parse(route.id.id())?, &route.content)));
    let backends: Vec<_> = backends.collect();
    let head = HAPROXY_HEAD.replace("{run}", run).replace("{time}", &now.strftime("%F %T UTC").to_string());
    let block = haproxy::script(&backends);
    let tail = HAPROXY_TAIL.replace("{all}", &haproxy.len().to_string());
    let rest = if aws.is_empty() {
        END.replace("{run}", run)
    } else {
        let load_balancers = started.load_balancers.iter().filter(|id| !is_haproxy(id)).cloned().collect();
        aws_script(run, &Started { routes: aws, load_balancers, ..started.clone() }, policy, now)
    };
    format!("{head}{block}{tail}{}", rest.strip_prefix("#!/bin/sh\n").unwrap_or(&rest))
}

/// Generates the script of a run whose routes are all in AWS.
fn aws_script(run: &str, started: &Started, policy: MarkerMode, now: Timestamp) -> String {
    let first = started.routes.first().map_or("", |r| r.id.id());
    let (region, account) = (arn::region(first), arn::account(first));
    let mut routes: Vec<_> = started.routes.iter().collect();
    routes.sort_by_key(|r| r.id.kind());
    let several = started.load_balancers.len() > 1;
    let commands: String = routes.iter().filter_map(|r| command(r, several)).map(|c| c + "\n").collect();
    let head = HEAD.replace("{run}", run).replace("{time}", &now.strftime("%F %T UTC").to_string());
    let head = head
        .replace("{account}", account)
        .replace("{region}", region)
        .replace("{parallel}", &PARALLEL_COMMANDS.to_string())
        .replace("{all}", &routes.len().to_string())
        .replace("{groups}", &groups_with_traffic(&routes));
    let tail = TAIL
        .replace("{all}", &routes.len().to_string())
        .replace("{run}", run)
        .replace("{marker}", MARKER_KEY)
        .replace("{trace}", script_use::KEY)
        .replace("{weights}", route_tag::KEY);
    let tags = if policy == MarkerMode::Tag { tag_commands(started) } else { String::new() };
    let connections = if started.routes.iter().any(|r| r.keeps_connections) { CONNECTIONS } else { "" };
    let headers = header_rules(run, started);
    format!("{head}\n{commands}{headers}{tail}{tags}{connections}{}", END.replace("{run}", run))
}

/// Returns the commands that remove the header rules of the run; empty if its plan makes none. The script is written
/// before the rules are made, so it finds them by their tag. The weights go first: a call that fails here delays
/// nothing else.
fn header_rules(run: &str, started: &Started) -> String {
    if started.header_rules.is_empty() && !started.text.contains("setHeaderRoute") {
        return String::new();
    }
    let listeners: BTreeSet<_> = started.routes.iter().map(|route| route.listener.as_str()).collect();
    let line = |arn: &str| format!("unroute {} {}\n", arn::region(arn), quote(arn));
    let commands: String = listeners.into_iter().map(line).collect();
    let head = HEADER_RULES.replace("{run}", run).replace("{tag}", header_rule::TAG_KEY);
    format!("{}{commands}{HEADER_RULES_END}", head.replace("{parallel}", &PARALLEL_COMMANDS.to_string()))
}

/// Returns the names of the groups that the script sends traffic to.
fn groups_with_traffic(routes: &[&RouteStart]) -> String {
    let split = |route: &&RouteStart| route.content.forward_split().cloned();
    let splits: Vec<_> = routes.iter().filter_map(split).collect();
    let groups = splits.iter().flat_map(|split| split.ids().filter(|id| split.carries(id)));
    let names: BTreeSet<_> = groups.map(|id| arn::short(id)).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// Returns the commands that tag the load balancers with the use of the script, remove their markers, and then the
/// weights from all tags.
fn tag_commands(started: &Started) -> String {
    let balancers = started.load_balancers.iter();
    let each = |verb| move |arn: &String| format!("{verb} {} {}", arn::region(arn), quote(arn));
    let mut commands: Vec<_> =
        balancers.clone().map(each("record")).chain(balancers.clone().map(each("release"))).collect();
    let tagged: Vec<_> = balancers.map(String::as_str).chain(started.routes.iter().map(|r| r.id.id())).collect();
    commands.extend(tagged.chunks(RESOURCES_PER_CALL).map(|some| {
        let region = some.first().map_or("", |arn| arn::region(arn));
        format!("untag {region} {}", some.iter().map(|arn| quote(arn)).collect::<Vec<_>>().join(" "))
    }));
    commands.join("\n")
}

/// Returns the line of the script that restores a route; `None` if the route is not an ELBv2 route. With several load
/// balancers, the label begins with the name of the load balancer.
fn command(route: &RouteStart, several: bool) -> Option<String> {
    let balancer = if several { format!("{} ", arn::name(&route.load_balancer)) } else { String::new() };
    Some(format!("restore {} {}", quote(&format!("{balancer}{}", route.label)), write_command(route)?))
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

const HAPROXY_HEAD: &str = r"#!/bin/sh
# Break glass: restores the weights of HAProxy to their state when the run {run} began ({time}).
# You can run it again. If the cutover program is available, `cutover rollback` is faster and checks more.
set -u
";

const HAPROXY_TAIL: &str = r#"
if [ "$haproxy_failed" != 0 ]; then
    echo "$haproxy_failed of {all} backends of HAProxy were not restored: run this script again" >&2
    trap 'exit 5' EXIT
else
    echo "HAProxy accepted all {all} backends: the weights are those of the start of the run"
fi
"#;

const HEAD: &str = r#"#!/bin/sh
# Break glass: restores every listener and rule to its state when the run {run} began ({time}); a route that joined
# later, to its state at that time.
# Needs a shell and the aws CLI, with credentials of account {account} that allow ModifyRule and ModifyListener;
# DescribeTags, AddTags and RemoveTags for the tags at the end, which the traffic does not need.
# You can run it again. To restore one route by hand, type its line below from `aws` on. If the cutover program is
# available, `cutover rollback` is faster and checks more.
set -u
export AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=50 AWS_PAGER=

who=$(aws sts get-caller-identity --region {region} --query Account --output text) \
    || echo "the credentials could not be checked; trying to restore all the same" >&2
[ -z "$who" ] || [ "$who" = "{account}" ] || {
    echo "these credentials belong to account $who, not to {account}: nothing was changed" >&2
    exit 3
}
echo "restoring {all} routes, {parallel} at a time: the traffic goes back to {groups}"

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
    [ -n "$who" ] || echo "log in (such as aws sso login) or set AWS_PROFILE first, if the errors above name the credentials" >&2
    echo "$failed of {all} routes were not restored: run this script again" >&2
    exit 5
fi
echo "AWS accepted all {all} routes: the shares are those of the start of the run"

# Says to every machine that this script was used. The end of the next run removes this tag.
record() {
    aws elbv2 add-tags --region "$1" --resource-arns "$2" \
        --tags "Key={trace},Value={run} $(date -u +%Y-%m-%dT%H:%M:%SZ)" \
        && echo "recorded    this at $2" || echo "NOT RECORDED by the tag {trace} of $2: it does no harm" >&2
}
# The tags of the run refuse other runs. Those of another run stay.
foreign=
release() {
    owner=$(aws elbv2 describe-tags --region "$1" --resource-arns "$2" --output text \
        --query "TagDescriptions[].Tags[?Key=='{marker}'].Value[]") || owner=unknown
    case $owner in
    "" | None) ;;
    "{run} "*)
        aws elbv2 remove-tags --region "$1" --tag-keys {marker} --resource-arns "$2" \
            && echo "removed     the marker of $2" || echo "NOT REMOVED the tag {marker} of $2" >&2
        ;;
    *)
        foreign=1
        echo "kept        the tags: the marker of $2 belongs to $owner" >&2
        ;;
    esac
}
untag() {
    region=$1
    shift
    [ -z "$foreign" ] || return 0
    aws elbv2 remove-tags --region "$region" --tag-keys {weights} --resource-arns "$@" \
        && echo "removed     the original weights from the tags of $# resources" \
        || echo "NOT REMOVED the tag {weights} of $# resources: it does no harm" >&2
}
"#;

/// Only in the script of a run whose plan makes header rules.
const HEADER_RULES: &str = r#"
# The rules that `setHeaderRoute` of this run made are found by their tag: this needs DescribeRules, DescribeTags and
# DeleteRule. The weights above do not wait for it.
collect
unrestored=$failed failed=0 unread=0
unroute() {
    region=$1 listener=$2
    rules=$(aws elbv2 describe-rules --region "$region" --listener-arn "$listener" --output text \
        --query "Rules[?Conditions[?Field=='http-header']].[RuleArn]") \
        && { [ -z "$rules" ] || rules=$(echo "$rules" | xargs -n 20 aws elbv2 describe-tags --region "$region" \
            --query "TagDescriptions[?Tags[?Key=='{tag}' && starts_with(Value, '{run} ')]].[ResourceArn]" \
            --output text --resource-arns); } \
        || { echo "NOT REMOVED the header rules of $listener: they cannot be read" >&2; unread=$((unread + 1)); return; }
    for rule in $rules; do
        { try aws elbv2 delete-rule --region "$region" --rule-arn "$rule" && echo "removed     the header rule $rule" \
            || { echo "NOT REMOVED the header rule $rule" >&2; false; }; } &
        batch="$batch $!"
        set -- $batch
        [ $# -lt {parallel} ] || collect
    done
}
"#;

const HEADER_RULES_END: &str = r#"
collect
if [ "$((failed + unread))" != 0 ]; then
    echo "header rules are left: requests with their headers still go to the other groups; run this script again" >&2
    trap 'exit 5' EXIT
fi
failed=$unrestored
"#;

/// Only in the script of a run with routes whose connections outlive a change of the weights.
const CONNECTIONS: &str = r#"
echo "new connections go to these groups; existing connections to other groups remain until they close""#;

const END: &str = r#"
echo "next: on the machine where the run was started, type: cutover rollback {run}"
echo "      it reads every route, and ends the run; until then that machine refuses a new run of the plan"
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;

    #[test]
    fn script_has_a_command_per_route_with_default_actions_first() {
        let started = fixture::started(10);
        let text = script("alpha-1", &started, MarkerMode::Tag, Timestamp::UNIX_EPOCH);
        let commands: Vec<_> = text.lines().filter(|l| l.starts_with("restore '")).collect();
        assert_eq!(commands.len(), started.routes.len());
        let rules: Vec<_> = commands.iter().map(|c| c.contains("modify-rule")).collect();
        assert!(rules.is_sorted(), "{commands:#?}");
        assert!(text.starts_with("#!/bin/sh\n") && text.contains("8 ]") && text.contains("all 2 routes:"), "{text}");
        assert!(text.contains("restoring 2 routes, 8 at a time: the traffic goes back to webapp-"), "{text}");
    }

    #[test]
    fn script_removes_the_tags_of_the_run_after_all_routes_and_names_what_is_next() {
        let started = fixture::started(10);
        let text = script("alpha-1", &started, MarkerMode::Tag, Timestamp::UNIX_EPOCH);
        let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}\n{text}"));
        let order = [
            "\nrestore '",
            "AWS accepted all 2 routes",
            "\nrecord ",
            "\nrelease ",
            "\nuntag ",
            "cutover rollback alpha-1\"",
        ];
        assert!(order.map(place).is_sorted(), "{text}");
        assert!(text.contains("\"alpha-1 \"*)") && !text.contains("{run}") && !text.contains("{marker}"), "{text}");
        assert!(
            text.contains("Key=cutover.dev/break-glass,Value=alpha-1 $(date") && !text.contains("{trace}"),
            "{text}"
        );
        let untag = text.lines().find(|line| line.starts_with("untag ")).unwrap_or_default();
        assert!(started.routes.iter().all(|route| untag.contains(route.id.id())), "{untag}");
        let connections = "\necho \"new connections go to these groups; existing connections";
        assert!(!text.contains(connections), "{text}");
        let mut kept = started.clone();
        kept.routes[0].keeps_connections = true;
        let kept = script("alpha-1", &kept, MarkerMode::Tag, Timestamp::UNIX_EPOCH);
        assert!(kept.contains(connections), "{kept}");
        let none = script("alpha-1", &started, MarkerMode::None, Timestamp::UNIX_EPOCH);
        assert!(["\nrecord ", "\nrelease ", "\nuntag "].iter().all(|verb| !none.contains(verb)), "{none}");
    }

    #[test]
    fn script_of_a_plan_with_a_header_route_removes_the_rules_after_the_weights() {
        let mut started = fixture::started(10);
        let without = script("alpha-1", &started, MarkerMode::None, Timestamp::UNIX_EPOCH);
        assert!(!without.contains("delete-rule"), "{without}");
        started.text = "steps: [setHeaderRoute: {}]".to_owned();
        let text = script("alpha-1", &started, MarkerMode::None, Timestamp::UNIX_EPOCH);
        let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}\n{text}"));
        let order = ["\nrestore '", "starts_with(Value, 'alpha-1 ')", "\nunroute ", "AWS accepted all 2 routes"];
        assert!(order.map(place).is_sorted() && !text.contains("{tag}") && !text.contains("{parallel}"), "{text}");
        assert_eq!(text.matches("\nunroute ").count(), 1, "both routes are on one listener: {text}");
    }

    #[test]
    fn quoted_text_is_one_word_of_the_shell() {
        assert_eq!(quote("it's; $(here) \"too\""), r#"'it'\''s; $(here) "too"'"#);
    }
}
