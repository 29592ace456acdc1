//! Rows by key, kept by three moves: apply, delete, reset.
//!
//! [`Rows`] is the plain structure; [`Store`] shares one between the task that [drives](Store::drive) it and the
//! reconciles that read it.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::{Arc, RwLock, RwLockReadGuard};

use futures::{Stream, StreamExt};
use tokio::sync::watch;

use crate::resource::Key;
use crate::sync::{reading, writing};
use crate::watch::{Event, Row};

/// What an event did to one row. `old` is `None` for a new row, `new` for one that is gone.
#[derive(Debug)]
pub struct Change<R> {
    /// The row before.
    pub old: Option<Arc<R>>,
    /// The row after.
    pub new: Option<Arc<R>>,
}

/// Lists the index values of a row: pushes any number of them.
pub type IndexOf<R, I> = fn(&R, &mut Vec<I>);

/// A row in its place. It is ordered by the key that it carries: a key of its own beside each row would cost more than
/// the place.
struct Placed<R>(Arc<R>);

impl<R: Row> Borrow<Key> for Placed<R> {
    fn borrow(&self) -> &Key {
        self.0.key()
    }
}

impl<R: Row> PartialEq for Placed<R> {
    fn eq(&self, other: &Placed<R>) -> bool {
        self.0.key() == other.0.key()
    }
}

impl<R: Row> Eq for Placed<R> {}

impl<R: Row> PartialOrd for Placed<R> {
    fn partial_cmp(&self, other: &Placed<R>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Row> Ord for Placed<R> {
    fn cmp(&self, other: &Placed<R>) -> Ordering {
        self.0.key().cmp(other.0.key())
    }
}

/// Lists of rows grow one by one up to this length, for nearly all stay within it; longer ones double.
const SMALL_LIST: usize = 16;

/// Rows ordered by key, with one secondary index of type `I` (use an enum to index by several things).
pub struct Rows<R, I = ()> {
    rows: BTreeSet<Placed<R>>,
    /// The rows of each value, in key order. Most values have one row or a few, for which a list is leanest.
    index: BTreeMap<I, Vec<Arc<R>>>,
    index_of: IndexOf<R, I>,
    /// Keys of objects that exist and could not be read when they were seen last; their rows, if any, are older.
    undecodable: BTreeSet<Key>,
    /// Keys seen by the listings under way, by part.
    listings: BTreeMap<Arc<str>, BTreeSet<Key>>,
    /// The parts that were listed.
    listed: BTreeSet<Arc<str>>,
    /// How many parts there are.
    parts: usize,
}

impl<R: Row> Rows<R> {
    /// No rows, no index.
    pub fn new() -> Rows<R> {
        Rows::indexed(|_, _| {})
    }
}

impl<R: Row> Default for Rows<R> {
    fn default() -> Rows<R> {
        Rows::new()
    }
}

impl<R: Row, I: Ord> Rows<R, I> {
    /// No rows yet, indexed by whatever `index_of` pushes.
    pub fn indexed(index_of: IndexOf<R, I>) -> Rows<R, I> {
        Rows {
            rows: BTreeSet::new(),
            index: BTreeMap::new(),
            index_of,
            undecodable: BTreeSet::new(),
            listings: BTreeMap::new(),
            listed: BTreeSet::new(),
            parts: 1,
        }
    }

    /// Takes in one event and says which rows changed in a way that [matters](Row::differs_from).
    pub fn take(&mut self, event: Event<R>) -> Vec<Change<R>> {
        self.take_part(&Arc::from(""), event)
    }

    /// [`Rows::take`] for a watch of one namespace: what its listing does not have is gone in that namespace alone. An
    /// empty `part` is everything.
    pub fn take_part(&mut self, part: &Arc<str>, event: Event<R>) -> Vec<Change<R>> {
        match event {
            Event::Reset => {
                self.listings.insert(part.clone(), BTreeSet::new());
                Vec::new()
            }
            // A listing is authoritative even where its versions are lower, as after a restore from a backup.
            Event::Init(row) => {
                self.seen(part, row.key().clone());
                Vec::from_iter(self.put(row))
            }
            Event::Apply(row) if self.is_stale(&row) => Vec::new(),
            Event::Apply(row) => Vec::from_iter(self.put(row)),
            Event::Delete(key) => Vec::from_iter(self.remove(&key)),
            Event::Undecodable(key) => {
                self.seen(part, key.clone());
                self.undecodable.insert(key);
                Vec::new()
            }
            Event::Ready => self.finish_listing(part),
        }
    }

    fn seen(&mut self, part: &Arc<str>, key: Key) {
        if let Some(seen) = self.listings.get_mut(part) {
            seen.insert(key);
        }
    }

    fn is_stale(&self, row: &R) -> bool {
        self.get(row.key()).is_some_and(|held| held.resource_version() > row.resource_version())
    }

    fn put(&mut self, row: R) -> Option<Change<R>> {
        let new = Arc::new(row);
        self.undecodable.remove(new.key());
        self.add_to_index(&new);
        let old = self.rows.replace(Placed(new.clone())).map(|Placed(old)| old);
        if let Some(old) = &old {
            self.remove_from_index(old, Some(&new));
        }
        let matters = old.as_ref().is_none_or(|old| new.differs_from(old));
        matters.then_some(Change { old, new: Some(new) })
    }

    fn remove(&mut self, key: &Key) -> Option<Change<R>> {
        self.undecodable.remove(key);
        let Placed(old) = self.rows.take(key)?;
        self.remove_from_index(&old, None);
        Some(Change { old: Some(old), new: None })
    }

    fn finish_listing(&mut self, part: &Arc<str>) -> Vec<Change<R>> {
        self.listed.insert(part.clone());
        let Some(seen) = self.listings.remove(part) else { return Vec::new() };
        let is_gone = |key: &Key| (part.is_empty() || key.namespace == *part) && !seen.contains(key);
        self.undecodable.retain(|key| !is_gone(key));
        let gone: Vec<Key> = self.iter().map(|row| row.key()).filter(|key| is_gone(key)).cloned().collect();
        let changes = gone.iter().filter_map(|key| self.remove(key)).collect();
        if self.synced() {
            self.compact();
        }
        changes
    }

    /// Rebuilds the trees with full nodes: a listing comes in the order of its keys and leaves every node half empty.
    fn compact(&mut self) {
        self.rows = mem::take(&mut self.rows).into_iter().collect();
        self.index = mem::take(&mut self.index).into_iter().collect();
    }

    /// Puts `row` under each of its values, in the place of the row with its key where there is one.
    fn add_to_index(&mut self, row: &Arc<R>) {
        for value in self.values(row) {
            let rows = self.index.entry(value).or_default();
            match place(rows, row.key()) {
                Ok(held) => rows[held] = row.clone(),
                Err(free) => {
                    if rows.len() < SMALL_LIST {
                        rows.reserve_exact(1);
                    }
                    rows.insert(free, row.clone());
                }
            }
        }
    }

    /// Forgets `old`'s index values, except those that `kept` has too.
    fn remove_from_index(&mut self, old: &R, kept: Option<&R>) {
        let still = kept.map(|row| self.values(row)).unwrap_or_default();
        for value in self.values(old).into_iter().filter(|value| !still.contains(value)) {
            if let Some(rows) = self.index.get_mut(&value) {
                if let Ok(held) = place(rows, old.key()) {
                    rows.remove(held);
                }
                if rows.is_empty() {
                    self.index.remove(&value);
                }
            }
        }
    }

    fn values(&self, row: &R) -> Vec<I> {
        let mut values = Vec::new();
        (self.index_of)(row, &mut values);
        values
    }

    /// The row of that key.
    pub fn get(&self, key: &Key) -> Option<&Arc<R>> {
        self.rows.get(key).map(|Placed(row)| row)
    }

    /// Whether an object of that key exists and could not be read when it was seen last.
    pub fn is_undecodable(&self, key: &Key) -> bool {
        self.undecodable.contains(key)
    }

    /// Keys of one namespace's objects that exist and could not be read when they were seen last. What such an object says
    /// is unknown, which is not the same as that it says nothing.
    pub fn undecodable_in(&self, namespace: &str) -> impl Iterator<Item = &Key> {
        let first = Key::new(namespace, "");
        let wanted = first.namespace.clone();
        self.undecodable.range(first..).take_while(move |key| key.namespace == wanted)
    }

    /// All rows, in key order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<R>> {
        self.rows.iter().map(|Placed(row)| row)
    }

    /// The rows of one namespace, in key order.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<R>> {
        let first = Key::new(namespace, "");
        let wanted = first.namespace.clone();
        let from = self.rows.range::<Key, _>(first..).map(|Placed(row)| row);
        from.take_while(move |row| row.key().namespace == wanted)
    }

    /// The rows with that index value, in key order.
    pub fn at(&self, value: &I) -> impl Iterator<Item = &Arc<R>> {
        self.index.get(value).into_iter().flatten()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether a complete listing of every part has been taken in. Until then an absent row means nothing.
    pub fn synced(&self) -> bool {
        self.listed.len() >= self.parts
    }
}

/// Where the row of `key` is in a list in key order, or where it would be.
fn place<R: Row>(rows: &[Arc<R>], key: &Key) -> Result<usize, usize> {
    rows.binary_search_by(|row| row.key().cmp(key))
}

struct Shared<R, I> {
    rows: RwLock<Rows<R, I>>,
    synced: watch::Sender<bool>,
}

/// [`Rows`] shared between one driver and many readers, cheap to clone.
pub struct Store<R, I = ()> {
    shared: Arc<Shared<R, I>>,
}

impl<R, I> Clone for Store<R, I> {
    fn clone(&self) -> Store<R, I> {
        Store { shared: self.shared.clone() }
    }
}

impl<R: Row> Store<R> {
    /// An empty store without an index.
    pub fn new() -> Store<R> {
        Store::over(Rows::new())
    }
}

impl<R: Row> Default for Store<R> {
    fn default() -> Store<R> {
        Store::new()
    }
}

impl<R: Row, I: Ord> Store<R, I> {
    /// An empty store, indexed by whatever `index_of` pushes.
    pub fn indexed(index_of: IndexOf<R, I>) -> Store<R, I> {
        Store::over(Rows::indexed(index_of))
    }

    fn over(rows: Rows<R, I>) -> Store<R, I> {
        Store { shared: Arc::new(Shared { rows: RwLock::new(rows), synced: watch::channel(false).0 }) }
    }

    /// All rows, for as long as the guard lives: gather a snapshot and let go; never hold it across an `await`.
    pub fn read(&self) -> RwLockReadGuard<'_, Rows<R, I>> {
        reading(&self.shared.rows)
    }

    /// The row of that key.
    pub fn get(&self, key: &Key) -> Option<Arc<R>> {
        self.read().get(key).cloned()
    }

    /// Whether a complete listing has been taken in.
    pub fn synced(&self) -> bool {
        *self.shared.synced.borrow()
    }

    /// Waits for the first complete listing.
    pub async fn wait_synced(&self) {
        let mut synced = self.shared.synced.subscribe();
        // Cannot fail: `self` keeps the sender alive.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Says that the store is complete only once `parts` namespaces were listed.
    pub(crate) fn expect_parts(&self, parts: usize) {
        writing(&self.shared.rows).parts = parts;
    }

    /// Takes in one event; see [`Rows::take`].
    pub fn take(&self, event: Event<R>) -> Vec<Change<R>> {
        self.take_part(&Arc::from(""), event)
    }

    fn take_part(&self, part: &Arc<str>, event: Event<R>) -> Vec<Change<R>> {
        let mut rows = writing(&self.shared.rows);
        let changes = rows.take_part(part, event);
        let synced = rows.synced();
        drop(rows);
        self.shared.synced.send_if_modified(|was| !std::mem::replace(was, synced) && synced);
        changes
    }

    /// Takes in every event of `stream` and calls `on_change(old, new)` for each row that changed, after the change can
    /// be read. Ends when the stream does: with [`watch`](crate::watch::watch), never.
    pub async fn drive(
        self,
        stream: impl Stream<Item = Event<R>>,
        on_change: impl FnMut(Option<&R>, Option<&R>),
    ) {
        self.drive_part(Arc::from(""), stream, on_change).await;
    }

    /// [`Store::drive`] by a watch of the namespace `part`.
    pub(crate) async fn drive_part(
        self,
        part: Arc<str>,
        stream: impl Stream<Item = Event<R>>,
        mut on_change: impl FnMut(Option<&R>, Option<&R>),
    ) {
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.next().await {
            for change in self.take_part(&part, event) {
                on_change(change.old.as_deref(), change.new.as_deref());
            }
        }
    }
}
