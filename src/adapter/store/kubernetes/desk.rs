//! Objects through which processes communicate: operator requests, the heartbeat, the break-glass script. Each is one
//! ConfigMap of the run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::label::{self, Part};
use super::reach::{Reach, Trouble};
use crate::base::retry;
use crate::port::store::{Look, Request, StoreError};

/// Annotation: number of the next request, so that no name is used twice.
const NEXT: &str = "cutover.dev/next";
/// Annotation: the last requests that were handled. A client whose answer was lost finds its request here.
const DONE: &str = "cutover.dev/done";
/// Number of requests in [`DONE`].
const REMEMBERED: usize = 50;
/// Suffix of the key of a request that could not be read.
const ASIDE: &str = ".unreadable";
/// Key of the heartbeat.
const LOOK: &str = "look.json";

/// A new object of a run, without data.
fn object(part: Part, run: &str) -> ConfigMap {
    let metadata = ObjectMeta {
        name: Some(name(part, run)),
        labels: Some(label::of_run(part, run)),
        annotations: Some([(label::RUN.to_owned(), run.to_owned())].into()),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, ..ConfigMap::default() }
}

/// Name of an object.
pub fn name(part: Part, run: &str) -> String {
    format!("cutover-{run}-{}", part.word())
}

/// Creates the object for a run's requests.
pub async fn create(reach: &Reach, run: &str) -> Result<(), StoreError> {
    let api: Api<ConfigMap> = reach.api();
    match reach.insist(api.create(&PostParams::default(), &object(Part::Requests, run))).await {
        Ok(_) | Err(Trouble::Conflict) => Ok(()),
        Err(trouble) => Err(reach.error(&name(Part::Requests, run), trouble)),
    }
}

/// Changes a run's requests with optimistic concurrency; `change` returns whether there is something to write.
async fn change(reach: &Reach, run: &str, change: impl Fn(&mut ConfigMap) -> bool) -> Result<(), StoreError> {
    let (api, name): (Api<ConfigMap>, _) = (reach.api(), name(Part::Requests, run));
    let mut last = Trouble::Conflict;
    for _ in 0..retry::CONTENDED {
        let mut desk = get(reach, &api, run).await?;
        if !change(&mut desk) {
            return Ok(());
        }
        match reach.call(api.replace(&name, &PostParams::default(), &desk)).await {
            Ok(_) => return Ok(()),
            Err(trouble @ (Trouble::Conflict | Trouble::Unanswered(_))) => last = trouble,
            Err(trouble) => return Err(reach.error(&name, trouble)),
        }
    }
    Err(reach.error(&name, last))
}

async fn get(reach: &Reach, api: &Api<ConfigMap>, run: &str) -> Result<ConfigMap, StoreError> {
    let name = name(Part::Requests, run);
    match reach.read(|| api.get_opt(&name)).await {
        Ok(Some(desk)) => Ok(desk),
        Ok(None) => Err(StoreError::NoSuchRun { run: run.to_owned(), place: reach.place().to_owned() }),
        Err(trouble) => Err(reach.error(&name, trouble)),
    }
}

/// Adds a request exactly once.
pub async fn put(reach: &Reach, run: &str, request: &Request) -> Result<(), StoreError> {
    let text = serde_json::to_string(request)
        .map_err(|e| StoreError::Io { path: name(Part::Requests, run), message: e.to_string() })?;
    let ours = format!("{:016x}", fastrand::u64(..));
    change(reach, run, |desk| {
        if desk.data.iter().flatten().any(|(key, _)| key.ends_with(&ours))
            || done(desk).iter().any(|key| key.ends_with(&ours))
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
pub async fn pending(reach: &Reach, run: &str) -> Result<Vec<(String, Request)>, StoreError> {
    let desk = get(reach, &reach.api(), run).await?;
    let waiting: Vec<_> = desk.data.into_iter().flatten().filter(|(key, _)| !key.ends_with(ASIDE)).collect();
    let (good, bad): (Vec<_>, Vec<_>) =
        waiting.into_iter().map(|(key, text)| (key, serde_json::from_str(&text))).partition(|(_, r)| r.is_ok());
    if !bad.is_empty() {
        let bad: Vec<String> = bad.into_iter().map(|(key, _)| key).collect();
        tracing::warn!(?bad, "requests that cannot be read are set aside in {}", name(Part::Requests, run));
        change(reach, run, |desk| {
            let data = desk.data.get_or_insert_default();
            let moved: Vec<_> =
                bad.iter().filter_map(|key| Some((format!("{key}{ASIDE}"), data.remove(key)?))).collect();
            let any = !moved.is_empty();
            data.extend(moved);
            any
        })
        .await?;
    }
    Ok(good.into_iter().filter_map(|(key, request)| Some((key, request.ok()?))).collect())
}

/// Removes a request that was handled.
pub async fn remove(reach: &Reach, run: &str, key: &str) -> Result<(), StoreError> {
    change(reach, run, |desk| {
        if desk.data.get_or_insert_default().remove(key).is_none() {
            return false;
        }
        let mut keys = done(desk);
        keys.push(key.to_owned());
        let from = keys.len().saturating_sub(REMEMBERED);
        desk.annotations_mut().insert(DONE.to_owned(), keys[from..].join(","));
        true
    })
    .await
}

fn done(desk: &ConfigMap) -> Vec<String> {
    let text = desk.annotations().get(DONE).map_or("", String::as_str);
    text.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

/// Replaces an object unconditionally, or creates it.
async fn set(reach: &Reach, part: Part, run: &str, key: &str, text: String) -> Result<(), Trouble> {
    let (api, mut object): (Api<ConfigMap>, _) = (reach.api(), object(part, run));
    object.data = Some(BTreeMap::from([(key.to_owned(), text)]));
    match reach.call(api.replace(&name(part, run), &PostParams::default(), &object)).await {
        Err(Trouble::Missing) => reach.call(api.create(&PostParams::default(), &object)).await.map(drop),
        other => other.map(drop),
    }
}

/// Replaces the heartbeat.
pub async fn put_look(reach: &Reach, run: &str, look: &Look) -> Result<(), StoreError> {
    let text = serde_json::to_string(look).unwrap_or_default();
    set(reach, Part::Look, run, LOOK, text).await.map_err(|t| reach.error(&name(Part::Look, run), t))
}

/// Reads the heartbeat.
pub async fn look(reach: &Reach, run: &str) -> Option<Look> {
    let api: Api<ConfigMap> = reach.api();
    let found = reach.call(api.get_opt(&name(Part::Look, run))).await.ok()??;
    serde_json::from_str(found.data?.get(LOOK)?).ok()
}

/// Stores the break-glass script under its file name.
pub async fn put_script(reach: &Reach, run: &str, file: &str, text: &str) -> Result<(), StoreError> {
    set(reach, Part::Script, run, file, text.to_owned()).await.map_err(|t| reach.error(&name(Part::Script, run), t))
}
