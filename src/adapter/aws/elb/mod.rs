//! Implements [`Traffic`], [`Inventory`] and [`TagStore`] for Application and Network Load Balancers of AWS.
//!
//! Writes are sent once. Do not add rate limits, retries of writes or read-backs, which belong to the executor. Do not
//! use SDK types outside this folder.

mod action;
mod condition;
mod config;
mod failure;
mod fields;
mod header_rules;
mod identity;
mod read;
mod reader;
mod routes;
mod rule_config;
mod undecodable;
mod unknown_elements;
mod view;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::identity::IdentityCache;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_runtime::invocation_id::SharedInvocationIdGenerator;
use aws_sdk_elasticloadbalancingv2 as elbv2;
use aws_sdk_elasticloadbalancingv2::config::SharedInterceptor;
use aws_sdk_elasticloadbalancingv2::config::http::HttpResponse;
use aws_sdk_elasticloadbalancingv2::config::retry::RetryConfig;
use aws_sdk_elasticloadbalancingv2::config::timeout::TimeoutConfig;
use aws_sdk_elasticloadbalancingv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_elasticloadbalancingv2::types::Tag;
use aws_sdk_sts as sts;
use aws_smithy_runtime_api::client::retries::classifiers::SharedRetryClassifier;
use futures::{StreamExt, TryStreamExt, stream};

use self::failure::Failure;
pub(super) use self::failure::response_failure;
pub(super) use self::identity::CachedCredentials;
use self::read::{MAX_PARALLEL, Selection};
use self::reader::{Reader, at_current_pace};
use self::undecodable::RetryUndecodable;
use crate::adapter::aws::{NoInvocationIds, is_reproducible};
use crate::adapter::calls::AwsCallCounter;
use crate::domain::elb;
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::health::Target;
use crate::domain::traffic::{RouteCensus, RouteContent, RouteId, RouteKind, Tags, Unreadable};
use crate::plan::model::Selector;
use crate::port::{Caller, Detail, Groups, Inventory, PacedApi, TagStore, Traffic, WriteError};

/// The clients of ELBv2 and STS for one account and region.
#[derive(Debug)]
pub struct Alb {
    elb: Reader,
    /// The client for writes, which are sent only once.
    writes: elbv2::Client,
    sts: sts::Client,
    identity: CachedCredentials,
    /// The ports of the listeners that were read, by listener ARN. A rule does not contain its port. Only for display.
    ports: Mutex<BTreeMap<String, u16>>,
}

impl Alb {
    /// Creates clients with this configuration. Outside the scope of a pace, the SDK retries throttled reads. It never
    /// retries writes, even if the configuration allows that.
    pub fn new(config: &SdkConfig) -> Self {
        Self::with_speed(config, 1.0)
    }

    /// Creates clients whose pauses between reads are divided by `speed`, for a lab whose clock runs faster by this
    /// factor.
    pub fn with_speed(config: &SdkConfig, speed: f64) -> Self {
        let identity = CachedCredentials::new(config.credentials_provider(), config.time_source());
        let config = config
            .to_builder()
            .credentials_provider(SharedCredentialsProvider::new(identity.clone()))
            .identity_cache(IdentityCache::no_cache())
            .retry_config(RetryConfig::disabled())
            .build();
        let ids = is_reproducible(&config).then(|| SharedInvocationIdGenerator::new(NoInvocationIds));
        let mut elb = elbv2::config::Builder::from(&config);
        elb.set_invocation_id_generator(ids.clone());
        elb.push_interceptor(SharedInterceptor::new(AwsCallCounter));
        let writes = elbv2::Client::from_conf(elb.clone().build());
        elb.push_retry_classifier(SharedRetryClassifier::new(RetryUndecodable));
        let mut sts = sts::config::Builder::from(&config);
        sts.set_invocation_id_generator(ids);
        sts.push_interceptor(SharedInterceptor::new(AwsCallCounter));
        Self {
            elb: Reader::new(elb, &writes, speed),
            writes,
            sts: sts::Client::from_conf(sts.build()),
            identity,
            ports: Mutex::default(),
        }
    }

    /// Converts the error of a result. After refused credentials, the next call loads credentials again.
    async fn convert<T, E: From<Failure>>(&self, result: Result<T, Failure>) -> Result<T, E> {
        if let Err(Failure::Credentials(_)) = &result {
            self.identity.forget().await;
        }
        result.map_err(E::from)
    }

    fn remember(&self, listener: &str, port: u16) {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).insert(listener.to_owned(), port);
    }

    /// Returns the port of a listener that was read, else 0. Only for display, so a read-back does not wait for the
    /// port.
    fn port(&self, listener: &str) -> u16 {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).get(listener).copied().unwrap_or(0)
    }

    async fn read_caller(&self) -> Result<Caller, Failure> {
        let out = at_current_pace(PacedApi::Sts, || self.sts.get_caller_identity().send()).await?;
        let expires = self.identity.expires().await.and_then(|t| jiff::Timestamp::try_from(t).ok());
        let missing = || Failure::Unknown("STS returned no account or no ARN".to_owned());
        Ok(Caller { account: out.account.ok_or_else(missing)?, arn: out.arn.ok_or_else(missing)?, expires })
    }

    /// Reads load balancers by name or ARN (for a tag selector: all), without attributes and tags.
    async fn load_balancers_by_name(&self, selector: &Selector) -> Result<Vec<LoadBalancer>, Failure> {
        let found =
            empty_if_not_found(selection(selector), read::load_balancers(&self.elb, selection(selector)).await)?;
        found.iter().map(view::load_balancer).collect()
    }

    async fn matching_load_balancers(&self, selector: &Selector, detail: Detail) -> Result<Vec<LoadBalancer>, Failure> {
        let mut all = self.load_balancers_by_name(selector).await?;
        if let Selector::Tags(_) = selector {
            // Only the tags decide which load balancers are selected.
            self.tag_load_balancers(&mut all).await?;
            all.retain(|lb| matches_selector(selector, &lb.tags));
            return if detail == Detail::Full { self.with_balancer_attributes(all).await } else { Ok(all) };
        }
        if detail == Detail::Listed {
            return Ok(all);
        }
        let mut tagged = all.clone();
        let (tags, all) = futures::join!(self.tag_load_balancers(&mut tagged), self.with_balancer_attributes(all));
        tags?;
        Ok(all?.into_iter().zip(tagged).map(|(lb, tagged)| LoadBalancer { tags: tagged.tags, ..lb }).collect())
    }

    async fn tag_load_balancers(&self, all: &mut [LoadBalancer]) -> Result<(), Failure> {
        let arns: Vec<_> = all.iter().map(|lb| lb.arn.clone()).collect();
        let mut tags = read::tags(&self.elb, &arns).await?;
        for lb in all {
            lb.tags = tags.remove(&lb.arn).unwrap_or_default();
        }
        Ok(())
    }

    async fn with_balancer_attributes(&self, all: Vec<LoadBalancer>) -> Result<Vec<LoadBalancer>, Failure> {
        let read = async |mut lb: LoadBalancer| {
            lb.attributes = read::load_balancer_attributes(&self.elb, &lb.arn).await?;
            Ok(lb)
        };
        // Calls that were not started use no memory.
        stream::iter(all).map(read).buffered(MAX_PARALLEL).try_collect().await
    }

    /// Reads the target groups of a load balancer with tags and attributes.
    async fn groups_of(&self, load_balancer: &str) -> Result<Vec<TargetGroup>, Failure> {
        let selection = Selection::Of(load_balancer);
        let all = self.groups(selection).await?;
        let mut tagged = all.clone();
        let (tags, all) = futures::join!(self.tag_groups(&mut tagged), self.with_attributes(all));
        tags?;
        Ok(all?.into_iter().zip(tagged).map(|(group, tagged)| TargetGroup { tags: tagged.tags, ..group }).collect())
    }

    async fn groups(&self, selection: Selection<'_>) -> Result<Vec<TargetGroup>, Failure> {
        let found = empty_if_not_found(selection, read::target_groups(&self.elb, selection).await)?;
        found.iter().map(view::target_group).collect()
    }

    async fn tag_groups(&self, all: &mut [TargetGroup]) -> Result<(), Failure> {
        let arns: Vec<_> = all.iter().map(|g| g.arn.clone()).collect();
        let mut tags = read::tags(&self.elb, &arns).await?;
        for g in all {
            g.tags = tags.remove(&g.arn).unwrap_or_default();
        }
        Ok(())
    }

    async fn with_attributes(&self, groups: Vec<TargetGroup>) -> Result<Vec<TargetGroup>, Failure> {
        reader::announce(groups.len());
        let read = async |mut g: TargetGroup| {
            g.attributes = read::target_group_attributes(&self.elb, &g.arn).await?;
            Ok(g)
        };
        stream::iter(groups).map(read).buffered(MAX_PARALLEL).try_collect().await
    }

    async fn matching_groups(&self, selector: &Selector, detail: Detail) -> Result<Vec<TargetGroup>, Failure> {
        let mut all = self.groups(selection(selector)).await?;
        if detail == Detail::Full || matches!(selector, Selector::Tags(_)) {
            self.tag_groups(&mut all).await?;
            all.retain(|g| matches_selector(selector, &g.tags));
        }
        if detail == Detail::Full { self.with_attributes(all).await } else { Ok(all) }
    }

    /// Writes only the actions. AWS does not change fields that are not sent.
    async fn write(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), Failure> {
        let actions = elb::actions(content).map_err(|why| Failure::Refused(why.to_string()))?;
        let actions = Some(action::to_sdk(&actions).map_err(Failure::Refused)?);
        let own = elbv2::config::Builder::new().timeout_config(deadlines(deadline));
        let (arn, writes) = (id.id(), &self.writes);
        match id.kind() {
            RouteKind::Rule => drop(
                writes.modify_rule().rule_arn(arn).set_actions(actions).customize().config_override(own).send().await?,
            ),
            RouteKind::Default => {
                drop(
                    writes
                        .modify_listener()
                        .listener_arn(arn)
                        .set_default_actions(actions)
                        .customize()
                        .config_override(own)
                        .send()
                        .await?,
                );
            }
        }
        Ok(())
    }
}

/// Returns the time-outs of a write that must end within `deadline`.
fn deadlines(deadline: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .read_timeout(deadline)
        .operation_attempt_timeout(deadline)
        .operation_timeout(deadline)
        .build()
}

/// Converts an error of any AWS service, without texts that may contain secrets.
pub(super) fn unreadable<E>(error: SdkError<E, HttpResponse>) -> Unreadable
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    Failure::from(error).into()
}

fn selection(selector: &Selector) -> Selection<'_> {
    match selector {
        Selector::Name(name) => Selection::Name(name),
        Selector::Arn(arn) => Selection::Arn(arn),
        Selector::Tags(_) => Selection::All,
    }
}

fn matches_selector(selector: &Selector, tags: &Tags) -> bool {
    match selector {
        Selector::Name(_) | Selector::Arn(_) => true,
        Selector::Tags(wanted) => wanted.iter().all(|(k, v)| tags.get(k) == Some(v)),
    }
}

/// Returns an empty list if no resource has the name. A load balancer whose groups are read must exist.
fn empty_if_not_found<T>(selection: Selection<'_>, result: Result<Vec<T>, Failure>) -> Result<Vec<T>, Failure> {
    match (result, selection) {
        (Err(Failure::NotFound(t)), Selection::Of(_)) if !t.starts_with("TargetGroupNotFound") => {
            Err(Failure::NotFound(t))
        }
        (Err(Failure::NotFound(_)), _) => Ok(Vec::new()),
        (other, _) => other,
    }
}

#[async_trait]
impl Traffic for Alb {
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        let mut all = BTreeMap::new();
        for (id, result) in self.routes_by_arn(ids).await {
            all.insert(id, self.convert(result.map(|route| route.content)).await);
        }
        all
    }

    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        reader::announce(groups.len());
        let read = async |arn: String| {
            let found = read::target_health(&self.elb, &arn).await;
            (arn, found.map(|targets| targets.iter().map(view::target).collect::<Vec<_>>()))
        };
        let mut reads = stream::iter(groups.to_vec()).map(read).buffered(MAX_PARALLEL);
        let mut all = BTreeMap::new();
        while let Some((arn, targets)) = reads.next().await {
            all.insert(arn, self.convert(targets).await);
        }
        all
    }

    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable> {
        self.convert(self.all_routes(load_balancer).await).await.map(|all| elb::route_census(load_balancer, all))
    }

    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError> {
        self.convert(self.write(id, content, deadline).await).await
    }
}

#[async_trait]
impl Inventory for Alb {
    async fn caller(&self) -> Result<Caller, Unreadable> {
        self.convert(self.read_caller().await).await
    }

    async fn load_balancers(&self, selector: &Selector, detail: Detail) -> Result<Vec<LoadBalancer>, Unreadable> {
        self.convert(self.matching_load_balancers(selector, detail).await).await
    }

    async fn listeners(
        &self,
        load_balancer: &str,
        detail: Detail,
    ) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable> {
        let all = match detail {
            Detail::Listed => self.untagged_routes(load_balancer).await,
            Detail::Full => self.all_routes(load_balancer).await,
        };
        self.convert(all).await
    }

    async fn target_groups(&self, groups: Groups<'_>, detail: Detail) -> Result<Vec<TargetGroup>, Unreadable> {
        let all = match (groups, detail) {
            (Groups::Of(arn), Detail::Listed) => self.groups(Selection::Of(arn)).await,
            (Groups::Of(arn), Detail::Full) => self.groups_of(arn).await,
            (Groups::Matching(selector), _) => self.matching_groups(selector, detail).await,
        };
        self.convert(all).await
    }

    async fn quota(&self, name: &str) -> Result<u32, Unreadable> {
        self.convert(read::quota(&self.elb, name).await).await
    }
}

#[async_trait]
impl TagStore for Alb {
    fn has_tags(&self, _: &str) -> bool {
        true
    }

    async fn tags(&self, arns: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable> {
        self.convert(read::tags(&self.elb, arns).await).await
    }

    async fn put(&self, arns: &[String], tags: &Tags) -> Result<(), WriteError> {
        let tags = tags.iter().map(|(k, v)| Tag::builder().key(k).value(v).build()).collect();
        let done = self.writes.add_tags().set_resource_arns(Some(arns.to_vec())).set_tags(Some(tags)).send().await;
        self.convert(done.map(drop).map_err(Failure::from)).await
    }

    async fn remove(&self, arns: &[String], keys: &[String]) -> Result<(), WriteError> {
        let done = self
            .writes
            .remove_tags()
            .set_resource_arns(Some(arns.to_vec()))
            .set_tag_keys(Some(keys.to_vec()))
            .send()
            .await;
        self.convert(done.map(drop).map_err(Failure::from)).await
    }
}
