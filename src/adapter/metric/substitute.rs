//! Replaces the addresses in the plan's gates, so that the plan can be tried against the lab without a change.
//!
//! The headers of the plan may contain credentials. Therefore a replacing server gets none of these headers, except
//! headers of a probe whose values are written in the plan.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue as RawValue, Uri, header};

use crate::plan::model::metric::{Header, HeaderValue, Http, Prometheus};

/// The variable with the address that replaces the address of every Prometheus gate.
pub const PROMETHEUS: &str = "CUTOVER_PROMETHEUS_URL";
/// The variable with the address that replaces the address of every probe.
pub const PROBE: &str = "CUTOVER_PROBE_URL";

/// The replacing addresses; `None` if the plan's own address is used.
#[derive(Debug, Clone, Default)]
pub struct Substitutes {
    prometheus: Option<String>,
    probe: Option<String>,
}

impl Substitutes {
    /// Reads the addresses from the environment of the process.
    pub fn from_environment() -> Self {
        let read = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
        Self { prometheus: read(PROMETHEUS), probe: read(PROBE) }
    }

    /// Returns the source at the replacing address, without headers.
    pub fn prometheus<'a>(&self, source: &'a Prometheus) -> Cow<'a, Prometheus> {
        let Some(address) = &self.prometheus else { return Cow::Borrowed(source) };
        Cow::Owned(Prometheus { address: address.clone(), headers: Vec::new(), ..source.clone() })
    }

    /// Returns the probe at the replacing address with the plan's path, and the header with the plan's host, because
    /// rules of a load balancer may match it.
    pub fn probe<'a>(&self, source: &'a Http) -> (Cow<'a, Http>, HeaderMap) {
        let mut more = HeaderMap::new();
        let (Some(address), Ok(uri)) = (&self.probe, source.url.parse::<Uri>()) else {
            return (Cow::Borrowed(source), more);
        };
        if let Some(host) = uri.host().and_then(|host| RawValue::from_str(host).ok()) {
            more.insert(header::HOST, host);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let plain = |header: &&Header| matches!(header.value, HeaderValue::Plain(_));
        let headers = source.headers.iter().filter(plain).cloned().collect();
        let url = format!("{}{path}", address.trim_end_matches('/'));
        (Cow::Owned(Http { url, headers, ..source.clone() }), more)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn headers() -> Vec<Header> {
        let header = |name: &str, value| Header { name: name.into(), value };
        vec![
            header("Authorization", HeaderValue::Env("PROMETHEUS_AUTHORIZATION".into())),
            header("X-Test", HeaderValue::Plain("green".into())),
        ]
    }

    #[test]
    fn another_prometheus_gets_the_queries_without_the_headers() {
        let source = Prometheus {
            address: "https://prometheus.example.com".into(),
            headers: headers(),
            timeout: Duration::from_secs(10),
            query: Some("up".into()),
            requests: None,
            errors: None,
            latency: None,
        };
        assert_eq!(*Substitutes::default().prometheus(&source), source);
        let lab = Substitutes { prometheus: Some("http://127.0.0.1:1".into()), probe: None };
        let lab = lab.prometheus(&source);
        assert_eq!((lab.address.as_str(), lab.headers.len(), &lab.query), ("http://127.0.0.1:1", 0, &source.query));
    }

    #[test]
    fn another_server_is_probed_with_the_plans_host_and_path_and_no_secret() {
        let url = "https://shop.example.com/health?full=1".to_owned();
        let source = Http { url, headers: headers(), status: 200, body: None, timeout: Duration::from_secs(5) };
        let (same, none) = Substitutes::default().probe(&source);
        assert!(*same == source && none.is_empty());
        let lab = Substitutes { prometheus: None, probe: Some("http://127.0.0.1:1/".into()) };
        let (probe, more) = lab.probe(&source);
        assert_eq!(probe.url, "http://127.0.0.1:1/health?full=1");
        assert_eq!(more[header::HOST], "shop.example.com");
        assert_eq!(probe.headers.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["X-Test"]);
    }
}
