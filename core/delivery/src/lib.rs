//! Delivery decisions: is the release that is out there kept, rolled back, held, or still being judged, and why?
//!
//! ```text
//! raw samples, pod rows --judge--> findings --+
//!                                             +--> plan(snapshot) -> (Plan, Report)
//! Deployment, ReplicaSets, pods, releases  ---+
//! ```
//!
//! Two pure halves. [`judge`] folds measurements of one release into a [`finding::Finding`] per rule; [`mod@plan`] reads a
//! complete [`snapshot::Snapshot`] and answers with every write that is due, in the order in which they must happen, and with the
//! [`report::Report`] that people read. Neither half does I/O, sees a clock, or can fail.
//!
//! **Invariants.** A crash after any write converges, because each write persists a decision before the next acts on it.
//! A plan for a settled service is empty. `replicas` of a claimed Deployment is never written.

pub mod finding;
pub mod judge;
pub mod names;
pub mod plan;
pub mod pod;
pub mod records;
pub mod release;
pub mod report;
pub mod rule;
pub mod seal;
pub mod snapshot;

pub use plan::{Plan, Write, plan};
pub use report::Report;
pub use snapshot::Snapshot;
