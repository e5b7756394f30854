//! Parses quantities of Kubernetes, such as `500m` or `2Gi`.

use serde_json::Value;

/// Returns the quantity in thousandths of its unit: `500m` is 500, `2Gi` is 2,147,483,648,000. `None` if the text is
/// not a quantity.
pub fn milli(value: &Value) -> Option<i128> {
    let owned;
    let text = match value {
        Value::String(text) => text.as_str(),
        Value::Number(number) => {
            owned = number.to_string();
            &owned
        }
        _ => return None,
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: i128 = match unit {
        "" => 1000,
        "m" => 1,
        "k" => 1000 * 1000,
        "M" => 1000 * 1000_i128.pow(2),
        "G" => 1000 * 1000_i128.pow(3),
        "T" => 1000 * 1000_i128.pow(4),
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000_i128 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = &fraction[..fraction.len().min(9)];
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    digits.checked_mul(factor)?.checked_div(10_i128.pow(u32::try_from(fraction.len()).ok()?))
}

/// Returns a quantity of CPU or memory as people write it: `2 CPU`, `512 Mi`.
pub fn shown(resource: &str, milli: i128) -> String {
    match resource {
        "cpu" if milli % 1000 == 0 => format!("{} CPU", milli / 1000),
        "cpu" => format!("{milli}m CPU"),
        "memory" => format!("{} Mi", (milli / 1000) >> 20),
        other => format!("{} {other}", milli / 1000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_thousandths() {
        let cases = [("500m", 500), ("1", 1000), ("1.5", 1500), ("2Ki", 2_048_000), ("0.5Gi", (1000 << 30) / 2)];
        for (text, expected) in cases {
            assert_eq!(milli(&json!(text)), Some(expected), "{text}");
        }
        assert_eq!(milli(&json!(2)), Some(2000));
        assert_eq!(milli(&json!("a lot")), None);
    }
}
