//! Groups the routes that a run did not bring to the intended state, by reason, so that a hundred routes with one
//! reason become one line.

use crate::base::number::count;
use crate::base::text::list;

/// The routes with one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// The labels of the routes; empty if the text is not about a route.
    pub routes: Vec<String>,
    /// The problem, and what an operator must do about it.
    pub reason: String,
}

impl Unresolved {
    /// Returns the group as one line: `80 rule 1: the rule was deleted`, or `36 routes (80 default, …): …`.
    pub fn text(&self) -> String {
        match self.routes.as_slice() {
            [] => self.reason.clone(),
            [route] => format!("{route}: {}", self.reason),
            routes => format!("{} ({}): {}", count(routes.len(), "route"), list(routes), self.reason),
        }
    }
}

/// Groups texts of the form `route: reason`, in the order of their first route.
pub fn grouped(texts: &[String]) -> Vec<Unresolved> {
    let mut all: Vec<Unresolved> = Vec::new();
    for text in texts {
        let (route, reason) = text.split_once(": ").map_or((None, text.as_str()), |(r, why)| (Some(r), why));
        match all.iter_mut().find(|group| group.reason == reason && !group.routes.is_empty()) {
            Some(group) => group.routes.extend(route.map(str::to_owned)),
            None => {
                all.push(Unresolved { routes: route.map(str::to_owned).into_iter().collect(), reason: reason.into() });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_with_one_reason_are_one_line() {
        let texts = ["80 rule 1: deleted", "80 rule 2: no target", "80 rule 3: no target", "a command failed"];
        let lines: Vec<_> = grouped(&texts.map(str::to_owned)).iter().map(Unresolved::text).collect();
        assert_eq!(lines, ["80 rule 1: deleted", "2 routes (80 rule 2, 80 rule 3): no target", "a command failed"]);
    }
}
