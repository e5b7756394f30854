//! Converts a configuration between the API's field names and the SDK's types. A field that is not converted is an
//! error.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::domain::elb::action::Config;

/// A builder of a configuration from the fields that have a value.
#[derive(Debug, Default)]
pub(super) struct ConfigBuilder(Config);

impl ConfigBuilder {
    pub(super) fn put(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    pub(super) fn map(self, name: &str, value: Option<&HashMap<String, String>>) -> Self {
        // The map is sorted, so that the journal does not depend on the order of a hash map.
        let sorted = value.map(|m| m.iter().collect::<BTreeMap<_, _>>());
        self.put(
            name,
            sorted.map(|m| {
                m.into_iter().map(|(k, v)| (k.clone(), Value::from(v.clone()))).collect::<serde_json::Map<_, _>>()
            }),
        )
    }

    pub(super) fn finish(self) -> Config {
        self.0
    }
}

/// A reader that takes fields out of a configuration. Errors name the field.
#[derive(Debug)]
pub(super) struct ConfigReader {
    of: &'static str,
    rest: Config,
}

impl ConfigReader {
    pub(super) fn new(of: &'static str, config: &Config) -> Self {
        Self { of, rest: config.clone() }
    }

    fn type_error(&self, name: &str, wanted: &str) -> String {
        format!("{}.{name} must be {wanted}", self.of)
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.rest.remove(name) {
            None => Ok(None),
            Some(Value::String(s)) => Ok(Some(s)),
            Some(_) => Err(self.type_error(name, "a string")),
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<i64>, String> {
        match self.rest.remove(name) {
            None => Ok(None),
            Some(v) => v.as_i64().map(Some).ok_or_else(|| self.type_error(name, "a whole number")),
        }
    }

    pub(super) fn map(&mut self, name: &str) -> Result<Option<HashMap<String, String>>, String> {
        let Some(value) = self.rest.remove(name) else { return Ok(None) };
        serde_json::from_value(value).map(Some).map_err(|_| self.type_error(name, "a map of strings"))
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, String> {
        match self.rest.remove(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(self.type_error(name, "a list")),
        }
    }

    /// Removes a field with any value.
    pub(super) fn discard(&mut self, name: &str) {
        self.rest.remove(name);
    }

    /// Fails if a field was not taken out, because that field would be lost.
    pub(super) fn finish(self) -> Result<(), String> {
        match self.rest.keys().next() {
            None => Ok(()),
            Some(left) => Err(format!("this build does not support {}.{left}", self.of)),
        }
    }
}
