//! Represents routes, members, weights and shares independently of the kind of load balancer. Terms of a vendor belong
//! in the module of the vendor, such as [`elb`](super::elb).

mod census;
mod content;
pub mod evacuation;
mod owner;
mod reading;
mod route;
pub mod shares;
mod split;

use std::collections::BTreeMap;

pub use census::{FoundRoute, RouteCensus, UnreadRoute, same_conditions};
pub use content::{ClientStickiness, RouteContent, VendorConfig};
pub use owner::{ExternalOwner, OwnerTool};
pub use reading::{Reading, Unreadable};
pub use route::{RouteId, RouteKind};
pub use split::{Limits, Member, Split};

/// The name of a cluster in the plan.
pub type ClusterName = String;

/// The tags of a resource, by key.
pub type Tags = BTreeMap<String, String>;

/// The shares of the managed part by cluster, in percent, with a sum of 100.
pub type Shares = BTreeMap<ClusterName, u32>;
