//! Who acts on a workload now.

use jiff::Timestamp;

/// Who acts on a workload now. Whoever else would change it waits: two changes at once leave nobody able to tell which of
/// them did what is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Who.
    pub by: Actor,
    /// Since when; `None` where nobody knows, or nobody acts.
    pub since: Option<Timestamp>,
    /// When that is due to end, at the earliest; `None` where the end is an event, not an instant.
    pub until: Option<Timestamp>,
}

/// Who may act on a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Actor {
    /// The release of this number is under way.
    Release(u64),
    /// Its pods get other resources.
    Resize,
    /// Its pods move to other nodes.
    Migration,
    /// A person or a tool holds it.
    Person,
    /// Nobody: whoever has something to do may begin.
    #[default]
    Nobody,
}
