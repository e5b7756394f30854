//! Tests each network setting with each kind of connection. Gates, hooks, notifications and telemetry share one HTTP
//! client.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use cutover::adapter::aws::{self, eks, elb::Alb};
use cutover::adapter::kubernetes;
use cutover::adapter::metric::{HttpClient, HttpRequest};
use cutover::adapter::network::Network;
use cutover::port::{Cluster, Inventory};
use http::HeaderMap;
use serde_json::json;

use super::origin::AUTHORITY;
use super::servers::TestServers;

/// The result of each kind of connection.
#[derive(Debug)]
struct Cells {
    aws: Result<(), String>,
    eks: Result<(), String>,
    kubernetes: Result<(), String>,
    web: Result<(), String>,
}

impl Cells {
    fn all(&self) -> [&Result<(), String>; 4] {
        [&self.aws, &self.eks, &self.kubernetes, &self.web]
    }
}

fn network(variables: &[(&str, &str)]) -> Arc<Network> {
    Network::of(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
}

async fn connect(network: &Arc<Network>, proxy_url: Option<&str>) -> Cells {
    let settings = aws::Settings {
        region: Some("eu-central-1".into()),
        credentials: Some(Credentials::new("AKIDEXAMPLE", "secret-of-a-test", None, None, "test")),
        network: Some(Arc::clone(network)),
        ..aws::Settings::default()
    };
    let config = aws::config(&settings).await;
    let aws = Alb::new(&config).caller().await.map(drop).map_err(|e| e.to_string());
    let eks = match eks::connect_over(network, &config, "shop", None).await {
        Ok(cluster) => cluster.identity().await.map(drop).map_err(|e| e.to_string()),
        Err(why) => Err(why.to_string()),
    };
    let kubeconfig = json!({
        "current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": "https://cluster.example.test", "proxy-url": proxy_url}}],
        "users": [{"name": "x", "user": {"token": "token-of-a-test"}}],
    });
    let kubeconfig = serde_json::from_value(kubeconfig).expect("the kubeconfig should be valid");
    let kubernetes = match kubernetes::connect_over(network, kubeconfig, None).await {
        Ok(cluster) => cluster.identity().await.map(drop).map_err(|e| e.to_string()),
        Err(why) => Err(why.to_string()),
    };
    Cells { aws, eks, kubernetes, web: web(network, "https://hooks.example.test/x").await }
}

async fn web(network: &Arc<Network>, url: &str) -> Result<(), String> {
    let request = HttpRequest {
        counted_as: None,
        url,
        post: Some(("application/json", "{}".into())),
        headers: &[],
        more_headers: HeaderMap::new(),
        timeout: Duration::from_secs(20),
    };
    match HttpClient::over(Arc::clone(network)).send(request).await? {
        (status, _) if status.is_success() => Ok(()),
        (status, _) => Err(status.to_string()),
    }
}

const HOSTS: [&str; 5] = [
    "sts.eu-central-1.amazonaws.com:443",
    "eks.eu-central-1.amazonaws.com:443",
    "api.example.test:443",
    "cluster.example.test:443",
    "hooks.example.test:443",
];

#[tokio::test]
async fn every_connection_follows_the_proxy_and_trusts_the_private_authority() {
    let servers = TestServers::start(Some("al:S3CRET@pw")).await;
    let home = tempfile::tempdir().expect("the folder should be created");
    std::fs::create_dir(home.path().join(".aws")).expect("the folder should be created");
    let text = format!("[profile corp]\nca_bundle = {AUTHORITY}\n");
    std::fs::write(home.path().join(".aws/config"), text).expect("the write should succeed");
    let home = home.path().display().to_string();
    let (http, socks) = (format!("http://al:S3CRET%40pw@{}", servers.http), format!("socks5://{}", servers.socks));
    for (how, variables) in [
        ("CONNECT", [("HTTPS_PROXY", http.as_str()), ("SSL_CERT_FILE", AUTHORITY), ("", "")]),
        ("CONNECT", [("https_proxy", &http), ("AWS_CA_BUNDLE", AUTHORITY), ("", "")]),
        ("CONNECT", [("ALL_PROXY", &http), ("AWS_PROFILE", "corp"), ("HOME", &home)]),
        ("SOCKS", [("all_proxy", &socks), ("AWS_CA_BUNDLE", AUTHORITY), ("NO_PROXY", "other.test,10.0.0.0/8")]),
    ] {
        let cells = connect(&network(&variables), None).await;
        assert!(cells.all().iter().all(|cell| cell.is_ok()), "{variables:?}: {cells:?}");
        let requests = servers.take_requests();
        for host in HOSTS {
            assert!(requests.contains(&format!("{how} {host}")), "{variables:?}: {host} not in {requests:?}");
        }
    }
}

#[tokio::test]
async fn plain_http_requests_to_a_proxy_have_the_complete_url() {
    let servers = TestServers::start(Some("al:pw")).await;
    let proxy = format!("http://al:pw@{}", servers.http);
    let network = network(&[("HTTP_PROXY", &proxy)]);
    assert_eq!(web(&network, "http://prometheus.example.test/api").await, Ok(()));
    assert_eq!(servers.take_requests(), ["POST http://prometheus.example.test/api"]);
    let settings = aws::Settings {
        region: Some("eu-central-1".into()),
        endpoint_url: Some("http://sts.eu-central-1.amazonaws.com".into()),
        credentials: Some(Credentials::new("AKIDEXAMPLE", "secret-of-a-test", None, None, "test")),
        network: Some(Arc::clone(&network)),
        ..aws::Settings::default()
    };
    Alb::new(&aws::config(&settings).await).caller().await.expect("an answer");
    assert_eq!(servers.take_requests(), ["POST http://sts.eu-central-1.amazonaws.com/"]);
    let kubeconfig = json!({
        "current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": "http://cluster.example.test"}}],
    });
    let kubeconfig = serde_json::from_value(kubeconfig).expect("a kubeconfig");
    let cluster = kubernetes::connect_over(&network, kubeconfig, None).await.expect("a client");
    cluster.identity().await.expect("an answer");
    assert_eq!(servers.take_requests()[0], "GET http://cluster.example.test/api/v1/namespaces/kube-system");
}

#[tokio::test]
async fn no_proxy_and_loopback_are_direct_and_a_kubeconfig_may_name_a_proxy() {
    let servers = TestServers::start(None).await;
    let (http, socks) = (format!("http://{}", servers.http), format!("socks5://{}", servers.socks));
    let some = network(&[("HTTPS_PROXY", &http), ("AWS_CA_BUNDLE", AUTHORITY), ("no_proxy", ".example.test:443")]);
    let cells = connect(&some, Some(&socks)).await;
    assert!(cells.aws.is_ok() && cells.kubernetes.is_ok() && cells.web.is_err(), "{cells:?}");
    let requests = servers.take_requests();
    assert!(requests.contains(&"SOCKS cluster.example.test:443".to_owned()), "{requests:?}");
    assert!(!requests.iter().any(|request| request.contains("hooks")), "{requests:?}");
    let loopback = format!("http://{}/", servers.http);
    let _ = web(&network(&[("ALL_PROXY", "http://127.0.0.1:1")]), &loopback).await;
    assert_eq!(servers.take_requests(), ["POST /"], "a request to loopback must not go through a proxy");
}

/// An address in `NO_PROXY` is connected directly, and another address through the proxy.
#[tokio::test]
async fn no_proxy_with_a_range_of_addresses_holds_for_every_connection() {
    let servers = TestServers::start(None).await;
    let proxy = format!("http://{}", servers.http);
    let network = network(&[("HTTP_PROXY", &proxy), ("NO_PROXY", "255.255.255.0/24,192.0.2.0/28")]);
    // A connection to the broadcast address fails at once.
    for (address, proxied) in [("255.255.255.255", false), ("192.0.2.200", true)] {
        let url = format!("http://{address}:8080");
        let settings = aws::Settings {
            region: Some("eu-central-1".into()),
            endpoint_url: Some(url.clone()),
            credentials: Some(Credentials::new("AKIDEXAMPLE", "secret-of-a-test", None, None, "test")),
            network: Some(Arc::clone(&network)),
            ..aws::Settings::default()
        };
        // The servers do not know this host as STS.
        assert!(Alb::new(&aws::config(&settings).await).caller().await.is_err());
        let kubeconfig = json!({
            "current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "x"}}],
            "clusters": [{"name": "x", "cluster": {"server": url}}],
        });
        let kubeconfig = serde_json::from_value(kubeconfig).expect("a kubeconfig");
        let cluster = kubernetes::connect_over(&network, kubeconfig, None).await.expect("a client");
        assert_eq!(cluster.identity().await.is_ok(), proxied);
        assert_eq!(web(&network, &format!("{url}/x")).await.is_ok(), proxied);
        let asked = servers.take_requests();
        for request in
            [format!("POST {url}/"), format!("GET {url}/api/v1/namespaces/kube-system"), format!("POST {url}/x")]
        {
            assert_eq!(asked.contains(&request), proxied, "{request}: {asked:?}");
        }
    }
}

#[tokio::test]
async fn an_untrusted_certificate_fails_at_once_and_names_the_variable() {
    let servers = TestServers::start(None).await;
    let cells = connect(&network(&[("HTTPS_PROXY", &format!("http://{}", servers.http))]), None).await;
    for cell in cells.all() {
        let why = cell.as_ref().expect_err("the untrusted certificate should be refused");
        assert!(why.contains("is not trusted") && why.contains("AWS_CA_BUNDLE"), "{why}");
    }
    let asked = servers.take_requests();
    for host in HOSTS.iter().filter(|host| !host.starts_with("api.")) {
        let tries = asked.iter().filter(|line| line.ends_with(host)).count();
        assert!(tries <= 1, "an untrusted certificate must not be retried: {asked:?}");
    }
}

#[tokio::test]
async fn the_error_of_a_refusing_proxy_has_no_password() {
    let servers = TestServers::start(Some("al:another")).await;
    let wrong = format!("http://al:S3CRETpw@{}", servers.http);
    let down = "http://al:S3CRETpw@127.0.0.1:1".to_owned();
    let without = format!("http://{}", servers.http);
    for (proxy, expected) in [
        (&wrong, "does not accept the user and password in HTTPS_PROXY (407)"),
        (&without, "needs a user and a password (407)"),
        (&down, "refused the connection (HTTPS_PROXY)"),
    ] {
        let cells = connect(&network(&[("HTTPS_PROXY", proxy), ("AWS_CA_BUNDLE", AUTHORITY)]), None).await;
        for cell in cells.all() {
            let why = cell.as_ref().expect_err("the proxy should refuse the request");
            assert!(why.contains(expected) && !why.contains("S3CRET"), "{why}");
        }
    }
}
