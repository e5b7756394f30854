//! Checks a bearer token as EKS does: form, region, age, and that the token was signed for this cluster.

use aws_credential_types::Credentials;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};

use super::path::Query;
use crate::adapter::aws::eks::{self, Audience};
use crate::base::partition;

/// Lifetime of a token after its signature, whatever the token's `X-Amz-Expires`.
const TOKEN_LIFETIME: SignedDuration = SignedDuration::from_mins(15);

/// A parsed bearer token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Host of the STS endpoint in the token.
    pub host: String,
    /// Region of the STS endpoint in the token.
    pub region: String,
    /// Access key that signed the token.
    pub access_key: String,
    /// Time of the signature.
    pub signed: Timestamp,
}

impl Token {
    /// Parses the value of an `Authorization` header. The error says what is wrong with the token, without quoting any
    /// part of it.
    pub fn read(authorization: Option<&str>) -> Result<Self, &'static str> {
        let encoded = authorization.and_then(|a| a.strip_prefix("Bearer ")).ok_or("the header has no bearer token")?;
        let encoded = encoded.strip_prefix("k8s-aws-v1.").ok_or("the token is not an EKS token")?;
        let url = BASE64_URL_SAFE_NO_PAD.decode(encoded).map_err(|_| "the token is not unpadded base64url")?;
        let url = String::from_utf8(url).map_err(|_| "the token does not contain a URL")?;
        let (host, query) = url
            .strip_prefix("https://")
            .and_then(|u| u.split_once("/?"))
            .ok_or("the URL in the token is not an https URL with a query")?;
        let region = region_of(host).ok_or("the URL in the token is not a regional STS endpoint")?;
        let query = Query::parse(query);
        if (query.get("Action"), query.get("Version")) != ("GetCallerIdentity", "2011-06-15") {
            return Err("the token is not for GetCallerIdentity");
        }
        if query.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" || query.get("X-Amz-Signature").len() != 64 {
            return Err("the token is not signed");
        }
        let headers: Vec<_> = query.get("X-Amz-SignedHeaders").split(';').collect();
        if headers != ["host", "x-k8s-aws-id"] {
            return Err("the signature of the token does not include the cluster's name");
        }
        let mut scope = query.get("X-Amz-Credential").split('/');
        let access_key = scope.next().unwrap_or_default().to_owned();
        if scope.nth(1) != Some(region) {
            return Err("the token is signed for another region");
        }
        let signed = Timestamp::strptime("%Y%m%dT%H%M%S%z", query.get("X-Amz-Date").replace('Z', "+0000"))
            .map_err(|_| "the token has no date")?;
        Ok(Self { host: host.to_owned(), region: region.to_owned(), access_key, signed })
    }

    /// Returns whether EKS would still accept the token at this time.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.signed);
        age <= TOKEN_LIFETIME && age >= -SignedDuration::from_mins(5)
    }
}

/// Returns the region of a regional STS endpoint, of any partition, including FIPS and dual-stack endpoints.
fn region_of(host: &str) -> Option<&str> {
    let (service, rest) = host.split_once('.')?;
    let (region, domain) = rest.split_once('.')?;
    let partition = partition::of_region(region);
    let known = [partition.domain, partition.dual_stack_domain].contains(&domain);
    (matches!(service, "sts" | "sts-fips") && known).then_some(region)
}

/// Returns whether EKS would accept the value of an `Authorization` header for this cluster now: the token must be
/// fresh, and signed for the cluster's name with these credentials. Signatures are deterministic, so the lab signs
/// again and compares.
pub fn accept(
    authorization: Option<&str>,
    region: &str,
    cluster: &str,
    credentials: &Credentials,
    now: Timestamp,
) -> bool {
    let Ok(token) = Token::read(authorization) else { return false };
    let expected = eks::sign(credentials, Audience { host: &token.host, region, cluster }, token.signed.into());
    token.region == region
        && token.is_fresh(now)
        && expected.is_ok_and(|e| authorization == Some(&format!("Bearer {e}")))
}
