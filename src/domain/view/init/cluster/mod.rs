//! Generates a plan for a whole cluster (`cutover init --from-cluster A --to-cluster B`): finds the counterpart of every
//! bound target group, and writes workloads, waves by namespace and hand-overs. A doubtful pair is left out with a
//! comment, never guessed. The engine reads the facts; do not add I/O.

mod collect;
mod comments;
mod counterpart;
mod hand_over;
mod model;
mod names;
mod render;
#[cfg(test)]
mod tests;

pub use hand_over::KINDS;
pub use model::{ClusterInitFacts, ClusterInitRequest};
pub use names::access_name;

use super::model::InitError;

/// Returns the plan's YAML, with comments at the top.
///
/// # Errors
/// The clusters are one cluster, the old cluster has no bindings, nothing can move, or the plan is too large.
pub fn write(request: &ClusterInitRequest, facts: &ClusterInitFacts) -> Result<String, InitError> {
    let names = names::ClusterNames::new(&request.from_cluster, &request.to_cluster);
    if request.from_cluster == request.to_cluster {
        return Err(names.same_cluster(String::new()));
    }
    if facts.is_one_cluster {
        return Err(names.same_cluster(", because the namespace `kube-system` has one UID".to_owned()));
    }
    if facts.from_bindings.is_empty() {
        return Err(InitError::NoBindings(names.from.full));
    }
    let collected = collect::collect(request, facts, &names);
    if collected.moves.is_empty() {
        return Err(InitError::NothingMoves { cluster: names.from.full, why: collected.left_out });
    }
    render::render(request, facts, &names, &collected)
}
