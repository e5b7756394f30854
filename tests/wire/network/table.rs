//! The table of `help network`: each setting by each kind of connection, in whole runs of the program.

use super::office::{CONNECTIONS, Office};
use super::origin::{AUTHORITY, file};

/// The proxy of an office that a setting names.
#[derive(Clone, Copy)]
enum By {
    Http,
    /// HTTP over TLS.
    Https,
    Socks,
}

impl By {
    fn url(self, office: &Office) -> String {
        match self {
            Self::Http => format!("http://robot:pw-of-a-test@{}", office.servers.http),
            Self::Https => format!("https://robot:pw-of-a-test@{}", office.servers.https),
            Self::Socks => format!("socks5h://{}", office.servers.socks),
        }
    }

    /// Returns the text with which the proxy logs a connection.
    fn log(self) -> &'static str {
        match self {
            Self::Http => "CONNECT ",
            Self::Https => "TLS CONNECT ",
            Self::Socks => "SOCKS ",
        }
    }
}

/// Runs the program once with this proxy in this variable, and with the authority in this setting.
async fn run_through(variable: &str, proxy: By, trust: &str) {
    let office = Office::start(&[], Some("robot:pw-of-a-test"), None).await;
    let config = office.write("home/.aws/config", &format!("[profile corp]\nca_bundle = {AUTHORITY}\n"));
    let folder = office.folder().join("certificates");
    std::fs::create_dir(&folder).expect("the folder should be created");
    std::fs::copy(AUTHORITY, folder.join("corp.pem")).expect("the file should be copied");
    let (config, folder) = (config.display().to_string(), folder.display().to_string());
    let trust = match trust {
        "SSL_CERT_DIR" => vec![("SSL_CERT_DIR", folder.as_str())],
        "ca_bundle" => vec![("AWS_PROFILE", "corp"), ("AWS_CONFIG_FILE", config.as_str())],
        name => vec![(name, AUTHORITY)],
    };
    let url = proxy.url(&office);
    let office = office.with(&[(variable, &url)]).with(&trust);
    office.cutover("run plan.yaml --yes").await.assert_exit(0);
    let asked = office.servers.take_requests();
    for (connection, host) in CONNECTIONS {
        let wanted = format!("{}{host}", proxy.log());
        assert!(asked.contains(&wanted), "{variable} and {trust:?} for {connection}: no {wanted} in {asked:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_proxy_and_aws_ca_bundle_hold_for_every_connection() {
    run_through("HTTPS_PROXY", By::Http, "AWS_CA_BUNDLE").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_over_tls_and_ssl_cert_file_hold_for_every_connection() {
    run_through("https_proxy", By::Https, "SSL_CERT_FILE").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_proxy_over_socks_and_ssl_cert_dir_hold_for_every_connection() {
    run_through("ALL_PROXY", By::Socks, "SSL_CERT_DIR").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_proxy_in_lower_case_and_the_profiles_ca_bundle_hold_for_every_connection() {
    run_through("all_proxy", By::Http, "ca_bundle").await;
}

/// The proxy of the environment does not exist. `NO_PROXY` names every host, so the program connects directly to each
/// host, whose name does not resolve.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proxy_holds_for_every_connection_and_not_for_the_proxy_of_a_kubeconfig() {
    let a = "a.example.test:443";
    let cases = [
        (".amazonaws.com,.example.test", By::Http, vec![a]),
        ("*", By::Socks, vec![a]),
        // The first entry has another port than the host, so it does not match.
        (
            ".amazonaws.com:8443,example.test:443",
            By::Socks,
            vec![a, CONNECTIONS[0].1, CONNECTIONS[1].1, CONNECTIONS[2].1],
        ),
    ];
    let checks = cases.map(async |(no_proxy, by, proxied)| {
        let office = Office::start(&[], None, None).await;
        let url = by.url(&office);
        office.kubeconfig(&serde_json::json!({"token": "token-of-a-test"}), Some(&url));
        let http = By::Http.url(&office);
        let office = office.with(&[("HTTPS_PROXY", &http), ("NO_PROXY", no_proxy), ("AWS_CA_BUNDLE", AUTHORITY)]);
        let ended = office.cutover("check plan.yaml").await;
        assert_ne!(ended.code, 0, "AWS or the cluster b cannot be reached");
        let mut asked = office.servers.take_requests();
        asked.sort();
        asked.dedup();
        let hosts: Vec<_> = asked.iter().filter_map(|line| line.rsplit(' ').next()).collect();
        let more = hosts.iter().find(|host| !proxied.contains(host));
        assert!(more.is_none(), "NO_PROXY={no_proxy}: {asked:?}");
        assert!(asked.contains(&format!("{}{a}", by.log())), "NO_PROXY={no_proxy}: {asked:?}");
    });
    futures::future::join_all(checks).await;
}

/// Servers that this program runs on loopback for itself are never called through a proxy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_asks_no_proxy() {
    let office = Office::start(&[], None, None).await;
    let url = By::Http.url(&office);
    let office = office.with(&[("HTTPS_PROXY", &url), ("HTTP_PROXY", &url), ("ALL_PROXY", &url)]);
    // The lab's time is much faster than this machine's, so the time-outs of the gates are long.
    let plan = std::fs::read_to_string(office.folder().join("plan.yaml")).expect("the plan should be readable");
    office.write("plan.yaml", &plan.replace("timeout: 10s", "timeout: 12h"));
    office.cutover("rehearse plan.yaml").await.assert_exit(0);
    assert_eq!(office.servers.take_requests(), Vec::<String>::new());
}

/// A cluster with its own authority trusts only this authority, as kubectl does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_trusted_stops_each_connection_at_once_with_the_variable() {
    let office = Office::start(&[], None, None).await;
    let url = By::Http.url(&office);
    let office = office.with(&[("HTTPS_PROXY", &url)]);
    let ended = office.cutover("check plan.yaml").await;
    assert_ne!(ended.code, 0);
    let said = ended.out + &ended.err;
    assert!(said.contains("is not trusted") && said.contains("AWS_CA_BUNDLE"), "{said}");
    let asked = office.servers.take_requests();
    let to_sts = asked.iter().filter(|line| line.contains("sts.")).count();
    assert!(to_sts <= 2, "another try does not help: {asked:?}");
    assert!(file("ca.pem").exists());
}

/// Gates, hooks, notifications and telemetry without TLS, and a cluster without TLS: the proxy gets complete URLs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_goes_through_http_proxy_in_a_whole_run() {
    let office = Office::start(&[], Some("robot:pw-of-a-test"), None).await;
    for name in ["plan.yaml", "kubeconfig", "slack-url"] {
        let text = std::fs::read_to_string(office.folder().join(name)).expect("the file should be readable");
        office.write(name, &text.replace("https://", "http://"));
    }
    let url = By::Http.url(&office);
    let office = office.with(&[
        ("HTTP_PROXY", &url),
        ("HTTPS_PROXY", &url),
        ("AWS_CA_BUNDLE", AUTHORITY),
        ("EVENTS_URL", "http://events.example.test/in"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel.example.test"),
    ]);
    office.cutover("run plan.yaml --yes").await.assert_exit(0);
    let asked = office.servers.take_requests();
    let hosts = ["a", "prometheus", "smoke", "grafana", "events", "otel"];
    for host in hosts.map(|host| format!(" http://{host}.example.test/")) {
        assert!(asked.iter().any(|line| line.contains(&host)), "no request to{host} in {asked:#?}");
    }
    assert!(asked.iter().any(|line| line.starts_with("CONNECT sts.")), "{asked:#?}");
}
