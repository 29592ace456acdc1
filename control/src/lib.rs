//! Reconcile shells: read a snapshot, ask the core, apply the plan. Nothing clever lives here.
//!
//! ```text
//! watches -> stores -> dirty service -> observed::Observed -> delivery::plan -> apply -> API
//!                            ^                                   |
//!                            +---- evidence (delivery::judge) <--+-- Prometheus
//! ```
//!
//! **Invariants.** A write happens only because a plan says so. A plan is made only on stores that have seen our own last
//! write of each object. One broken object never stops another's release.

pub mod bindings;
pub mod context;
pub mod controllers;
pub mod convert;
pub mod execute;
pub mod host;
pub mod manager;
pub mod measure;
pub mod measurements;
mod notice;
pub mod observed;
pub mod outbox;
pub mod standing;

pub use manager::{ManagerOptions, Parts, run};
pub use observed::{Measured, NOTHING_MEASURED, Observed, observe};
