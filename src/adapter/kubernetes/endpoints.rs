//! Watches EndpointSlices and counts the ready endpoints of Services. Do not judge the counts here.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use futures::future::{FutureExt, select_all};
use futures::stream::TryStreamExt;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt};

use super::{PAGE_SIZE, error, read, timeout_text};
use crate::domain::traffic::Unreadable;
use crate::plan::model::ServiceRef;
use crate::port::EndpointReport;

/// The label of an EndpointSlice with the name of its Service.
const SERVICE: &str = "kubernetes.io/service-name";

/// The seconds after which the API server ends a watch. The maximum is 295.
const WATCH_SECONDS: u32 = 240;

/// The time without an end of the watch after which the connection counts as lost.
const WATCH_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 15);

/// The pause between two watches. Changes in this time are reported by the next watch.
const PAUSE: Duration = Duration::from_secs(1);

/// Watches the EndpointSlices in the namespaces of these Services until one of the watches fails. Returns the reason.
pub(super) async fn watch(client: &Client, services: &[&ServiceRef], report: &EndpointReport<'_>) -> Unreadable {
    let mut names: BTreeMap<&str, BTreeSet<&ServiceRef>> = BTreeMap::new();
    for service in services {
        names.entry(&service.namespace).or_default().insert(service);
    }
    if names.is_empty() {
        return Unreadable::NotFound("no Service is watched".into());
    }
    let watches = names.into_iter().map(|(namespace, services)| {
        let api = Api::namespaced(client.clone(), namespace);
        async move {
            let Err(why) = follow(&api, Slices::new(services, report)).await;
            why
        }
        .boxed()
    });
    select_all(watches).await.0
}

/// Lists the EndpointSlices of a namespace, and then follows their changes.
async fn follow(api: &Api<EndpointSlice>, mut slices: Slices<'_>) -> Result<Infallible, Unreadable> {
    let mut version = String::new();
    let mut params = ListParams::default().limit(PAGE_SIZE);
    loop {
        let page = read(api.list(&params)).await?;
        version = page.metadata.resource_version.unwrap_or(version);
        page.items.iter().for_each(|slice| slices.put(slice));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    slices.report_all();
    let params = WatchParams::default().timeout(WATCH_SECONDS);
    loop {
        let watched = async {
            let mut events = Box::pin(api.watch(&params, &version).await?);
            while let Some(event) = events.try_next().await? {
                match event {
                    WatchEvent::Added(slice) | WatchEvent::Modified(slice) => {
                        slices.put(&slice);
                        slices.report(&slice);
                        version = slice.resource_version().unwrap_or(version);
                    }
                    WatchEvent::Deleted(slice) => {
                        slices.remove(&slice);
                        slices.report(&slice);
                        version = slice.resource_version().unwrap_or(version);
                    }
                    WatchEvent::Bookmark(bookmark) => version = bookmark.metadata.resource_version,
                    WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
                }
            }
            Ok(version)
        };
        let ended = tokio::time::timeout(WATCH_TIMEOUT, watched).await;
        let ended = ended.map_err(|_| Unreadable::Unavailable(timeout_text("watch of EndpointSlices")))?;
        version = ended.map_err(|why| error::read(&why))?;
        tokio::time::sleep(PAUSE).await;
    }
}

/// The EndpointSlices of the watched Services of a namespace.
struct Slices<'a> {
    services: BTreeMap<&'a str, &'a ServiceRef>,
    /// The number of ready endpoints of each EndpointSlice, by the names of the Service and of the EndpointSlice.
    ready: BTreeMap<(String, String), u32>,
    report: &'a EndpointReport<'a>,
}

impl<'a> Slices<'a> {
    fn new(services: BTreeSet<&'a ServiceRef>, report: &'a EndpointReport<'a>) -> Self {
        let services = services.into_iter().map(|service| (service.name.as_str(), service)).collect();
        Self { services, ready: BTreeMap::new(), report }
    }

    fn put(&mut self, slice: &EndpointSlice) {
        if let Some(service) = self.service(slice) {
            let ready = slice.endpoints.iter().filter(|e| e.conditions.as_ref().and_then(|c| c.ready) != Some(false));
            let count = u32::try_from(ready.count()).unwrap_or(u32::MAX);
            self.ready.insert((service.name.clone(), slice.name_any()), count);
        }
    }

    fn remove(&mut self, slice: &EndpointSlice) {
        if let Some(service) = self.service(slice) {
            self.ready.remove(&(service.name.clone(), slice.name_any()));
        }
    }

    fn service(&self, slice: &EndpointSlice) -> Option<&'a ServiceRef> {
        self.services.get(slice.labels().get(SERVICE)?.as_str()).copied()
    }

    /// Reports the ready endpoints of the Service of an EndpointSlice.
    fn report(&self, slice: &EndpointSlice) {
        if let Some(service) = self.service(slice) {
            let of = (service.name.clone(), String::new())..;
            let ready = self.ready.range(of).take_while(|((name, _), _)| *name == service.name);
            (self.report)(service, ready.map(|(_, ready)| ready).sum());
        }
    }

    fn report_all(&self) {
        let mut all: BTreeMap<&str, u32> = self.services.keys().map(|name| (*name, 0)).collect();
        for ((name, _), ready) in &self.ready {
            *all.entry(name).or_default() += ready;
        }
        all.into_iter()
            .filter_map(|(name, ready)| Some((self.services.get(name)?, ready)))
            .for_each(|(service, ready)| (self.report)(service, ready));
    }
}
