//! Converts the conditions and transforms of rules between the SDK's types and the domain's types. An element that is
//! not known is named, so that no rule is copied without it.

use aws_sdk_elasticloadbalancingv2::types as sdk;
use aws_sdk_elasticloadbalancingv2::types::TransformTypeEnum;

use crate::domain::elb::rule::{Condition, ConditionValue, RuleConfig, Transform};

/// Converts the conditions and transforms of a rule.
pub(super) fn from_sdk(rule: &sdk::Rule) -> RuleConfig {
    let conditions: Result<Vec<_>, String> = rule.conditions().iter().map(condition).collect();
    let transforms: Result<Vec<_>, String> = rule.transforms().iter().map(transform).collect();
    match (conditions, transforms) {
        (Ok(conditions), Ok(transforms)) => RuleConfig { conditions, transforms, unknown: None },
        (Err(unknown), _) | (_, Err(unknown)) => RuleConfig { unknown: Some(unknown), ..RuleConfig::default() },
    }
}

fn condition(read: &sdk::RuleCondition) -> Result<Condition, String> {
    let field = read.field().unwrap_or_default();
    let mut converted = Condition { field: field.to_owned(), ..Condition::default() };
    let texts = |plain: &[String], regex: &[String]| {
        let plain = plain.iter().cloned().map(ConditionValue::Plain);
        plain.chain(regex.iter().cloned().map(ConditionValue::Regex)).collect::<Vec<_>>()
    };
    converted.values = match field {
        "path-pattern" => read.path_pattern_config().map(|c| texts(c.values(), c.regex_values())),
        "host-header" => read.host_header_config().map(|c| texts(c.values(), c.regex_values())),
        "http-request-method" => read.http_request_method_config().map(|c| texts(c.values(), &[])),
        "http-header" => read.http_header_config().map(|c| {
            converted.header_name = c.http_header_name().map(str::to_owned);
            texts(c.values(), c.regex_values())
        }),
        "source-ip" => read.source_ip_config().map(|c| {
            converted.ip_address_type = c.ip_address_type().map(|family| family.as_str().to_owned());
            texts(c.values(), &[])
        }),
        "query-string" => read.query_string_config().map(|c| {
            let pair = |p: &sdk::QueryStringKeyValuePair| {
                ConditionValue::Pair(p.key().map(str::to_owned), p.value().unwrap_or_default().to_owned())
            };
            c.values().iter().map(pair).collect()
        }),
        other => return Err(format!("the condition `{other}`")),
    }
    // Rules of two fields may have their values beside the configuration only.
    .filter(|values| !values.is_empty())
    .unwrap_or_else(|| texts(read.values(), read.regex_values()));
    if converted.values.is_empty() && converted.ip_address_type.is_none() {
        return Err(format!("the values of the condition `{field}`"));
    }
    Ok(converted)
}

/// Converts a condition for a new rule.
pub(super) fn condition_to_sdk(condition: &Condition) -> Result<sdk::RuleCondition, String> {
    let (mut plain, mut regex, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
    for value in condition.values.iter().cloned() {
        match value {
            ConditionValue::Plain(text) => plain.push(text),
            ConditionValue::Regex(text) => regex.push(text),
            ConditionValue::Pair(key, value) => {
                pairs.push(sdk::QueryStringKeyValuePair::builder().set_key(key).value(value).build());
            }
        }
    }
    let plain = Some(plain).filter(|all| !all.is_empty());
    let regex = Some(regex).filter(|all| !all.is_empty());
    let builder = sdk::RuleCondition::builder().field(&condition.field);
    let builder = match condition.field.as_str() {
        "path-pattern" => {
            let config = sdk::PathPatternConditionConfig::builder().set_values(plain).set_regex_values(regex);
            builder.path_pattern_config(config.build())
        }
        "host-header" => {
            let config = sdk::HostHeaderConditionConfig::builder().set_values(plain).set_regex_values(regex);
            builder.host_header_config(config.build())
        }
        "http-request-method" => {
            let config = sdk::HttpRequestMethodConditionConfig::builder().set_values(plain);
            builder.http_request_method_config(config.build())
        }
        "http-header" => {
            let name = condition.header_name.clone();
            let config = sdk::HttpHeaderConditionConfig::builder().set_http_header_name(name);
            builder.http_header_config(config.set_values(plain).set_regex_values(regex).build())
        }
        "source-ip" => {
            let family = condition.ip_address_type.as_deref().map(Into::into);
            let config = sdk::SourceIpConditionConfig::builder().set_values(plain).set_ip_address_type(family);
            builder.source_ip_config(config.build())
        }
        "query-string" => {
            let config = sdk::QueryStringConditionConfig::builder().set_values(Some(pairs));
            builder.query_string_config(config.build())
        }
        other => return Err(format!("this build does not know the condition `{other}`")),
    };
    Ok(builder.build())
}

fn transform(read: &sdk::RuleTransform) -> Result<Transform, String> {
    let kind = read.r#type().map_or("", TransformTypeEnum::as_str);
    let rewrites = match read.r#type() {
        Some(TransformTypeEnum::HostHeaderRewrite) => {
            read.host_header_rewrite_config().map(sdk::HostHeaderRewriteConfig::rewrites)
        }
        Some(TransformTypeEnum::UrlRewrite) => read.url_rewrite_config().map(sdk::UrlRewriteConfig::rewrites),
        _ => None,
    };
    let rewrites = rewrites.ok_or_else(|| format!("the transform `{kind}`"))?;
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let rewrites = rewrites.iter().map(|one| (text(one.regex()), text(one.replace()))).collect();
    Ok(Transform { kind: kind.to_owned(), rewrites })
}

/// Converts a transform for a new rule.
pub(super) fn transform_to_sdk(transform: &Transform) -> Result<sdk::RuleTransform, String> {
    let rewrite =
        |(regex, replace): &(String, String)| sdk::RewriteConfig::builder().regex(regex).replace(replace).build();
    let rewrites = Some(transform.rewrites.iter().map(rewrite).collect());
    let kind: TransformTypeEnum = transform.kind.as_str().into();
    let builder = sdk::RuleTransform::builder().r#type(kind.clone());
    let builder = match kind {
        TransformTypeEnum::HostHeaderRewrite => {
            let config = sdk::HostHeaderRewriteConfig::builder().set_rewrites(rewrites);
            builder.host_header_rewrite_config(config.build())
        }
        TransformTypeEnum::UrlRewrite => {
            builder.url_rewrite_config(sdk::UrlRewriteConfig::builder().set_rewrites(rewrites).build())
        }
        other => return Err(format!("this build does not know the transform `{}`", other.as_str())),
    };
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_and_transform_survives_conversion_to_the_sdk_and_back() {
        let plain = |text: &str| ConditionValue::Plain(text.to_owned());
        let of = |field: &str, values: Vec<ConditionValue>| Condition {
            field: field.to_owned(),
            values,
            ..Condition::default()
        };
        let conditions = vec![
            of("path-pattern", vec![plain("/api*"), ConditionValue::Regex("^/x".into())]),
            of("host-header", vec![plain("*.example.com")]),
            of("http-request-method", vec![plain("GET")]),
            Condition::header("X-Canary", "yes"),
            Condition { ip_address_type: Some("ipv4".into()), ..of("source-ip", Vec::new()) },
            of("source-ip", vec![plain("10.0.0.0/8")]),
            of(
                "query-string",
                vec![ConditionValue::Pair(Some("v".into()), "2".into()), ConditionValue::Pair(None, "x".into())],
            ),
        ];
        let transforms = ["host-header-rewrite", "url-rewrite"]
            .map(|kind| Transform { kind: kind.to_owned(), rewrites: vec![("^a".into(), "b".into())] });
        let rule = sdk::Rule::builder()
            .set_conditions(conditions.iter().map(condition_to_sdk).collect::<Result<_, _>>().ok())
            .set_transforms(transforms.iter().map(transform_to_sdk).collect::<Result<_, _>>().ok())
            .build();
        assert_eq!(from_sdk(&rule), RuleConfig { conditions, transforms: transforms.into(), unknown: None });
    }

    #[test]
    fn rule_with_an_unknown_condition_cannot_be_copied() {
        let moon = sdk::RuleCondition::builder().field("moon-phase").values("full").build();
        let read = from_sdk(&sdk::Rule::builder().conditions(moon).build());
        assert_eq!(read.unknown.as_deref(), Some("the condition `moon-phase`"));
    }
}
