//! Implements [`RuleStore`]: makes header rules with their tags in one call, and deletes them.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_elasticloadbalancingv2::config::Builder;
use aws_sdk_elasticloadbalancingv2::types::Tag;

use super::failure::Failure;
use super::{Alb, action, deadlines, rule_config};
use crate::domain::elb;
use crate::domain::elb::header_route::RuleSpec;
use crate::domain::run::header_rule::HeaderRule;
use crate::domain::traffic::Tags;
use crate::port::{RuleStore, WriteError};

impl Alb {
    async fn create_rule(&self, rule: &HeaderRule, tags: &Tags, deadline: Duration) -> Result<String, Failure> {
        let spec = RuleSpec::from_config(&rule.rule).map_err(Failure::Refused)?;
        let actions = elb::actions(&rule.content).map_err(|why| Failure::Refused(why.to_string()))?;
        let actions = action::to_sdk(&actions).map_err(Failure::Refused)?;
        let conditions = spec.conditions.iter().map(rule_config::condition_to_sdk).collect::<Result<_, _>>();
        let transforms = spec.transforms.iter().map(rule_config::transform_to_sdk).collect::<Result<Vec<_>, _>>();
        let transforms = transforms.map_err(Failure::Refused)?;
        let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
        let out = self
            .writes
            .create_rule()
            .listener_arn(&rule.listener)
            .set_priority(i32::try_from(spec.priority).ok())
            .set_conditions(Some(conditions.map_err(Failure::Refused)?))
            .set_actions(Some(actions))
            .set_transforms(Some(transforms).filter(|all| !all.is_empty()))
            .set_tags(Some(tags.iter().map(tag).collect()))
            .customize()
            .config_override(Builder::new().timeout_config(deadlines(deadline)))
            .send()
            .await?;
        let made = out.rules().first().and_then(|rule| rule.rule_arn()).map(str::to_owned);
        // The rule may exist, although the response does not name it.
        made.ok_or_else(|| Failure::Unknown("the response names no rule".to_owned()))
    }

    async fn delete_rule(&self, id: &str, deadline: Duration) -> Result<(), Failure> {
        let own = Builder::new().timeout_config(deadlines(deadline));
        drop(self.writes.delete_rule().rule_arn(id).customize().config_override(own).send().await?);
        Ok(())
    }
}

#[async_trait]
impl RuleStore for Alb {
    async fn create(&self, rule: &HeaderRule, tags: &Tags, deadline: Duration) -> Result<String, WriteError> {
        self.convert(self.create_rule(rule, tags, deadline).await).await
    }

    async fn delete(&self, id: &str, deadline: Duration) -> Result<(), WriteError> {
        self.convert(self.delete_rule(id, deadline).await).await
    }
}
