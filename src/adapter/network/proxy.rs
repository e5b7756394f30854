//! A proxy and its URL. Do not decide here which connection uses the proxy.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use super::ConnectError;
use crate::base::redact;

/// The protocol of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP: `CONNECT` for https destinations, absolute requests for http destinations.
    Http,
    /// HTTP over TLS.
    Https,
    /// SOCKS 5. The proxy resolves names.
    Socks5,
}

/// A proxy. Neither `Debug` nor `Display` shows its user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The setting that names the proxy, such as `HTTPS_PROXY`.
    pub setting: String,
    /// The protocol of the proxy.
    pub scheme: Scheme,
    host: String,
    port: u16,
    user: Option<(String, String)>,
}

impl Proxy {
    /// Parses the URL of a proxy. A URL without a scheme is `http`. The error names the setting and not the URL, which
    /// may contain a password.
    pub fn parse(setting: &str, url: &str) -> Result<Self, ConnectError> {
        let wrong = |why: &str| ConnectError::Setup(format!("{setting} is not a valid proxy URL: {why}"));
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (scheme, port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Scheme::Http, 80),
            "https" => (Scheme::Https, 443),
            "socks5" | "socks5h" => (Scheme::Socks5, 1080),
            other => return Err(wrong(&format!("the scheme `{other}` is not supported; use http, https or socks5"))),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user.split_once(':').unwrap_or((user, ""))), place),
            None => (None, authority),
        };
        let (host, port) = match host_and_port(place) {
            Some((host, given)) => (host, given.unwrap_or(port)),
            None => return Err(wrong("the host or the port of the URL is missing or not valid")),
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = user.map(|(user, password)| (decoded(user), decoded(password)));
        let proxy = Self { setting: setting.to_owned(), scheme, host, port, user };
        proxy.uri().map_err(|_| wrong("the host or the port of the URL is missing or not valid"))?;
        if let Some((user, password)) = &proxy.user {
            redact::remember(password);
            redact::remember(&BASE64_STANDARD.encode(format!("{user}:{password}")));
        }
        Ok(proxy)
    }

    /// Returns the address of the proxy as a URL, without user and password.
    pub fn uri(&self) -> Result<Uri, ConnectError> {
        self.to_string().parse().map_err(|_| ConnectError::Setup(format!("{} is not a valid proxy URL", self.setting)))
    }

    /// Returns the user and the password.
    pub fn user(&self) -> Option<(&str, &str)> {
        self.user.as_ref().map(|(user, password)| (user.as_str(), password.as_str()))
    }

    /// Returns the value of `Proxy-Authorization`.
    pub fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = self.user()?;
        let text = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} of {}", self.setting)
    }
}

/// Parses `host`, `host:port`, `[address]` or `[address]:port`. The returned host keeps its brackets.
pub(super) fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let end = text.find(']').map_or(0, |end| end + 1);
    let (host, port) = match text[end..].rfind(':') {
        Some(colon) => (&text[..end + colon], Some(text[end + colon + 1..].parse().ok()?)),
        None => (text, None),
    };
    (!host.is_empty()).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_url_is_parsed_and_its_password_is_not_shown() {
        let parse = |url| Proxy::parse("HTTPS_PROXY", url).expect("a valid proxy URL");
        let proxy = parse("http://al%40ice:pa%3Ass%20word@Proxy.example.com:3128/path");
        assert_eq!(
            (proxy.to_string().as_str(), proxy.user()),
            ("http://proxy.example.com:3128", Some(("al@ice", "pa:ss word")))
        );
        assert_eq!(format!("{proxy:?}"), "http://proxy.example.com:3128 of HTTPS_PROXY");
        assert_eq!(parse("proxy:8080").to_string(), "http://proxy:8080");
        assert_eq!(parse("HTTPS://proxy").to_string(), "https://proxy:443");
        assert_eq!(parse("socks5h://[::1]").to_string(), "socks5://[::1]:1080");
        assert_eq!(parse("http://p@ss:w@rd@proxy").user(), Some(("p@ss", "w@rd")));
        assert_eq!(parse("http://u:p@proxy").authorization().expect("a user and a password"), "Basic dTpw");
        for (url, why) in [
            ("socks4://proxy", "`socks4`"),
            ("http://", "missing or not valid"),
            ("http://u:S3CRET@proxy:port", "not valid"),
        ] {
            let error = Proxy::parse("https_proxy", url).expect_err(url).to_string();
            assert!(
                error.starts_with("https_proxy is not") && error.contains(why) && !error.contains("S3CRET"),
                "{error}"
            );
        }
    }
}
