//! One row that changed.

use std::any::Any;

use super::kind::Kind;
use crate::resource::{Key, Resource};
use crate::watch::Row;

/// One row that changed, before and after; which kind it is of is told by the rows.
#[derive(Clone, Copy)]
pub struct Changed<'a> {
    resource: &'static Resource,
    key: &'a Key,
    old: Option<&'a (dyn Any + Send + Sync)>,
    new: Option<&'a (dyn Any + Send + Sync)>,
}

impl<'a> Changed<'a> {
    /// A change of a row of `K`; `None` where there is no row.
    pub(super) fn of<K: Kind>(old: Option<&'a K::Row>, new: Option<&'a K::Row>) -> Option<Changed<'a>> {
        let key = new.or(old)?.key();
        let any = |row: &'a K::Row| row as &(dyn Any + Send + Sync);
        Some(Changed { resource: K::RESOURCE, key, old: old.map(any), new: new.map(any) })
    }

    /// The row before and the row after, where there were any and they are of kind `K`.
    pub fn rows<K: Kind>(&self) -> impl Iterator<Item = &'a K::Row> + use<'a, K> {
        // Two kinds may share a type of rows, and no two share a resource.
        let (old, new) = if self.resource == K::RESOURCE { (self.old, self.new) } else { (None, None) };
        old.into_iter().chain(new).filter_map(|row| row.downcast_ref())
    }

    /// The keys of [`Self::rows`]: what a controller looks at again that is about objects of kind `K`.
    #[must_use]
    pub fn keys<K: Kind>(&self) -> Vec<Key> {
        self.rows::<K>().map(|row| row.key().clone()).collect()
    }

    /// The object, where it was deleted.
    #[must_use]
    pub fn deleted(&self) -> Option<(&'static Resource, &'a Key)> {
        self.new.is_none().then_some((self.resource, self.key))
    }
}
