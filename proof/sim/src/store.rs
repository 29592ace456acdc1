//! The true store: one global revision, every object, and the log that watches and old reads are served from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use crate::faults::Watches;
use crate::json::{list, object_mut, text};
use crate::watch::Watcher;

/// Changes kept for watches and reads of old revisions; beyond it the oldest half is compacted.
const LOG_CHANGES_MAX: usize = 400_000;

/// An object as it was written at one revision.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) value: Value,
    pub(crate) revision: u64,
    full: OnceLock<Bytes>,
    bare: OnceLock<Bytes>,
}

impl Stored {
    fn new(value: Value, revision: u64) -> Self {
        Stored { value, revision, full: OnceLock::new(), bare: OnceLock::new() }
    }

    /// The stored form as JSON, serialised once for all readers.
    pub(crate) fn bytes(&self) -> &Bytes {
        self.full.get_or_init(|| Bytes::from(self.value.to_string()))
    }

    /// As [`bytes`](Self::bytes), without `apiVersion` and `kind`: the form of items in lists of built-in kinds.
    pub(crate) fn bare_bytes(&self) -> &Bytes {
        self.bare.get_or_init(|| Bytes::from(bare(&self.value).to_string()))
    }
}

/// The object without `apiVersion` and `kind`.
pub(crate) fn bare(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(object) = value.as_object_mut() {
        object.remove("apiVersion");
        object.remove("kind");
    }
    value
}

/// What happened to an object, or what a filtered watch makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeType {
    Added,
    Modified,
    Deleted,
}

impl ChangeType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            ChangeType::Added => "ADDED",
            ChangeType::Modified => "MODIFIED",
            ChangeType::Deleted => "DELETED",
        }
    }
}

/// One entry of the log.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) at: Instant,
    pub(crate) storage: Arc<str>,
    pub(crate) key: String,
    pub(crate) change: ChangeType,
    /// The object after the change; for a deletion its last state, carrying the revision of the deletion.
    pub(crate) object: Arc<Stored>,
    pub(crate) previous: Option<Arc<Stored>>,
    /// Whose request it was; empty for the server's own controllers.
    pub(crate) by: Arc<str>,
    /// The process that made it; 0 when none did.
    pub(crate) actor: u64,
    /// When the request left its sender.
    pub(crate) sent: Instant,
}

/// Who makes changes.
#[derive(Debug, Default)]
struct Author {
    user: Arc<str>,
    actor: u64,
    sent: Option<Instant>,
}

/// Objects of one resource by key (`namespace/name`, or `name`).
pub(crate) type Collection = BTreeMap<String, Arc<Stored>>;

/// The requested revision is no longer in the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Compacted;

/// The store. Everything in it is ordered, so that iteration never differs between runs.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) revision: u64,
    pub(crate) compacted: u64,
    pub(crate) collections: BTreeMap<Arc<str>, Collection>,
    log: VecDeque<Arc<Change>>,
    /// Owner uid to the collections and keys of its dependents.
    dependents: BTreeMap<String, BTreeSet<(Arc<str>, String)>>,
    pub(crate) watchers: BTreeMap<Arc<str>, BTreeMap<u64, Watcher>>,
    next_watcher: u64,
    /// The revision again, for bookmarks: watch streams do not lock the store.
    pub(crate) published: Arc<AtomicU64>,
    /// Who makes the changes that come next.
    author: Author,
    /// Resources whose changes are recorded, and those changes.
    recorded: (BTreeSet<&'static str>, Vec<Arc<Change>>),
}

impl Store {
    pub(crate) fn get(&self, storage: &str, key: &str) -> Option<&Arc<Stored>> {
        self.collections.get(storage)?.get(key)
    }

    pub(crate) fn in_collection(&self, storage: &str) -> impl Iterator<Item = (&String, &Arc<Stored>)> {
        self.collections.get(storage).into_iter().flatten()
    }

    /// Objects of one namespace, in key order.
    pub(crate) fn in_namespace<'a>(
        &'a self,
        storage: &str,
        namespace: &str,
    ) -> impl Iterator<Item = (&'a String, &'a Arc<Stored>)> {
        let prefix = format!("{namespace}/");
        let start = prefix.clone();
        self.collections
            .get(storage)
            .into_iter()
            .flat_map(move |collection| collection.range(start.clone()..))
            .take_while(move |(key, _)| key.starts_with(&prefix))
    }

    /// Writes an object and gives it the next revision.
    pub(crate) fn put(&mut self, storage: &Arc<str>, key: &str, mut value: Value) -> Arc<Stored> {
        self.revision += 1;
        let revision = self.revision;
        object_mut(&mut value, "metadata").insert("resourceVersion".to_owned(), revision.to_string().into());
        let object = Arc::new(Stored::new(value, revision));
        let collection = self.collections.entry(storage.clone()).or_default();
        let previous = collection.insert(key.to_owned(), object.clone());
        if let Some(previous) = &previous {
            self.unlink(storage, key, &previous.value);
        }
        self.link(storage, key, &object.value);
        let change = if previous.is_some() { ChangeType::Modified } else { ChangeType::Added };
        self.record(storage, key, change, object.clone(), previous);
        object
    }

    /// Removes an object; `last` is the state that the deletion event carries.
    pub(crate) fn remove(&mut self, storage: &Arc<str>, key: &str, mut last: Value) -> Arc<Stored> {
        self.revision += 1;
        let revision = self.revision;
        object_mut(&mut last, "metadata").insert("resourceVersion".to_owned(), revision.to_string().into());
        let object = Arc::new(Stored::new(last, revision));
        let previous = self.collections.get_mut(storage).and_then(|collection| collection.remove(key));
        if let Some(previous) = &previous {
            self.unlink(storage, key, &previous.value);
        }
        self.record(storage, key, ChangeType::Deleted, object.clone(), previous);
        object
    }

    fn record(
        &mut self,
        storage: &Arc<str>,
        key: &str,
        change: ChangeType,
        object: Arc<Stored>,
        previous: Option<Arc<Stored>>,
    ) {
        self.published.store(self.revision, Ordering::Relaxed);
        let change = Arc::new(Change {
            revision: self.revision,
            at: Instant::now(),
            storage: storage.clone(),
            key: key.to_owned(),
            change,
            object,
            previous,
            by: self.author.user.clone(),
            actor: self.author.actor,
            sent: self.author.sent.unwrap_or_else(Instant::now),
        });
        if self.recorded.0.contains(&**storage) {
            self.recorded.1.push(change.clone());
        }
        if let Some(watchers) = self.watchers.get_mut(storage) {
            watchers.retain(|_, watcher| watcher.offer(&change));
        }
        self.log.push_back(change);
        if self.log.len() > LOG_CHANGES_MAX {
            let cut = self.log[LOG_CHANGES_MAX / 2].revision;
            self.compact_below(cut);
        }
    }

    fn link(&mut self, storage: &Arc<str>, key: &str, value: &Value) {
        for owner in list(value, "metadata.ownerReferences") {
            self.dependents
                .entry(text(owner, "uid").to_owned())
                .or_default()
                .insert((storage.clone(), key.to_owned()));
        }
    }

    fn unlink(&mut self, storage: &Arc<str>, key: &str, value: &Value) {
        for owner in list(value, "metadata.ownerReferences") {
            if let Some(dependents) = self.dependents.get_mut(text(owner, "uid")) {
                dependents.remove(&(storage.clone(), key.to_owned()));
                if dependents.is_empty() {
                    self.dependents.remove(text(owner, "uid"));
                }
            }
        }
    }

    /// Collections and keys of the objects that name this uid as an owner.
    pub(crate) fn dependents_of(&self, uid: &str) -> Vec<(Arc<str>, String)> {
        self.dependents.get(uid).map(|all| all.iter().cloned().collect()).unwrap_or_default()
    }

    /// Forgets every change up to the current revision: older watches and reads expire.
    pub(crate) fn compact(&mut self) {
        self.compact_below(self.revision);
    }

    fn compact_below(&mut self, revision: u64) {
        while self.log.front().is_some_and(|change| change.revision <= revision) {
            self.log.pop_front();
        }
        self.compacted = self.compacted.max(revision);
    }

    /// The changes after `revision`, oldest first.
    pub(crate) fn changes_after(
        &self,
        revision: u64,
    ) -> Result<impl Iterator<Item = &Arc<Change>>, Compacted> {
        if revision < self.compacted {
            return Err(Compacted);
        }
        let start = self.log.partition_point(|change| change.revision <= revision);
        Ok(self.log.range(start..))
    }

    /// One collection as it was at `revision`.
    pub(crate) fn collection_at(&self, storage: &str, revision: u64) -> Result<Collection, Compacted> {
        if revision < self.compacted {
            return Err(Compacted);
        }
        let mut collection = self.collections.get(storage).cloned().unwrap_or_default();
        for change in self.log.iter().rev().take_while(|change| change.revision > revision) {
            if &*change.storage != storage {
                continue;
            }
            match &change.previous {
                Some(previous) => collection.insert(change.key.clone(), previous.clone()),
                None => collection.remove(&change.key),
            };
        }
        Ok(collection)
    }

    /// Names whoever makes the changes that come next, and when that was asked for.
    pub(crate) fn changes_are_by(&mut self, user: &str, actor: u64, sent: Option<Instant>) {
        if *self.author.user != *user {
            self.author.user = Arc::from(user);
        }
        (self.author.actor, self.author.sent) = (actor, sent);
    }

    pub(crate) fn record_changes(&mut self, resources: &[&'static str]) {
        self.recorded.0.extend(resources);
    }

    pub(crate) fn take_changes(&mut self) -> Vec<Arc<Change>> {
        std::mem::take(&mut self.recorded.1)
    }

    /// Adds a watcher and returns its number.
    pub(crate) fn subscribe(&mut self, storage: &Arc<str>, watcher: Watcher) -> u64 {
        self.next_watcher += 1;
        self.watchers.entry(storage.clone()).or_default().insert(self.next_watcher, watcher);
        self.next_watcher
    }

    /// Breaks the connection of these watchers.
    pub(crate) fn break_watches_of(&mut self, watches: &Watches) {
        for (storage, watchers) in &mut self.watchers {
            watchers.retain(|_, watcher| {
                let keep = !watches.include(&watcher.user, watcher.actor, storage);
                if !keep {
                    watcher.reset();
                }
                keep
            });
        }
    }

    /// Breaks the connection of every watcher for which `broken` holds.
    pub(crate) fn break_watches(&mut self, broken: impl Fn(&Watcher) -> bool) {
        for watchers in self.watchers.values_mut() {
            watchers.retain(|_, watcher| {
                let keep = !broken(watcher);
                if !keep {
                    watcher.reset();
                }
                keep
            });
        }
    }
}
