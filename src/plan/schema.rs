//! The plan file's JSON Schema, from the same declarations that read it.

use schemars::generate::SchemaSettings;

use super::file::Document;

/// The JSON Schema (draft 7, which editors know best) with everything in its place rather than behind references, so that descriptions show up where
/// the cursor is. Where it accepts a plan, only what values mean together can still be wrong.
pub fn schema() -> serde_json::Value {
    let settings = SchemaSettings::draft07().with(|s| s.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Document>();
    schema.insert("title".into(), "Cutover plan".into());
    schema.to_value()
}
