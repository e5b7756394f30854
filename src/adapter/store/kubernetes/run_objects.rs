//! The objects through which processes communicate: operator requests, the heartbeat, and the break-glass script. Each
//! is one ConfigMap of the run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::client::{NamespaceClient, RequestError};
use super::label::{self, Purpose};
use super::parts;
use crate::base::retry;
use crate::port::store::{Heartbeat, Request, StoreError};

/// The annotation with the number of the next request, so that no name is used twice.
const NEXT_ANNOTATION: &str = "cutover.dev/next";
/// The annotation with the last requests that were handled. A client whose response was lost finds its request here.
const HANDLED_ANNOTATION: &str = "cutover.dev/done";
/// The number of requests in [`HANDLED_ANNOTATION`].
const MAX_HANDLED_KEYS: usize = 50;
/// The suffix of the key of an unreadable request.
const UNREADABLE_SUFFIX: &str = ".unreadable";
/// The maximum size of a part of the break-glass script, in bytes.
const MAX_SCRIPT_BYTES: usize = super::journal::MAX_BYTES;
/// The data key of the heartbeat.
const HEARTBEAT_KEY: &str = "look.json";

/// Builds a new object of a run, without data.
fn object(purpose: Purpose, run: &str) -> ConfigMap {
    let metadata = ObjectMeta {
        name: Some(name(purpose, run)),
        labels: Some(label::of_run(purpose, run)),
        annotations: Some([(label::RUN.to_owned(), run.to_owned())].into()),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, ..ConfigMap::default() }
}

/// Returns the name of an object.
pub fn name(purpose: Purpose, run: &str) -> String {
    format!("cutover-{run}-{}", purpose.name())
}

/// Creates the object for a run's requests, and reads it: a process that may not read it would never get a request.
pub async fn create(client: &NamespaceClient, run: &str) -> Result<(), StoreError> {
    let api: Api<ConfigMap> = client.api();
    match client.call_always(api.create(&PostParams::default(), &object(Purpose::Requests, run))).await {
        Ok(_) | Err(RequestError::Conflict) => get(client, &api, run).await.map(drop),
        Err(error) => Err(client.error(&name(Purpose::Requests, run), error)),
    }
}

/// Changes a run's requests with optimistic concurrency. `change` returns whether something must be written.
async fn change(
    client: &NamespaceClient,
    run: &str,
    change: impl Fn(&mut ConfigMap) -> bool,
) -> Result<(), StoreError> {
    let (api, name): (Api<ConfigMap>, _) = (client.api(), name(Purpose::Requests, run));
    let mut last = RequestError::Conflict;
    for _ in 0..retry::CONTENDED_TRIES {
        let mut config_map = get(client, &api, run).await?;
        if !change(&mut config_map) {
            return Ok(());
        }
        match client.call(api.replace(&name, &PostParams::default(), &config_map)).await {
            Ok(_) => return Ok(()),
            Err(error @ (RequestError::Conflict | RequestError::Unanswered(_))) => last = error,
            Err(error) => return Err(client.error(&name, error)),
        }
    }
    Err(client.error(&name, last))
}

async fn get(client: &NamespaceClient, api: &Api<ConfigMap>, run: &str) -> Result<ConfigMap, StoreError> {
    let name = name(Purpose::Requests, run);
    match client.read(|| api.get_opt(&name)).await {
        Ok(Some(config_map)) => Ok(config_map),
        Ok(None) => Err(StoreError::NoSuchRun { run: run.to_owned(), place: client.place().to_owned() }),
        Err(error) => Err(client.error(&name, error)),
    }
}

/// Adds a request exactly once.
pub async fn put(client: &NamespaceClient, run: &str, request: &Request) -> Result<(), StoreError> {
    let text = serde_json::to_string(request)
        .map_err(|e| StoreError::Io { path: name(Purpose::Requests, run), message: e.to_string() })?;
    let ours = format!("{:016x}", fastrand::u64(..));
    change(client, run, |config_map| {
        if config_map.data.iter().flatten().any(|(key, _)| key.ends_with(&ours))
            || handled_keys(config_map).iter().any(|key| key.ends_with(&ours))
        {
            return false;
        }
        let number: u64 = config_map.annotations().get(NEXT_ANNOTATION).and_then(|n| n.parse().ok()).unwrap_or(1);
        config_map.annotations_mut().insert(NEXT_ANNOTATION.to_owned(), (number + 1).to_string());
        config_map.data.get_or_insert_default().insert(format!("{number:010}-{ours}"), text.clone());
        true
    })
    .await
}

/// Returns the requests in order. Renames unreadable requests and keeps them for inspection.
pub async fn read_pending(client: &NamespaceClient, run: &str) -> Result<Vec<(String, Request)>, StoreError> {
    let config_map = get(client, &client.api(), run).await?;
    let waiting: Vec<_> =
        config_map.data.into_iter().flatten().filter(|(key, _)| !key.ends_with(UNREADABLE_SUFFIX)).collect();
    let (good, bad): (Vec<_>, Vec<_>) =
        waiting.into_iter().map(|(key, text)| (key, serde_json::from_str(&text))).partition(|(_, r)| r.is_ok());
    if !bad.is_empty() {
        let bad: Vec<String> = bad.into_iter().map(|(key, _)| key).collect();
        tracing::warn!(
            ?bad,
            "operator requests in {} cannot be read and are ignored; repeat the commands that sent them",
            name(Purpose::Requests, run)
        );
        change(client, run, |config_map| {
            let data = config_map.data.get_or_insert_default();
            let moved: Vec<_> =
                bad.iter().filter_map(|key| Some((format!("{key}{UNREADABLE_SUFFIX}"), data.remove(key)?))).collect();
            let any = !moved.is_empty();
            data.extend(moved);
            any
        })
        .await?;
    }
    Ok(good.into_iter().filter_map(|(key, request)| Some((key, request.ok()?))).collect())
}

/// Removes a request that was handled.
pub async fn remove(client: &NamespaceClient, run: &str, key: &str) -> Result<(), StoreError> {
    change(client, run, |config_map| {
        if config_map.data.get_or_insert_default().remove(key).is_none() {
            return false;
        }
        let mut keys = handled_keys(config_map);
        keys.push(key.to_owned());
        let from = keys.len().saturating_sub(MAX_HANDLED_KEYS);
        config_map.annotations_mut().insert(HANDLED_ANNOTATION.to_owned(), keys[from..].join(","));
        true
    })
    .await
}

fn handled_keys(config_map: &ConfigMap) -> Vec<String> {
    let text = config_map.annotations().get(HANDLED_ANNOTATION).map_or("", String::as_str);
    text.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

/// Replaces an object unconditionally, or creates it.
async fn set(client: &NamespaceClient, mut object: ConfigMap, key: &str, text: String) -> Result<(), RequestError> {
    let api: Api<ConfigMap> = client.api();
    object.data = Some(BTreeMap::from([(key.to_owned(), text)]));
    match client.call(api.replace(&object.name_any(), &PostParams::default(), &object)).await {
        Err(RequestError::Missing) => client.call(api.create(&PostParams::default(), &object)).await.map(drop),
        other => other.map(drop),
    }
}

/// Replaces the heartbeat.
pub async fn put_heartbeat(client: &NamespaceClient, run: &str, heartbeat: &Heartbeat) -> Result<(), StoreError> {
    let text = serde_json::to_string(heartbeat).unwrap_or_default();
    set(client, object(Purpose::Heartbeat, run), HEARTBEAT_KEY, text)
        .await
        .map_err(|t| client.error(&name(Purpose::Heartbeat, run), t))
}

/// Reads the heartbeat.
pub async fn read_heartbeat(client: &NamespaceClient, run: &str) -> Option<Heartbeat> {
    let api: Api<ConfigMap> = client.api();
    let found = client.call(api.get_opt(&name(Purpose::Heartbeat, run))).await.ok()??;
    serde_json::from_str(found.data?.get(HEARTBEAT_KEY)?).ok()
}

/// Stores the break-glass script under its file name. A script that is larger than an object may be is stored in
/// several objects. Returns the names of the objects in order. The first object is written last, because it makes the
/// script of an earlier call complete or ineffective.
pub async fn put_script(
    client: &NamespaceClient,
    run: &str,
    file: &str,
    text: &str,
) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for (number, part) in (1..).zip(parts::split_at_lines(text, MAX_SCRIPT_BYTES)).collect::<Vec<_>>().iter().rev() {
        let mut object = object(Purpose::Script, run);
        if *number > 1 {
            object.metadata.name = Some(format!("{}-{number}", name(Purpose::Script, run)));
        }
        let name = object.name_any();
        set(client, object, file, (*part).to_owned()).await.map_err(|t| client.error(&name, t))?;
        names.insert(0, name);
    }
    Ok(names)
}
