//! What the stores keep of our own kinds.

pub use trimtab_kube::kinds::{
    AppFacts, AppRow, Apps, OwnRow, PoliciesOf, PolicyRow, ReleaseFacts, ReleaseRow, Releases,
};
