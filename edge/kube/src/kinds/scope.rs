//! Which namespaces are watched.

use std::sync::Arc;

use crate::resource::Resource;
use crate::watch::Scope;

/// Which namespaces are watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namespaces {
    /// All of them.
    #[default]
    All,
    /// These. Kinds without a namespace are watched as well where that is allowed.
    These(Vec<Arc<str>>),
}

impl Namespaces {
    /// The parts in which `resource` is watched, by namespace; one empty name stands for everything.
    pub(super) fn parts(&self, resource: &Resource) -> Vec<Arc<str>> {
        match self {
            Namespaces::These(names) if resource.namespaced => {
                let mut names = names.clone();
                names.sort_unstable();
                names.dedup();
                names
            }
            _ => vec![Arc::from("")],
        }
    }

    /// Whether it is an ordinary thing that `resource` may not be watched.
    pub(super) fn may_be_forbidden(&self, resource: &Resource) -> bool {
        *self != Namespaces::All && !resource.namespaced
    }
}

/// What a part is to the watch.
pub(super) fn scope_of(part: &str) -> Scope {
    if part.is_empty() { Scope::all() } else { Scope::namespace(part) }
}
