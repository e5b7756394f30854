//! Sends the Describe calls: paged, in batches, and a few at the same time. Do not convert responses here.

use std::collections::BTreeMap;
use std::future::Future;

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types as sdk;
use futures::{StreamExt, TryStreamExt, stream};

use super::failure::Failure;
use super::reader::{self, Reader};
use super::unknown_elements::RejectUnknownElements;
use crate::domain::traffic::Tags;

/// The maximum number of concurrent calls.
pub(super) const MAX_PARALLEL: usize = 8;
/// The number of ARNs per call. This is the limit of DescribeTags; the other operations document no limit.
pub(super) const BATCH_SIZE: usize = 20;

/// Reads all pages of a Describe call. The function `page` gets the marker of each page.
async fn read_pages<T, F, A>(mut page: F) -> Result<Vec<T>, Failure>
where
    F: FnMut(Option<String>) -> A,
    A: Future<Output = Result<(Vec<T>, Option<String>), Failure>>,
{
    let mut all = Vec::new();
    let mut marker = None;
    loop {
        let (items, next) = page(marker.clone()).await?;
        all.extend(items);
        let next = next.filter(|m| !m.is_empty());
        if next.is_none() {
            return Ok(all);
        }
        if next == marker {
            return Err(Failure::Unknown("AWS returned the same page of results twice".to_owned()));
        }
        marker = next;
    }
}

/// Runs `call` for each batch of `of`, a few batches at the same time. Joins the results in order.
async fn read_batches<T, F, A>(of: &[String], call: F) -> Result<Vec<T>, Failure>
where
    F: Fn(Vec<String>) -> A,
    A: Future<Output = Result<Vec<T>, Failure>>,
{
    let batches: Vec<_> = of.chunks(BATCH_SIZE).map(<[_]>::to_vec).collect();
    stream::iter(batches).map(call).buffered(MAX_PARALLEL).try_concat().await
}

/// The load balancers or target groups to read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Selection<'a> {
    All,
    Arn(&'a str),
    Name(&'a str),
    /// The target groups of this load balancer. This selection cannot be used to read load balancers.
    Of(&'a str),
}

impl Selection<'_> {
    fn arns(self) -> Option<Vec<String>> {
        if let Self::Arn(arn) = self { Some(vec![arn.to_owned()]) } else { None }
    }

    fn names(self) -> Option<Vec<String>> {
        if let Self::Name(name) = self { Some(vec![name.to_owned()]) } else { None }
    }

    fn of(self) -> Option<String> {
        if let Self::Of(arn) = self { Some(arn.to_owned()) } else { None }
    }
}

pub(super) async fn load_balancers(elb: &Reader, selection: Selection<'_>) -> Result<Vec<sdk::LoadBalancer>, Failure> {
    read_pages(|marker| async move {
        let call = |elb: &Client| {
            let call =
                elb.describe_load_balancers().set_load_balancer_arns(selection.arns()).set_names(selection.names());
            call.set_marker(marker.clone()).send()
        };
        let out = elb.send(call).await?;
        Ok((out.load_balancers.unwrap_or_default(), out.next_marker))
    })
    .await
}

pub(super) async fn target_groups(elb: &Reader, selection: Selection<'_>) -> Result<Vec<sdk::TargetGroup>, Failure> {
    read_pages(|marker| async move {
        let call = |elb: &Client| {
            let call =
                elb.describe_target_groups().set_target_group_arns(selection.arns()).set_names(selection.names());
            call.set_load_balancer_arn(selection.of()).set_marker(marker.clone()).send()
        };
        let out = elb.send(call).await?;
        Ok((out.target_groups.unwrap_or_default(), out.next_marker))
    })
    .await
}

/// The reaction to a response that has elements which the SDK would drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ElementCheck {
    /// Fail the read.
    Reject,
    /// Return the result without these elements. Use it only for names, never for a write.
    Ignore,
}

/// Reads the listeners of a load balancer.
pub(super) async fn listeners(
    elb: &Reader,
    load_balancer: &str,
    check: ElementCheck,
) -> Result<Vec<sdk::Listener>, Failure> {
    read_pages(|marker| async move {
        let call = |elb: &Client| {
            let call = elb.describe_listeners().load_balancer_arn(load_balancer).set_marker(marker.clone()).customize();
            if check == ElementCheck::Reject { call.interceptor(RejectUnknownElements) } else { call }.send()
        };
        let out = elb.send(call).await?;
        Ok((out.listeners.unwrap_or_default(), out.next_marker))
    })
    .await
}

/// Reads the rules of a listener without the default rule.
pub(super) async fn rules(elb: &Reader, listener: &str, check: ElementCheck) -> Result<Vec<sdk::Rule>, Failure> {
    let all = read_pages(|marker| async move {
        let call = |elb: &Client| {
            let call = elb.describe_rules().listener_arn(listener).set_marker(marker.clone()).customize();
            if check == ElementCheck::Reject { call.interceptor(RejectUnknownElements) } else { call }.send()
        };
        let out = elb.send(call).await?;
        Ok((out.rules.unwrap_or_default(), out.next_marker))
    });
    Ok(all.await?.into_iter().filter(|r| r.is_default() != Some(true)).collect())
}

/// Reads up to [`BATCH_SIZE`] listeners by ARN. Checks their actions for unknown elements.
pub(super) async fn listeners_by_arn(elb: &Reader, arns: Vec<String>) -> Result<Vec<sdk::Listener>, Failure> {
    let call = |elb: &Client| {
        let call = elb.describe_listeners().set_listener_arns(Some(arns.clone()));
        call.customize().interceptor(RejectUnknownElements).send()
    };
    let out = elb.send(call).await?;
    Ok(out.listeners.unwrap_or_default())
}

/// Reads up to [`BATCH_SIZE`] rules by ARN. Checks their actions for unknown elements.
pub(super) async fn rules_by_arn(elb: &Reader, arns: Vec<String>) -> Result<Vec<sdk::Rule>, Failure> {
    let call = |elb: &Client| {
        let call = elb.describe_rules().set_rule_arns(Some(arns.clone()));
        call.customize().interceptor(RejectUnknownElements).send()
    };
    let out = elb.send(call).await?;
    Ok(out.rules.unwrap_or_default())
}

pub(super) async fn target_health(elb: &Reader, group: &str) -> Result<Vec<sdk::TargetHealthDescription>, Failure> {
    let out = elb.send(|elb| elb.describe_target_health().target_group_arn(group).send()).await?;
    Ok(out.target_health_descriptions.unwrap_or_default())
}

pub(super) async fn load_balancer_attributes(elb: &Reader, arn: &str) -> Result<BTreeMap<String, String>, Failure> {
    let out = elb.send(|elb| elb.describe_load_balancer_attributes().load_balancer_arn(arn).send()).await?;
    Ok(out
        .attributes
        .unwrap_or_default()
        .into_iter()
        .filter_map(|a| Some((a.key?, a.value.unwrap_or_default())))
        .collect())
}

pub(super) async fn target_group_attributes(elb: &Reader, arn: &str) -> Result<BTreeMap<String, String>, Failure> {
    let out = elb.send(|elb| elb.describe_target_group_attributes().target_group_arn(arn).send()).await?;
    Ok(out
        .attributes
        .unwrap_or_default()
        .into_iter()
        .filter_map(|a| Some((a.key?, a.value.unwrap_or_default())))
        .collect())
}

/// Reads a quota of the account. A name that the response lacks is not found.
pub(super) async fn quota(elb: &Reader, name: &str) -> Result<u32, Failure> {
    let all = read_pages(|marker| async move {
        let out = elb.send(|elb: &Client| elb.describe_account_limits().set_marker(marker.clone()).send()).await?;
        Ok((out.limits.unwrap_or_default(), out.next_marker))
    });
    let all = all.await?;
    let found = all.iter().find(|limit| limit.name() == Some(name)).and_then(|limit| limit.max()?.parse().ok());
    found.ok_or_else(|| Failure::NotFound(format!("AWS names no quota {name}")))
}

/// Reads the tags of any number of resources by ARN. A resource without tags has an empty entry.
pub(super) async fn tags(elb: &Reader, arns: &[String]) -> Result<BTreeMap<String, Tags>, Failure> {
    reader::announce(arns.len().div_ceil(BATCH_SIZE));
    let described = read_batches(arns, |batch| async move {
        let out = elb.send(|elb| elb.describe_tags().set_resource_arns(Some(batch.clone())).send()).await?;
        Ok(out.tag_descriptions.unwrap_or_default())
    });
    let mut all: BTreeMap<String, Tags> = arns.iter().map(|a| (a.clone(), Tags::new())).collect();
    for d in described.await? {
        if let Some(arn) = d.resource_arn {
            let tags =
                d.tags.unwrap_or_default().into_iter().filter_map(|t| Some((t.key?, t.value.unwrap_or_default())));
            all.entry(arn).or_default().extend(tags);
        }
    }
    Ok(all)
}
