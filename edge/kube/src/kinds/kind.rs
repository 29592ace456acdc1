//! What a watched kind says of itself.

use super::trusted::Trusted;
use crate::intern::Interner;
use crate::resource::Resource;
use crate::watch::Project;

/// A watched kind, named by the projection that makes its rows.
pub trait Kind: Project + Sized {
    /// Where it lives in the API.
    const RESOURCE: &'static Resource;

    /// What its store is indexed by; `()` for nothing.
    type Index: Ord + Send + Sync + 'static;

    /// The projection, which shares values through `interner`.
    fn new(interner: &Interner) -> Self;

    /// The same, telling the manager's own objects by `trust`, where that matters.
    #[must_use]
    fn trusting(self, _trust: &Trusted) -> Self {
        self
    }

    /// Pushes the index values of a row.
    fn index(row: &Self::Row, out: &mut Vec<Self::Index>);
}
