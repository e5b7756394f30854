//! Objects through which processes communicate: operator requests, the heartbeat, the break-glass script. Each is one
//! ConfigMap of the run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::client::{NamespaceClient, RequestError};
use super::label::{self, Purpose};
use crate::base::retry;
use crate::port::store::{Heartbeat, Request, StoreError};

/// Annotation: number of the next request, so that no name is used twice.
const NEXT: &str = "cutover.dev/next";
/// Annotation: the last requests that were handled. A client whose answer was lost finds its request here.
const HANDLED: &str = "cutover.dev/done";
/// Number of requests in [`DONE`].
const KEPT_HANDLED: usize = 50;
/// Suffix of the key of a request that could not be read.
const UNREADABLE_SUFFIX: &str = ".unreadable";
/// Key of the heartbeat.
const HEARTBEAT: &str = "look.json";

/// A new object of a run, without data.
fn object(part: Purpose, run: &str) -> ConfigMap {
    let metadata = ObjectMeta {
        name: Some(name(part, run)),
        labels: Some(label::of_run(part, run)),
        annotations: Some([(label::RUN.to_owned(), run.to_owned())].into()),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, ..ConfigMap::default() }
}

/// Name of an object.
pub fn name(part: Purpose, run: &str) -> String {
    format!("cutover-{run}-{}", part.name())
}

/// Creates the object for a run's requests.
pub async fn create(reach: &NamespaceClient, run: &str) -> Result<(), StoreError> {
    let api: Api<ConfigMap> = reach.api();
    match reach.call_always(api.create(&PostParams::default(), &object(Purpose::Requests, run))).await {
        Ok(_) | Err(RequestError::Conflict) => Ok(()),
        Err(trouble) => Err(reach.error(&name(Purpose::Requests, run), trouble)),
    }
}

/// Changes a run's requests with optimistic concurrency; `change` returns whether there is something to write.
async fn change(reach: &NamespaceClient, run: &str, change: impl Fn(&mut ConfigMap) -> bool) -> Result<(), StoreError> {
    let (api, name): (Api<ConfigMap>, _) = (reach.api(), name(Purpose::Requests, run));
    let mut last = RequestError::Conflict;
    for _ in 0..retry::CONTENDED_TRIES {
        let mut desk = get(reach, &api, run).await?;
        if !change(&mut desk) {
            return Ok(());
        }
        match reach.call(api.replace(&name, &PostParams::default(), &desk)).await {
            Ok(_) => return Ok(()),
            Err(trouble @ (RequestError::Conflict | RequestError::Unanswered(_))) => last = trouble,
            Err(trouble) => return Err(reach.error(&name, trouble)),
        }
    }
    Err(reach.error(&name, last))
}

async fn get(reach: &NamespaceClient, api: &Api<ConfigMap>, run: &str) -> Result<ConfigMap, StoreError> {
    let name = name(Purpose::Requests, run);
    match reach.read(|| api.get_opt(&name)).await {
        Ok(Some(desk)) => Ok(desk),
        Ok(None) => Err(StoreError::NoSuchRun { run: run.to_owned(), place: reach.place().to_owned() }),
        Err(trouble) => Err(reach.error(&name, trouble)),
    }
}

/// Adds a request exactly once.
pub async fn put(reach: &NamespaceClient, run: &str, request: &Request) -> Result<(), StoreError> {
    let text = serde_json::to_string(request)
        .map_err(|e| StoreError::Io { path: name(Purpose::Requests, run), message: e.to_string() })?;
    let ours = format!("{:016x}", fastrand::u64(..));
    change(reach, run, |desk| {
        if desk.data.iter().flatten().any(|(key, _)| key.ends_with(&ours))
            || handled(desk).iter().any(|key| key.ends_with(&ours))
        {
            return false;
        }
        let number: u64 = desk.annotations().get(NEXT).and_then(|n| n.parse().ok()).unwrap_or(1);
        desk.annotations_mut().insert(NEXT.to_owned(), (number + 1).to_string());
        desk.data.get_or_insert_default().insert(format!("{number:010}-{ours}"), text.clone());
        true
    })
    .await
}

/// Returns the requests in order. Those that cannot be read are renamed and kept for inspection.
pub async fn pending(reach: &NamespaceClient, run: &str) -> Result<Vec<(String, Request)>, StoreError> {
    let desk = get(reach, &reach.api(), run).await?;
    let waiting: Vec<_> =
        desk.data.into_iter().flatten().filter(|(key, _)| !key.ends_with(UNREADABLE_SUFFIX)).collect();
    let (good, bad): (Vec<_>, Vec<_>) =
        waiting.into_iter().map(|(key, text)| (key, serde_json::from_str(&text))).partition(|(_, r)| r.is_ok());
    if !bad.is_empty() {
        let bad: Vec<String> = bad.into_iter().map(|(key, _)| key).collect();
        tracing::warn!(?bad, "requests that cannot be read are set aside in {}", name(Purpose::Requests, run));
        change(reach, run, |desk| {
            let data = desk.data.get_or_insert_default();
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
pub async fn remove(reach: &NamespaceClient, run: &str, key: &str) -> Result<(), StoreError> {
    change(reach, run, |desk| {
        if desk.data.get_or_insert_default().remove(key).is_none() {
            return false;
        }
        let mut keys = handled(desk);
        keys.push(key.to_owned());
        let from = keys.len().saturating_sub(KEPT_HANDLED);
        desk.annotations_mut().insert(HANDLED.to_owned(), keys[from..].join(","));
        true
    })
    .await
}

fn handled(desk: &ConfigMap) -> Vec<String> {
    let text = desk.annotations().get(HANDLED).map_or("", String::as_str);
    text.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

/// Replaces an object unconditionally, or creates it.
async fn set(reach: &NamespaceClient, part: Purpose, run: &str, key: &str, text: String) -> Result<(), RequestError> {
    let (api, mut object): (Api<ConfigMap>, _) = (reach.api(), object(part, run));
    object.data = Some(BTreeMap::from([(key.to_owned(), text)]));
    match reach.call(api.replace(&name(part, run), &PostParams::default(), &object)).await {
        Err(RequestError::Missing) => reach.call(api.create(&PostParams::default(), &object)).await.map(drop),
        other => other.map(drop),
    }
}

/// Replaces the heartbeat.
pub async fn put_heartbeat(reach: &NamespaceClient, run: &str, look: &Heartbeat) -> Result<(), StoreError> {
    let text = serde_json::to_string(look).unwrap_or_default();
    set(reach, Purpose::Heartbeat, run, HEARTBEAT, text)
        .await
        .map_err(|t| reach.error(&name(Purpose::Heartbeat, run), t))
}

/// Reads the heartbeat.
pub async fn read_heartbeat(reach: &NamespaceClient, run: &str) -> Option<Heartbeat> {
    let api: Api<ConfigMap> = reach.api();
    let found = reach.call(api.get_opt(&name(Purpose::Heartbeat, run))).await.ok()??;
    serde_json::from_str(found.data?.get(HEARTBEAT)?).ok()
}

/// Stores the break-glass script under its file name.
pub async fn put_script(reach: &NamespaceClient, run: &str, file: &str, text: &str) -> Result<(), StoreError> {
    set(reach, Purpose::Script, run, file, text.to_owned())
        .await
        .map_err(|t| reach.error(&name(Purpose::Script, run), t))
}
