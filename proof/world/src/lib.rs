//! Kubelets, built-in controllers, traffic and metrics: models that run against the simulated API server and, the
//! kubelet, against a real one. Everything runs on tokio's (paused) clock and repeats exactly for a seed.
//!
//! ```text
//!  clients ──requests──▶ traffic ──counters──▶ prometheus ──▶ whoever judges a release
//!                           ▲ ready endpoints
//!  kubelet ◀──pods──▶ API server ◀──plans── controllers
//! ```
//!
//! **Invariants.** A model knows the cluster only through the API, like the thing it models. What misbehaves is said by
//! the image of a pod ([`behaviour`]), never by a switch in a model. Work is done when something changes, or when a
//! service has requests: an idle cluster of any size costs nothing and writes nothing.

#![cfg_attr(test, allow(clippy::needless_pass_by_value, reason = "tables of tests read better with values"))]

pub mod behaviour;
pub mod controllers;
pub mod fleet;
pub mod kubelet;
mod object;
pub mod prometheus;
mod row;
mod settled;
pub mod traffic;
mod world;

pub use self::settled::Storage;
pub use self::traffic::Traffic;
pub use self::world::{Clients, World, WorldConfig, users};
