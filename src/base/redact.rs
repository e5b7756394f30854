//! Removes credentials from texts of other programs: errors of libraries, responses of services, output of commands.
//!
//! This module finds credentials in a text. Reading them from the environment, and deciding which texts to clean, must
//! not be added here.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The text that replaces a credential.
pub const MARK: &str = "[redacted]";

/// Minimum length of a secret value to search for, in bytes. Shorter values would match parts of ordinary words.
const SHORTEST: usize = 8;
/// Minimum length, in bytes, of a secret value with only lower-case letters and hyphens. A shorter value looks like a
/// name, and names in messages must stay readable.
const SHORTEST_NAME: usize = 16;

/// Maximum number of secret values that are remembered. The first half, from the start of the process, is never
/// removed. When the list is full, the oldest value of the second half is removed, because it has expired by then.
const MAX_SECRETS: usize = 512;

/// The secret values that this process uses.
static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Adds a secret value of this process. From then on, [`clean`] removes it, also percent-encoded or escaped as in JSON
/// and XML. Values that are too short or look like a name are ignored.
pub fn remember(value: &str) {
    let value = value.trim();
    let json = value.replace('\\', r"\\").replace('"', "\\\"");
    let slashes = json.replace('/', r"\/");
    let xml = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    for form in [value.to_owned(), percent_encode(value), percent_decode(value), json, slashes, xml] {
        let name = form.len() < SHORTEST_NAME && form.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if form.len() < SHORTEST || name {
            continue;
        }
        let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
        if !secrets.contains(&form) {
            if secrets.len() >= MAX_SECRETS {
                secrets.remove(MAX_SECRETS / 2);
            }
            secrets.push(form);
        }
    }
}

/// Adds the complete value of a header, and each word of it, because a service may quote the token of `Bearer TOKEN`
/// alone. For `Basic CREDENTIALS`, also adds the password.
pub fn remember_header(value: &str) {
    remember(value);
    for word in value.split_whitespace() {
        remember(word);
        let plain = BASE64_STANDARD.decode(word).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((_, password)) = plain.as_deref().and_then(|plain| plain.split_once(':')) {
            remember(plain.as_deref().unwrap_or_default());
            remember(password);
        }
    }
}

/// Adds a URL that is secret as a whole, such as that of a webhook: the URL, its path with the query, its last part,
/// each value of its query, and its user and password.
pub fn remember_url(url: &str) {
    let url = url.trim();
    remember(url);
    if let Some((user, password)) = user_and_password(url) {
        remember(&password);
        remember(&BASE64_STANDARD.encode(format!("{user}:{password}")));
    }
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let Some(at) = rest.find(['/', '?']) else { return };
    let (path, query) = rest[at..].split_once('?').unwrap_or((&rest[at..], ""));
    // A short path is a word, such as `/webhook`.
    let parts = [&rest[at..], path].into_iter().chain(path.rsplit('/').take(1));
    parts.map(|part| part.trim_matches('/')).filter(|part| part.len() >= SHORTEST_NAME).for_each(remember);
    query.split('&').filter_map(|pair| pair.split_once('=')).for_each(|(_, value)| remember(value));
}

/// Replaces the values of [`remember`] and everything that [`shapes`] recognizes by [`MARK`].
pub fn clean(text: &str) -> Cow<'_, str> {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    let known = secrets.iter().flat_map(|secret| text.match_indices(secret.as_str()));
    let mut found: Vec<_> = known.map(|(at, secret)| at..at + secret.len()).collect();
    drop(secrets);
    found.extend(shapes(text));
    replace_ranges(text, found)
}

/// Returns the ranges of a text that look like a credential: user information of a URL, a bearer token, an
/// `Authorization` header, the signature of a pre-signed URL, a token of EKS, AWS, Slack or JWT, a private key, a field
/// of JSON or of a query that is named like a secret.
pub fn shapes(text: &str) -> Vec<Range<usize>> {
    let lower = text.to_ascii_lowercase();
    let mut found = Vec::new();
    find_user_information(&lower, &mut found);
    find_headers(&lower, &mut found);
    find_bearer_tokens(text, &lower, &mut found);
    find_fields(&lower, &mut found);
    find_tokens(text, &mut found);
    find_private_keys(text, &mut found);
    found
}

/// Replaces the ranges by [`MARK`]. Ranges that overlap or touch are replaced by one mark.
fn replace_ranges(text: &str, mut found: Vec<Range<usize>>) -> Cow<'_, str> {
    found.retain(|range| !range.is_empty() && text.get(range.clone()).is_some_and(|part| part != MARK));
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_by_key(|range| range.start);
    let (mut clean, mut end) = (String::with_capacity(text.len()), 0);
    for range in found {
        if range.start > end || (range.start == 0 && end == 0) {
            clean.push_str(&text[end..range.start]);
            clean.push_str(MARK);
        }
        end = end.max(range.end);
    }
    clean.push_str(&text[end..]);
    Cow::Owned(clean)
}

/// Finds `user:password` in `scheme://user:password@host`. A user name alone also counts, because it may be a token.
fn find_user_information(lower: &str, found: &mut Vec<Range<usize>>) {
    for (at, separator) in lower.match_indices("://") {
        let start = at + separator.len();
        let authority =
            until(lower, start, |c| matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '`') || c.is_whitespace());
        // A password may contain an `@`; the last `@` ends the password.
        if let Some(end) = lower[authority.clone()].rfind('@') {
            found.push(start..start + end);
        }
    }
}

/// Returns the decoded user and password of a URL; `None` without a password. The scheme may be missing, as in
/// `user:password@proxy:3128`.
pub fn user_and_password(url: &str) -> Option<(String, String)> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, password) = authority.rsplit_once('@')?.0.split_once(':')?;
    Some((percent_decode(user), percent_decode(password)))
}

/// Finds the values of `Authorization`, `Cookie` and headers with keys, up to the end of the line or the quoted text.
fn find_headers(lower: &str, found: &mut Vec<Range<usize>>) {
    const NAMES: [&str; 6] =
        ["authorization", "x-amz-security-token", "cookie", "x-api-key", "x-auth-token", "x-vault-token"];
    for name in NAMES {
        for (at, _) in lower.match_indices(name) {
            let after = &lower[at + name.len()..];
            let value = after.trim_start_matches(['"', '\'', '\\', ' ']);
            let Some(value) = value.strip_prefix([':', '=']) else { continue };
            let value = value.trim_start_matches([' ', '"', '\'', '\\']);
            let start = lower.len() - value.len();
            found.push(until(lower, start, |c| matches!(c, '"' | '\'' | '\n' | '\r' | '&')));
        }
    }
}

/// Finds the value after `Bearer` or `Basic`. A value of lower-case letters is prose (`basic authentication`).
fn find_bearer_tokens(text: &str, lower: &str, found: &mut Vec<Range<usize>>) {
    for scheme in ["bearer ", "basic "] {
        for (at, _) in lower.match_indices(scheme) {
            let range = until(text, at + scheme.len(), |c| !is_token(c));
            let token = text[range.clone()].trim_end_matches(['.', ',']);
            if token.len() >= SHORTEST && !token.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
                found.push(range);
            }
        }
    }
}

/// Finds the value in `name=value` and in the JSON `"name": "value"`, also where JSON is quoted in another text.
fn find_fields(lower: &str, found: &mut Vec<Range<usize>>) {
    const NAMES: [&str; 22] = [
        "x-amz-signature",
        "x-amz-credential",
        "signature",
        "sig",
        "token",
        "access_token",
        "accesstoken",
        "refresh_token",
        "refreshtoken",
        "id_token",
        "sessiontoken",
        "aws_session_token",
        "client_secret",
        "clientsecret",
        "secret",
        "secretaccesskey",
        "aws_secret_access_key",
        "password",
        "passwd",
        "api_key",
        "apikey",
        "clientkeydata",
    ];
    for name in NAMES {
        for (at, _) in lower.match_indices(name) {
            // The name `token` must not match within `next_token`.
            if lower[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
                continue;
            }
            let after = &lower[at + name.len()..];
            let value = match after.strip_prefix('=') {
                Some(value) => value.trim_start_matches(['"', '\'']),
                None => match after.trim_start_matches('\\').strip_prefix('"').map(str::trim_start) {
                    Some(json) => match json.strip_prefix(':').map(|v| v.trim_start().trim_start_matches('\\')) {
                        Some(value) if value.starts_with('"') => &value[1..],
                        _ => continue,
                    },
                    None => continue,
                },
            };
            let start = lower.len() - value.len();
            found.push(until(lower, start, |c| {
                matches!(c, '"' | '\'' | '&' | '\\' | '<' | '>' | '`' | ';' | ')' | ',') || c.is_whitespace()
            }));
        }
    }
}

/// Finds tokens with a known prefix.
fn find_tokens(text: &str, found: &mut Vec<Range<usize>>) {
    for (at, prefix) in text.match_indices("hooks.slack.com/") {
        found.push(until(text, at + prefix.len(), |c| matches!(c, '"' | '\'' | '<' | '>' | '`') || c.is_whitespace()));
    }
    for prefix in ["k8s-aws-v1.", "xoxb-", "xoxp-", "xoxa-", "xoxe.", "ghp_", "github_pat_", "glpat-"] {
        for (at, _) in text.match_indices(prefix) {
            found.push(until(text, at, |c| !is_token(c)));
        }
    }
    // A JWT has three parts; the first two are JSON objects. A session token of STS begins with one of two texts.
    for (prefix, longest) in [("eyJ", 20), ("IQoJ", 60), ("FwoG", 60)] {
        for (at, _) in text.match_indices(prefix) {
            let range = until(text, at, |c| !is_token(c));
            let starts = !text[..at].ends_with(is_token);
            if starts && range.len() >= longest && (prefix != "eyJ" || text[range.clone()].contains('.')) {
                found.push(range);
            }
        }
    }
}

/// Finds private keys, from `-----BEGIN … PRIVATE KEY-----` to the end of the block, or of the text.
fn find_private_keys(text: &str, found: &mut Vec<Range<usize>>) {
    const END: &str = "PRIVATE KEY-----";
    for (begin, _) in text.match_indices("-----BEGIN ") {
        let Some(label) = text[begin..].find(END).filter(|length| *length < 40) else { continue };
        let body = begin + label + END.len();
        found.push(begin..text[body..].find(END).map_or(text.len(), |end| body + end + END.len()));
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '+' | '/' | '=' | '%')
}

/// Returns the range from `start` to the first character for which `ends` is true, or to the end of the text.
fn until(text: &str, start: usize, ends: impl Fn(char) -> bool) -> Range<usize> {
    start..text[start..].find(ends).map_or(text.len(), |length| start + length)
}

fn percent_encode(text: &str) -> String {
    let mut all = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            all.push(char::from(byte));
        } else {
            all.push_str(percent_encoding::percent_encode_byte(byte));
        }
    }
    all
}

fn percent_decode(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let code = tail
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok())
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        if let (b'%', Some(code)) = (first, code) {
            bytes.push(code);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credential_is_recognized_by_its_form() {
        for (text, expected) in [
            ("proxy http://alice:S3CRETpw@proxy:3128/ failed", "proxy http://[redacted]@proxy:3128/ failed"),
            ("`socks5://u:p@ss@host`", "`socks5://[redacted]@host`"),
            ("https://token@example.com", "https://[redacted]@example.com"),
            ("Authorization: Basic YWxpY2U6cHc=\nHost: x", "Authorization: [redacted]\nHost: x"),
            (
                "{\"authorization\": \"AWS4-HMAC-SHA256 Credential=A/b, Signature=0a\"}",
                "{\"authorization\": \"[redacted]\"}",
            ),
            ("Proxy-Authorization=Basic abc", "Proxy-Authorization=[redacted]"),
            ("sent Bearer eyJhbGciOi.J9 there", "sent Bearer [redacted] there"),
            ("?X-Amz-Date=1&X-Amz-Signature=0a1b&x=2", "?X-Amz-Date=1&X-Amz-Signature=[redacted]&x=2"),
            ("X-Amz-Security-Token=IQoJb3Jp%2B", "X-Amz-Security-Token=[redacted]"),
            ("the token k8s-aws-v1.aHR0cHM6Ly9z is old", "the token [redacted] is old"),
            ("{\"SecretAccessKey\":\"wJalr\",\"Version\":1}", "{\"SecretAccessKey\":\"[redacted]\",\"Version\":1}"),
            ("got {\\\"token\\\": \\\"abc\\\"}", "got {\\\"token\\\": \\\"[redacted]\\\"}"),
            ("https://a.example/?token=abc&b=1", "https://a.example/?token=[redacted]&b=1"),
            ("https://hooks.slack.com/services/T0/B0/XX: refused", "https://hooks.slack.com/[redacted] refused"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- x", "[redacted] x"),
        ] {
            assert_eq!(clean(text), expected);
            assert_eq!(clean(expected), expected, "cleaning a clean text must not change it");
        }
    }

    #[test]
    fn prose_and_addresses_are_not_changed() {
        for text in [
            "the bearer token is missing",
            "basic authentication is needed",
            "https://example.com/@me?user=alice",
            "https://#{host}:443/#{path}?#{query}",
            "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/web/0123456789abcdef",
            "alice@example.com",
            "NextToken=abc is not ours, next_token=abc neither",
            "the authorization of the proxy",
            "token: expired",
            "ä://ö",
        ] {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn remembered_secret_is_replaced_everywhere() {
        remember("Canary9/Secret+Value");
        remember("short");
        remember("production");
        assert_eq!(clean("aCanary9/Secret+Valueb short production"), "a[redacted]b short production");
        assert_eq!(clean("Canary9%2FSecret%2BValue"), "[redacted]");
        remember("p%40ssW0rdX");
        assert_eq!(clean("p@ssW0rdX and p%40ssW0rdX"), "[redacted] and [redacted]");
        remember("Canary9/Secret");
        assert_eq!(clean("Canary9/Secret+Value"), "[redacted]");
        remember("Canary10/a&b\"c");
        for escaped in [r#"Canary10/a&b\"c"#, r#"Canary10\/a&b\"c"#, "Canary10/a&amp;b&quot;c"] {
            assert_eq!(clean(escaped), MARK, "{escaped}");
        }
    }

    #[test]
    fn a_header_and_a_secret_url_are_found_in_parts() {
        remember_header(&format!("Basic {}", BASE64_STANDARD.encode("alice:Canary11Password")));
        assert_eq!(clean("alice: Canary11Password"), "alice: [redacted]");
        remember_header("Bearer Canary12Token");
        assert_eq!(clean("the token Canary12Token"), "the token [redacted]");
        remember_url("https://robot:Canary13User@hooks.example.com/services/T0/Canary13LastPart?key=Canary13Query&x=1");
        for part in ["Canary13User", "Canary13LastPart", "Canary13Query", "services/T0/Canary13LastPart"] {
            assert_eq!(clean(part), MARK, "{part}");
        }
        assert_eq!(clean("https://hooks.example.com/services"), "https://hooks.example.com/services");
    }
}
