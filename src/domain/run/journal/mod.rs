//! Reads and writes the journal's format: one JSON object per line, each with a checksum over the record and all
//! earlier records. Reading and writing of files belongs in the store.
//!
//! A journal that parses is complete, or its last lines are missing. A journal with any other damage is refused,
//! because wrong intents would move traffic. Writes may be missing at the end of a journal, so read the routes before
//! you write.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use self::flat::FlatRecord;
use super::event::{Event, Record, VERSION};

mod fast_path;
mod flat;
mod newer;

/// The number of hexadecimal digits of a checksum.
const CHECKSUM_DIGITS: usize = 16;
/// The bytes of a line before the checksum.
const CHECKSUM_PREFIX: &[u8] = br#","sum":""#;
/// The bytes of a line after the checksum.
const CHECKSUM_SUFFIX: &[u8] = br#""}"#;

/// A parsed journal.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parsed {
    /// The records, with the sequence numbers from 1 without gaps.
    pub records: Vec<Record>,
    /// The checksum of each record.
    pub checksums: Vec<String>,
    /// Whether an incomplete last record was dropped. The process died during the write of the record, before it acted
    /// on the record.
    pub torn: bool,
    /// The number of bytes of the complete records. An incomplete record may follow.
    pub valid_bytes: usize,
    /// Whether the last record is complete but lacks its newline.
    pub unterminated: bool,
}

impl Parsed {
    /// Returns the checksum of the last record; empty if there is no record.
    pub fn last_checksum(&self) -> &str {
        self.checksums.last().map_or("", String::as_str)
    }

    /// Parses the next bytes of the same journal, which must start at the beginning of a line.
    ///
    /// # Errors
    /// A complete record is not valid: the line after the last of [`Parsed::records`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), LineDamage> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = rest.iter().position(|b| *b == b'\n');
            let (line, next_line) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            match read_next_line(self, line.strip_suffix(b"\n").unwrap_or(line)) {
                Ok((record, sum)) => {
                    self.records.push(record);
                    self.checksums.push(sum);
                    self.valid_bytes += line.len();
                    self.unterminated = end.is_none();
                }
                Err(why) if end.is_some() || matches!(why, LineDamage::Newer(_)) => return Err(why),
                Err(_) => {
                    self.torn = true;
                    break;
                }
            }
            rest = next_line;
        }
        Ok(())
    }
}

/// A journal with a damaged line.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct DamagedJournal {
    /// The number of the first damaged line, from 1.
    pub line: usize,
    /// The damage of the line.
    pub why: LineDamage,
    /// The records before the damaged line. Use these records to name the run, never to continue the run.
    pub prefix: Vec<Record>,
}

/// The damage of a line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineDamage {
    /// The line is not a JSON object.
    #[error("not a JSON object ({0})")]
    Syntax(String),
    /// The checksum is missing, or does not match this record and the records before it.
    #[error("the checksum does not match the record")]
    Sum,
    /// Records are missing or out of order.
    #[error("the sequence number is not {0}")]
    Sequence(u64),
    /// The record belongs to another run.
    #[error("the record belongs to the run {0}")]
    Run(String),
    /// The version is above [`VERSION`].
    #[error("a newer cutover wrote the record (record version {0}, this version reads up to {VERSION})")]
    Newer(u64),
    /// The line is intact, but not a record of this format.
    #[error("not a record ({0})")]
    Unknown(String),
}

/// Returns the JSON of a record for `--output json`: `v`, `seq`, `time`, `run` and the fields of the event, without the
/// checksum.
pub fn to_json(record: &Record) -> Value {
    if let Some(newer) = &record.newer {
        return Value::Object(newer.json.clone());
    }
    let message = |error: serde_json::Error| {
        serde_json::json!({
            "v": VERSION, "seq": record.seq, "event": "unprintable", "message": error.to_string(),
        })
    };
    serde_json::to_value(FlatRecord::of(record)).unwrap_or_else(message)
}

/// Returns the journal line of a record, with a newline, and the checksum of the record. `previous` is the checksum of
/// the previous record; empty for the first record.
pub fn format_line(previous: &str, record: &Record) -> Result<(String, String), serde_json::Error> {
    let mut line = serde_json::to_string(&FlatRecord::of(record))?;
    line.truncate(line.len() - 1);
    let sum = checksum(previous, line.as_bytes());
    line.push_str(r#","sum":""#);
    line.push_str(&sum);
    line.push_str("\"}\n");
    Ok((line, sum))
}

/// Parses a journal. Drops an incomplete last record. Returns an error if a complete record is not valid.
pub fn parse(bytes: &[u8]) -> Result<Parsed, DamagedJournal> {
    let mut parsed = Parsed::default();
    match parsed.append(bytes) {
        Ok(()) => Ok(parsed),
        Err(why) => Err(DamagedJournal { line: parsed.records.len() + 1, why, prefix: parsed.records }),
    }
}

/// Parses the line after the parsed records. Returns the record and its checksum.
fn read_next_line(parsed: &Parsed, line: &[u8]) -> Result<(Record, String), LineDamage> {
    let read = verify_checksum(parsed.last_checksum(), line)
        .and_then(|(open, sum)| Some((newer::mark_unknown(fast_path::read_record(line)?, line, open), sum)));
    let (record, sum) = match read {
        Some(read) => read,
        None => read_any_line(parsed, line)?,
    };
    let expected = parsed.records.last().map_or(1, |r| r.seq + 1);
    if record.seq != expected {
        return Err(LineDamage::Sequence(expected));
    }
    match parsed.records.first() {
        Some(first) if first.run != record.run => Err(LineDamage::Run(record.run)),
        _ => Ok((record, sum)),
    }
}

/// Parses a line without the fast path, and reports what is wrong with the line.
fn read_any_line(parsed: &Parsed, line: &[u8]) -> Result<(Record, String), LineDamage> {
    let map: Map<String, Value> = serde_json::from_slice(line).map_err(|e| LineDamage::Syntax(e.to_string()))?;
    // The version is checked first, because a newer version may compute the checksum in another way.
    if let Some(v) = map.get("v").and_then(Value::as_u64).filter(|v| *v > u64::from(VERSION)) {
        return Err(LineDamage::Newer(v));
    }
    let (_, sum) = verify_checksum(parsed.last_checksum(), line).ok_or(LineDamage::Sum)?;
    record_from_json(map).map(|record| (record, sum)).map_err(LineDamage::Unknown)
}

/// Checks the checksum of a line. If it is correct, returns the line without the checksum and the closing brace, and
/// the checksum. The checksum covers bytes, not JSON values, so that every change is detected.
fn verify_checksum<'l>(previous: &str, line: &'l [u8]) -> Option<(&'l [u8], String)> {
    let rest = line.strip_suffix(CHECKSUM_SUFFIX)?;
    let (rest, sum) = rest.split_at_checked(rest.len().checked_sub(CHECKSUM_DIGITS)?)?;
    let open = rest.strip_suffix(CHECKSUM_PREFIX)?;
    let expected = checksum(previous, open);
    (expected.as_bytes() == sum).then_some((open, expected))
}

/// Returns the checksum of a record. `open` is the record's JSON without the closing brace.
fn checksum(previous: &str, open: &[u8]) -> String {
    let digest = Sha256::new().chain_update(previous).chain_update(open).chain_update(b"}").finalize();
    let number = digest.iter().take(CHECKSUM_DIGITS / 2).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{number:016x}")
}

fn record_from_json(mut map: Map<String, Value>) -> Result<Record, String> {
    map.remove("sum");
    let read = |key: &str| map.get(key).ok_or_else(|| format!("no `{key}`"));
    let number = |value: &Value| value.as_u64().ok_or_else(|| format!("{value} is not a number"));
    let wrong = |e: serde_json::Error| e.to_string();
    let (v, seq) = (number(read("v")?)?, number(read("seq")?)?);
    if v != u64::from(VERSION) {
        return Err(format!("record version {v}"));
    }
    let time = Timestamp::deserialize(read("time")?).map_err(wrong)?;
    let run = String::deserialize(read("run")?).map_err(wrong)?;
    match Event::deserialize(&Value::Object(map.clone())) {
        Ok(event) => Ok(newer::compare_with_json(Record::new(seq, time, run, event), map)),
        Err(error) => Ok(newer::unknown_record(seq, time, run, map, &error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::elb;
    use crate::domain::run::event::{ClientMeasurement, MeasuredTime, RunOutcome, WriteResult};
    use crate::domain::traffic::RouteId;

    fn journal() -> (Vec<Record>, String) {
        let events = [
            Event::ProcessStarted { owner: "alice@mac".into(), pid: 7, tool: "0.1.0".into(), continuous: false },
            Event::Settled { step: 1 },
            Event::Outcome {
                route: RouteId::rule("arn:r"),
                result: WriteResult::Applied,
                live: None,
                detail: Some("ü \"quoted\"\n".into()),
            },
            Event::Unfrozen {},
            Event::Finished {
                outcome: RunOutcome::Completed,
                remarks: vec![],
                unresolved: Vec::new(),
                accepted: Vec::new(),
                notes: Vec::new(),
            },
        ];
        let (mut text, mut sum, mut records) = (String::new(), String::new(), vec![]);
        for (seq, event) in (1..).zip(events) {
            let record = Record::new(seq, "2026-11-20T21:03:05Z".parse().unwrap(), "alpha-1", event);
            let (line, next) = format_line(&sum, &record).unwrap();
            text.push_str(&line);
            sum = next;
            records.push(record);
        }
        (records, text)
    }

    #[test]
    fn line_is_flat_and_ends_with_the_checksum() {
        let (records, text) = journal();
        let first = text.lines().next().unwrap();
        let head = concat!(
            r#"{"v":1,"seq":1,"time":"2026-11-20T21:03:05Z","run":"alpha-1","event":"processStarted","#,
            r#""owner":"alice@mac","pid":7,"tool":"0.1.0","sum":""#
        );
        assert!(first.starts_with(head), "{first}");
        assert_eq!(first.len(), head.len() + CHECKSUM_DIGITS + 2);
        assert_eq!(to_json(&records[0]).to_string(), format!("{}}}", &first[..head.len() - CHECKSUM_PREFIX.len()]));
    }

    #[test]
    fn written_records_are_read_back() {
        let (records, text) = journal();
        let parsed = parse(text.as_bytes()).unwrap();
        assert_eq!(parsed.records, records);
        assert_eq!((parsed.torn, parsed.unterminated, parsed.valid_bytes), (false, false, text.len()));
        assert_eq!(parse(b"").unwrap(), Parsed::default());
    }

    #[test]
    fn fast_path_reads_every_kind_of_record() {
        for journal in std::fs::read_dir("tests/journals").unwrap().map(|e| e.unwrap().path()) {
            // Only the slow path can read the records of the `newer-` journals.
            let newer = journal.to_string_lossy().contains("newer-");
            for line in std::fs::read_to_string(&journal).unwrap().lines().filter(|_| !newer) {
                let by_slow_path = record_from_json(serde_json::from_str(line).unwrap()).unwrap();
                assert_eq!(
                    fast_path::read_record(line.as_bytes()),
                    Some(by_slow_path),
                    "{}: {line}",
                    journal.display()
                );
            }
        }
        let twice = br#"{"v":1,"seq":1,"seq":2,"time":"2026-11-20T21:03:05Z","run":"r","event":"unfrozen","sum":"0"}"#;
        assert_eq!(fast_path::read_record(twice), None, "the fast path must refuse duplicate fields");
    }

    #[test]
    fn journal_preserves_every_kind_of_action() {
        let actions = serde_json::json!([
            { "Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": {
                "Issuer": "https://id", "SessionTimeout": 604_800, "UseExistingClientSecret": true } },
            { "Type": "authenticate-cognito", "Order": 2, "AuthenticateCognitoConfig": {
                "Extra": { "prompt": "login" } } },
            { "Type": "jwt-validation", "Order": 3, "JwtValidationConfig": { "Claims": [{ "Values": ["a", "b"] }] } },
            { "Type": "redirect", "RedirectConfig": { "Port": "#{port}" } },
            { "Type": "fixed-response", "FixedResponseConfig": { "StatusCode": "503" } },
            { "Type": "forward", "Order": 50_000, "ForwardConfig": {
                "TargetGroups": [{ "TargetGroupArn": "arn:a", "Weight": 0 }, { "TargetGroupArn": "arn:b" }],
                "TargetGroupStickinessConfig": { "Enabled": true, "DurationSeconds": 600 } } },
        ]);
        let actions: Vec<elb::action::Action> = serde_json::from_value(actions).unwrap();
        let (route, live) = (RouteId::rule("arn:r"), Box::new(elb::content(&actions)));
        assert_eq!(elb::actions(&live).unwrap(), actions);
        let split = live.forward_split().cloned();
        let outcome = Event::Outcome { route: route.clone(), result: WriteResult::Unknown, live: split, detail: None };
        for event in [Event::Drifted { route, expected: live.clone(), live: Some(live) }, outcome] {
            let record = Record::new(1, "2026-11-20T21:03:05.123456789Z".parse().unwrap(), "r", event);
            let (text, _) = format_line("", &record).unwrap();
            assert_eq!(parse(text.as_bytes()).unwrap().records, [record]);
        }
    }

    #[test]
    fn journal_cut_at_any_byte_gives_a_prefix_of_the_records() {
        let (records, text) = journal();
        for cut in 0..text.len() {
            let bytes = &text.as_bytes()[..cut];
            let parsed = parse(bytes).unwrap();
            let complete_lines = bytes.split(|b| *b == b'\n').count() - 1;
            // If only the newline is missing, the record is complete.
            assert_eq!(parsed.records.len(), complete_lines + usize::from(parsed.unterminated), "cut at {cut}");
            assert_eq!(parsed.records, records[..parsed.records.len()], "cut at {cut}");
            assert_eq!(parsed.torn, parsed.valid_bytes < cut, "cut at {cut}");
        }
    }

    #[test]
    fn every_flipped_bit_is_detected() {
        let (records, text) = journal();
        let last = text.trim_end().rfind('\n').unwrap() + 1;
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                match parse(&bytes) {
                    // Only a change of the last newline is not refused, because the last record then looks incomplete.
                    Ok(parsed) => assert_eq!(
                        (parsed.records.as_slice(), at),
                        (&records[..4], text.len() - 1),
                        "byte {at} bit {bit}"
                    ),
                    Err(corrupt) => {
                        let line = text.as_bytes()[..at].split(|b| *b == b'\n').count();
                        assert_eq!(corrupt.line, line, "byte {at} bit {bit}: {corrupt}");
                        assert_eq!(corrupt.prefix, records[..line - 1]);
                        assert!(at < last || line == records.len());
                    }
                }
            }
        }
    }

    #[test]
    fn missing_duplicate_or_moved_line_is_refused() {
        let (_, text) = journal();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for order in [vec![1, 2], vec![0, 2, 3], vec![0, 0, 1], vec![0, 2, 1], vec![0, 1, 2, 3, 4, 4]] {
            let text: String = order.iter().map(|i| lines[*i]).collect();
            assert!(matches!(parse(text.as_bytes()), Err(DamagedJournal { why: LineDamage::Sum, .. })), "{order:?}");
        }
        assert!(parse(b"\n").is_err());
    }

    #[test]
    fn newer_record_version_is_reported() {
        let (_, text) = journal();
        let newer = format!("{text}{{\"v\":2,\"seq\":6,\"shape\":\"unheard of\"}}");
        assert_eq!(parse(newer.as_bytes()).unwrap_err().why, LineDamage::Newer(2));
        assert!(LineDamage::Newer(2).to_string().contains("a newer cutover wrote the record"));
    }

    /// Returns a record parsed from these JSON fields; the common fields and the checksum are added.
    fn record_of(event: &str) -> Record {
        let open = format!(r#"{{"v":1,"seq":1,"time":"2026-11-20T21:03:05Z","run":"r",{event}"#);
        let line = format!("{open},\"sum\":\"{}\"}}\n", checksum("", open.as_bytes()));
        parse(line.as_bytes()).unwrap().records.remove(0)
    }

    #[test]
    fn unknown_event_is_preserved_and_described() {
        let record = record_of(r#""event":"teleported","to":{"planet":"mars"}"#);
        assert_eq!(record.event, Event::Unknown { kind: "teleported".into() });
        let what = record.newer.as_ref().map(|newer| newer.description.as_str());
        assert_eq!(what, Some("record 1 of the journal, `teleported`: unknown variant `teleported`"));
        let json =
            r#"{"v":1,"seq":1,"time":"2026-11-20T21:03:05Z","run":"r","event":"teleported","to":{"planet":"mars"}}"#;
        assert_eq!(to_json(&record).to_string(), json);
    }

    #[test]
    fn unknown_fields_and_values_are_found_at_any_depth() {
        let what = |event| record_of(event).newer.map(|newer| newer.description).unwrap_or_default();
        assert_eq!(what(r#""event":"settled","step":3"#), "");
        assert_eq!(what(r#""step":3,"event":"settled""#), "", "the order of the fields must not matter");
        assert_eq!(
            what(r#""event":"processStarted","owner":"a","pid":7,"tool":"1","continuous":false,"since":null"#),
            "",
            "an explicit default must not count as unknown"
        );
        assert_eq!(
            what(r#""event":"settled","step":3,"by":"gauge""#),
            "record 1 of the journal, `settled`: the field `by`"
        );
        let nested = concat!(
            r#""event":"health","groups":{"g":{"healthy":4,"initial":0,"unhealthy":0,"unused":0,"#,
            r#""draining":0,"unavailable":0,"limping":1}}"#
        );
        assert_eq!(what(nested), "record 1 of the journal, `health`: the field `groups.g.limping`");
        assert_eq!(
            record_of(r#""event":"settled","step":3,"by":"gauge""#).event,
            Event::Settled { step: 3 },
            "the known fields must be read"
        );
        let value = record_of(r#""event":"frozen","reason":"moonPhase","message":"full moon""#);
        assert_eq!(value.event, Event::Unknown { kind: "frozen".into() });
        assert_eq!(
            value.newer.map(|newer| newer.description).unwrap_or_default(),
            "record 1 of the journal, `frozen`: unknown variant `moonPhase`"
        );
    }

    #[test]
    fn client_measurement_is_printed_as_a_record() {
        let measured = ClientMeasurement {
            step: 2,
            label: "setWeight: 5".into(),
            during: MeasuredTime::Step,
            clusters: [].into(),
            requests: 9,
            client_errors: 0,
        };
        let record = Record::new(3, "2026-11-20T21:03:05Z".parse().unwrap(), "r", Event::ClientsMeasured(measured));
        let json = to_json(&record).to_string();
        assert!(
            json.contains(r#""event":"clientsMeasured","step":2,"#) && json.ends_with(r#""clientErrors":0}"#),
            "{json}"
        );
    }
}
