//! Computes the weights that the routes of a run have without the old cluster, for the code that owns the routes. The
//! text is in `cli::render`.

use serde::Serialize;

use crate::base::arn::short;
use crate::domain::decide::old_group;
use crate::domain::run::state::{Route, State};
use crate::plan::model::Plan;

/// The final weights of some routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FinalWeights {
    /// The labels of the routes.
    pub routes: Vec<String>,
    /// The members of each of the routes.
    pub members: Vec<FinalMember>,
}

/// A member of a route and its final weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FinalMember {
    /// The id of the member, which is an ARN at AWS.
    pub id: String,
    /// The name of the member.
    pub name: String,
    /// The weight, in the unit of the load balancer.
    pub weight: u16,
}

/// Returns the weights after the old groups are detached. Routes with equal weights are together. An old group that
/// still has weight, and therefore cannot be detached, is among the members.
pub fn final_weights(plan: &Plan, state: &State) -> Vec<FinalWeights> {
    let mut all: Vec<FinalWeights> = Vec::new();
    // In the order of the listeners and priorities, as the run found them.
    let routes = state.started.routes.iter().filter_map(|start| state.routes.get(&start.id));
    for route in routes.filter(|route| !route.is_deleted()) {
        let (label, members) = (route.start.label.clone(), members(plan, state, route));
        match all.iter_mut().find(|known| known.members == members) {
            Some(known) => known.routes.push(label),
            None => all.push(FinalWeights { routes: vec![label], members }),
        }
    }
    all
}

fn members(plan: &Plan, state: &State, route: &Route) -> Vec<FinalMember> {
    let split = route.split();
    let old = old_group(plan, route).filter(|old| !split.carries(old));
    let detached = old.and_then(|old| split.detach(&[old]));
    let name = |id: &str| state.started.groups.get(id).map_or_else(|| short(id).to_owned(), |group| group.name.clone());
    let members = detached.as_ref().unwrap_or(split).members.iter();
    let member = members.map(|m| FinalMember { id: m.id.clone(), name: name(&m.id), weight: m.weight.unwrap_or(1) });
    member.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;

    #[test]
    fn the_old_group_is_left_out_only_where_it_has_no_weight() {
        let plan = fixture::plan();
        let mut state = fixture::state(fixture::started(4));
        for (number, route) in state.routes.values_mut().enumerate() {
            let weights = if number == 1 { [1, 99] } else { [0, 100] };
            route.confirmed = fixture::forward(&[("webapp-a", weights[0]), ("webapp-b", weights[1])]);
        }
        let all = final_weights(&plan, &state);
        let names = |weights: &FinalWeights| -> Vec<(String, u16)> {
            weights.members.iter().map(|member| (member.name.clone(), member.weight)).collect()
        };
        let mut found: Vec<_> = all.iter().map(|weights| (weights.routes.len(), names(weights))).collect();
        found.sort_by_key(|(_, members)| members.len());
        let member = |name: &str, weight| (name.to_owned(), weight);
        assert_eq!(
            found,
            [(1, vec![member("webapp-b", 100)]), (1, vec![member("webapp-a", 1), member("webapp-b", 99)])]
        );
    }
}
