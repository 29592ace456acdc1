//! What a decision comes to: every write that is due, in order, each with what must still be true when it is made.
//!
//! ```text
//! core/<what>::plan(snapshot) -> Plan -> check(plan, concern) -> control carries it out, write by write
//! ```
//!
//! A plan is a value. It names objects and fields and never reads them; the shell that carries it out knows nothing of
//! releases or sizes. A [`Report`] beside it says why, with the codes of [`reason`]. [`check()`] holds a plan against the list
//! of who may write what, [`concern::ALL`], before anything is sent: in tests and in production alike.
#![forbid(unsafe_code)]

pub mod check;
pub mod concern;
pub mod condition;
pub mod event;
pub mod object;
pub mod reason;
pub mod report;
mod touched;
pub mod write;

use jiff::Timestamp;

pub use check::{Breach, Permitted, check};
pub use concern::{Concern, Right};
pub use condition::{Condition, Transition};
pub use event::{Event, Severity};
pub use object::{Kind, Object, Part};
pub use reason::Reason;
pub use report::Report;
pub use touched::escaped;
pub use write::{Copied, IfAbsent, IfThere, Patch, Precondition, Sealing, Write};

/// Writes that are carried out of one plan at most: what is left is planned again, with the events of those that were.
pub const WRITES_MAX: usize = 128;

/// Everything that is due now.
///
/// Writes are carried out in order; the first that fails ends the attempt, and the next event plans anew. Each write
/// records a decision before the next one acts on it, so that a crash after any of them leads to the same end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Writes in order.
    pub writes: Vec<Write>,
    /// When to look again although nothing happened.
    pub wake_at: Option<Timestamp>,
}

impl Plan {
    /// Nothing is due, now or later.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Whether nothing is to be written.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.writes.is_empty()
    }
}
