//! The partitions of AWS: the partition of each region, and the names that depend on the partition. The endpoint rules
//! of the AWS SDK decide which endpoint a client calls; do not repeat those rules here.

/// A partition of AWS: a group of regions with separate accounts, ARNs and domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// The partition's name in ARNs, such as `aws-us-gov`.
    pub name: &'static str,
    /// The prefix of the regions' names; empty for the partition `aws`, which has all other regions.
    prefix: &'static str,
    /// The domain of the partition's endpoints.
    pub domain: &'static str,
    /// The domain of the partition's dual-stack endpoints.
    pub dual_stack_domain: &'static str,
}

const fn partition(
    name: &'static str,
    prefix: &'static str,
    domain: &'static str,
    dual_stack_domain: &'static str,
) -> Partition {
    Partition { name, prefix, domain, dual_stack_domain }
}

/// All partitions. The partition without a prefix is the last, because its prefix matches every region.
const ALL: [Partition; 8] = [
    partition("aws-cn", "cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    partition("aws-us-gov", "us-gov-", "amazonaws.com", "api.aws"),
    partition("aws-iso", "us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    partition("aws-iso-b", "us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    partition("aws-iso-e", "eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    partition("aws-iso-f", "us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    partition("aws-eusc", "eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    partition("aws", "", "amazonaws.com", "api.aws"),
];

/// Returns the partition that a region belongs to.
pub fn of_region(region: &str) -> Partition {
    ALL.into_iter().find(|p| region.starts_with(p.prefix)).unwrap_or(ALL[ALL.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_belongs_to_one_partition() {
        for (region, name) in [
            ("eu-central-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("us-isof-south-1", "aws-iso-f"),
            ("eusc-de-east-1", "aws-eusc"),
        ] {
            assert_eq!(of_region(region).name, name, "{region}");
        }
    }
}
