//! Determines the hosts of AWS services for requests that no SDK client sends. The SDK's own endpoint rules handle the
//! partition, FIPS and dual-stack. Do not add other rules.

use aws_sdk_sts::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_types::SdkConfig;
use futures::FutureExt;

use crate::base::partition;

/// The service whose endpoint rules are used. Endpoints of the other services differ only in the first label.
const RULES_SERVICE: &str = "sts";

/// Returns the host of a service in the configuration's region, with its FIPS and dual-stack settings, such as
/// `sts.eu-central-1.amazonaws.com`. `service` is the first label of the host. Ignores a configured endpoint URL.
///
/// # Errors
/// Returns why the region or the combination of settings has no endpoint.
pub fn host(config: &SdkConfig, service: &str) -> Result<String, String> {
    let region = config.region().ok_or("no region is configured for AWS")?;
    let params = Params::builder()
        .region(region.as_ref())
        .use_fips(config.use_fips().unwrap_or(false))
        .use_dual_stack(config.use_dual_stack().unwrap_or(false))
        .build()
        .map_err(|e| e.to_string())?;
    let resolver = DefaultResolver::new();
    let resolved = ResolveEndpoint::resolve_endpoint(&resolver, &params).now_or_never();
    let endpoint =
        resolved.ok_or("the endpoint rules of the AWS SDK returned no result")?.map_err(|e| e.to_string())?;
    let rules_host = endpoint.url().strip_prefix("https://").ok_or("the endpoint of the region is not an https URL")?;
    let rest = rules_host.strip_prefix(RULES_SERVICE).ok_or("the endpoint of the region has an unknown form")?;
    Ok(format!("{service}{rest}"))
}

/// Returns the host of IAM, which is one for all regions of a partition, and the region for its signatures. Ignores a
/// configured endpoint URL. Source: `data/iam/2010-05-08/endpoint-rule-set-1.json` of botocore.
///
/// # Errors
/// Returns why there is no host.
pub fn iam(config: &SdkConfig) -> Result<(String, String), String> {
    let region = config.region().ok_or("no region is configured for AWS")?;
    let partition = partition::of_region(region.as_ref());
    let (fips, dual_stack) = (config.use_fips().unwrap_or(false), config.use_dual_stack().unwrap_or(false));
    let home = match partition.name {
        "aws-cn" => "cn-north-1",
        "aws-us-gov" => "us-gov-west-1",
        "aws-iso" => "us-iso-east-1",
        "aws-iso-b" => "us-isob-east-1",
        "aws-iso-e" => "eu-isoe-west-1",
        "aws-iso-f" => "us-isof-south-1",
        "aws-eusc" => "eusc-de-east-1",
        _ => "us-east-1",
    };
    let place = match partition.name {
        "aws-us-gov" => "us-gov.".to_owned(),
        "aws" if !dual_stack => String::new(),
        "aws" => "global.".to_owned(),
        "aws-cn" | "aws-eusc" if dual_stack && !fips => "global.".to_owned(),
        "aws-iso" | "aws-iso-b" if !dual_stack => format!("{home}."),
        _ if fips || dual_stack => String::new(),
        _ => format!("{home}."),
    };
    let name = if fips && partition.name != "aws-us-gov" { "iam-fips" } else { "iam" };
    let domain = if dual_stack { partition.dual_stack_domain } else { partition.domain };
    Ok((format!("{name}.{place}{domain}"), home.to_owned()))
}

#[cfg(test)]
mod tests {
    use aws_types::region::Region;

    use super::*;

    fn config(region: &str, fips: bool, dual_stack: bool) -> SdkConfig {
        let builder = SdkConfig::builder().region(Region::new(region.to_owned()));
        builder.use_fips(fips).use_dual_stack(dual_stack).build()
    }

    #[test]
    fn hosts_match_the_endpoint_rules_of_the_sdk() {
        for (region, fips, dual_stack, expected) in [
            ("ap-northeast-2", false, false, "sts.ap-northeast-2.amazonaws.com"),
            ("us-east-1", false, false, "sts.us-east-1.amazonaws.com"),
            ("us-east-1", true, false, "sts-fips.us-east-1.amazonaws.com"),
            ("eu-west-1", false, true, "sts.eu-west-1.api.aws"),
            ("us-west-2", true, true, "sts-fips.us-west-2.api.aws"),
            ("cn-north-1", false, false, "sts.cn-north-1.amazonaws.com.cn"),
            ("cn-north-1", false, true, "sts.cn-north-1.api.amazonwebservices.com.cn"),
            ("us-gov-west-1", true, false, "sts.us-gov-west-1.amazonaws.com"),
            ("us-iso-east-1", false, false, "sts.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", false, false, "sts.us-isob-east-1.sc2s.sgov.gov"),
            ("eusc-de-east-1", false, false, "sts.eusc-de-east-1.amazonaws.eu"),
        ] {
            let found = host(&config(region, fips, dual_stack), "sts");
            assert_eq!(found.as_deref(), Ok(expected), "{region} fips {fips} dual-stack {dual_stack}");
        }
        let monitoring = host(&config("us-east-1", true, false), "monitoring");
        assert_eq!(monitoring.as_deref(), Ok("monitoring-fips.us-east-1.amazonaws.com"));
    }

    #[test]
    fn iam_has_one_host_for_each_partition() {
        for (region, fips, dual_stack, expected) in [
            ("eu-central-1", false, false, ("iam.amazonaws.com", "us-east-1")),
            ("us-west-2", true, false, ("iam-fips.amazonaws.com", "us-east-1")),
            ("us-west-2", false, true, ("iam.global.api.aws", "us-east-1")),
            ("us-west-2", true, true, ("iam-fips.global.api.aws", "us-east-1")),
            ("cn-northwest-1", false, false, ("iam.cn-north-1.amazonaws.com.cn", "cn-north-1")),
            ("cn-north-1", false, true, ("iam.global.api.amazonwebservices.com.cn", "cn-north-1")),
            ("cn-north-1", true, false, ("iam-fips.amazonaws.com.cn", "cn-north-1")),
            ("us-gov-east-1", false, false, ("iam.us-gov.amazonaws.com", "us-gov-west-1")),
            ("us-gov-west-1", true, false, ("iam.us-gov.amazonaws.com", "us-gov-west-1")),
            ("us-gov-west-1", false, true, ("iam.us-gov.api.aws", "us-gov-west-1")),
            ("us-iso-west-1", false, false, ("iam.us-iso-east-1.c2s.ic.gov", "us-iso-east-1")),
            ("us-iso-east-1", true, false, ("iam-fips.us-iso-east-1.c2s.ic.gov", "us-iso-east-1")),
            ("us-isob-east-1", false, true, ("iam.api.aws.scloud", "us-isob-east-1")),
            ("eu-isoe-west-1", true, false, ("iam-fips.cloud.adc-e.uk", "eu-isoe-west-1")),
            ("us-isof-south-1", false, false, ("iam.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1")),
            ("eusc-de-east-1", false, false, ("iam.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1")),
        ] {
            let (host, signing_region) = iam(&config(region, fips, dual_stack)).expect("the region should have a host");
            assert_eq!(
                (host.as_str(), signing_region.as_str()),
                expected,
                "{region} fips {fips} dual-stack {dual_stack}"
            );
        }
    }

    #[test]
    fn missing_region_is_named() {
        assert!(host(&SdkConfig::builder().build(), "sts").is_err_and(|why| why.contains("no region")));
    }
}
