//! Rule conditions, as the data plane evaluates them.

use serde_json::Value;

/// A condition, reduced to what the lab's clients can meet or fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// One of these path patterns; case-sensitive.
    Path(Vec<String>),
    /// One of these host patterns; case-insensitive.
    Host(Vec<String>),
    /// One of these methods. The lab's clients send GET.
    Method(Vec<String>),
    /// Anything that the lab's clients never send, such as a header.
    Never,
}

impl Condition {
    /// Reads a condition of the API: `Field` with `Values` or with its own configuration.
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
            Some("http-request-method") => Self::Method(values("HttpRequestMethodConfig")),
            _ => Self::Never,
        }
    }

    /// Whether a GET request meets it. `host` is in lower case.
    pub fn matches(&self, host: &str, path: &str) -> bool {
        match self {
            Self::Path(patterns) => patterns.iter().any(|p| matches_pattern(p.as_bytes(), path.as_bytes())),
            Self::Host(patterns) => patterns.iter().any(|p| matches_pattern(p.as_bytes(), host.as_bytes())),
            Self::Method(methods) => methods.iter().any(|m| m == "GET"),
            Self::Never => false,
        }
    }
}

/// Whether a text matches a pattern, in which `*` matches any characters and `?` exactly one.
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
