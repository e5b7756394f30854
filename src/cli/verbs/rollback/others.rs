//! Names the parts of a run that remain after a rollback without its journal: its other load balancers, and the run
//! itself, which is still unfinished on the machine that started it. Neither delays nor fails a rollback: the search
//! runs in parallel with the writes, and its result is shown after the result of the rollback.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::adapter::aws::SdkConfig;
use crate::app::connect;
use crate::cli::term;
use crate::domain::elb::balancer::LoadBalancer;
use crate::domain::emergency::{balancer_tag, route_tag};
use crate::engine::marker;
use crate::plan::model::Selector;
use crate::port::Detail;
use crate::port::store::Store;

/// The maximum time to search for load balancers.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Shows the command that ends each of these runs, unless this store says that the run is finished. `markers` are the
/// values of their markers.
pub async fn show_unfinished(store: Option<&dyn Store>, runs: &[String], markers: &[String]) {
    for run in runs {
        let found = match store {
            Some(store) => store.find(run).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let known = found.iter().find(|known| known.id == *run);
        if known.is_none_or(|known| known.finished.is_none()) {
            let owner =
                markers.iter().find(|value| marker::run_of(value) == run).and_then(|value| value.split(' ').nth(1));
            let place = match (known, owner) {
                (Some(_), _) => String::new(),
                (None, Some(owner)) => format!(", on the machine of {owner}"),
                (None, None) => ", on the machine where it was started".to_owned(),
            };
            term::print_error(&format!("run {run} is still unfinished; to end it{place}: cutover rollback {run}"));
        }
    }
}

/// Searches for the other load balancers that have tags of one of these runs, and returns a line for each, with the
/// command that rolls it back.
pub async fn find(config: SdkConfig, runs: Vec<String>, restored: Vec<String>) -> Vec<String> {
    if runs.is_empty() {
        return Vec::new();
    }
    let balancer = connect::balancer(&config);
    let all = Selector::Tags(BTreeMap::new());
    let found = connect::reads().read(0, balancer.inventory.load_balancers(&all, Detail::Listed));
    let why = match tokio::time::timeout(TIMEOUT, found).await {
        Ok(Ok(found)) => return lines(&found, &runs, &restored),
        Ok(Err(why)) => why.to_string(),
        Err(_) => format!("no response within {} s", TIMEOUT.as_secs()),
    };
    vec![format!(
        "it is unknown whether the run also moved traffic of other load balancers ({why}); \
         to find them: cutover rollback"
    )]
}

/// Returns a line for each load balancer with a tag of one of the runs that was not restored.
fn lines(found: &[LoadBalancer], runs: &[String], restored: &[String]) -> Vec<String> {
    let run_of = |lb: &LoadBalancer| {
        let marker = lb.tags.get(marker::KEY).map(|value| marker::run_of(value).to_owned());
        let weights = lb.tags.get(route_tag::KEY).map(|value| balancer_tag::run_of(value).to_owned());
        [marker, weights].into_iter().flatten().find(|run| runs.contains(run))
    };
    let line = |lb: &LoadBalancer| {
        let (name, run) = (&lb.name, run_of(lb)?);
        Some(format!(
            "NOT ROLLED BACK: {name}, whose traffic run {run} also moves; \
             to roll it back: cutover rollback --load-balancer {name}"
        ))
    };
    found.iter().filter(|lb| !restored.contains(&lb.arn)).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;

    #[test]
    fn only_other_load_balancers_of_the_run_are_named() {
        let named = |name: &str, key: &str, value: &str| LoadBalancer {
            name: name.into(),
            arn: format!("arn/{name}"),
            tags: [(key.to_owned(), value.to_owned())].into(),
            ..fixture::load_balancer()
        };
        let found = [
            named("internal", marker::KEY, "shop-1 alice@mac now"),
            named("public", marker::KEY, "shop-1 alice@mac now"),
            named("unmarked", route_tag::KEY, "1 shop-1"),
            named("other", marker::KEY, "else-1 bob@mac now"),
        ];
        let lines = lines(&found, &["shop-1".to_owned()], &["arn/internal".to_owned()]);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with("cutover rollback --load-balancer public"), "{lines:?}");
        assert!(lines[1].ends_with("cutover rollback --load-balancer unmarked"), "{lines:?}");
    }
}
