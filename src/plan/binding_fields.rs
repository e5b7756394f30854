//! Decodes `binding`, the only mapping that may have unknown fields: they are copied to the `spec` of a
//! TargetGroupBinding.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value as Json, json};

use super::decode::{Decode, Field, Placed, clip, field, join_doc_lines, note};
use super::diagnostic::Diagnostic;
use super::scalar::{Mode, TargetKind};
use super::suggest::closest;
use super::yaml::{Node, Value};
use crate::base::finding::Code;

/// Fields of the binding's `spec` that other parts of the plan determine.
const RESERVED_FIELDS: [&str; 3] = ["serviceRef", "targetGroupARN", "targetGroupName"];

/// The field `binding`: how the TargetGroupBindings of a workload are managed.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub mode: Option<Placed<Mode>>,
    pub target_type: Option<Placed<TargetKind>>,
    pub extra: Map<String, Json>,
}

impl Binding {
    const FIELDS: [Field; 2] = [
        Field {
            key: "mode",
            required: false,
            default: Some(|| json!("create")),
            doc: &[
                "`create`: the `bind` step creates missing bindings. `verify`: another tool owns the bindings; they \
                 are read and compared, never written.",
            ],
            schema: Mode::json_schema,
        },
        Field {
            key: "targetType",
            required: false,
            default: Some(|| json!("ip")),
            doc: &["`ip`: targets are pods. `instance`: targets are nodes."],
            schema: TargetKind::json_schema,
        },
    ];
}

impl Decode for Binding {
    fn decode(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            return node.wrong_type("a mapping", out).help("for example `{mode: verify}`").without_value();
        };
        let known = Self::FIELDS.map(|f| f.key);
        let mut extra = Map::new();
        for entry in entries {
            let Some((key, place)) = entry.key.as_ref().filter(|(key, _)| !known.contains(&key.as_str())) else {
                continue;
            };
            if let Some(reserved) = RESERVED_FIELDS.iter().find(|reserved| reserved.eq_ignore_ascii_case(key)) {
                note(
                    out,
                    Code::CUT024,
                    *place,
                    format!("`{reserved}` is set by cutover from the workload's `service` and `targetGroups`"),
                )
                .help("remove this field");
                continue;
            }
            if let Some(meant) = closest(key, known) {
                note(out, Code::CUT003, *place, format!("`binding` has no field `{}`", clip(key)))
                    .help(format!("did you mean `{meant}`?"));
            }
            if let Some(value) = to_json(entry, out) {
                extra.insert(key.clone(), value);
            }
        }
        let [mode, target_type] = &Self::FIELDS;
        Some(Self {
            mode: field(entries, mode, node.head(), out),
            target_type: field(entries, target_type, node.head(), out),
            extra,
        })
    }
}

/// Converts the value of an unknown field to JSON. Refuses a value that YAML parsers read differently, because the
/// cluster might read another value than this program.
fn to_json(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Json> {
    let is_ambiguous = |text: &str| ["y", "n", "yes", "no", "on", "off"].iter().any(|w| w.eq_ignore_ascii_case(text));
    match &node.value {
        Value::Null => Some(Json::Null),
        Value::Bool(b) => Some((*b).into()),
        Value::Int(n) => i64::try_from(*n).map(Json::from).ok(),
        Value::Float(n) => Some((*n).into()),
        Value::Text { text, plain: true } if is_ambiguous(text) => {
            let message = format!("`{text}` is a boolean for some YAML parsers and text for others");
            note(out, Code::CUT005, node.place, message).help("write `true` or `false`, or put the text in quotes");
            Some(text.as_str().into())
        }
        Value::Text { text, .. } => Some(text.as_str().into()),
        Value::AmbiguousNumber(raw) => {
            let message = format!("`{raw}` is read differently by different YAML parsers");
            note(out, Code::CUT005, node.place, message)
                .help("write the number in plain decimal digits, or put the text in quotes")
                .without_value()
        }
        Value::List(items) => Some(items.iter().filter_map(|item| to_json(item, out)).collect()),
        Value::Map(entries) => {
            Some(Json::Object(entries.iter().filter_map(|e| Some((e.key.clone()?.0, to_json(e, out)?))).collect()))
        }
    }
}

impl JsonSchema for Binding {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Binding".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = Map::new();
        for field in Self::FIELDS {
            let mut property = (field.schema)(generator);
            property.insert("description".into(), join_doc_lines(field.doc).into());
            property.insert("default".into(), field.default.map(|d| d()).into());
            properties.insert(field.key.into(), property.to_value());
        }
        for reserved in RESERVED_FIELDS {
            properties.insert(reserved.into(), Json::Bool(false));
        }
        json_schema!({
            "type": "object",
            "description": "How the TargetGroupBindings of the workload are managed. Other fields are passed \
                unchanged to the `spec` of the binding.",
            "properties": properties,
            "additionalProperties": true
        })
    }
}
