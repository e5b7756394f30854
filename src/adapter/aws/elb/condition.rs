//! Describes a rule's conditions as text, such as `host shop.example.com and path /api* /ad*`.

use aws_sdk_elasticloadbalancingv2::types::{QueryStringConditionConfig, RuleCondition};

/// Describes all conditions of a rule. All conditions must match; the values of one condition are alternatives.
pub(super) fn conditions_text(conditions: &[RuleCondition]) -> String {
    conditions.iter().map(condition_text).collect::<Vec<_>>().join(" and ")
}

fn condition_text(condition: &RuleCondition) -> String {
    let (subject, values) = match condition.field().unwrap_or_default() {
        "path-pattern" => {
            let c = condition.path_pattern_config();
            ("path".to_owned(), values_of(c.map(|c| (c.values(), c.regex_values())), condition))
        }
        "host-header" => {
            let c = condition.host_header_config();
            ("host".to_owned(), values_of(c.map(|c| (c.values(), c.regex_values())), condition))
        }
        "http-header" => {
            let c = condition.http_header_config();
            let name = c.and_then(|c| c.http_header_name()).unwrap_or("?");
            (format!("header {name}:"), values_of(c.map(|c| (c.values(), c.regex_values())), condition))
        }
        "http-request-method" => {
            let c = condition.http_request_method_config();
            ("method".to_owned(), values_of(c.map(|c| (c.values(), &[][..])), condition))
        }
        "source-ip" => {
            let c = condition.source_ip_config();
            let family = c.and_then(|c| c.ip_address_type()).map(|family| family.as_str().to_owned());
            let values = values_of(c.map(|c| (c.values(), &[][..])), condition);
            ("source".to_owned(), family.into_iter().chain(values).collect())
        }
        "query-string" => ("query".to_owned(), query_text(condition)),
        other => (other.to_owned(), values_of(None, condition)),
    };
    std::iter::once(subject).chain(values).collect::<Vec<_>>().join(" ")
}

/// Returns the values of the condition's own configuration. Without it, returns the values of the older field; `~`
/// marks a regular expression.
fn values_of(config: Option<(&[String], &[String])>, condition: &RuleCondition) -> Vec<String> {
    let (mut plain, mut regex) = config.unwrap_or_default();
    if plain.is_empty() && regex.is_empty() {
        (plain, regex) = (condition.values(), condition.regex_values());
    }
    plain.iter().cloned().chain(regex.iter().map(|r| format!("~{r}"))).collect()
}

fn query_text(condition: &RuleCondition) -> Vec<String> {
    let pairs = condition.query_string_config().map(QueryStringConditionConfig::values).unwrap_or_default();
    pairs
        .iter()
        .map(|p| match p.key() {
            Some(key) => format!("{key}={}", p.value().unwrap_or_default()),
            None => p.value().unwrap_or_default().to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticloadbalancingv2::types as sdk;

    use super::*;

    #[test]
    fn every_kind_of_condition_has_a_text() {
        let of = |field: &str| RuleCondition::builder().field(field);
        let pair = sdk::QueryStringKeyValuePair::builder().key("v").value("2").build();
        let header = sdk::HttpHeaderConditionConfig::builder().http_header_name("X-Canary").values("yes").build();
        let conditions = [
            of("host-header")
                .host_header_config(sdk::HostHeaderConditionConfig::builder().values("a.example").build())
                .build(),
            of("path-pattern").values("/api*").values("/ad*").build(),
            of("path-pattern")
                .path_pattern_config(sdk::PathPatternConditionConfig::builder().regex_values("^/x").build())
                .build(),
            of("http-header").http_header_config(header).build(),
            of("http-request-method")
                .http_request_method_config(sdk::HttpRequestMethodConditionConfig::builder().values("GET").build())
                .build(),
            of("query-string").query_string_config(QueryStringConditionConfig::builder().values(pair).build()).build(),
            of("source-ip")
                .source_ip_config(sdk::SourceIpConditionConfig::builder().values("10.0.0.0/8").build())
                .build(),
            of("moon-phase").values("full").build(),
        ];
        assert_eq!(
            conditions_text(&conditions),
            "host a.example and path /api* /ad* and path ~^/x and header X-Canary: yes and method GET \
             and query v=2 and source 10.0.0.0/8 and moon-phase full"
        );
    }
}
