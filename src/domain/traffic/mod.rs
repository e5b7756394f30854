//! Routes, members, weights and shares without any vendor's vocabulary, which belongs to the vendor's own module, such
//! as [`elb`](super::elb).

mod census;
mod content;
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

/// A cluster's name in the plan.
pub type ClusterName = String;

/// Tags of a resource, by key.
pub type Tags = BTreeMap<String, String>;

/// Percent of the managed part by cluster; they sum to 100.
pub type Shares = BTreeMap<ClusterName, u32>;
