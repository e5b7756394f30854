//! A run's journal as ConfigMaps: the bytes of the journal file, in segments that fit into etcd. An append replaces the
//! last segment with the resourceVersion that was read, so that two writers never interleave. The write that fills a
//! segment also closes it, and a closed segment never changes. A writer that read the segment as open gets a conflict.
//! If two writers read the segment as closed and create the next segment, one of them gets a conflict.
//!
//! A record that is larger than a segment may be is stored in parts ([`parts`]).

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};

use super::client::{NamespaceClient, RequestError};
use super::label::{self, Purpose};
use super::parts;
use crate::base::retry;
use crate::domain::run::event::{Event, Record};
use crate::domain::run::journal::{DamagedJournal, LineDamage, Parsed, format_line, parse};
use crate::port::store::{RunSummary, StoreError};

/// The data key of the journal's text.
pub(super) const JOURNAL_KEY: &str = "journal.jsonl";
/// The size at which a segment is closed, in bytes. The limit is small because etcd keeps every version of a segment
/// for some minutes.
const CLOSE_BYTES: usize = 64 * 1024;
/// The maximum size of a segment, in bytes. Kubernetes refuses a ConfigMap of more than 1 MiB.
pub const MAX_BYTES: usize = 1_000_000;
/// The annotation of a closed segment.
const CLOSED_ANNOTATION: &str = "cutover.dev/closed";
/// The annotation with the summary of the run up to the end of this segment, so that a list of runs reads no journals.
const SUMMARY_ANNOTATION: &str = "cutover.dev/summary";
/// The page size of lists.
const PAGE_SIZE: u32 = 50;

/// Appends records to a journal in ConfigMaps.
pub struct Writer {
    run: String,
    /// The last segment of the journal.
    segment: ConfigMap,
    number: usize,
    seq: u64,
    sum: String,
    summary: RunSummary,
    /// The last record that was read.
    last: Option<Record>,
}

/// A journal that was read, with its segments and its text.
struct StoredJournal {
    segments: Vec<ConfigMap>,
    text: String,
}

/// Creates an empty journal.
pub async fn create(client: &NamespaceClient, run: &str) -> Result<(), StoreError> {
    let made = format!("{:016x}", fastrand::u64(..));
    let mut segment = new_segment(run, 1, "");
    segment.annotations_mut().insert("cutover.dev/made".to_owned(), made.clone());
    let api: Api<ConfigMap> = client.api();
    let first = client.call_always(api.create(&PostParams::default(), &segment)).await;
    let made_by_us = |found: &ConfigMap| found.annotations().get("cutover.dev/made") == Some(&made);
    let result = match first {
        // The request whose response was lost may have created the object.
        Err(RequestError::Unanswered(why)) => match client.call_always(api.get_opt(&segment.name_any())).await {
            Ok(Some(found)) if made_by_us(&found) => Ok(found),
            Ok(Some(_)) => Err(RequestError::Conflict),
            Ok(None) => Err(RequestError::Unanswered(why)),
            Err(trouble) => Err(trouble),
        },
        other => other,
    };
    match result {
        Ok(_) => Ok(()),
        Err(RequestError::Conflict) => Err(StoreError::Exists(run.to_owned())),
        Err(trouble) => Err(client.error(&segment.name_any(), trouble)),
    }
}

/// Reads the records of a run.
pub async fn read(client: &NamespaceClient, run: &str) -> Result<Vec<Record>, StoreError> {
    let found = read_segments(client, run).await?;
    parse_complete(client, run, &found.text).map(|p| p.records)
}

/// Reads the summary of every run from the last segment of its journal.
pub async fn runs(client: &NamespaceClient) -> Result<Vec<RunSummary>, StoreError> {
    let api: Api<ConfigMap> = client.api();
    let mut params = ListParams::default().limit(PAGE_SIZE).labels(&label::selector(Purpose::Journal));
    let mut last: BTreeMap<String, (usize, Option<String>)> = BTreeMap::new();
    loop {
        let page = client.read(|| api.list_metadata(&params)).await.map_err(|t| client.error("the list of runs", t))?;
        for segment in &page.items {
            let name = segment.name_any();
            let Some((run, number)) = run_and_number(&name) else { continue };
            let entry = last.entry(run.to_owned()).or_default();
            if number >= entry.0 {
                *entry = (number, segment.annotations().get(SUMMARY_ANNOTATION).cloned());
            }
        }
        match page.metadata.continue_.filter(|c| !c.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    // A run without a record has changed nothing.
    let summaries = last.into_iter().filter_map(|(run, (_, summary))| Some((run, summary?)));
    let mut runs: Vec<RunSummary> = summaries.map(|(run, text)| summary(&run, &text)).collect();
    runs.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| b.id.cmp(&a.id)));
    Ok(runs)
}

fn summary(run: &str, text: &str) -> RunSummary {
    match serde_json::from_str::<RunSummary>(text) {
        Ok(summary) if summary.id == run => summary,
        Ok(_) => {
            RunSummary { damaged: Some("the summary belongs to another run".to_owned()), ..RunSummary::of(run, &[]) }
        }
        Err(e) => RunSummary { damaged: Some(format!("the summary cannot be read: {e}")), ..RunSummary::of(run, &[]) },
    }
}

impl Writer {
    /// Opens a journal and reads its segments.
    pub async fn open(client: &NamespaceClient, run: &str) -> Result<Self, StoreError> {
        let StoredJournal { mut segments, text } = read_segments(client, run).await?;
        let parsed = parse_complete(client, run, &text)?;
        let number = segments.len();
        let segment = segments.pop().ok_or_else(|| no_such_run(client, run))?;
        let summary = RunSummary::of(run, &parsed.records);
        let (seq, sum) = (parsed.records.len() as u64, parsed.last_checksum().to_owned());
        Ok(Self {
            run: run.to_owned(),
            segment,
            number,
            seq,
            sum,
            summary,
            last: parsed.records.into_iter().next_back(),
        })
    }

    /// Returns the next record, for this event.
    pub fn next(&self, time: Timestamp, event: &Event) -> Record {
        Record::new(self.seq + 1, time, self.run.clone(), event.clone())
    }

    /// Returns whether the journal that was read ends with this record.
    pub fn ends_with(&self, record: &Record) -> bool {
        self.last.as_ref() == Some(record)
    }

    /// Appends a record. After an error, drop the writer, because the journal must be read again.
    pub async fn append(&mut self, client: &NamespaceClient, record: &Record) -> Result<(), StoreError> {
        let wrong = |message: String| StoreError::Io { path: name_prefix(&self.run), message };
        let (text, sum) =
            format_line(&self.sum, record).map_err(|e| wrong(format!("the record cannot be written as JSON: {e}")))?;
        let pieces = parts::split(&text, MAX_BYTES);
        if pieces.len() > parts::MAX_PARTS {
            return Err(wrong(format!(
                "a record of {} bytes does not fit into {} Kubernetes objects of {MAX_BYTES} bytes; \
                split the plan, or keep the state on this machine",
                text.len(),
                parts::MAX_PARTS
            )));
        }
        self.summary.add(record);
        let is_open = |segment: &ConfigMap| !is_closed(segment) && !contents(segment).is_empty();
        if is_open(&self.segment) && contents(&self.segment).len() + text.len() > MAX_BYTES {
            let mut close = self.segment.clone();
            close.annotations_mut().insert(CLOSED_ANNOTATION.to_owned(), "true".to_owned());
            self.segment = self.put(client, close).await?;
        }
        let (mut next, number) = if is_closed(&self.segment) {
            (new_segment(&self.run, self.number + 1, ""), self.number + 1)
        } else {
            (self.segment.clone(), self.number)
        };
        let all_text = contents(&next).to_owned() + pieces[0];
        parts::put(client, &self.run, &mut next, &pieces, &sum).await?;
        if all_text.len() >= CLOSE_BYTES {
            next.annotations_mut().insert(CLOSED_ANNOTATION.to_owned(), "true".to_owned());
        }
        next.annotations_mut()
            .insert(SUMMARY_ANNOTATION.to_owned(), serde_json::to_string(&self.summary).unwrap_or_default());
        if !self.summary.plan.is_empty() {
            next.labels_mut().insert("cutover.dev/plan".to_owned(), self.summary.plan.clone());
        }
        next.data = Some([(JOURNAL_KEY.to_owned(), all_text)].into());
        self.segment = self.put(client, next).await?;
        (self.number, self.seq, self.sum) = (number, record.seq, sum);
        Ok(())
    }

    /// Creates a segment, or replaces the version that was read. If the response is lost, reads whether the write took
    /// effect.
    async fn put(&self, client: &NamespaceClient, segment: ConfigMap) -> Result<ConfigMap, StoreError> {
        let (api, name): (Api<ConfigMap>, _) = (client.api(), segment.name_any());
        let error = |trouble| client.error(&name, trouble);
        let mut doubtful = false;
        for _ in 0..retry::APPEND_TRIES {
            let answer = match segment.resource_version() {
                None => client.call(api.create(&PostParams::default(), &segment)).await,
                Some(_) => client.call(api.replace(&name, &PostParams::default(), &segment)).await,
            };
            match answer {
                Ok(stored) => return Ok(stored),
                Err(RequestError::Unanswered(_)) if !doubtful => doubtful = true,
                Err(RequestError::Conflict) if doubtful => {
                    let found = client.call(api.get_opt(&name)).await.map_err(error)?;
                    return found.filter(|f| same_content(f, &segment)).ok_or_else(|| error(RequestError::Conflict));
                }
                Err(trouble) => return Err(error(trouble)),
            }
            match client.call_always(api.get_opt(&name)).await.map_err(error)? {
                Some(found) if same_content(&found, &segment) => return Ok(found),
                Some(found) if found.resource_version() != segment.resource_version() => {
                    return Err(error(RequestError::Conflict));
                }
                // The write had no effect, so it is repeated for the same version. It takes effect at most once.
                _ => {}
            }
        }
        Err(error(RequestError::Unanswered("it is unknown whether the write took effect".to_owned())))
    }
}

/// Returns whether two segments have the same text and are both open or both closed.
fn same_content(found: &ConfigMap, wanted: &ConfigMap) -> bool {
    contents(found) == contents(wanted) && is_closed(found) == is_closed(wanted)
}

async fn read_segments(client: &NamespaceClient, run: &str) -> Result<StoredJournal, StoreError> {
    let api: Api<ConfigMap> = client.api();
    let mut params = ListParams::default().limit(PAGE_SIZE).labels(&label::selector_of(Purpose::Journal, run));
    let (mut segments, mut others) = (BTreeMap::new(), BTreeMap::new());
    loop {
        let page = client.read(|| api.list(&params)).await.map_err(|t| client.error(&name_prefix(run), t))?;
        for object in page.items {
            let name = object.name_any();
            match run_and_number(&name).filter(|(of, _)| *of == run) {
                Some((_, number)) => drop(segments.insert(number, object)),
                None => drop(others.insert(name, object)),
            }
        }
        match page.metadata.continue_.filter(|c| !c.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    if segments.is_empty() {
        return Err(no_such_run(client, run));
    }
    let text: String = segments.values().map(|segment| parts::text(segment, &others)).collect();
    let gap = (1..).zip(segments.keys()).find(|(wanted, is)| wanted != *is).map(|(wanted, _)| wanted);
    match gap {
        None => Ok(StoredJournal { segments: segments.into_values().collect(), text }),
        Some(number) => {
            let before = segments.range(..number).map(|(_, segment)| parts::text(segment, &others)).collect::<String>();
            let prefix = parse(before.as_bytes()).map_or_else(|c| c.prefix, |p| p.records);
            Err(damaged(client, run, prefix, format!("segment {number} is missing")))
        }
    }
}

fn parse_complete(client: &NamespaceClient, run: &str, text: &str) -> Result<Parsed, StoreError> {
    let parsed = parse(text.as_bytes())
        .map_err(|c| StoreError::corrupt(format!("{} in {}", name_prefix(run), client.place()), &c))?;
    // A segment is written completely or not at all, so someone else truncated it.
    if parsed.torn || parsed.unterminated {
        return Err(damaged(client, run, parsed.records, "the end of the journal's text is missing".to_owned()));
    }
    Ok(parsed)
}

fn damaged(client: &NamespaceClient, run: &str, prefix: Vec<Record>, why: String) -> StoreError {
    let corrupt = DamagedJournal { line: prefix.len() + 1, why: LineDamage::Syntax(why), prefix };
    StoreError::corrupt(format!("{} in {}", name_prefix(run), client.place()), &corrupt)
}

fn no_such_run(client: &NamespaceClient, run: &str) -> StoreError {
    StoreError::NoSuchRun { run: run.to_owned(), place: client.place().to_owned() }
}

fn new_segment(run: &str, number: usize, text: &str) -> ConfigMap {
    let metadata = ObjectMeta {
        name: Some(format!("{}-{number:05}", name_prefix(run))),
        labels: Some(label::of_run(Purpose::Journal, run)),
        annotations: Some([(label::RUN.to_owned(), run.to_owned())].into()),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, data: Some([(JOURNAL_KEY.to_owned(), text.to_owned())].into()), ..ConfigMap::default() }
}

/// Returns the common start of the names of a run's segments.
fn name_prefix(run: &str) -> String {
    format!("cutover-{run}-journal")
}

/// Returns the run and the number in a segment's name.
fn run_and_number(name: &str) -> Option<(&str, usize)> {
    let (rest, number) = name.rsplit_once('-')?;
    Some((rest.strip_prefix("cutover-")?.strip_suffix("-journal")?, number.parse().ok()?))
}

pub(super) fn contents(segment: &ConfigMap) -> &str {
    segment.data.as_ref().and_then(|d| d.get(JOURNAL_KEY)).map_or("", String::as_str)
}

fn is_closed(segment: &ConfigMap) -> bool {
    segment.annotations().get(CLOSED_ANNOTATION).is_some_and(|c| c == "true")
}
