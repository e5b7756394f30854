//! Reads objects of any kind as JSON, page by page. For a Secret, only the table that `kubectl get secret` prints is
//! requested, without the object. The values and annotations of the Secret never reach this process.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::{FIELD_MANAGER, K8s, PAGE_SIZE, error, read, timeout_text, with_deadline};
use crate::domain::compare::Object;
use crate::domain::compare::facts::{Candidate, DryRun, KindApi};
use crate::domain::traffic::Unreadable;
use crate::port::ClusterObjects;

/// The part of a list that is used.
#[derive(Debug, Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(default)]
    items: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    token: String,
}

impl K8s {
    async fn page(&self, path: &str) -> Result<Page, Unreadable> {
        let request = http::Request::get(path).body(Vec::new());
        let request = request.map_err(|e| Unreadable::Unavailable(format!("the path {path} is not valid: {e}")))?;
        read(self.client.request(request)).await
    }
}

/// The response to a request for a table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    column_definitions: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Row {
    cells: Vec<Value>,
}

/// Asks for a table. An API server that cannot send a table refuses the request (406) instead of sending the object.
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";

/// Encodes the token of the next page for a URL.
fn encoded(token: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    token.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[async_trait]
impl ClusterObjects for K8s {
    async fn version(&self) -> Result<String, Unreadable> {
        Ok(read(self.client.apiserver_version()).await?.git_version)
    }

    async fn served(&self) -> Result<BTreeSet<String>, Unreadable> {
        let groups = read(self.client.list_api_groups()).await?.groups;
        let served = groups.into_iter().flat_map(|group| group.versions).map(|version| version.group_version);
        let core = read(self.client.list_core_api_versions()).await?.versions;
        Ok(served.chain(core).collect())
    }

    async fn objects(&self, api: &KindApi, namespace: Option<&str>) -> Result<Vec<Object>, Unreadable> {
        let (path, mut found, mut token) = (api.path(namespace), Vec::new(), String::new());
        loop {
            let more = if token.is_empty() { String::new() } else { format!("&continue={}", encoded(&token)) };
            let page = self.page(&format!("{path}?limit={PAGE_SIZE}{more}")).await?;
            for mut item in page.items {
                api.trim(&mut item);
                found.extend(Object::new(item));
            }
            token = page.metadata.token;
            if token.is_empty() {
                return Ok(found);
            }
        }
    }

    async fn secret_keys(&self, namespace: &str, name: &str) -> Result<Option<u64>, Unreadable> {
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}?includeObject=None");
        let request = http::Request::get(&path).header(http::header::ACCEPT, TABLE).body(Vec::new());
        let request = request.map_err(|e| Unreadable::Unavailable(format!("the path {path} is not valid: {e}")))?;
        let table: Table = match read(self.client.request(request)).await {
            Err(Unreadable::NotFound(_)) => return Ok(None),
            other => other?,
        };
        let place = table.column_definitions.iter().position(|column| column.name == "Data");
        let cell = place.and_then(|place| table.rows.first()?.cells.get(place)?.as_u64());
        cell.map(Some).ok_or_else(|| Unreadable::Unavailable(format!("the table of Secret {name} has no column Data")))
    }

    fn own_names(&self) -> Vec<String> {
        self.access.eks.iter().cloned().collect()
    }

    fn eks_name(&self) -> Option<(String, Option<String>)> {
        Some((self.access.eks.clone()?, self.access.region.clone()))
    }

    async fn dry_run(&self, object: &Candidate) -> Result<DryRun, Unreadable> {
        let api = object.api().ok_or_else(|| Unreadable::Unrepresentable("no such kind".to_owned()))?;
        let path = format!(
            "{}?dryRun=All&fieldValidation=Strict&fieldManager={FIELD_MANAGER}",
            api.path(Some(&object.namespace))
        );
        let request = http::Request::post(&path).header(http::header::CONTENT_TYPE, "application/json");
        let request = request.body(object.body.to_string().into_bytes());
        let request = request.map_err(|e| Unreadable::Unavailable(format!("the path {path} is not valid: {e}")))?;
        match with_deadline(self.client.request::<Value>(request)).await {
            None => Err(Unreadable::Unavailable(timeout_text("a dry-run"))),
            Some(Ok(_)) => Ok(DryRun::Accepted),
            Some(Err(refusal)) => error::dry_run(&refusal),
        }
    }
}
