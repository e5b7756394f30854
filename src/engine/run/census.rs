//! Lists the routes of many load balancers in parts: a few calls at a time, instead of hundreds of calls at once. Do
//! not decide here when the routes are listed.

use jiff::Timestamp;

use crate::domain::traffic::{FoundRoute, Reading, Unreadable};
use crate::engine::observation;
use crate::port::Traffic;

/// A list of all routes that is being read.
#[derive(Debug)]
pub struct CensusParts {
    began: Timestamp,
    /// The load balancers that are not listed yet.
    left: Vec<String>,
    /// The number of load balancers in a part.
    size: usize,
    found: Vec<FoundRoute>,
}

impl CensusParts {
    /// Begins to list the routes of these load balancers in at most `parts` parts.
    pub fn new(load_balancers: &[String], parts: usize, now: Timestamp) -> Self {
        let size = load_balancers.len().div_ceil(parts.max(1)).max(1);
        Self { began: now, left: load_balancers.to_vec(), size, found: Vec::new() }
    }

    /// Reads the next part. Returns the complete list after the last part, with the time at which the first part began;
    /// or why a part cannot be read.
    pub async fn read_next(&mut self, traffic: &dyn Traffic) -> Option<Reading<Vec<FoundRoute>>> {
        let rest = self.left.split_off(self.size.min(self.left.len()));
        let part = std::mem::replace(&mut self.left, rest);
        let value: Result<_, Unreadable> = observation::list_routes_of(&part, traffic).await;
        match value {
            Ok(found) => self.found.extend(found),
            Err(why) => return Some(Reading { at: self.began, value: Err(why) }),
        }
        let complete = self.left.is_empty();
        complete.then(|| Reading { at: self.began, value: Ok(std::mem::take(&mut self.found)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::FakeTags;

    #[tokio::test]
    async fn routes_are_listed_a_few_load_balancers_at_a_time() {
        let (fake, now) = (FakeTags::default(), Timestamp::UNIX_EPOCH);
        let balancers: Vec<_> = (0..5).map(|n| format!("lb-{n}")).collect();
        let mut census = CensusParts::new(&balancers, 3, now);
        let mut lists = Vec::new();
        for _ in 0..3 {
            let complete = census.read_next(&fake).await;
            lists.push((fake.lists(), complete.map(|reading| (reading.at, reading.value.is_ok()))));
        }
        assert_eq!(lists, [(2, None), (4, None), (5, Some((now, true)))]);
    }
}
