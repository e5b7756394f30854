//! Decides which connection uses which proxy. Do not open connections here.

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;

use super::ConnectError;
use super::proxy::{Proxy, host_and_port};

/// The proxies of an environment, with the exceptions of `NO_PROXY`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proxies {
    http: Option<Result<Proxy, ConnectError>>,
    https: Option<Result<Proxy, ConnectError>>,
    exceptions: Vec<NoProxyEntry>,
}

/// An entry of `NO_PROXY`: the hosts that it matches, and the port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NoProxyEntry(HostPattern, Option<u16>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    Everything,
    Network(IpNet),
    /// The name, and all names below it.
    Domain(String),
}

impl Proxies {
    /// Parses the variables. Names in upper case have priority. `given` returns only values that are not empty.
    pub fn of(given: &impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&str; 4]| {
            let found = names.into_iter().find_map(|name| Some((name.to_owned(), given(name)?)));
            found.map(|(name, url)| Proxy::parse(&name, &url))
        };
        let no = given("NO_PROXY").or_else(|| given("no_proxy")).unwrap_or_default();
        Self {
            http: first(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]),
            https: first(["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
            exceptions: no.split([',', ' ']).filter_map(NoProxyEntry::parse).collect(),
        }
    }

    /// Returns the proxy for a URL; `None` if the connection is direct. Addresses of this machine and of the AWS
    /// metadata services are always reached directly.
    pub fn of_url(&self, url: &Uri) -> Result<Option<&Proxy>, ConnectError> {
        let (proxy, port) = match url.scheme_str() {
            Some("http") => (&self.http, 80),
            _ => (&self.https, 443),
        };
        let Some(proxy) = proxy else { return Ok(None) };
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let port = url.port_u16().unwrap_or(port);
        if is_local(&host) || self.exceptions.iter().any(|exception| exception.matches(&host, port)) {
            return Ok(None);
        }
        proxy.as_ref().map(Some).map_err(Clone::clone)
    }
}

impl NoProxyEntry {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim();
        if entry == "*" {
            return Some(Self(HostPattern::Everything, None));
        }
        let network = |text: &str| {
            let bare = text.trim_matches(['[', ']']);
            bare.parse::<IpNet>().ok().or_else(|| bare.parse::<IpAddr>().ok().map(IpNet::from))
        };
        if let Some(network) = network(entry) {
            return Some(Self(HostPattern::Network(network), None));
        }
        let (host, port) = host_and_port(entry)?;
        if let Some(network) = network(&host) {
            return Some(Self(HostPattern::Network(network), port));
        }
        let name = host.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.');
        (!name.is_empty()).then(|| Self(HostPattern::Domain(name.to_owned()), port))
    }

    fn matches(&self, host: &str, port: u16) -> bool {
        let Self(what, only) = self;
        let named = match what {
            HostPattern::Everything => true,
            HostPattern::Network(network) => host.parse::<IpAddr>().is_ok_and(|address| network.contains(&address)),
            HostPattern::Domain(name) => {
                host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        };
        named && only.is_none_or(|only| only == port)
    }
}

/// Returns whether a host is this machine, or an address that only this machine can reach, such as the metadata service
/// of EC2.
pub fn is_local(host: &str) -> bool {
    if host == "localhost" || host.ends_with(".localhost") {
        return true;
    }
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local() || address.is_unspecified(),
        // The range fd00:ec2::/32 contains the metadata services of EC2 and EKS.
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unicast_link_local() || address.segments()[..2] == [0xfd00, 0xec2]
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(variables: &[(&str, &str)], url: &str) -> String {
        let given = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        match Proxies::of(&given).of_url(&url.parse().expect("a valid URL")) {
            Ok(Some(proxy)) => format!("{proxy:?}"),
            Ok(None) => "direct".into(),
            Err(why) => why.to_string(),
        }
    }

    #[test]
    fn proxy_is_selected_by_the_scheme_of_the_url() {
        let both = [("HTTPS_PROXY", "http://s"), ("http_proxy", "http://p"), ("ALL_PROXY", "socks5://a")];
        assert_eq!(route(&both, "https://x.example"), "http://s:80 of HTTPS_PROXY");
        assert_eq!(route(&both, "http://x.example"), "http://p:80 of http_proxy");
        assert_eq!(route(&both[2..], "http://x.example"), "socks5://a:1080 of ALL_PROXY");
        assert_eq!(route(&both[1..2], "https://x.example"), "direct");
        assert_eq!(
            route(&[("HTTPS_PROXY", "http://u"), ("https_proxy", "http://l")], "https://x"),
            "http://u:80 of HTTPS_PROXY"
        );
        assert!(route(&[("HTTPS_PROXY", "ftp://x")], "https://x.example").starts_with("HTTPS_PROXY is not a valid"));
        assert_eq!(route(&[("HTTPS_PROXY", "ftp://x"), ("NO_PROXY", "x.example")], "https://x.example"), "direct");
    }

    #[test]
    fn no_proxy_matches_names_suffixes_addresses_networks_and_ports() {
        for (no, url, direct) in [
            ("*", "https://x.example", true),
            ("example.com", "https://example.com", true),
            ("example.com", "https://a.b.EXAMPLE.com", true),
            ("example.com", "https://notexample.com", false),
            (".example.com", "https://a.example.com", true),
            ("*.example.com", "https://a.example.com", true),
            ("a.example.com:8443", "https://a.example.com:8443", true),
            ("a.example.com:8443", "https://a.example.com", false),
            ("a.example.com:443", "https://a.example.com", true),
            ("10.0.0.0/8", "https://10.1.2.3:6443", true),
            ("10.0.0.0/8", "https://11.1.2.3", false),
            ("10.1.2.3:6443", "https://10.1.2.3:6443", true),
            ("10.1.2.3:6443", "https://10.1.2.3", false),
            ("fd12::/16", "https://[fd12::1]:6443", true),
            ("[fd12::1]:6443", "https://[fd12::1]:6443", true),
            ("fd12::1", "https://[fd12::2]", false),
            (" x.example , 10.0.0.0/8", "https://10.9.9.9", true),
            ("a b", "https://b", true),
            ("", "https://example.com", false),
            (",.,:", "https://example.com", false),
            ("example.com.", "https://example.com.", true),
        ] {
            for name in ["NO_PROXY", "no_proxy"] {
                let found = route(&[("HTTPS_PROXY", "http://p"), (name, no)], url);
                assert_eq!(found == "direct", direct, "NO_PROXY={no}, {url}: {found}");
            }
        }
    }

    #[test]
    fn this_machine_and_metadata_services_are_reached_directly() {
        for url in [
            "http://127.0.0.1:5000",
            "http://localhost",
            "https://a.localhost",
            "http://[::1]:80",
            "http://169.254.169.254",
            "http://[fd00:ec2::254]",
        ] {
            assert_eq!(route(&[("ALL_PROXY", "http://p")], url), "direct", "{url}");
        }
        assert_eq!(route(&[("ALL_PROXY", "http://p")], "http://10.0.0.1"), "http://p:80 of ALL_PROXY");
    }
}
