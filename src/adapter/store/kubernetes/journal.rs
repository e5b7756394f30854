//! A run's journal as ConfigMaps: the bytes of the journal file, in segments that fit into etcd. An append replaces the
//! last
//! segment with the resourceVersion that was read, so that two writers never interleave. The write that fills a segment
//! also
//! closes it, and a closed segment never changes. A writer that read it open gets a conflict; of two writers that read
//! it closed
//! and create the next segment, one gets a conflict.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};

use super::client::{NamespaceClient, RequestError};
use super::label::{self, Purpose};
use crate::base::retry;
use crate::domain::run::event::{Event, Record};
use crate::domain::run::journal::{DamagedJournal, LineDamage, Parsed, line, parse};
use crate::port::store::{RunSummary, StoreError};

/// Key of the journal's text.
const TEXT: &str = "journal.jsonl";
/// A segment with this many bytes is closed: etcd keeps every version of it for some minutes.
const CLOSE_BYTES: usize = 64 * 1024;
/// Size limit of a segment: Kubernetes refuses a ConfigMap of more than 1 MiB.
pub const MAX_BYTES: usize = 1_000_000;
/// Annotation of a closed segment.
const CLOSED: &str = "cutover.dev/closed";
/// Annotation: summary of the run up to the end of this segment, so that a list of runs reads no journals.
const SUMMARY: &str = "cutover.dev/summary";
/// Page size of lists.
const PAGE: u32 = 50;

/// Appends records to a journal.
pub struct Writer {
    run: String,
    /// The last segment.
    segment: ConfigMap,
    number: usize,
    seq: u64,
    sum: String,
    summary: RunSummary,
    /// The last record, as read.
    last: Option<Record>,
}

/// A journal as read.
struct StoredJournal {
    segments: Vec<ConfigMap>,
    text: String,
}

/// Creates an empty journal.
pub async fn create(reach: &NamespaceClient, run: &str) -> Result<(), StoreError> {
    let made = format!("{:016x}", fastrand::u64(..));
    let mut piece = new_segment(run, 1, "");
    piece.annotations_mut().insert("cutover.dev/made".to_owned(), made.clone());
    let api: Api<ConfigMap> = reach.api();
    let first = reach.call_always(api.create(&PostParams::default(), &piece)).await;
    let made_by_us = |found: &ConfigMap| found.annotations().get("cutover.dev/made") == Some(&made);
    let result = match first {
        // The request whose answer was lost may have created it.
        Err(RequestError::Unanswered(why)) => match reach.call_always(api.get_opt(&piece.name_any())).await {
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
        Err(trouble) => Err(reach.error(&piece.name_any(), trouble)),
    }
}

/// Reads a run's records.
pub async fn read(reach: &NamespaceClient, run: &str) -> Result<Vec<Record>, StoreError> {
    let found = read_segments(reach, run).await?;
    parsed(reach, run, &found.text).map(|p| p.records)
}

/// Returns a summary of every run, from the last segment of its journal.
pub async fn runs(reach: &NamespaceClient) -> Result<Vec<RunSummary>, StoreError> {
    let api: Api<ConfigMap> = reach.api();
    let mut params = ListParams::default().limit(PAGE).labels(&label::selector(Purpose::Journal));
    let mut last: BTreeMap<String, (usize, Option<String>)> = BTreeMap::new();
    loop {
        let page = reach.read(|| api.list_metadata(&params)).await.map_err(|t| reach.error("the list of runs", t))?;
        for piece in &page.items {
            let name = piece.name_any();
            let Some((run, number)) = run_and_number(&name) else { continue };
            let entry = last.entry(run.to_owned()).or_default();
            if number >= entry.0 {
                *entry = (number, piece.annotations().get(SUMMARY).cloned());
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
            RunSummary { damaged: Some("its summary belongs to another run".to_owned()), ..RunSummary::of(run, &[]) }
        }
        Err(e) => RunSummary { damaged: Some(format!("its summary cannot be read: {e}")), ..RunSummary::of(run, &[]) },
    }
}

impl Writer {
    /// Reads the journal.
    pub async fn open(reach: &NamespaceClient, run: &str) -> Result<Self, StoreError> {
        let StoredJournal { segments: mut pieces, text } = read_segments(reach, run).await?;
        let parsed = parsed(reach, run, &text)?;
        let number = pieces.len();
        let piece = pieces.pop().ok_or_else(|| missing(reach, run))?;
        let summary = RunSummary::of(run, &parsed.records);
        let (seq, sum) = (parsed.records.len() as u64, parsed.last_checksum().to_owned());
        Ok(Self {
            run: run.to_owned(),
            segment: piece,
            number,
            seq,
            sum,
            summary,
            last: parsed.records.into_iter().next_back(),
        })
    }

    /// Returns the record for an event.
    pub fn next(&self, time: Timestamp, event: &Event) -> Record {
        Record::new(self.seq + 1, time, self.run.clone(), event.clone())
    }

    /// Whether the journal, as read, ends with this record.
    pub fn ends_with(&self, record: &Record) -> bool {
        self.last.as_ref() == Some(record)
    }

    /// Appends a record. After an error, drop the writer: the journal must be read again.
    pub async fn append(&mut self, reach: &NamespaceClient, record: &Record) -> Result<(), StoreError> {
        let wrong = |message: String| StoreError::Io { path: journal(&self.run), message };
        let (text, sum) =
            line(&self.sum, record).map_err(|e| wrong(format!("the record cannot be written as JSON: {e}")))?;
        if text.len() > MAX_BYTES {
            return Err(wrong(format!(
                "a record of {} bytes does not fit into a Kubernetes object ({MAX_BYTES} bytes); \
                split the plan, or keep the state on this machine",
                text.len()
            )));
        }
        self.summary.add(record);
        if !closed(&self.segment) && contents(&self.segment).len() + text.len() > MAX_BYTES {
            let mut close = self.segment.clone();
            close.annotations_mut().insert(CLOSED.to_owned(), "true".to_owned());
            self.segment = self.put(reach, close).await?;
        }
        let (mut next, number) = if closed(&self.segment) {
            (new_segment(&self.run, self.number + 1, ""), self.number + 1)
        } else {
            (self.segment.clone(), self.number)
        };
        let whole = contents(&next).to_owned() + &text;
        if whole.len() >= CLOSE_BYTES {
            next.annotations_mut().insert(CLOSED.to_owned(), "true".to_owned());
        }
        next.annotations_mut().insert(SUMMARY.to_owned(), serde_json::to_string(&self.summary).unwrap_or_default());
        if !self.summary.plan.is_empty() {
            next.labels_mut().insert("cutover.dev/plan".to_owned(), self.summary.plan.clone());
        }
        next.data = Some([(TEXT.to_owned(), whole)].into());
        self.segment = self.put(reach, next).await?;
        (self.number, self.seq, self.sum) = (number, record.seq, sum);
        Ok(())
    }

    /// Writes a segment over its resourceVersion, or creates it. If the answer is lost, reads whether the write took
    /// effect.
    async fn put(&self, reach: &NamespaceClient, piece: ConfigMap) -> Result<ConfigMap, StoreError> {
        let (api, name): (Api<ConfigMap>, _) = (reach.api(), piece.name_any());
        let error = |trouble| reach.error(&name, trouble);
        let mut doubtful = false;
        for _ in 0..retry::APPEND_TRIES {
            let answer = match piece.resource_version() {
                None => reach.call(api.create(&PostParams::default(), &piece)).await,
                Some(_) => reach.call(api.replace(&name, &PostParams::default(), &piece)).await,
            };
            match answer {
                Ok(stored) => return Ok(stored),
                Err(RequestError::Unanswered(_)) if !doubtful => doubtful = true,
                Err(RequestError::Conflict) if doubtful => {
                    let found = reach.call(api.get_opt(&name)).await.map_err(error)?;
                    return found.filter(|f| same_content(f, &piece)).ok_or_else(|| error(RequestError::Conflict));
                }
                Err(trouble) => return Err(error(trouble)),
            }
            match reach.call_always(api.get_opt(&name)).await.map_err(error)? {
                Some(found) if same_content(&found, &piece) => return Ok(found),
                Some(found) if found.resource_version() != piece.resource_version() => {
                    return Err(error(RequestError::Conflict));
                }
                // The write had no effect: repeat it over the same version, so that it takes effect at most once.
                _ => {}
            }
        }
        Err(error(RequestError::Unanswered("it is unknown whether the write took effect".to_owned())))
    }
}

/// Whether two segments have the same text and are both open or both closed.
fn same_content(found: &ConfigMap, wanted: &ConfigMap) -> bool {
    contents(found) == contents(wanted) && closed(found) == closed(wanted)
}

async fn read_segments(reach: &NamespaceClient, run: &str) -> Result<StoredJournal, StoreError> {
    let api: Api<ConfigMap> = reach.api();
    let mut params = ListParams::default().limit(PAGE).labels(&label::selector_of(Purpose::Journal, run));
    let mut pieces = BTreeMap::new();
    loop {
        let page = reach.read(|| api.list(&params)).await.map_err(|t| reach.error(&journal(run), t))?;
        let of_run = page.items.into_iter().filter_map(|p| {
            let name = p.name_any();
            run_and_number(&name).filter(|(of, _)| *of == run).map(|(_, number)| (number, p))
        });
        pieces.extend(of_run);
        match page.metadata.continue_.filter(|c| !c.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    if pieces.is_empty() {
        return Err(missing(reach, run));
    }
    let text: String = pieces.values().map(contents).collect();
    let gap = (1..).zip(pieces.keys()).find(|(wanted, is)| wanted != *is).map(|(wanted, _)| wanted);
    match gap {
        None => Ok(StoredJournal { segments: pieces.into_values().collect(), text }),
        Some(number) => {
            let before: String = pieces.iter().filter(|(n, _)| **n < number).map(|(_, p)| contents(p)).collect();
            let prefix = parse(before.as_bytes()).map_or_else(|c| c.prefix, |p| p.records);
            Err(damaged(reach, run, prefix, format!("its segment {number} is missing")))
        }
    }
}

fn parsed(reach: &NamespaceClient, run: &str, text: &str) -> Result<Parsed, StoreError> {
    let parsed = parse(text.as_bytes())
        .map_err(|c| StoreError::corrupt(format!("{} in {}", journal(run), reach.place()), &c))?;
    // A segment is written completely or not at all: someone else truncated it.
    if parsed.torn || parsed.unterminated {
        return Err(damaged(reach, run, parsed.records, "it is truncated".to_owned()));
    }
    Ok(parsed)
}

fn damaged(reach: &NamespaceClient, run: &str, prefix: Vec<Record>, why: String) -> StoreError {
    let corrupt = DamagedJournal { line: prefix.len() + 1, why: LineDamage::Syntax(why), prefix };
    StoreError::corrupt(format!("{} in {}", journal(run), reach.place()), &corrupt)
}

fn missing(reach: &NamespaceClient, run: &str) -> StoreError {
    StoreError::NoSuchRun { run: run.to_owned(), place: reach.place().to_owned() }
}

fn new_segment(run: &str, number: usize, text: &str) -> ConfigMap {
    let metadata = ObjectMeta {
        name: Some(format!("{}-{number:05}", journal(run))),
        labels: Some(label::of_run(Purpose::Journal, run)),
        annotations: Some([(label::RUN.to_owned(), run.to_owned())].into()),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, data: Some([(TEXT.to_owned(), text.to_owned())].into()), ..ConfigMap::default() }
}

/// Common start of the names of a run's segments.
fn journal(run: &str) -> String {
    format!("cutover-{run}-journal")
}

/// Run and number from a segment's name.
fn run_and_number(name: &str) -> Option<(&str, usize)> {
    let (rest, number) = name.rsplit_once('-')?;
    Some((rest.strip_prefix("cutover-")?.strip_suffix("-journal")?, number.parse().ok()?))
}

fn contents(piece: &ConfigMap) -> &str {
    piece.data.as_ref().and_then(|d| d.get(TEXT)).map_or("", String::as_str)
}

fn closed(piece: &ConfigMap) -> bool {
    piece.annotations().get(CLOSED).is_some_and(|c| c == "true")
}
