//! The JSON Schema of the plan file, generated from the declarations that decode it.

use schemars::generate::SchemaSettings;

use super::file::Document;

/// Returns the JSON Schema (draft 7, which most editors support). All definitions are inlined, so that editors show
/// descriptions at the cursor. A plan that the schema accepts can only fail checks that compare several values.
pub fn schema() -> serde_json::Value {
    let settings = SchemaSettings::draft07().with(|s| s.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Document>();
    schema.insert("title".into(), "Cutover plan".into());
    schema.to_value()
}
