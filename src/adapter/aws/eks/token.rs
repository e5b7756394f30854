//! Signs bearer tokens for EKS. A token is a pre-signed `GetCallerIdentity` request that the cluster's authenticator
//! sends to STS.
//!
//! Do not add requests to the cluster.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SignatureLocation, SigningSettings};
use aws_sigv4::sign::v4;
use aws_smithy_async::time::SharedTimeSource;
use aws_types::SdkConfig;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{HeaderValue, Request};
use tokio::sync::Mutex;

use crate::adapter::aws::{credentials, endpoint};
use crate::adapter::kubernetes::NoToken;
use crate::domain::traffic::Unreadable;

/// The age at which a token is renewed. EKS accepts a token for 15 minutes, and a token must not expire during a
/// request.
const RENEW_AFTER: Duration = Duration::from_mins(14);

/// The cluster and the STS host that a token is signed for.
#[derive(Debug, Clone, Copy)]
pub struct Audience<'a> {
    /// The host of STS in the region, such as `sts.eu-central-1.amazonaws.com`.
    pub host: &'a str,
    /// The AWS region of the cluster.
    pub region: &'a str,
    /// The name of the EKS cluster.
    pub cluster: &'a str,
}

/// Signs a token for a cluster. For 15 minutes, anyone with the token can act as the signer in that cluster.
pub fn sign(credentials: &Credentials, audience: Audience<'_>, now: SystemTime) -> Result<String, NoToken> {
    let Audience { host, region, cluster } = audience;
    let no_token = |e: &dyn std::fmt::Display| NoToken(format!("a token for {cluster} cannot be signed: {e}"));
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_mins(1));
    let identity = credentials.clone().into();
    let builder =
        v4::SigningParams::builder().identity(&identity).region(region).name("sts").time(now).settings(settings);
    let params = builder.build().map_err(|e| no_token(&e))?.into();
    let url = format!("https://{host}/?Action=GetCallerIdentity&Version=2011-06-15");
    let headers = [("x-k8s-aws-id", cluster)];
    let signable = SignableRequest::new("GET", url.as_str(), headers.into_iter(), SignableBody::Bytes(&[]))
        .map_err(|e| no_token(&e))?;
    let signed = http_request::sign(signable, &params).map_err(|e| no_token(&e))?.into_parts().0;
    let mut request = Request::get(url).body(()).map_err(|e| no_token(&e))?;
    signed.apply_to_request_http1x(&mut request);
    let mut url = request.uri().to_string();
    // Other clients put the session token before the signature. STS accepts both orders, but the order must not
    // identify this client.
    if let Some((head, tail)) = url.split_once("&X-Amz-Signature=")
        && let Some((signature, session)) = tail.split_once('&')
    {
        url = format!("{head}&{session}&X-Amz-Signature={signature}");
    }
    Ok(format!("k8s-aws-v1.{}", BASE64_URL_SAFE_NO_PAD.encode(url)))
}

/// A bearer token that is renewed when needed.
pub struct Bearer {
    credentials: SharedCredentialsProvider,
    time: SharedTimeSource,
    host: String,
    region: String,
    cluster: String,
    current: Mutex<Option<CurrentToken>>,
}

struct CurrentToken {
    header: HeaderValue,
    signed: SystemTime,
    ends: SystemTime,
}

impl Bearer {
    /// Creates a token source with the configuration's credentials, region, endpoint settings and clock.
    pub fn new(config: &SdkConfig, cluster: &str) -> Result<Self, Unreadable> {
        let missing = |what: &str| Unreadable::Credentials(format!("no {what} is configured for AWS"));
        Ok(Self {
            credentials: config.credentials_provider().ok_or_else(|| missing("credentials provider"))?,
            time: config.time_source().unwrap_or_default(),
            host: endpoint::host(config, "sts")
                .map_err(|why| Unreadable::Credentials(format!("no STS endpoint: {why}")))?,
            region: config.region().ok_or_else(|| missing("region"))?.to_string(),
            cluster: cluster.to_owned(),
            current: Mutex::new(None),
        })
    }

    /// Discards the token, so that the next request gets a new token. Does nothing while a new token is being signed.
    pub fn forget(&self) {
        if let Ok(mut current) = self.current.try_lock() {
            *current = None;
        }
    }

    /// Returns the value of `Authorization`, marked as sensitive.
    pub async fn header(&self) -> Result<HeaderValue, NoToken> {
        let now = self.time.now();
        let mut current = self.current.lock().await;
        if let Some(c) = current.as_ref().filter(|c| c.signed <= now && now < c.ends) {
            return Ok(c.header.clone());
        }
        let credentials =
            self.credentials.provide_credentials().await.map_err(|e| NoToken(credentials::explain(&e)))?;
        if credentials.expiry().is_some_and(|e| e <= now) {
            return Err(NoToken("the AWS credentials have expired; log in again".to_owned()));
        }
        let ends = (now + RENEW_AFTER).min(credentials.expiry().unwrap_or(now + RENEW_AFTER));
        let audience = Audience { host: &self.host, region: &self.region, cluster: &self.cluster };
        let token = sign(&credentials, audience, now)?;
        let mut header = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| NoToken("the token is not a valid header value".to_owned()))?;
        header.set_sensitive(true);
        *current = Some(CurrentToken { header: header.clone(), signed: now, ends });
        Ok(header)
    }
}
