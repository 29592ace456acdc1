//! Judging one arm by another: measurements in, one finding per rule out.
//!
//! ```text
//! (arm, ReplicaSet), pods -> Arms --+
//!                                   +--> Judge -> one Finding per Rule
//! raw samples ----------------------+
//! ```
//!
//! What the arms are is the caller's to say: nothing here knows a release, a strategy or a service's history of releases.
//!
//! The shell asks [`Judge::needs`] what to measure, hands the answers to [`Judge::absorb`], shows it the pods with
//! [`Judge::observe`], and reads [`Judge::findings`]. All evidence is a function of sample timestamps, never of when the
//! shell happened to look, so a successor that asks Prometheus for the same window comes to the same findings.

mod alert;
mod answered;
mod arms;
pub mod binding;
mod counter;
mod crashes;
mod describe;
mod events;
mod exist;
pub mod finding;
mod first;
mod ingest;
mod judge;
mod narrowed;
mod pairing;
mod question;
mod ratio;
mod reading;
pub mod rule;

pub use arms::{ArmPod, Arms};
pub use judge::Judge;
pub use question::{Answer, Failure, HISTORY, Need, Query};
