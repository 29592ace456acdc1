//! Which part of a kind is watched.

use std::sync::Arc;

use crate::api::Selector;

/// A namespace that is watched by itself; `None` for what is watched in the whole cluster.
pub type WatchPart = Option<Arc<str>>;

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
