//! The house of the controllers: each gathers what it sees and asks a core; one host runs them all.
//!
//! ```text
//! watches -> stores -> keys that a change concerns -> gather -> core plan -> check -> writes -> API
//!                                                       ^
//!                        evidence (measurements.rs) ----+---- Prometheus
//! ```
//!
//! **Invariants.** A write happens only because a plan says so, and [`host`] has it checked first. A plan is made only on
//! stores that have seen our own last write of each object. One broken object never stops another's release.

mod address;
pub mod bindings;
mod computing;
pub mod context;
pub mod controller;
pub mod controllers;
pub mod convert;
pub mod execute;
mod handed;
pub mod host;
pub mod manager;
pub mod measure;
pub mod measurements;
mod notification;
pub mod observed;
pub mod outbox;
mod pace;
pub mod seals;
pub mod standing;

pub use manager::{ManagerOptions, Parts, run};
pub use observed::{Measured, NOTHING_MEASURED, Observed, observe};
