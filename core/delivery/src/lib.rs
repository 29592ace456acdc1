//! Delivery decisions: is the release that is out there kept, rolled back, held, or still being judged, and why?
//!
//! ```text
//! raw samples, pod rows --trimtab_judge--> findings --+
//!                                                     +--> plan(snapshot) -> (Plan, Report)
//! Deployment, ReplicaSets, pods, releases  -----------+
//! ```
//!
//! [`arms::of`] tells the judge which pods are new and which are old; [`mod@plan`] reads a complete [`snapshot::Snapshot`],
//! the judge's findings included, and answers with every write that is due, in the order in which they must happen, and with
//! the [`Report`] that people read. Nothing here does I/O, sees a clock, or can fail.
//!
//! **Invariants.** A crash after any write converges, because each write persists a decision before the next acts on it.
//! A plan for a settled service is empty. `replicas` of a claimed Deployment is never written.

pub mod acting;
mod app;
pub mod arms;
pub mod asked;
pub mod command;
mod deadline;
mod decision;
pub mod history;
pub mod lower;
pub mod names;
mod objects;
pub mod plan;
pub mod records;
pub mod release;
pub mod seal;
mod settings;
pub mod snapshot;
pub mod strategy;
pub mod unclaim;

pub use decision::{Plan, Write};
pub use lower::lower;
pub use plan::plan;
pub use snapshot::Snapshot;
pub use trimtab_plan::Report;
