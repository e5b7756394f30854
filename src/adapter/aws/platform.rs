//! Implements [`ClusterPlatform`] for an EKS cluster, with the SDK for EKS, and signed requests for the one call each
//! of IAM and EC2. Do not judge the values here.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_runtime::invocation_id::SharedInvocationIdGenerator;
use aws_sdk_eks::Client;
use aws_sdk_eks::types::{Category, InsightStatusValue, InsightsFilter, IpFamily, SupportType};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use aws_smithy_types::DateTime;
use aws_types::SdkConfig;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::eks::unreadable;
use super::query::{Ec2, Iam, QueryClient};
use super::{NoInvocationIds, is_reproducible, pace};
use crate::adapter::calls::AwsCallCounter;
use crate::adapter::foreign_text::safe_line;
use crate::base::arn::Arn;
use crate::domain::compare::platform::{Addon, ApiClient, Deprecation, EksDescription, Subnet, Support};
use crate::domain::traffic::Unreadable;
use crate::port::{ClusterPlatform, PacedApi};

/// The maximum length of a text from a response, in characters.
const MAX_TEXT_CHARS: usize = 300;

/// The maximum number of subnets of one call.
const MAX_SUBNETS: usize = 100;

/// A client that reads the facts that AWS has about an EKS cluster.
pub struct EksPlatform {
    name: String,
    /// The account of the cluster. Roles of other accounts cannot be read.
    account: String,
    eks: Client,
    iam: QueryClient<Iam>,
    ec2: QueryClient<Ec2>,
}

impl EksPlatform {
    /// Creates the clients for the cluster with this name in EKS, in this account.
    pub fn new(config: &SdkConfig, name: &str, account: &str, connector: SharedHttpConnector) -> Self {
        let mut eks = aws_sdk_eks::config::Builder::from(config).interceptor(AwsCallCounter);
        eks.set_invocation_id_generator(
            is_reproducible(config).then(|| SharedInvocationIdGenerator::new(NoInvocationIds)),
        );
        Self {
            name: name.to_owned(),
            account: account.to_owned(),
            eks: Client::from_conf(eks.build()),
            iam: QueryClient::new(config, connector.clone()),
            ec2: QueryClient::new(config, connector),
        }
    }

    /// Reads all pages of a list, at the pace of the current scope. `page` returns its items and the token of the next
    /// page.
    async fn pages<T, F>(&self, page: impl Fn(Option<String>) -> F) -> Result<Vec<T>, Unreadable>
    where
        F: Future<Output = Result<(Vec<T>, Option<String>), Unreadable>>,
    {
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let (items, next) = pace::paced(PacedApi::Eks, || page(token.clone())).await?;
            all.extend(items);
            match next.filter(|next| !next.is_empty()) {
                Some(next) => token = Some(next),
                None => return Ok(all),
            }
        }
    }
}

/// Returns a text of a response as one line without credentials.
fn safe(text: Option<String>) -> String {
    safe_line(&text.unwrap_or_default(), MAX_TEXT_CHARS)
}

fn time(at: Option<DateTime>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::from_second(at.secs()).ok())
}

#[async_trait]
impl ClusterPlatform for EksPlatform {
    async fn describe(&self) -> Result<EksDescription, Unreadable> {
        let call = || async { self.eks.describe_cluster().name(&self.name).send().await.map_err(unreadable) };
        let answer = pace::paced(PacedApi::Eks, call).await?;
        let cluster = answer
            .cluster
            .ok_or_else(|| Unreadable::Unavailable(format!("the response of EKS contains no cluster {}", self.name)))?;
        let family = cluster.kubernetes_network_config.and_then(|network| network.ip_family);
        let support = cluster.upgrade_policy.and_then(|policy| policy.support_type);
        Ok(EksDescription {
            endpoint: cluster.endpoint,
            issuer: cluster.identity.and_then(|identity| identity.oidc).and_then(|oidc| oidc.issuer),
            subnets: cluster.resources_vpc_config.and_then(|vpc| vpc.subnet_ids).unwrap_or_default(),
            ipv6: family == Some(IpFamily::Ipv6),
            standard_support: support == Some(SupportType::Standard),
            auto_mode: cluster.compute_config.and_then(|compute| compute.enabled).unwrap_or(false),
        })
    }

    async fn addon_names(&self) -> Result<BTreeSet<String>, Unreadable> {
        let page = |token| async move {
            let call = self.eks.list_addons().cluster_name(&self.name).set_next_token(token);
            let answer = call.send().await.map_err(unreadable)?;
            Ok((answer.addons.unwrap_or_default(), answer.next_token))
        };
        Ok(self.pages(page).await?.into_iter().collect())
    }

    async fn addon(&self, name: &str) -> Result<Addon, Unreadable> {
        let call = || async {
            let call = self.eks.describe_addon().cluster_name(&self.name).addon_name(name);
            call.send().await.map_err(unreadable)
        };
        let answer = pace::paced(PacedApi::Eks, call).await?;
        let addon = answer
            .addon
            .ok_or_else(|| Unreadable::Unavailable(format!("the response of EKS contains no add-on {name}")))?;
        let issues = addon.health.and_then(|health| health.issues).unwrap_or_default().into_iter();
        let issue = |issue: aws_sdk_eks::types::AddonIssue| {
            let code = issue.code.map_or_else(|| "issue".to_owned(), |code| code.as_str().to_owned());
            format!("{code}: {}", safe(issue.message))
        };
        Ok(Addon {
            name: name.to_owned(),
            version: addon.addon_version.unwrap_or_default(),
            status: addon.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
            issues: issues.map(issue).collect(),
        })
    }

    async fn addon_versions(&self, addon: &str, kubernetes: &str) -> Result<BTreeSet<String>, Unreadable> {
        let page = |token| async move {
            let call = self.eks.describe_addon_versions().addon_name(addon).kubernetes_version(kubernetes);
            let answer = call.set_next_token(token).send().await.map_err(unreadable)?;
            Ok((answer.addons.unwrap_or_default(), answer.next_token))
        };
        let versions = self.pages(page).await?.into_iter().flat_map(|addon| addon.addon_versions.unwrap_or_default());
        let fits = |version: &aws_sdk_eks::types::AddonVersionInfo| {
            version.compatibilities.iter().flatten().any(|c| c.cluster_version.as_deref() == Some(kubernetes))
        };
        Ok(versions.filter(fits).filter_map(|version| version.addon_version).collect())
    }

    async fn insights(&self) -> Result<Vec<String>, Unreadable> {
        let page = |token| async move {
            let filter = InsightsFilter::builder()
                .categories(Category::UpgradeReadiness)
                .statuses(InsightStatusValue::Warning)
                .statuses(InsightStatusValue::Error)
                .build();
            let call = self.eks.list_insights().cluster_name(&self.name).filter(filter).set_next_token(token);
            let answer = call.send().await.map_err(unreadable)?;
            Ok((answer.insights.unwrap_or_default(), answer.next_token))
        };
        Ok(self.pages(page).await?.into_iter().filter_map(|insight| insight.id).collect())
    }

    async fn deprecations(&self, insight: &str) -> Result<Vec<Deprecation>, Unreadable> {
        let call = || async {
            let call = self.eks.describe_insight().cluster_name(&self.name).id(insight);
            call.send().await.map_err(unreadable)
        };
        let answer = pace::paced(PacedApi::Eks, call).await?;
        let summary = answer.insight.and_then(|insight| insight.category_specific_summary);
        let details = summary.and_then(|summary| summary.deprecation_details).unwrap_or_default().into_iter();
        let client = |stat: aws_sdk_eks::types::ClientStat| ApiClient {
            agent: safe(stat.user_agent),
            requests: u64::try_from(stat.number_of_requests_last30_days).unwrap_or(0),
            last: time(stat.last_request_time),
        };
        let deprecation = |detail: aws_sdk_eks::types::DeprecationDetail| Deprecation {
            usage: safe(detail.usage),
            replaced_with: safe(detail.replaced_with),
            stop_version: detail.stop_serving_version.unwrap_or_default(),
            clients: detail.client_stats.unwrap_or_default().into_iter().map(client).collect(),
        };
        Ok(details.map(deprecation).collect())
    }

    async fn support(&self, kubernetes: &str) -> Result<Option<Support>, Unreadable> {
        let page = |token| async move {
            let call = self.eks.describe_cluster_versions().cluster_versions(kubernetes).include_all(true);
            let answer = call.set_next_token(token).send().await.map_err(unreadable)?;
            Ok((answer.cluster_versions.unwrap_or_default(), answer.next_token))
        };
        let versions = self.pages(page).await?.into_iter();
        let mut same = versions.filter(|version| version.cluster_version.as_deref() == Some(kubernetes));
        Ok(same.next().map(|version| Support {
            standard_end: time(version.end_of_standard_support_date),
            extended_end: time(version.end_of_extended_support_date),
        }))
    }

    async fn pod_identities(&self) -> Result<BTreeSet<(String, String)>, Unreadable> {
        let page = |token| async move {
            let call = self.eks.list_pod_identity_associations().cluster_name(&self.name).set_next_token(token);
            let answer = call.send().await.map_err(unreadable)?;
            Ok((answer.associations.unwrap_or_default(), answer.next_token))
        };
        let all = self.pages(page).await?.into_iter();
        Ok(all.filter_map(|association| Some((association.namespace?, association.service_account?))).collect())
    }

    async fn trust_policy(&self, role: &str) -> Result<Option<Value>, Unreadable> {
        let arn = Arn::parse(role).filter(|arn| arn.service == "iam" && arn.kind() == "role");
        let name = arn.and_then(|arn| arn.resource.rsplit('/').next());
        let (Some(arn), Some(name)) = (arn, name) else { return Ok(None) };
        if arn.account != self.account {
            let why = format!("the role {role} is in another account than the cluster");
            return Err(Unreadable::Unrepresentable(why));
        }
        let parameters = [("RoleName".to_owned(), name.to_owned())];
        let call = || self.iam.send("GetRole", &parameters);
        let answer = match pace::paced(PacedApi::Iam, call).await {
            Err(Unreadable::NotFound(_)) => return Ok(None),
            other => other?,
        };
        let wrong = || Unreadable::Unavailable(format!("the response of IAM has no trust policy of the role {role}"));
        let encoded = answer.text("AssumeRolePolicyDocument").ok_or_else(wrong)?;
        let policy = percent_decode_str(&encoded).decode_utf8_lossy();
        serde_json::from_str(&policy).map(Some).map_err(|_| wrong())
    }

    async fn subnets(&self, ids: &[String]) -> Result<Vec<Subnet>, Unreadable> {
        let mut all = Vec::new();
        for ids in ids.chunks(MAX_SUBNETS) {
            let parameters: Vec<_> = (1..).zip(ids).map(|(n, id)| (format!("SubnetId.{n}"), id.clone())).collect();
            let answer = pace::paced(PacedApi::Ec2, || self.ec2.send("DescribeSubnets", &parameters)).await?;
            let found = answer.items("subnetSet", ["subnetId", "availabilityZone", "availableIpAddressCount"]);
            for [id, zone, free] in found {
                let wrong = |_| Unreadable::Unavailable(format!("the response of EC2 has no free addresses of {id}"));
                let free = free.parse().map_err(wrong)?;
                all.push(Subnet { id, zone, free });
            }
        }
        Ok(all)
    }
}
