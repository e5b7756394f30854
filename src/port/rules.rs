//! The interface to the rules that a run makes and removes again. Existing rules are never changed through it.

use std::time::Duration;

use async_trait::async_trait;

use super::WriteError;
use crate::domain::run::header_rule::HeaderRule;
use crate::domain::traffic::Tags;

/// Makes and deletes rules. A call is sent only once.
#[async_trait]
pub trait RuleStore: Send + Sync {
    /// Makes a rule with these tags in one call. Returns the ARN of the rule. Does not retry.
    async fn create(&self, rule: &HeaderRule, tags: &Tags, deadline: Duration) -> Result<String, WriteError>;
    /// Deletes the rule with this ARN. Does not retry.
    async fn delete(&self, id: &str, deadline: Duration) -> Result<(), WriteError>;
}
