//! Conditions of rules, as the data plane evaluates them.

use serde_json::Value;

/// A condition of a rule, reduced to the parts of a request that the lab's clients can vary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The path matches one of these patterns; case-sensitive.
    Path(Vec<String>),
    /// The host matches one of these patterns; case-insensitive.
    Host(Vec<String>),
    /// The method is one of these. The lab's clients send GET.
    Method(Vec<String>),
    /// The header with this name (in lower case) has one of these values, which are patterns in lower case.
    Header(String, Vec<String>),
    /// A condition that every request of the lab's clients meets: they connect over IPv4.
    Always,
    /// A condition on something that the lab's clients never send, such as a query string.
    Never,
}

impl Condition {
    /// Reads a condition in the form of the API: `Field`, with either `Values` or a field-specific configuration.
    pub fn read(tree: &Value) -> Self {
        let values = |config: &str| {
            let list = tree[config]["Values"].as_array().or_else(|| tree["Values"].as_array());
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        match tree["Field"].as_str() {
            Some("path-pattern") => Self::Path(values("PathPatternConfig")),
            Some("host-header") => {
                Self::Host(values("HostHeaderConfig").iter().map(|v| v.to_ascii_lowercase()).collect())
            }
            Some("http-header") => {
                let name = tree["HttpHeaderConfig"]["HttpHeaderName"].as_str().unwrap_or_default();
                let values = values("HttpHeaderConfig").iter().map(|v| v.to_ascii_lowercase()).collect();
                Self::Header(name.to_ascii_lowercase(), values)
            }
            Some("http-request-method") => Self::Method(values("HttpRequestMethodConfig")),
            Some("source-ip") if tree["SourceIpConfig"]["IpAddressType"] == "ipv4" => Self::Always,
            _ => Self::Never,
        }
    }

    /// Returns whether a GET request meets the condition. `host` is in lower case.
    pub fn matches(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> bool {
        match self {
            Self::Path(patterns) => patterns.iter().any(|p| matches_pattern(p.as_bytes(), path.as_bytes())),
            Self::Host(patterns) => patterns.iter().any(|p| matches_pattern(p.as_bytes(), host.as_bytes())),
            Self::Method(methods) => methods.iter().any(|m| m == "GET"),
            Self::Header(name, patterns) => {
                let has = |value: &str| patterns.iter().any(|p| matches_pattern(p.as_bytes(), value.as_bytes()));
                headers
                    .iter()
                    .any(|(other, value)| other.eq_ignore_ascii_case(name) && has(&value.to_ascii_lowercase()))
            }
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Returns whether a text matches a pattern, in which `*` matches any characters and `?` exactly one character.
fn matches_pattern(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t + 1));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, next)) => {
                    p = after;
                    t = next;
                    retry = Some((after, next + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_elbv2() {
        for (pattern, text, expected) in [
            ("/api*", "/api/v1", true),
            ("/api*", "/ap", false),
            ("/vv/*", "/vv", false),
            ("/a?c", "/abc", true),
            ("/a?c", "/ac", false),
            ("*.example.com", "www.example.com", true),
            ("*/x/*/y", "/a/x/b/x/c/y", true),
            ("", "", true),
        ] {
            assert_eq!(matches_pattern(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
