//! Asks the API servers of a plan's clusters for the permissions that the plan needs.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};

use super::connect;
use crate::adapter::aws::SdkConfig;
use crate::domain::traffic::Unreadable;
use crate::domain::view::permissions::{ClusterGrants, Grant};
use crate::port::AccessReview;

/// The maximum number of questions to a cluster at the same time.
const MAX_PARALLEL: usize = 8;

/// The permissions that the caller has in a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterAccessReport {
    /// The name of the cluster in the plan, or `state`.
    pub cluster: String,
    /// The number of permissions that the plan needs there.
    pub needed: usize,
    /// The permissions that the caller lacks, or why the API server could not be asked.
    pub missing: Result<BTreeSet<Grant>, Unreadable>,
}

/// Asks each cluster for its permissions.
pub async fn review(clusters: &[ClusterGrants], config: &SdkConfig) -> Vec<ClusterAccessReport> {
    let mut reports = Vec::new();
    for cluster in clusters {
        let missing = match connect::access_review(&cluster.access, config).await {
            Ok(reviewer) => missing(&*reviewer, &cluster.grants).await,
            Err(why) => Err(why),
        };
        reports.push(ClusterAccessReport { cluster: cluster.name.clone(), needed: cluster.grants.len(), missing });
    }
    reports
}

/// Returns the permissions that the caller lacks.
async fn missing(reviewer: &dyn AccessReview, grants: &BTreeSet<Grant>) -> Result<BTreeSet<Grant>, Unreadable> {
    let mut asked = Vec::new();
    for grant in grants {
        asked.push(async move { (grant, reviewer.allowed(grant).await) });
    }
    let mut missing = BTreeSet::new();
    let mut answers = stream::iter(asked).buffer_unordered(MAX_PARALLEL);
    while let Some((grant, allowed)) = answers.next().await {
        if !allowed? {
            missing.insert(grant.clone());
        }
    }
    Ok(missing)
}
