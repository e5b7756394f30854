//! Advice for AWS settings, permissions and names that a rollback needs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::adapter::aws::SdkConfig;
use crate::app::connect;
use crate::domain::traffic::Unreadable;
use crate::plan::model::Selector;
use crate::plan::suggest::near_name;
use crate::port::Detail;

/// The message if no AWS region is set.
pub const NO_REGION: &str = "no AWS region is set: set AWS_REGION, or name the load balancer by its ARN";

/// Returns what the operator can do about an unreadable resource.
pub fn remedy(why: &Unreadable) -> Option<&'static str> {
    match why {
        Unreadable::Credentials(_) => {
            Some("log in (such as `aws sso login`) or set AWS_PROFILE, then repeat the command")
        }
        Unreadable::Denied(_) => {
            Some("these credentials lack the permission: use others (AWS_PROFILE), then repeat the command")
        }
        Unreadable::Throttled | Unreadable::Unavailable(_) => Some("repeat the command"),
        Unreadable::Setup(_) | Unreadable::NotFound(_) | Unreadable::Unrepresentable(_) => None,
    }
}

/// The maximum number of load balancers that a message names.
const NAMED: usize = 20;
/// The maximum time to list the load balancers.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the line with the names of the load balancers that exist, after a name that matches none. The name closest
/// to `wanted` comes first, then those that contain it.
pub async fn existing_names(config: &SdkConfig, wanted: &str) -> Option<String> {
    let region = config.region()?.to_string();
    let balancer = connect::balancer(config);
    let all = Selector::Tags(BTreeMap::new());
    let found = connect::reads().read(0, balancer.inventory.load_balancers(&all, Detail::Listed));
    let found = tokio::time::timeout(TIMEOUT, found).await.ok()?.ok()?;
    let mut names: Vec<_> = found.into_iter().map(|lb| lb.name).collect();
    let near = near_name(wanted, names.iter().map(String::as_str)).map(str::to_owned);
    names.sort_by_key(|name| (near.as_ref() != Some(name), !name.contains(wanted), name.clone()));
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    Some(match (names.is_empty(), more) {
        (true, _) => format!("{region} has no load balancer; is the region right?"),
        (false, 0) => format!("load balancers in {region}: {}", names.join(", ")),
        (false, more) => format!("load balancers in {region}: {}, and {more} more", names.join(", ")),
    })
}
