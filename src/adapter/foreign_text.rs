//! Shortens messages from other systems and removes credentials. A message can quote the request that caused it.

use crate::base::redact;
use crate::base::text::line;

/// Texts that occur in requests, credentials and HTML pages, but not in plain messages. Lower case.
const SECRET_MARKS: [&str; 9] = [
    "x-amz-",
    "<html",
    "<!doctype",
    "clientsecret",
    "client_secret",
    "k8s-aws-v1.",
    "bearer ",
    "signature=",
    "private key",
];

/// Returns one line of at most `max_chars` characters without credentials. Returns an empty line if the text looks like
/// a signed request, a credential or an HTML page.
pub fn safe_line(text: &str, max_chars: usize) -> String {
    let lower = text.to_ascii_lowercase();
    if SECRET_MARKS.iter().any(|mark| lower.contains(mark)) {
        return String::new();
    }
    line(&redact::clean(text), max_chars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_message_is_kept_and_quoted_request_is_dropped() {
        assert_eq!(safe_line("admission  webhook\ndenied it", 300), "admission webhook denied it");
        assert_eq!(safe_line("ä".repeat(400).as_str(), 300).chars().count(), 301);
        for quoted in [
            "Authorization: Bearer abc",
            "k8s-aws-v1.aHR0",
            "X-Amz-Signature=0a",
            "-----BEGIN PRIVATE KEY-----",
            "AWS4-HMAC-SHA256 Signature=1",
        ] {
            assert_eq!(safe_line(quoted, 300), "", "{quoted}");
        }
    }
}
