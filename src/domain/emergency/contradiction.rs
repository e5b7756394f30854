//! Recognizes a rollback to named groups that is the opposite of the weights in the tags of a run: the groups were
//! probably swapped.

use super::balancer_tag;
use super::route_tag::{self, RouteTag, TaggedGroup};
use super::{LoadBalancerReading, MARKER_KEY};
use crate::base::arn::short;
use crate::base::number::percent;
use crate::domain::run::event::{RouteStart, Started};

/// A rollback that contradicts the weights in the tags of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The run that wrote the tags.
    pub run: String,
    /// The shares in the tags of the first route that contradicts them, such as `shop-a 100 %, shop-b 0 %`.
    pub recorded: String,
    /// The name of a group that had no traffic before the run, and gets all traffic of this route.
    pub gains: String,
}

/// Returns the contradiction of the first route that gives its traffic to a group without traffic before the run, and
/// takes it from a group that had traffic before the run. Ignores tags if the marker names another run.
pub fn find(seen: &LoadBalancerReading, started: &Started) -> Option<Contradiction> {
    let own = &seen.load_balancer.tags;
    let marker = own.get(MARKER_KEY).and_then(|value| value.split(' ').next());
    let together = own.get(route_tag::KEY).and_then(|value| balancer_tag::read(value)).map(|tag| tag.route_tag);
    started.routes.iter().find_map(|route| {
        let live = seen.routes().find(|live| live.id == route.id);
        let alone = live.and_then(|live| route_tag::read(live.tags.get(route_tag::KEY)?));
        let tag = alone.or_else(|| together.clone()).filter(|tag| marker.is_none_or(|run| run == tag.run))?;
        contradiction(route, &tag)
    })
}

fn contradiction(route: &RouteStart, tag: &RouteTag) -> Option<Contradiction> {
    let tagged = |arn: &str| tag.groups.iter().find(|group| group.managed && group.id == route_tag::id(arn));
    let requested = &route.content.split;
    let gains =
        route.groups.values().find(|arn| requested.carries(arn) && tagged(arn).is_some_and(|g| !g.carries()))?;
    let loses = |arn: &String| !requested.carries(arn) && tagged(arn).is_some_and(TaggedGroup::carries);
    route.groups.values().find(|arn| loses(arn))?;
    let weight = |group: &TaggedGroup| if group.carries() { group.weight.map_or(1.0, f64::from) } else { 0.0 };
    let total: f64 = tag.groups.iter().filter(|group| group.managed).map(weight).sum();
    let known = route.groups.values().filter_map(|arn| Some((short(arn), tagged(arn)?)));
    let share = |(name, group): (&str, &TaggedGroup)| format!("{name} {} %", percent(weight(group) * 100.0 / total));
    Some(Contradiction {
        run: tag.run.clone(),
        recorded: known.map(share).collect::<Vec<_>>().join(", "),
        gains: short(gains).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::emergency::from_names;
    use crate::domain::fixture::{self, live_resources};
    use crate::domain::traffic::Split;

    const GROUP: &str = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup";

    /// Returns a load balancer whose routes have half of the traffic on each side, with the tags of a run that began
    /// with all traffic on `shop-a`.
    fn seen() -> LoadBalancerReading {
        let [a, b] = ["shop-a/00000000000000aa", "shop-b/00000000000000bb"].map(|id| format!("{GROUP}/{id}"));
        let mut start = fixture::started(4);
        start.start = None;
        let mut listeners = live_resources().listeners.remove(fixture::LB).and_then(Result::ok).unwrap_or_default();
        for route in listeners.iter_mut().flat_map(|(_, routes)| routes).filter(|r| r.forwards().is_some()) {
            let was = fixture::forward(&[]).with_split(&Split::of([(a.clone(), 100), (b.clone(), 0)]));
            let groups = [("a".into(), a.clone()), ("b".into(), b.clone())].into();
            let old = RouteStart { groups, content: was.clone(), ..start.routes[0].clone() };
            route.tags.extend(route_tag::value("shop-1", &start, &old).map(|text| (route_tag::KEY.to_owned(), text)));
            route.content = was.with_split(&Split::of([(a.clone(), 50), (b.clone(), 50)]));
        }
        LoadBalancerReading::of(listeners)
    }

    fn found(seen: &LoadBalancerReading, back_to: &str, away_from: &str) -> Option<Contradiction> {
        let way = from_names::prepare(seen, &[back_to.to_owned()], &[away_from.to_owned()]).unwrap();
        find(seen, &way.started)
    }

    #[test]
    fn swapped_groups_contradict_the_tags() {
        assert_eq!(found(&seen(), "*-a", "*-b"), None);
        let swapped =
            Contradiction { run: "shop-1".into(), recorded: "shop-a 100 %, shop-b 0 %".into(), gains: "shop-b".into() };
        assert_eq!(found(&seen(), "*-b", "*-a"), Some(swapped));
    }

    #[test]
    fn tags_of_another_run_than_the_marker_are_ignored() {
        let mut seen = seen();
        seen.load_balancer.tags.insert(MARKER_KEY.into(), "shop-2 alice@mac now".into());
        assert_eq!(found(&seen, "*-b", "*-a"), None);
    }
}
