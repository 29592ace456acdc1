//! What a watch keeps of an object, and what it tells.

use crate::resource::Key;

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

/// One step of the grammar of a [`watch`](mod@super).
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
    Undecodable(Key),
}
