use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use aws_types::region::Region;
use jiff::Timestamp;
use tower::service_fn;

use super::*;
use crate::lab::objects::Objects;
use crate::lab::wire::kube::{Server, token::Token, token::accept};
use crate::port::Cluster;

const NAME: &str = "blue-1";
const AUDIENCE: Audience<'static> =
    Audience { host: "sts.ap-northeast-2.amazonaws.com", region: "ap-northeast-2", cluster: NAME };

fn start() -> Timestamp {
    "2026-11-02T10:00:00Z".parse().unwrap()
}

fn credentials(session: Option<&str>, ends: Option<SystemTime>) -> Credentials {
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    Credentials::new("AKIDEXAMPLE", secret, session.map(str::to_owned), ends, "test")
}

#[test]
fn tokens_equal_those_of_botocore() {
    // botocore 1.43: RequestSigner.generate_presigned_url for sts in ap-northeast-2 at 2026-11-02T10:00:00Z, 60 s, with
    // x-k8s-aws-id: blue-1
    let before = "https://sts.ap-northeast-2.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIDEXAMPLE%2F20261102%2Fap-northeast-2%2Fsts%2Faws4_request&X-Amz-Date=20261102T100000Z&X-Amz-Expires=60\
        &X-Amz-SignedHeaders=host%3Bx-k8s-aws-id";
    let expected = [
        (None, "&X-Amz-Signature=7fea18bc6f40ac0efdea227d1e1affe9323eda6335dc44305ab91ad61049e1d1"),
        (
            Some("IQoJb3JpZ2luX2VjEXAMPLE+/token=="),
            "&X-Amz-Security-Token=IQoJb3JpZ2luX2VjEXAMPLE%2B%2Ftoken%3D%3D\
             &X-Amz-Signature=e5ed2ce23c6c6421498d54e771ed1f439ded51c1375a3aa88fdef66e42352497",
        ),
    ];
    for (session, after) in expected {
        let token = sign(&credentials(session, None), AUDIENCE, start().into()).unwrap();
        let url = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(token.strip_prefix("k8s-aws-v1.").unwrap()).unwrap();
        assert_eq!(String::from_utf8(url).unwrap(), format!("{before}{after}"));
    }
}

/// A clock that the test sets.
#[derive(Debug, Clone)]
struct ManualClock(Arc<Mutex<SystemTime>>);

impl TimeSource for ManualClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// A fake EKS API: DescribeCluster returns this status and body; ListClusters returns the clusters blue and green.
#[derive(Debug, Clone)]
struct Eks(u16, String);

impl HttpConnector for Eks {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let listed = request.uri().ends_with("/clusters") || request.uri().contains("/clusters?");
        let denied = self.1.contains("AccessDenied");
        let (status, body) = if listed && !denied {
            (200, r#"{"clusters": ["shop-blue", "shop-green"]}"#)
        } else {
            (self.0, self.1.as_str())
        };
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))))
    }
}

impl HttpClient for Eks {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

fn described(status: &str, endpoint: &str) -> Eks {
    Eks(
        200,
        format!(
            r#"{{"cluster": {{"name": "{NAME}", "arn": "arn:x", "status": "{status}", "version": "1.33", "endpoint": "{endpoint}"}}}}"#
        ),
    )
}

fn config(eks: Eks, clock: &ManualClock, credentials: Credentials) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(Region::new("ap-northeast-2"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .time_source(clock.clone())
        .http_client(eks)
        .build()
}

/// Returns the transport of an API server that accepts only fresh tokens, and that records when each token was signed.
fn transport(clock: &ManualClock, seen: Arc<Mutex<Vec<Timestamp>>>, signer: Credentials) -> Transport {
    let objects = Arc::new(Mutex::new(Objects::new(1, false, start())));
    let clock = clock.clone();
    let authorize = move |header: Option<&str>, now: Timestamp| {
        seen.lock().unwrap().push(Token::read(header).unwrap().signed);
        accept(header, "ap-northeast-2", NAME, &signer, now)
    };
    let server = Arc::new(Server { version: "v1.33.4-eks-1".to_owned(), authorize: Box::new(authorize) });
    BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
        let (server, objects, clock) = (Arc::clone(&server), Arc::clone(&objects), clock.clone());
        async move {
            let (parts, body) = request.into_parts();
            let bytes = http_body_util::BodyExt::collect(body).await.map_err(|e| e.to_string())?.to_bytes();
            let mut objects = objects.lock().unwrap();
            let now = clock.now().try_into().unwrap();
            let answer = server.answer(&mut objects, &Request::from_parts(parts, bytes), now).into_response(&objects);
            Ok::<_, BoxError>(answer.map(Body::from))
        }
    }))
}

#[tokio::test]
async fn token_is_renewed_after_14_minutes_of_the_configured_clock() {
    let clock = ManualClock(Arc::new(Mutex::new(start().into())));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let config = config(described("ACTIVE", "https://blue.invalid"), &clock, credentials(None, None));
    let cluster =
        connect(&config, NAME, Some(transport(&clock, Arc::clone(&seen), credentials(None, None)))).await.unwrap();
    let mut signed = Vec::new();
    for minutes in [0, 13, 14, 16, 300] {
        *clock.0.lock().unwrap() = SystemTime::from(start()) + Duration::from_mins(minutes);
        assert_eq!(cluster.identity().await.unwrap().version, "v1.33.4-eks-1");
        let last = *seen.lock().unwrap().last().unwrap();
        signed.push(last.duration_since(start()).as_mins());
    }
    assert_eq!(signed, [0, 0, 14, 14, 300]);
}

#[tokio::test]
async fn expired_credentials_are_not_reported_as_a_network_failure() {
    let clock = ManualClock(Arc::new(Mutex::new(start().into())));
    let ends = SystemTime::from(start()) + Duration::from_mins(5);
    let config = config(described("ACTIVE", "https://blue.invalid"), &clock, credentials(Some("s"), Some(ends)));
    let cluster =
        connect(&config, NAME, Some(transport(&clock, Arc::default(), credentials(Some("s"), None)))).await.unwrap();
    assert!(cluster.identity().await.is_ok());
    *clock.0.lock().unwrap() = ends;
    assert_eq!(
        cluster.identity().await,
        Err(Unreadable::Credentials("the AWS credentials have expired; log in again".to_owned()))
    );
}

#[tokio::test]
async fn missing_or_insecure_cluster_is_refused() {
    let clock = ManualClock(Arc::new(Mutex::new(start().into())));
    let why = async |eks: Eks| {
        connect(&config(eks, &clock, credentials(None, None)), NAME, None).await.err().map(|e| e.to_string())
    };
    assert_eq!(why(described("CREATING", "")).await.unwrap(), "the EKS cluster blue-1 is CREATING");
    assert_eq!(
        why(described("ACTIVE", "http://10.0.0.7")).await.unwrap(),
        "the endpoint of blue-1: a token is sent only over https"
    );
    assert_eq!(
        why(described("ACTIVE", "https://10.0.0.7")).await.unwrap(),
        "the endpoint of blue-1: no certificate authority"
    );
    assert_eq!(why(described("ACTIVE", "http://127.0.0.1:9")).await, None);
    let missing = Eks(
        404,
        r#"{"__type": "ResourceNotFoundException", "message": "No cluster found for name: blue-1."}"#.to_owned(),
    );
    assert_eq!(
        why(missing).await.unwrap(),
        "not found: ap-northeast-2 has no EKS cluster `blue-1`; its clusters are shop-blue, shop-green"
    );
    let unlisted = Eks(404, r#"{"__type": "ResourceNotFoundException", "message": "AccessDenied"}"#.to_owned());
    assert_eq!(why(unlisted).await.unwrap(), "not found: ap-northeast-2 has no EKS cluster `blue-1`");
}

#[tokio::test]
async fn refused_signature_does_not_quote_the_session_token() {
    let clock = ManualClock(Arc::new(Mutex::new(start().into())));
    let quoted =
        "The Canonical String for this request should have been 'GET /clusters/blue-1 x-amz-security-token:SECRET'";
    let answer = Eks(403, format!(r#"{{"__type": "InvalidSignatureException", "message": "{quoted}"}}"#));
    let refused = connect(&config(answer, &clock, credentials(Some("SECRET"), None)), NAME, None).await.err();
    assert_eq!(
        refused,
        Some(Unreadable::Credentials(
            "the secret access key does not belong to the access key (InvalidSignatureException)".to_owned()
        ))
    );
}

#[test]
fn certificates_are_read_from_a_bundle() {
    let pem =
        b"-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nBAU=\n-----END CERTIFICATE-----\n";
    assert_eq!(certificates(pem), [vec![1, 2, 3], vec![4, 5]]);
}

#[test]
fn token_is_valid_for_15_minutes_for_its_cluster_and_signer() {
    let (mine, now) = (credentials(None, None), start());
    let header = format!("Bearer {}", sign(&mine, AUDIENCE, now.into()).unwrap());
    let ok = |region: &str, cluster: &str, by: &Credentials, minutes: i64| {
        accept(Some(&header), region, cluster, by, now + jiff::SignedDuration::from_mins(minutes))
    };
    assert!(ok("ap-northeast-2", NAME, &mine, 0) && ok("ap-northeast-2", NAME, &mine, 15));
    assert!(!ok("ap-northeast-2", NAME, &mine, 16), "a token of 16 minutes must be refused");
    assert!(!ok("ap-northeast-2", "green-1", &mine, 0), "a token for another cluster must be refused");
    assert!(!ok("eu-west-1", NAME, &mine, 0), "a token for another region must be refused");
    assert!(!ok("ap-northeast-2", NAME, &credentials(Some("s"), None), 0), "a token of another signer must be refused");
    assert!(
        !accept(Some("Bearer k8s-aws-v1.aGk"), "ap-northeast-2", NAME, &mine, now)
            && !accept(None, "ap-northeast-2", NAME, &mine, now)
    );
}

#[tokio::test]
async fn refused_token_is_signed_again() {
    let clock = ManualClock(Arc::new(Mutex::new(start().into())));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let config = config(described("ACTIVE", "https://blue.invalid"), &clock, credentials(None, None));
    let nobody = credentials(Some("another session"), None);
    let cluster = connect(&config, NAME, Some(transport(&clock, Arc::clone(&seen), nobody))).await.unwrap();
    for minutes in [0, 1] {
        *clock.0.lock().unwrap() = SystemTime::from(start()) + Duration::from_mins(minutes);
        cluster.identity().await.unwrap_err();
        assert_eq!(
            seen.lock().unwrap().last().unwrap().duration_since(start()).as_mins(),
            i64::try_from(minutes).unwrap()
        );
    }
}
