//! Events about objects, with our clock and deterministic names.
//!
//! The same thing said again is one Event whose series counts up, written at most once per [`SERIES_PERIOD`]. Recording
//! never waits: what does not fit is dropped and counted. Events are talk, not state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, ApiError, Patch};
use crate::clock::Clock;
use crate::resource::{EVENTS, Resource};
use crate::rng::stable_hash;

/// How often the series of one event is written at most.
pub const SERIES_PERIOD: Duration = Duration::from_secs(60);

/// Events that wait to be taken up; more are dropped.
pub const QUEUE_ITEMS_MAX: usize = 1_024;

/// Different events remembered, to recognise repetitions; the one unheard of for longest is forgotten first.
const SERIES_ITEMS_MAX: usize = 4_096;

/// Longest note the API accepts, in bytes.
const NOTE_BYTES_MAX: usize = 1_024;

/// Longest part of an object's name used in an event's name, in bytes: 253 less the hash and its dot.
const NAME_BYTES_MAX: usize = 253 - 17;

/// Namespace of events about cluster-scoped objects.
const CLUSTER_NAMESPACE: &str = "default";

/// Severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Information.
    Normal,
    /// Somebody may have to do something.
    Warning,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectReference {
    /// `apiVersion`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Version the event speaks of, or empty.
    pub resource_version: String,
}

impl ObjectReference {
    /// A reference to one object of `resource`.
    pub fn new(resource: &Resource, namespace: &str, name: &str, uid: impl Into<String>) -> ObjectReference {
        ObjectReference {
            api_version: resource.api_version(),
            kind: resource.kind.to_string(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: uid.into(),
            resource_version: String::new(),
        }
    }

    fn body(&self) -> Value {
        let mut body =
            json!({"apiVersion": self.api_version, "kind": self.kind, "name": self.name, "uid": self.uid});
        for (field, value) in [("namespace", &self.namespace), ("resourceVersion", &self.resource_version)] {
            if !value.is_empty() {
                body[field] = json!(value);
            }
        }
        body
    }
}

/// Something worth telling people about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The object.
    pub regarding: ObjectReference,
    /// Another object that is part of the story.
    pub related: Option<ObjectReference>,
    /// Severity.
    pub severity: Severity,
    /// Why, in one CamelCase word of at most 128 bytes, for example `RolloutAborted`.
    pub reason: String,
    /// What was done, in one CamelCase word of at most 128 bytes.
    pub action: String,
    /// Words for people; cut to what the API accepts.
    pub text: String,
    /// What tells this occurrence from others with the same reason, for example a revision. Notes with equal object,
    /// reason and key are repetitions of each other.
    pub key: String,
}

impl Note {
    /// Deterministic, so that a writer that crashed and a repeated reconcile meet their own event again.
    fn event_name(&self) -> String {
        let parts = [self.regarding.uid.as_str(), &self.reason, &self.key];
        let separated = parts.map(|part| [part.as_bytes(), &[0xff]].concat());
        let hash = stable_hash(&[&separated[0], &separated[1], &separated[2]]);
        format!("{}.{hash:016x}", cut(&self.regarding.name, NAME_BYTES_MAX).trim_end_matches(['.', '-']))
    }

    fn namespace(&self) -> &str {
        if self.regarding.namespace.is_empty() { CLUSTER_NAMESPACE } else { &self.regarding.namespace }
    }
}

/// Takes notes from anywhere, cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    notes: mpsc::Sender<Note>,
    dropped: Arc<AtomicU64>,
}

impl Recorder {
    /// Takes up a note without waiting.
    pub fn record(&self, note: Note) {
        if let Err(error) = self.notes.try_send(note) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%error, "event dropped");
        }
    }

    /// How many notes were dropped because the queue was full or the publisher gone.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

struct Series {
    namespace: String,
    count: u64,
    written: u64,
    last: Timestamp,
    /// When it may be written again.
    next_write: Instant,
}

/// Writes what [`Recorder`]s took up. Does nothing until [run](Publisher::run).
pub struct Publisher {
    api: Api,
    clock: Clock,
    controller: &'static str,
    instance: String,
    notes: mpsc::Receiver<Note>,
    series: BTreeMap<String, Series>,
}

/// A recorder and the publisher behind it. `controller` is a qualified name such as `trimtab.dev/delivery`; `instance`
/// tells replicas apart. Give it the fenced API where only the leader should speak.
pub fn recorder(
    api: Api,
    clock: Clock,
    controller: &'static str,
    instance: impl Into<String>,
) -> (Recorder, Publisher) {
    let (sender, notes) = mpsc::channel(QUEUE_ITEMS_MAX);
    let recorder = Recorder { notes: sender, dropped: Arc::default() };
    (
        recorder,
        Publisher { api, clock, controller, instance: instance.into(), notes, series: BTreeMap::new() },
    )
}

impl Publisher {
    /// Publishes until `stop` is cancelled or every recorder is gone; then writes what is still due.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let next_write =
                self.series.values().filter(|series| series.is_due()).map(|series| series.next_write).min();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                note = self.notes.recv() => match note {
                    Some(note) => self.take(note).await,
                    None => break,
                },
                () = sleep_until(next_write) => self.write_due(Instant::now()).await,
            }
        }
        while let Ok(note) = self.notes.try_recv() {
            self.take(note).await;
        }
        let everything = self.series.values().map(|series| series.next_write).max();
        self.write_due(everything.unwrap_or_else(Instant::now)).await;
    }

    async fn take(&mut self, note: Note) {
        let now = self.clock.now();
        let name = note.event_name();
        if let Some(series) = self.series.get_mut(&name) {
            series.count += 1;
            series.last = now;
            return;
        }
        self.make_room();
        let namespace = note.namespace().to_owned();
        let next_write = Instant::now() + SERIES_PERIOD;
        let (count, written) =
            match self.api.create(EVENTS, Some(&namespace), &self.body(&name, &note, now)).await {
                Ok(_) => (1, 1),
                // Said before, by an earlier process of ours: count on from there.
                Err(ApiError::AlreadyExists { .. }) => {
                    let said = self.said_before(&namespace, &name).await;
                    (said + 1, said)
                }
                Err(error) => return tracing::warn!(%error, reason = note.reason, "event not written"),
            };
        self.series.insert(name, Series { namespace, count, written, last: now, next_write });
    }

    async fn said_before(&self, namespace: &str, name: &str) -> u64 {
        let event = self.api.get(EVENTS, Some(namespace), name).await.ok().flatten().unwrap_or_default();
        event.pointer("/series/count").and_then(Value::as_u64).unwrap_or(1)
    }

    fn make_room(&mut self) {
        if self.series.len() < SERIES_ITEMS_MAX {
            return;
        }
        let oldest = self.series.iter().min_by_key(|(_, series)| series.last).map(|(name, _)| name.clone());
        if let Some(name) = oldest {
            self.series.remove(&name);
        }
    }

    async fn write_due(&mut self, until: Instant) {
        for (name, series) in &mut self.series {
            if !series.is_due() || series.next_write > until {
                continue;
            }
            // The API counts a series from its second occurrence.
            let body = json!({"series": {"count": series.count.max(2), "lastObservedTime": micro_time(series.last)}});
            let result = self.api.patch(EVENTS, Some(&series.namespace), name, &Patch::Merge(body)).await;
            if let Err(error) = result {
                tracing::debug!(%error, "event series not written");
            }
            // Written or not: an event that has expired meanwhile is not worth a second try.
            series.written = series.count;
            series.next_write = Instant::now() + SERIES_PERIOD;
        }
    }

    fn body(&self, name: &str, note: &Note, now: Timestamp) -> Value {
        let mut body = json!({
            "apiVersion": EVENTS.api_version(),
            "kind": EVENTS.kind,
            "metadata": {"namespace": note.namespace(), "name": name},
            "eventTime": micro_time(now),
            "reportingController": self.controller,
            "reportingInstance": self.instance,
            "type": match note.severity { Severity::Normal => "Normal", Severity::Warning => "Warning" },
            "reason": note.reason,
            "action": note.action,
            "note": cut(&note.text, NOTE_BYTES_MAX),
            "regarding": note.regarding.body(),
        });
        if let Some(related) = &note.related {
            body["related"] = related.body();
        }
        body
    }
}

impl Series {
    fn is_due(&self) -> bool {
        self.count > self.written
    }
}

fn micro_time(instant: Timestamp) -> String {
    format!("{instant:.6}")
}

/// The longest prefix of at most `bytes_max` bytes that ends between characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
