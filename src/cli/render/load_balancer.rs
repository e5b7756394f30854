//! Renders `status --load-balancer` as text or as JSON lines. Pure: the only input is a [`LoadBalancerView`].

use std::fmt::Write;

use serde_json::{Map, Value};

use super::style::{Style, Tone};
use super::wrap::hang;
use crate::base::duration::format_elapsed;
use crate::base::number::percent;
use crate::domain::emergency::MARKER_KEY;
use crate::domain::emergency::balancer_tag::{self, BalancerTag};
use crate::domain::emergency::route_tag::{self, TaggedGroup};
use crate::domain::health::HealthCounts;
use crate::domain::run::script_use::{self, ScriptUse};
use crate::domain::view::load_balancer::{GroupView, LoadBalancerView, RouteView};

/// Returns the view as text, which ends with a newline.
pub fn text(live: &LoadBalancerView, style: &Style) -> String {
    let mut out = String::new();
    let name = style.paint(Tone::Strong, &live.name);
    let head = format!("{name} ({}) at {}, {}", state(live), style.time_in_zone(live.at), live.dns_name);
    put(&mut out, &hang("", 2, &head, style.width));
    if live.marker.keys().all(|key| key == script_use::KEY) {
        put(&mut out, "no run owns this load balancer (no marker tag)");
    }
    for line in tags_of_run(live) {
        put(&mut out, &hang("", 2, &style.paint(Tone::Warn, &line), style.width));
    }
    if let Some(used) = ScriptUse::of(&live.marker) {
        put(&mut out, &style.paint(Tone::Warn, &used.text()));
    }
    for owner in &live.owners {
        put(&mut out, &style.paint(Tone::Warn, &format!("owner tag {owner}")));
    }
    put(&mut out, &format!("\n{}", style.paint(Tone::Strong, "routes")));
    let width = live.routes.iter().map(|r| r.route.len()).max().unwrap_or(0);
    live.routes.iter().for_each(|line| put(&mut out, &hang("  ", 4, &route(line, width, style), style.width)));
    put(&mut out, &format!("\n{}", style.paint(Tone::Strong, "target groups")));
    let width = live.groups.iter().map(|g| g.name.len()).max().unwrap_or(0);
    live.groups.iter().for_each(|g| put(&mut out, &hang("  ", 4, &group(g, width, style), style.width)));
    out
}

/// Returns what the tags of a run say, and the command that rolls back with them.
fn tags_of_run(live: &LoadBalancerView) -> Vec<String> {
    let line = |(key, value): (&String, &String)| match key.as_str() {
        MARKER_KEY => {
            let mut words = value.split(' ');
            let (run, owner) = (words.next().unwrap_or_default(), words.next().unwrap_or("?"));
            format!("owned by run {run} of {owner} since {}", words.next().unwrap_or("?"))
        }
        route_tag::KEY => {
            let run = balancer_tag::run_of(value);
            let text = balancer_tag::read(value).map(|tag| weights_text(&tag, &live.groups));
            format!(
                "before run {run}: {}",
                text.unwrap_or_else(|| "see the tags of the listeners and rules".to_owned())
            )
        }
        _ => format!("tag {key} = {value}"),
    };
    let known = live.marker.keys().any(|key| [MARKER_KEY, route_tag::KEY].contains(&key.as_str()));
    let back = known.then(|| format!("to roll back: cutover rollback --load-balancer {}", live.name));
    live.marker.iter().filter(|(key, _)| *key != script_use::KEY).map(line).chain(back).collect()
}

/// Returns the weights of every route before a run, such as `every route had shop-a 100, shop-b 0`.
fn weights_text(tag: &BalancerTag, groups: &[GroupView]) -> String {
    let name = |id: &str| groups.iter().find(|g| route_tag::id(&g.arn) == id).map_or(id, |g| &g.name).to_owned();
    let weight = |group: &TaggedGroup| match (group.attached, group.weight) {
        (false, _) => "not attached".to_owned(),
        (true, None) => "alone".to_owned(),
        (true, Some(weight)) => weight.to_string(),
    };
    let managed = tag.route_tag.groups.iter().filter(|group| group.managed);
    let texts: Vec<_> = managed.map(|group| format!("{} {}", name(&group.id), weight(group))).collect();
    format!("every route of the run had the weights {}", texts.join(", "))
}

fn state(live: &LoadBalancerView) -> String {
    match &live.other_type {
        Some(kind) => format!("{}, {kind} load balancer: cutover does not move its traffic", live.state),
        None => live.state.clone(),
    }
}

fn put(out: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{line}");
}

fn route(line: &RouteView, width: usize, style: &Style) -> String {
    let mut parts: Vec<String> = line.other_actions.iter().map(|d| (*d).to_owned()).collect();
    if !line.shares.is_empty() {
        let shares = line.shares.iter().map(|p| {
            let text = format!("{} {} %", p.group, percent(p.share));
            if p.weight == 0 { style.paint(Tone::Faint, &text) } else { text }
        });
        parts.push(shares.collect::<Vec<_>>().join(", "));
    }
    if let Some(seconds) = line.stickiness_seconds {
        let sticky = match seconds {
            0 => "sticky".to_owned(),
            _ => format!("sticky for {}", format_elapsed(jiff::SignedDuration::from_secs(seconds.into()))),
        };
        parts.push(style.paint(Tone::Warn, &sticky));
    }
    parts.extend(line.unreadable.iter().map(|why| style.paint(Tone::Bad, &format!("cannot be read: {why}"))));
    parts.extend(line.owners.iter().map(|o| style.paint(Tone::Warn, &format!("owner tag {o}"))));
    let conditions = if line.conditions.is_empty() {
        String::new()
    } else {
        format!("  {}", style.paint(Tone::Faint, &line.conditions))
    };
    format!("{:width$}  {}{conditions}", line.route, parts.join("; "))
}

fn group(group: &GroupView, width: usize, style: &Style) -> String {
    let health = match (&group.targets, &group.unreadable) {
        (Some(counts), _) => targets(counts, style),
        (None, why) => {
            style.paint(Tone::Bad, &format!("health cannot be read: {}", why.as_deref().unwrap_or("no response")))
        }
    };
    let reasons: Vec<String> = group.reasons.iter().map(|(reason, count)| format!("{count} × {reason}")).collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    let sticky = if group.sticky { "; target stickiness" } else { "" };
    format!("{:width$}  {health}{reasons}{sticky}", group.name)
}

fn targets(counts: &HealthCounts, style: &Style) -> String {
    let registered = counts.healthy + counts.initial + counts.unhealthy + counts.unused + counts.unavailable;
    if registered + counts.draining == 0 {
        return style.paint(Tone::Faint, "no targets");
    }
    let tone = match counts.healthy {
        0 => Tone::Bad,
        healthy if healthy < registered => Tone::Warn,
        _ => Tone::Good,
    };
    let others = [
        (counts.initial, "initial"),
        (counts.unhealthy, "unhealthy"),
        (counts.unused, "unused"),
        (counts.unavailable, "unavailable"),
        (counts.draining, "draining"),
    ];
    let mut parts = vec![style.paint(tone, &format!("{} of {registered} healthy", counts.healthy))];
    parts.extend(others.iter().filter(|(n, _)| *n > 0).map(|(n, state)| format!("{n} {state}")));
    parts.join(", ")
}

/// Returns one JSON object per line: `loadBalancer`, then each `liveRoute`, then each `targetGroup`.
pub fn json(live: &LoadBalancerView) -> String {
    let mut fields = object(live);
    fields.shift_remove("routes");
    fields.shift_remove("groups");
    let mut lines = vec![event("loadBalancer", fields)];
    lines.extend(live.routes.iter().map(|r| event("liveRoute", object(r))));
    lines.extend(live.groups.iter().map(|g| event("targetGroup", object(g))));
    lines.join("\n") + "\n"
}

fn object(value: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn event(name: &str, fields: Map<String, Value>) -> String {
    let named = Map::from_iter([("event".to_owned(), Value::from(name))]);
    Value::Object(named.into_iter().chain(fields).collect()).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::fixture::{each_route, group, group_arn, live_resources, load_balancer};
    use crate::domain::health::{Target, TargetState};
    use crate::domain::traffic::{ClientStickiness, Unreadable};

    fn live() -> LoadBalancerView {
        let (mut world, mut load_balancer) = (live_resources(), load_balancer());
        each_route(&mut world, |r| {
            if r.priority == Some(15) {
                r.content.stickiness = Some(ClientStickiness { enabled: true, seconds: Some(600) });
                r.content.split.members[1].weight = Some(50);
                r.tags.insert("managed-by".to_owned(), "terraform".to_owned());
            }
        });
        load_balancer.tags.insert("cutover".to_owned(), "run-1 alice@mac".to_owned());
        let listeners: Vec<_> = world.listeners.into_values().flatten().flatten().collect();
        let target = |state, reason: Option<&str>| Target {
            id: "10.0.0.1".to_owned(),
            port: 80,
            zone: None,
            state,
            reason: reason.map(str::to_owned),
            explanation: None,
        };
        let sick = vec![target(TargetState::Healthy, None), target(TargetState::Unhealthy, Some("Target.Timeout"))];
        let health = BTreeMap::from([
            (group_arn("webapp-a"), Ok(vec![target(TargetState::Healthy, None)])),
            (group_arn("webapp-b"), Ok(sick)),
            (group_arn("third"), Err(Unreadable::Throttled)),
            (group_arn("webapp-default"), Ok(Vec::new())),
        ]);
        let groups: Vec<_> = ["webapp-a", "webapp-b", "webapp-default", "third"].map(group).into();
        LoadBalancerView::new(
            "2026-11-20T12:00:00Z".parse().unwrap_or_default(),
            &load_balancer,
            &listeners,
            &groups,
            &health,
        )
    }

    #[test]
    fn text_shows_every_route_and_group() {
        insta::assert_snapshot!(text(&live(), &Style::plain()));
    }

    #[test]
    fn wide_routes_are_wrapped_at_words_below_their_label() {
        let style = crate::cli::render::fixture::screen(80);
        let text = text(&live(), &style);
        crate::cli::render::fixture::assert_fits(&text, 80);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let plain = super::text(&live(), &Style { width: None, ..style });
        assert!(text.lines().count() > plain.lines().count() && words(&text) == words(&plain), "{text}");
    }

    #[test]
    fn trace_of_a_break_glass_script_is_not_an_owner() {
        let mut view = live();
        view.marker = [(script_use::KEY.to_owned(), "alpha-1 2026-03-01T14:02:09Z".to_owned())].into();
        let text = text(&view, &Style::plain());
        assert!(text.contains("no run owns this load balancer"), "{text}");
        let said = "\nthe break-glass script of run alpha-1 put the traffic back at 2026-03-01 14:02:09 UTC\n";
        assert!(text.contains(said), "{text}");
    }

    #[test]
    fn another_type_of_load_balancer_is_named() {
        let gateway = LoadBalancerView { other_type: Some("gateway".to_owned()), ..live() };
        let text = text(&gateway, &Style::plain());
        assert!(text.contains("(active, gateway load balancer: cutover does not move its traffic)"), "{text}");
        assert!(json(&gateway).contains("\"otherType\":\"gateway\"") && !json(&live()).contains("otherType"));
    }

    #[test]
    fn json_has_one_object_per_line_with_the_name_of_its_event() {
        let text = json(&live());
        let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap_or_default()).collect();
        let count = |name: &str| lines.iter().filter(|l| l["event"] == name).count();
        assert_eq!([count("loadBalancer"), count("liveRoute"), count("targetGroup")], [1, 8, 4]);
        assert_eq!(lines[2]["stickinessSeconds"], 600);
        assert!(lines[0].get("routes").is_none());
    }
}
