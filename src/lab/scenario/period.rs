//! Durations in scenarios, in the format of plans: `500ms`, `90s`, `10m`, `1h30m`.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::duration;

/// A duration in the lab's time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl Period {
    /// Returns a duration of this many milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Reads a duration that was serialized; `None` if the text is another one.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        text.strip_suffix("ms").filter(|number| number.bytes().all(|b| b.is_ascii_digit()))?;
        Self::parse(text)
    }

    fn parse(text: &str) -> Option<Self> {
        duration::read_with_millis(text).ok().filter(|long| *long <= duration::MAX).map(Self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(format!("`{text}` is not a duration: use a form like 500ms, 90s, 10m or 1h30m"))
        })
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}ms", self.0.as_millis()))
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]{1,7}h)?([0-9]{1,7}m)?([0-9]{1,7}s)?([0-9]{1,7}ms)?$", "minLength": 2,
            "description": "A duration such as 500ms, 90s, 10m, 1h30m."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_same_format_as_in_plans() {
        assert_eq!(Period::parse("1h30m"), Some(Period(Duration::from_mins(90))));
        assert_eq!(Period::parse("500ms"), Some(Period::millis(500)));
        assert_eq!(
            (Period::parse("1s500ms"), Period::parse("0s")),
            (Some(Period::millis(1500)), Some(Period::default()))
        );
        for bad in ["", "10", "m", "10 m", "-1s", "1.5h", "99999999999999999999s", "9999h", "5s1m", "5mss"] {
            assert_eq!(Period::parse(bad), None, "{bad}");
        }
    }
}
