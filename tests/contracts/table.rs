//! The table cannot lie: each test that it names is in the tree and of the column's kind, and `tests/README.md` is made of it.
//!
//! `CUTOVER_UPDATE=1 cargo test --test contracts table` writes the page anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    behaviours: Vec<Behaviour>,
    differences: Vec<Difference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Behaviour {
    what: String,
    #[serde(flatten)]
    on: Columns,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    real: String,
    lab: String,
    changed: String,
    #[serde(flatten)]
    on: Columns,
}

#[derive(Deserialize, Default)]
struct Columns {
    lab: Option<String>,
    moto: Option<String>,
    server: Option<String>,
    controller: Option<String>,
}
