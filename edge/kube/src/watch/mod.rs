//! A lean watch: bytes in, rows out; full objects are never built.
//!
//! The stream of [`watch`] never ends and never fails. Whatever goes wrong on the way is retried with a growing,
//! chance-free delay, counted, logged, and visible through [`WatchStatus`], which also takes the wish to
//! [list anew](WatchStatus::resync); what comes out is only this grammar:
//!
//! ```text
//! ( Reset  (Init | Unreadable)*  Ready  (Apply | Delete | Unreadable)* )*      a Reset may also cut a listing short
//! ```

mod backoff;
mod decode;
mod lines;
mod machine;
mod status;

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::BoxStream;

pub(crate) use self::backoff::Backoff;
pub use self::status::{HEALTHY_WITHIN, WatchCounts, WatchHealth, WatchStatus};
use crate::api::{Api, Selector};
use crate::resource::{Key, Resource};

/// What a projection keeps of one object.
pub trait Row: Send + Sync + 'static {
    /// Which object this is.
    fn key(&self) -> &Key;

    /// The version of the object this was read from; versions of one kind are ordered.
    fn resource_version(&self) -> u64;

    /// Whether anything that decisions look at differs. Rows that override this save their readers from reacting to
    /// heartbeats.
    fn differs_from(&self, old: &Self) -> bool {
        self.resource_version() != old.resource_version()
    }
}

/// Why an object cannot become a row: a short message in lower case. The object is skipped, not the stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProjectError(pub String);

impl From<serde_json::Error> for ProjectError {
    fn from(error: serde_json::Error) -> ProjectError {
        ProjectError(error.to_string())
    }
}

/// Makes rows from the JSON bytes of single objects. Items of a list carry no `kind` and `apiVersion`.
pub trait Project: Send + Sync + 'static {
    /// What is kept.
    type Row: Row;

    /// Reads one object.
    fn project(&self, object: &[u8]) -> Result<Self::Row, ProjectError>;
}

/// One step of the grammar above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<R> {
    /// A listing begins; what is held stays valid until [`Event::Ready`].
    Reset,
    /// An object of the listing.
    Init(R),
    /// The listing is complete: whatever was not in it is gone.
    Ready,
    /// An object was created or changed.
    Apply(R),
    /// An object was deleted, or no longer matches the selector.
    Delete(Key),
    /// The object exists but cannot be read: keep what is known of it, and never take it for deleted.
    Unreadable(Key),
}

/// Which part of a kind to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// One namespace, or all.
    pub namespace: Option<String>,
    /// Label and field selectors.
    pub selector: Selector,
}

impl Scope {
    /// Every object in the cluster.
    pub fn all() -> Scope {
        Scope::default()
    }

    /// Every object in one namespace.
    pub fn namespace(namespace: impl Into<String>) -> Scope {
        Scope { namespace: Some(namespace.into()), ..Scope::default() }
    }

    /// The same part, narrowed by selectors.
    pub fn selecting(self, selector: Selector) -> Scope {
        Scope { selector, ..self }
    }
}

/// The endless stream made by [`watch`].
pub struct Watch<R> {
    events: BoxStream<'static, Event<R>>,
    status: WatchStatus,
}

impl<R> Watch<R> {
    /// A handle that outlives the stream's owner: healthy or not, last error, counts, and the wish for a new listing.
    pub fn status(&self) -> WatchStatus {
        self.status.clone()
    }
}

impl<R> Stream for Watch<R> {
    type Item = Event<R>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event<R>>> {
        self.events.as_mut().poll_next(context)
    }
}

/// Watches `resource` within `scope`, keeping of every object what `projection` makes of it.
pub fn watch<P: Project>(
    api: Api,
    resource: &'static Resource,
    scope: Scope,
    projection: P,
) -> Watch<P::Row> {
    let status = WatchStatus::new(resource);
    let events = Box::pin(machine::events(api, resource, scope, projection, status.clone()));
    Watch { events, status }
}
